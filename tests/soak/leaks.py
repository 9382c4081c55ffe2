"""What calls leave behind: ``python leaks.py N`` makes N calls of each kind, and prints by how much each has grown.

As JSON, for each kind the blocks of Python's memory, the bytes of C's and the objects for the collector to see that
there are more of after the second half of the calls than after the first.
"""

import contextlib
import ctypes
import ctypes.util
import gc
import itertools
import json
import sys
import warnings
from collections.abc import Callable

import numpy as np

import fastbp
from fastbp import activations, layers, losses

N, D = 6, 4  # rows and columns
REFUSED = ValueError, TypeError, RuntimeError, FloatingPointError, ZeroDivisionError


class Mallinfo(ctypes.Structure):
    """What C's malloc tells of itself."""

    _fields_ = [(name, ctypes.c_size_t) for name in (*map(str, range(4)), "mapped", "5", "6", "taken", "8", "9")]


def in_use() -> tuple[int, int, int]:
    """Blocks of Python's allocator, bytes of C's, and objects."""
    gc.collect()
    told = MALLINFO()
    return sys.getallocatedblocks(), told.taken + told.mapped, len(gc.get_objects())


MALLINFO = ctypes.CDLL(None).mallinfo2
MALLINFO.restype = Mallinfo


def refused(*calls: Callable[[], object]) -> None:
    """Each call is an error, which is forgotten."""
    for call in calls:
        try:
            call()
        except REFUSED:
            continue
        raise AssertionError("a call that was to fail did not")


def of_layer(cls: type, dtype: type) -> Callable[[int], object]:
    """Calls of a layer, every fourth wrong."""
    layer = cls.of_width(D, np.dtype(dtype)) if hasattr(cls, "of_width") else cls()
    rng = np.random.default_rng(0)
    x, dout = rng.random((2, N, D)).astype(dtype)
    other, text, wide = x.astype(np.int32), np.array([["a"]]), np.ones((N, D + 1), dtype)

    def call(i: int) -> None:
        if i % 4 < 3:
            layer.forward((x, other, x[::2])[i % 3])
            layer.backward(dout[::2] if i % 3 == 2 else dout)
            return
        layer.forward(x)
        refused(lambda: layer.forward(text), lambda: layer.backward(wide))

    return call


def of_loss(cls: type, dtype: type) -> Callable[[int], object]:
    """Calls of a loss, every fourth wrong."""
    loss = cls()
    rng = np.random.default_rng(0)
    x = rng.random((N, D)).astype(dtype)
    t = np.eye(N, D, dtype=dtype)

    def call(i: int) -> None:
        if i % 4 < 3:
            loss.forward(x, t)
            loss.backward()
            return
        refused(lambda: loss.forward(x, np.full((N, D + 1), 2)), lambda: loss.forward(np.array([["a"]]), t))

    return call


def of_network() -> dict[str, Callable[[int], object]]:
    """What networks do again and again."""
    net = fastbp.mlp([D, 5, 3], normalization="batch", dropout=0.1, seed=0)
    rng = np.random.default_rng(0)
    x, t = rng.random((40, D)).astype(np.float32), rng.integers(0, 3, 40)
    bad = np.where(np.arange(40)[:, None] == 7, np.nan, x).astype(np.float32)
    rule = fastbp.optimizers.Adam(1e-4)

    def step(i: int) -> None:
        net.step(x[: 1 + i % 9], t[: 1 + i % 9], rule)
        if i % 4 == 3:
            refused(lambda: net.step(x, t[:3], rule), lambda: net.step(bad, t, rule), lambda: net.step(x, t - 1, rule))

    def predict(i: int) -> None:
        net.predict(x[: 1 + i % 40])
        if i % 4 == 3:
            refused(lambda: net.predict(x[:, 1:]), lambda: net.predict("a"))

    def gradient(i: int) -> None:
        net.gradient(x[:9], t[:9])
        if i % 4 == 3:
            refused(lambda: net.gradient(x, t[:3]))

    return {"step": step, "predict": predict, "gradient": gradient}


def fit(i: int) -> None:
    """A fit of a new network of one of many kinds, every fourth one that fails."""
    options = FITS[i % len(FITS)]
    net = fastbp.mlp([D, 5, 3], seed=0, normalization=("batch", None)[i % 2], dropout=(0, 0.2)[i % 3 == 1])
    rng = np.random.default_rng(i)
    x, t = rng.random((40, D)).astype(np.float32), rng.integers(0, 3, 40)
    settings = {"epochs": 2, "batch_size": 7, "progress": False} | options
    if i % 4 < 3:
        state = net.fit(x, t, **settings).state
        if i % 8 == 0:
            net.fit(x, t, **settings | {"epochs": 3, "resume": state})
        return
    refused(
        lambda: net.fit(np.where(x == x[3, 1], np.inf, x), t, **settings),
        lambda: net.fit(x, t, **settings | {"callbacks": [lambda history: 1 // 0]}),
        lambda: net.fit(x, t[1:], **settings),
        lambda: net.fit(x, t, **settings | {"optimizer": "no such"}),
    )


FITS = [
    {"optimizer": optimizer, "threads": threads, **more}
    for optimizer, threads, more in itertools.product(
        ("sgd", "momentum", "adam", "adagrad"),
        (1, 2),
        ({}, {"validation_split": 0.2, "patience": 1}, {"clip_norm": 1.0}),
    )
]


def calls() -> dict[str, Callable[[int], object]]:
    """All kinds of calls by name."""
    found = {}
    for dtype in (np.float32, np.float64):
        for cls in (*layers.CLASSES, *activations.CLASSES, fastbp.Softmax):
            found[f"{cls.__name__} {dtype.__name__}"] = of_layer(cls, dtype)
        for cls in losses.CLASSES:
            found[f"{cls.__name__} {dtype.__name__}"] = of_loss(cls, dtype)
    return found | of_network()


def grown(call: Callable[[int], object], n: int) -> tuple[int, int, int]:
    """What is in use after 2n calls and was not after n."""
    for i in range(n):
        call(i)
    before = in_use()
    for i in range(n, 2 * n):
        call(i)
    return tuple(now - then for now, then in zip(in_use(), before, strict=True))


def main(n: int, n_fits: int) -> dict[str, tuple[int, int, int]]:
    """What each kind of call has left."""
    warnings.simplefilter("ignore")
    kinds = dict.fromkeys(calls().items(), n)
    found = {}
    with contextlib.suppress(AttributeError):
        fastbp.set_num_threads(1)
    for (name, call), times in kinds.items():
        found[name] = grown(call, times // 2)
    found["fit"] = grown(fit, n_fits // 2)
    return found


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
