"""The book's layers as a script calls them, one by one from Python, their checks and fresh outputs included."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from fastbp import reference

from .row import Expected, Row, rows

CALLS = (  # layer, direction, (rows, inputs, outputs)
    ("Affine", "forward", (100, 784, 50)),
    ("Affine", "backward", (100, 784, 50)),
    ("Relu", "forward", (100, 50, 50)),
    ("Relu", "backward", (100, 50, 50)),
    ("Relu", "forward", (1, 8, 8)),
    ("Sigmoid", "forward", (100, 50, 50)),
    ("Sigmoid", "backward", (100, 50, 50)),
    ("SoftmaxWithLoss", "forward", (100, 10, 10)),
    ("SoftmaxWithLoss", "backward", (100, 10, 10)),
    ("TwoLayerNet", "gradient", (100, 784, 10)),
)


def inputs(shape: tuple[int, int, int], dtype: str) -> dict[str, np.ndarray]:
    n, i, o = shape
    rng = np.random.default_rng(0)
    sizes = {"x": (n, i), "dout": (n, o), "W": (i, o), "b": (o,)}
    drawn = {name: rng.standard_normal(size).astype(dtype) for name, size in sizes.items()}
    return {**drawn, "t": rng.integers(0, o, n)}


def prepared(layers: ModuleType, layer: str, direction: str, shape: tuple, dtype: str) -> Callable[[], list]:
    """What calls a layer of ``layers``, after the forward pass that a backward pass needs; returns the answer."""
    a = inputs(shape, dtype)
    if layer == "TwoLayerNet":
        return _of_network(layers.TwoLayerNet(shape[1], 50, shape[2], dtype=np.dtype(dtype), seed=0), direction, a)
    if direction == "function":
        return lambda: [getattr(layers, layer)(a["x"])]
    made: Any = getattr(layers, layer)(*([a["W"], a["b"]] if layer == "Affine" else []))
    arguments = (a["x"], a["t"]) if layer == "SoftmaxWithLoss" else (a["x"],)
    if direction == "forward":
        return lambda: [made.forward(*arguments)]
    made.forward(*arguments)
    if layer == "SoftmaxWithLoss":
        return lambda: [made.backward()]
    if layer == "Affine":
        return lambda: [made.backward(a["dout"]), made.dW, made.db]
    return lambda: [made.backward(a["dout"])]


def _of_network(network: Any, call: str, a: dict[str, np.ndarray]) -> Callable[[], list]:
    if call == "predict":
        return lambda: [network.predict(a["x"])]
    if call == "loss":
        return lambda: [network.loss(a["x"], a["t"])]
    if call == "gradient":
        return lambda: list(network.gradient(a["x"], a["t"]).values())
    gradients = network.gradient(a["x"], a["t"])

    def update() -> list:
        for key in ("W1", "b1", "W2", "b2"):
            network.params[key] -= 0.0 * gradients[key]
        return list(network.params.values())

    return update


def expected(layer: str, direction: str, shape: tuple, dtype: str) -> Expected:
    """By the plain layers, in float64; errors are in units of the largest entry."""
    answer = prepared(reference, layer, direction, shape, "float64")()
    return [(np.asarray(right), float(np.max(np.abs(right))) or 1.0) for right in answer]


ROWS = [
    Row(
        "layer",
        f"{layer} {direction} {'x'.join(map(str, shape))}",
        (layer, direction, shape, dtype),
        dtype=dtype,
        quick=dtype == "float32" and layer in ("Affine", "Relu", "TwoLayerNet") and shape != (100, 50, 50),
    )
    for layer, direction, shape in CALLS
    for dtype in ("float32", "float64")
    if dtype == "float32" or layer in ("Affine", "TwoLayerNet")
]


@rows(ROWS, "layer")
def bench_layer(measure, row, provider):
    measure(expected)
