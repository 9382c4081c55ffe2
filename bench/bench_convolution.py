"""Layers of images by themselves, in their directions, and training steps of convolutional networks."""

import copy
import math
from collections.abc import Callable
from functools import cache
from types import ModuleType

import numpy as np

import fastbp
from fastbp import reference

from .networks import ADAM_EPS
from .row import Expected, Row, rows

SHAPES = ((100, 1, 28, 28, 30, 5, 0), (100, 16, 28, 28, 16, 3, 1), (100, 64, 14, 14, 64, 3, 1))
"""Images, channels, height, width, filters, their size, and the zeros around the images."""
DIRECTIONS = ("forward", "dx", "dW")
NETWORKS = {"simple-conv": 100, "deep-conv": 100, "LeNet-5": 128}
"""Samples in a batch: of the book's two, and of LeCun et al. 1998."""
RATES = {"sgd": 0.01, "adam": 0.001}
LAYERS = (
    ("BatchNormalization", (100, 100)),
    ("BatchNormalization", (100, 1000)),
    ("BatchNormalization", (100, 16, 28, 28)),
    ("MaxPooling", (100, 30, 24, 24)),
)
POOL = 2  # pixels, also from one window to the next


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


def rule(name: str) -> str:
    """What moves the parameters, "sgd" or "adam"."""
    return "adam" if name == "LeNet-5" else "sgd"


def network(name: str) -> tuple[fastbp.Sequential, np.ndarray, np.ndarray]:
    """A network, without the dropout in which providers would differ, and a batch for it."""
    rng = np.random.default_rng(0)
    made = lenet(rng) if name == "LeNet-5" else list(fastbp.convnet(name, 10, seed=0).layers.values())
    x = rng.random((NETWORKS[name], 1, 28, 28), np.float32)
    layers = [layer for layer in made if not layer.draws]
    return fastbp.Sequential(layers, in_shape=x.shape[1:]), x, rng.integers(0, 10, len(x))


def lenet(rng: np.random.Generator) -> list[fastbp.Layer]:
    """LeNet-5 as it is taught: tanh, means of 2 x 2, and filters that each see all channels."""

    def numbers(shape: tuple[int, ...], inputs: int) -> np.ndarray:
        return (rng.standard_normal(shape) / math.sqrt(inputs)).astype(np.float32)

    layers: list[fastbp.Layer] = []
    for channels, filters, pad in ((1, 6, 2), (6, 16, 0)):
        W = numbers((filters, channels, 5, 5), 25 * channels)
        layers += [fastbp.Convolution(W, np.zeros(filters, np.float32), pad=pad), fastbp.Tanh()]
        layers += [fastbp.AveragePooling(POOL, POOL)]
    for inputs, outputs in ((400, 120), (120, 84), (84, 10)):
        layers += [fastbp.Affine(numbers((inputs, outputs), inputs), np.zeros(outputs, np.float32)), fastbp.Tanh()]
    return layers[:-1]


def step_expected(name: str) -> Expected:
    """The parameters after the first step, in float64."""
    net, x, t = network(name)
    double = fastbp.Sequential(map(_double, net.layers.values()), in_shape=net.in_shape)
    gradients = double.gradient(x.astype(np.float64), t)
    if rule(name) == "adam":  # whose first step goes by the sign
        gradients = {key: g / (np.abs(g) + ADAM_EPS) for key, g in gradients.items()}
    rate = RATES[rule(name)]
    return [(p - rate * gradients[key], max(1e-3, float(np.abs(p).max()))) for key, p in net.params.items()]


def _double(layer: fastbp.Layer) -> fastbp.Layer:
    """A copy of a layer, with its parameters in float64."""
    double = copy.copy(layer)
    for name in layer.parameters:
        array = getattr(layer, name)
        setattr(double, name, None if array is None else array.astype(np.float64))
    return double


STEPS = [
    Row("convolutional step", f"{name}, batch {batch}", (name,), tolerance=4096.0, quick=name == "simple-conv")
    for name, batch in NETWORKS.items()
]


@rows(STEPS, "convolutional step")
def bench_step(measure, row, provider):
    measure(step_expected)


def passing(shape: tuple[int, ...], dtype: str = "float32") -> dict[str, np.ndarray]:
    """What goes through a layer, a factor and a shift a channel, and gradients."""
    rng = np.random.default_rng(0)
    sizes = {"x": shape, "gamma": shape[1:2], "beta": shape[1:2], "dout": shape}
    return {name: rng.standard_normal(size).astype(dtype) for name, size in sizes.items()}


def both_passes(layers: ModuleType, name: str, a: dict[str, np.ndarray]) -> Callable[[], list]:
    """Forward and backward of a layer of ``layers`` on what ``passing`` gives, in a call that returns the answer."""
    if name == "MaxPooling":
        pooling, dout = layers.MaxPooling(POOL, POOL), pooled(a["dout"])
        return lambda: [pooling.forward(a["x"]), pooling.backward(dout)]
    layer = layers.BatchNormalization(a["gamma"], a["beta"])
    return lambda: [layer.forward(a["x"], True), layer.backward(a["dout"]), layer.dgamma, layer.dbeta]


def pooled(dout: np.ndarray) -> np.ndarray:
    """As many of the gradients as a pooling has outputs."""
    return np.ascontiguousarray(dout[:, :, ::POOL, ::POOL])


def passes_expected(name: str, shape: tuple[int, ...]) -> Expected:
    """By the plain layer, in float64 of the same numbers; errors are in units of the largest entry."""
    a = {key: array.astype(np.float64) for key, array in passing(shape).items()}
    answer = both_passes(reference, name, a)()
    return [(right, float(np.abs(right).max())) for right in answer]


PASSES = [
    Row(
        "layer both ways",
        f"{name} {'x'.join(map(str, shape))}",
        (name, shape),
        moved=4.0 * math.prod(shape) * 4,
        working_set=4.0 * math.prod(shape) * 2,
        tolerance=256.0,
        quick=len(shape) == 4,
    )
    for name, shape in LAYERS
]


@rows(PASSES, "layer both ways")
def bench_passes(measure, row, provider):
    measure(passes_expected)
