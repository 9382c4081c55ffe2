"""A layer on its own, as the tests use it: made, fed, stepped, and its derivative by differences."""

import numpy as np
from strategies import eps

import fastbp

ATTRIBUTES = {
    "Affine": ("x", "dW", "db", "original_x_shape"),
    "Relu": ("mask",),
    "Sigmoid": ("out",),
    "Softmax": (),
    "SoftmaxWithLoss": ("loss", "y", "t"),
}
LAYERS = tuple(ATTRIBUTES)
N, D = 6, 5  # every layer below takes x and dout of (N, D): Affine gets a square W


def make(name, dtype=np.float64, library=fastbp):
    if name != "Affine":
        return getattr(library, name)()
    rng = np.random.default_rng(1)
    return library.Affine(rng.standard_normal((D, D)).astype(dtype), rng.standard_normal(D).astype(dtype))


def batch(rows=N, seed=2, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal((2, rows, D)).astype(dtype)
    return x, rng.integers(0, D, rows), dout


def step(layer, x, t, dout):
    """One forward and one backward of any layer: everything that comes back."""
    if hasattr(layer, "loss"):
        return layer.forward(x, t), layer.backward()
    answers = layer.forward(x), layer.backward(dout)
    return (*answers, layer.dW, layer.db) if hasattr(layer, "dW") else answers


def derivative(f, x, direction):
    """The derivative of ``f`` at ``x`` along ``direction``, by central difference; errs by about h**2."""
    h = np.cbrt(eps(np.float64))
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


DIFFERENCE_TOLERANCE = 100 * eps(np.float64) ** (2 / 3)  # 100 h**2, for sums of a few dozen terms of size 1
