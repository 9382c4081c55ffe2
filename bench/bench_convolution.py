"""Convolutions by themselves, in their three directions, and training steps of the book's convolutional networks."""

import math
from functools import cache

import numpy as np

import fastbp
from fastbp import reference

from .row import Expected, Row, rows

SHAPES = ((100, 1, 28, 28, 30, 5, 0), (100, 16, 28, 28, 16, 3, 1), (100, 64, 14, 14, 64, 3, 1))
"""Images, channels, height, width, filters, their size, and the zeros around the images."""
DIRECTIONS = ("forward", "dx", "dW")
NETWORKS = ("simple-conv", "deep-conv")
STEPS_BATCH, RATE = 100, 0.01


@cache
def operands(shape: tuple[int, ...], dtype: str = "float32") -> dict[str, np.ndarray]:
    """Images, filters, bias, and the gradient with respect to the output."""
    n, c, h, w, f, k, pad = shape
    rng = np.random.default_rng(0)
    sizes = {"x": (n, c, h, w), "W": (f, c, k, k), "b": (f,), "dout": (n, f, h + 2 * pad - k + 1, w + 2 * pad - k + 1)}
    return {name: rng.standard_normal(size).astype(dtype) for name, size in sizes.items()}


def expected(direction: str, shape: tuple[int, ...]) -> Expected:
    """By the plain layer, in float64; errors are in units of the largest entry."""
    a = {name: array.astype(np.float64) for name, array in operands(shape).items()}
    layer = reference.Convolution(a["W"], a["b"], pad=shape[-1])
    y = layer.forward(a["x"])
    dx = layer.backward(a["dout"])
    answer = {"forward": [y], "dx": [dx], "dW": [layer.dW, layer.db]}[direction]
    return [(right, float(np.abs(right).max())) for right in answer]


def flops(shape: tuple[int, ...]) -> float:
    """Of one direction."""
    n, c, h, w, f, k, pad = shape
    return 2.0 * n * f * c * k * k * (h + 2 * pad - k + 1) * (w + 2 * pad - k + 1)


def moved(shape: tuple[int, ...]) -> float:
    """Bytes of images, filters and output."""
    return float(sum(array.nbytes for array in operands(shape).values()))


ROWS = [
    Row(
        "convolution",
        f"{direction} {'x'.join(map(str, shape[:4]))} {shape[4]} of {shape[5]}x{shape[5]}",
        (direction, shape),
        flops=flops(shape),
        moved=moved(shape),
        working_set=moved(shape),
        tolerance=16 * math.sqrt(shape[0] * shape[2]),
        quick=shape == SHAPES[0],
    )
    for shape in SHAPES
    for direction in DIRECTIONS
]


@rows(ROWS, "convolution")
def bench_convolution(measure, row, provider):
    measure(expected)


def network(name: str) -> tuple[fastbp.Sequential, np.ndarray, np.ndarray]:
    """A network, without the dropout in which providers would differ, and a batch for it."""
    rng = np.random.default_rng(0)
    layers = [layer for layer in fastbp.convnet(name, 10, seed=0).layers.values() if not layer.draws]
    x = rng.random((STEPS_BATCH, 1, 28, 28), np.float32)
    return fastbp.Sequential(layers, in_shape=(1, 28, 28)), x, rng.integers(0, 10, STEPS_BATCH)


def step_expected(name: str) -> Expected:
    """The parameters after the first step, in float64."""
    net, x, t = network(name)
    gradients = fastbp.Sequential(
        [type(layer)(**_double(layer)) for layer in net.layers.values()], in_shape=net.in_shape
    ).gradient(x.astype(np.float64), t)
    return [(p - RATE * gradients[key], max(1e-3, float(np.abs(p).max()))) for key, p in net.params.items()]


def _double(layer: fastbp.Layer) -> dict:
    """The arguments of a layer's constructor, its arrays in float64."""
    names = {"Convolution": ("W", "b", "stride", "pad"), "Affine": ("W", "b"), "MaxPooling": ("pool_h", "pool_w")}
    values = {name: getattr(layer, name) for name in names.get(type(layer).__name__, ())}
    return {name: a.astype(np.float64) if isinstance(a, np.ndarray) else a for name, a in values.items()}


STEPS = [
    Row("convolutional step", f"{name}, batch {STEPS_BATCH}", (name,), tolerance=4096.0, quick=name == "simple-conv")
    for name in NETWORKS
]


@rows(STEPS, "convolutional step")
def bench_step(measure, row, provider):
    measure(step_expected)
