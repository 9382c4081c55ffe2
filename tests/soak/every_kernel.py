"""Everything that has kernels, on random ragged shapes, in arrays between fences; ``main`` in a process of its own."""

import faulthandler
import json
import os
import sys

import numpy as np
from fence import Fence
from random_networks import LAYERS, LOSSES, random_problem

import fastbp
from fastbp.commands.warmup import work_in
from fastbp.kernels import isa
from fastbp.kernels._target import Dispatcher
from fastbp.optimizers import Optimizer

FLOATS = (np.float32, np.float64)
KINDS = ("float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def kernels():
    """All of the house, by module and name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("fastbp.kernels.")]
    found = [kernel for module in modules for kernel in vars(module).values() if isinstance(kernel, Dispatcher)]
    return {f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}": kernel for kernel in found}


def idle():
    """Kernels that did not run: Python called none of those, and nothing that it called names them."""
    left = dict(kernels())
    ran = [
        kernel for kernel in left.values() if not kernel.is_part and kernel.stats.cache_hits | kernel.stats.cache_misses
    ]
    while ran:
        kernel = ran.pop()
        if left.pop(f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}", None):
            ran += named_by(kernel.py_func)
    return sorted(left)


def named_by(function):
    """Kernels among what a function's text names, and among what functions of tuples that it names do."""
    module, found = sys.modules[function.__module__], []
    for name in function.__code__.co_names:
        value = getattr(module, name, None)
        if isinstance(value, Dispatcher):
            found.append(value)
        elif getattr(value, "__module__", "").startswith("fastbp.kernels") and hasattr(value, "__code__"):
            found += named_by(value)
    return found


def by_layers(problem):
    net, out = problem.net, problem.x
    for layer in net.layers.values():
        out = layer.forward(out)
    net.loss_layer.forward(out, problem.t, problem.weights)
    dout = net.loss_layer.backward()
    for layer in reversed(net.layers.values()):
        dout = layer.backward(dout)
    net.predict(problem.x)
    net.gradient(problem.x, problem.t)


def compiled(rng, problem):
    net, (x, t, weights) = problem.net, problem.batch
    optimizer = rng.choice(Optimizer.__subclasses__())(lr=1e-3)
    options = {"sample_weight": weights, "clip_norm": rng.choice([None, 0.1]), "threads": int(rng.integers(1, 4))}
    batch_size = int(rng.integers(1, len(x) + 1))
    net.fit(x, t, batch_size=batch_size, optimizer=optimizer, seed=0, progress=False, **options)
    net.step(x, t, optimizer, sample_weight=weights)
    net.predict(x[: len(x) // 2 + 1])
    net.predict(x[0])


def functions(rng, dtype):
    n, k = (int(n) for n in rng.integers(1, 70, 2))
    x = rng.standard_normal((n, k)).astype(dtype)
    y = fastbp.softmax(x)
    fastbp.sigmoid(x), fastbp.relu(x)
    fastbp.cross_entropy_error(y, rng.integers(0, k, n)), fastbp.cross_entropy_error(y, y)
    for layer in (fastbp.AddLayer(), fastbp.MulLayer()):
        layer.backward(layer.forward(x, x))
    one = fastbp.Softmax()
    one.backward(one.forward(x))
    samples = np.abs(10 * x).astype(rng.choice(KINDS))
    net = fastbp.mlp([k, 7, 3], dtype=dtype, seed=0)
    net.fit(samples, rng.integers(0, 3, n), batch_size=int(rng.integers(1, n + 1)), scale=0.1, progress=False, seed=0)
    net.predict(samples)


# Images, filters, stride and pad: read and written where they lie, in one run, copied, in one place, in bands.
FORMS_OF_CONVOLUTIONS = [
    ((3, 2, 12, 12), (7, 5, 5), 1, 0),
    ((2, 3, 7, 9), (5, 1, 1), 1, 0),
    ((2, 3, 7, 9), (5, 3, 2), 1, 0),
    ((2, 3, 7, 9), (5, 3, 3), 1, 1),
    ((2, 2, 9, 8), (9, 3, 3), 2, 1),
    ((3, 1, 3, 3), (2, 3, 3), 1, 0),
    ((1, 2, 5, 9000), (3, 3, 3), 1, 0),
    ((1, 8, 70, 120), (3, 3, 3), 1, 1),
    ((2, 3, 9, 25), (3, 2, 2), 2, 0),  # windows of two, of which a row has less than a vector,
    ((2, 3, 8, 83), (3, 2, 2), 2, 0),  # and more
]


def of_images(x_shape, window, stride, pad, dtype):
    """Layers for images, forth and back."""
    x = np.ones(x_shape, dtype)
    n_filters, *size = window
    one = np.ones(n_filters, dtype)
    filters = fastbp.Convolution(np.ones((n_filters, x_shape[1], *size), dtype), one, stride, pad)
    pools = [kind(*size, stride, pad) for kind in (fastbp.MaxPooling, fastbp.AveragePooling)]
    for layer in (filters, *pools, fastbp.BatchNormalization(np.ones(x_shape[1], dtype), np.ones(x_shape[1], dtype))):
        assert np.isfinite(layer.backward(layer.forward(x))).all()


def random_images(rng):
    """Arguments of ``of_images``."""
    n, channels, n_filters, stride = (int(rng.integers(1, most)) for most in (4, 6, 12, 5))
    height, width, pad = (int(n) for n in rng.integers((1, 1, 0), (40, 40, 4)))
    size = [int(rng.integers(1, min(8, length + 2 * pad) + 1)) for length in (height, width)]
    return (n, channels, height, width), (n_filters, *size), stride, pad


def rounds(n, seed, fence):
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        for dtype in FLOATS:
            for subject in (*LAYERS, *LOSSES):
                fence.at_end = bool(rng.integers(2))
                widest, most_rows = rng.choice([5, 40, 150]), rng.choice([6, 40, 300])
                problem = random_problem(rng, subject, dtype, int(widest), int(most_rows))
                by_layers(problem)
                compiled(rng, problem)
            functions(rng, dtype)
            for _ in range(5):
                of_images(*random_images(rng), dtype)


def everything_once(fence):
    """What a warm-up does, where every kernel is in use: ragged, since its samples are 8 x 4."""
    for at_end in (True, False):
        fence.at_end = at_end
        for dtype in ("float32", "float64"):
            for _, use in work_in(dtype):
                use()
            for form in FORMS_OF_CONVOLUTIONS:
                of_images(*form, dtype)


def main(n_rounds, seed):
    """Print as JSON what was written beside arrays, how many there were, and which kernels have not run."""
    faulthandler.enable()
    fence = Fence()
    with fence.standing():
        everything_once(fence)
        rounds(n_rounds, seed, fence)
    fastbp.set_num_threads(1)
    print(
        json.dumps({"touched": fence.touched, "arrays": fence.count, "idle": idle(), "row": isa.ISA.name}), flush=True
    )
    os._exit(0)  # arrays from within the fence are still there, which would call it when it is no more
