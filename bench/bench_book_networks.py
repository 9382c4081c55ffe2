"""Training steps of the book's networks as its scripts do them: a gradient, then an optimizer's update."""

from types import ModuleType
from typing import Any

import numpy as np

import fastbp.book.deep_convnet
import fastbp.book.multi_layer_net_extend
import fastbp.book.optimizer
import fastbp.book.simple_convnet
import fastbp.reference.book.deep_convnet
import fastbp.reference.book.multi_layer_net_extend
import fastbp.reference.book.optimizer
import fastbp.reference.book.simple_convnet

from .row import Expected, Row, Work, rows

BATCH, RATE = 100, 0.01
NETWORKS = {  # modules, classes, and their arguments
    "SimpleConvNet": ("simple_convnet", {}),
    "DeepConvNet": ("deep_convnet", {}),
    "MultiLayerNetExtend": (
        "multi_layer_net_extend",
        {"input_size": 784, "hidden_size_list": [100] * 5, "output_size": 10, "use_batchnorm": True},
    ),
}


def batch(name: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, as rows for a network without convolutions, and their labels."""
    rng = np.random.default_rng(0)
    shape = (BATCH, 784) if name == "MultiLayerNetExtend" else (BATCH, 1, 28, 28)
    return rng.random(shape).astype(dtype), rng.integers(0, 10, BATCH)


def steps(book: ModuleType, name: str, dtype: str) -> Work:
    """Steps of a network of ``book``, which is ``fastbp.book`` or its plain twin."""
    module, arguments = NETWORKS[name]
    np.random.seed(0)
    net: Any = getattr(getattr(book, module), name)(**arguments)
    for layer in net.layers.values() if isinstance(net.layers, dict) else net.layers:
        for attribute in ("W", "b", "gamma", "beta"):
            if hasattr(layer, attribute):
                _cast(net, layer, attribute, dtype)
    x, t = batch(name, dtype)
    state = np.random.get_state()
    for _ in range(2):  # fastbp writes its program at the second, and what is checked is the next
        net.gradient(x, t)
    np.random.set_state(state)
    optimizer: Any = book.optimizer.SGD(RATE)
    return Work(lambda: optimizer.update(net.params, net.gradient(x, t)), lambda: [*net.params.values()])


def _cast(net: Any, layer: Any, attribute: str, dtype: str) -> None:
    """Have a network's parameter be of that type, in its dict as in its layer."""
    before = getattr(layer, attribute)
    (name,) = (name for name, array in net.params.items() if array is before)
    net.params[name] = before.astype(dtype, copy=False)
    setattr(layer, attribute, net.params[name])


def expected(name: str, dtype: str) -> Expected:
    """The parameters after a step by the plain twin, in float64."""
    work = steps(fastbp.reference.book, name, "float64")
    work.call()
    return [(p, max(1e-3, float(np.abs(p).max()))) for p in work.answer()]


ROWS = [
    Row(
        "book step",
        f"{name}, batch {BATCH}",
        (name, dtype),
        dtype=dtype,
        tolerance=4096.0,
        quick=name != "DeepConvNet" and dtype == "float64",
    )
    for name in NETWORKS
    for dtype in ("float32", "float64")
]


@rows(ROWS, "book step")
def bench_book_networks(measure, row, provider):
    measure(expected)
