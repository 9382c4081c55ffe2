"""Compile all kernels for float32 and float64 and keep them on disk, so that later runs start at once.

That takes a minute or two, once for each version of fastbp and kind of CPU; where they came with the package or are in
the cache, a few seconds.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

import fastbp
from fastbp import (
    Affine,
    AveragePooling,
    BatchNormalization,
    Convolution,
    Flatten,
    MaxPooling,
    Sequential,
    Sigmoid,
    layers,
    losses,
)
from fastbp._show_config import cache
from fastbp.activations import BY_NAME, named
from fastbp.basics import _team
from fastbp.basics._progress import Bar, silence, why_not_kept
from fastbp.commands._options import Options
from fastbp.kernels.deviance import deviance, sum_of_weights
from fastbp.kernels.gemm import LINEAR, NOTHING
from fastbp.kernels.shares import add_in_order
from fastbp.losses._loss import LABELS
from fastbp.optimizers import Optimizer
from fastbp.programs._feed import Rows
from fastbp.programs._program import Program
from fastbp.programs._slices import LEAST_SLICES, SLICE_BYTES
from fastbp.training._dense_rows import DenseRows

EXAMPLES = """\
examples:
  fastbp warmup
  NUMBA_CACHE_DIR=/var/cache/fastbp fastbp warmup
"""
DTYPES = ("float32", "float64")


def add_options(parser: argparse.ArgumentParser) -> None:
    """There is nothing to choose."""


def run(options: Options) -> None:
    """Use everything once, with a progress bar on a terminal, and say where the machine code is."""
    start = time.perf_counter()
    work = [part for dtype in DTYPES for part in work_in(dtype)]
    with Bar(len(work), "part") as bar, silence():
        for name, use in work:
            bar.describe(f"compiling kernels, once for this machine: {name}")
            use()
            bar.advance()
    folder, size = cache()
    where = f"{size / 1e6:.1f} MB in {folder}" if folder else f"kept nowhere: {why_not_kept()}"
    print(f"{len(work)} parts ready in {time.perf_counter() - start:.1f} s, {where}")


def work_in(dtype: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Names of parts, and functions that use all kernels of each, in float32 or float64."""
    x = np.random.default_rng(0).random((8, 4)).astype(dtype)
    yield f"functions in {dtype}", partial(_functions, x)
    yield f"samples in {dtype}", partial(_samples, x)
    for word in BY_NAME:
        yield f"{named(word)!r} in {dtype}", partial(_layer, partial(named, word), x)
    for cls in layers.CLASSES:
        yield f"{cls.__name__} in {dtype}", partial(_layer, partial(cls.of_width, 4, x.dtype), x)
    yield f"ranks in {dtype}", partial(_ranks, x)
    yield f"layers for images in {dtype}", partial(_images, x.dtype)
    for loss in losses.CLASSES:
        yield f"{loss.__name__} in {dtype}", partial(_loss, loss, x)
    for optimizer in Optimizer.__subclasses__():
        yield f"{optimizer.__name__} in {dtype}", partial(_optimizer, optimizer, x)
    yield f"losses of estimators in {dtype}", partial(_deviance, x)
    if find_spec("sklearn"):
        yield f"scikit-learn's estimators in {dtype}", partial(_estimators, x)


def _functions(x: np.ndarray) -> None:
    fastbp.sigmoid(x)
    fastbp.relu(x)
    for t in (np.zeros(len(x), int), x):
        fastbp.cross_entropy_error(fastbp.softmax(x), t)
    for two in (fastbp.AddLayer(), fastbp.MulLayer()):
        two.backward(two.forward(x, x))
    one = fastbp.Softmax()
    one.backward(one.forward(x))


def _samples(x: np.ndarray) -> None:
    """Of another type, and in a batch so large that it is computed in slices."""
    net = Sequential([_affine(x)])
    many = -(-LEAST_SLICES * SLICE_BYTES // x.nbytes) * len(x)
    net.fit(np.ones((many, 4), np.uint8), np.zeros(many, int), batch_size=many, progress=False)


def _affine(x: np.ndarray) -> Any:
    return Affine.of_width(4, x.dtype)


def _layer(make: Callable[[], Any], x: np.ndarray) -> None:
    """Layer by layer and compiled; twice in a row, since the first of two may be computed within the product before."""
    between = [make(), make()]
    net = Sequential([_affine(x), *between, Affine(np.full((4, 4), 0.1, x.dtype), None)])
    t = np.zeros(len(x), int)
    net.gradient(x, t)
    for layer in net.layers.values():
        layer.predict(x)
    net.predict(x)
    net.fit(x, t, batch_size=3, seed=0, progress=False, validation_data=(x, t))
    net.step(x, t)


def _ranks(x: np.ndarray) -> None:
    """What processes that train together compute beside what one does."""
    net = Sequential([_affine(x)])
    binding, t = net._binding(), np.zeros(len(x), int)
    feed = Rows(DenseRows("x", x, 1.0), t, x[:0, 0], sliceable=False)
    Program(binding, feed, binding.loss, None, len(x)).share(np.arange(2), len(x), 0, 0)
    add_in_order(_team.address(), x[0].copy(), x.copy(), 1)


def _images(dtype: np.dtype) -> None:
    """Layers for images, layer by layer and compiled, of windows that a byte can and cannot tell the places of."""
    x, t = np.ones((8, 1, 17, 17), dtype), np.zeros(8, int)
    for pool in (MaxPooling(2, 2), MaxPooling(17, 16, 1), AveragePooling(3, 3, 2)):
        W, numbers = np.full((2, 1, 3, 3), 0.1, dtype), np.ones((3, 2), dtype)
        layers: list[Any] = [Convolution(W, numbers[0], pad=1), BatchNormalization(*numbers[1:]), pool]
        layers += [Convolution(np.full((2, 2, 1, 1), 0.1, dtype), None), Flatten()]
        n = int(np.prod(pool.out_shape((2, 17, 17))))
        net = Sequential([*layers, Affine(np.full((n, 2), 0.1, dtype), None)])
        net.gradient(x, t)
        net.loss(x, t)  # layer by layer, with the running statistics
        net.predict(x)
        net.fit(x, t, batch_size=3, seed=0, progress=False)
    pooled = [
        Convolution(np.full((2, 1, 2, 2), 0.1, dtype), None),
        MaxPooling(2, 2),
        Affine(np.full((128, 2), 0.1, dtype), None),
    ]
    Sequential(pooled, in_shape=x.shape[1:]).step(x, t)


def _loss(loss: type, x: np.ndarray) -> None:
    net = Sequential([_affine(x), Sigmoid()], loss())
    rows, weights = np.full(x.shape, 0.25, x.dtype), np.ones(len(x), x.dtype)
    for t in (rows, np.zeros(len(x), int)) if net.loss_layer.targets == LABELS else (rows,):
        net.loss_layer.forward(net.predict(x), t, weights)
        net.loss_layer.backward()
        net.fit(x, t, batch_size=3, seed=0, progress=False, sample_weight=weights)


def _optimizer(optimizer: type[Optimizer], x: np.ndarray) -> None:
    optimizer().update({"W": x.copy()}, {"W": x})
    net = Sequential([_affine(x)])
    net.fit(x, np.zeros(len(x), int), optimizer=optimizer(), seed=0, progress=False, clip_norm=1.0)


def _deviance(x: np.ndarray) -> None:
    """What estimators compute beside what networks do, where a wheel is built without scikit-learn, too."""
    nothing, (y, dx) = x[:0, 0], np.empty((2, *x.shape), x.dtype)
    total = sum_of_weights(nothing, len(x))
    deviance(_team.address(), NOTHING, LINEAR, x, x, nothing, total, y, dx, np.empty(len(x)))


def _estimators(x: np.ndarray) -> None:
    from scipy.sparse import csr_array

    from fastbp.sklearn import MLPClassifier, MLPRegressor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one epoch does not converge
        for samples in (x, csr_array(x)):
            for n_classes in (3, 2):
                MLPClassifier(max_iter=1, dtype=x.dtype.name).fit(samples, np.arange(len(x)) % n_classes)
            for loss in ("squared_error", "poisson"):
                MLPRegressor(loss=loss, max_iter=1, dtype=x.dtype.name, solver="sgd").fit(samples, x[:, 0])
