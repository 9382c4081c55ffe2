"""The book's ``common/functions.py``."""

import numpy as np
from numpy.typing import ArrayLike

from fastbp.activations import Sigmoid
from fastbp.basics import _check
from fastbp.functions import cross_entropy_error, relu, sigmoid, softmax
from fastbp.losses import MeanSquaredError

# With np, here and in the modules beside this: some of the book's scripts have it by ``import *`` alone.
__all__ = [
    "cross_entropy_error",
    "identity_function",
    "np",
    "relu",
    "relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "softmax",
    "softmax_loss",
    "step_function",
    "sum_squared_error",
]


def identity_function(x: ArrayLike) -> ArrayLike:
    """``x`` itself."""
    return x


def step_function(x: ArrayLike) -> np.ndarray:
    """Integers: 1 where ``x`` is above 0, else 0."""
    return np.array(_check.as_real("x", x) > 0, dtype=int)


def sigmoid_grad(x: ArrayLike) -> np.ndarray:
    """The derivative of the sigmoid at ``x``, an array of any shape: ``(1 - y) y`` with ``y = sigmoid(x)``."""
    layer = Sigmoid()
    return layer.backward(np.ones_like(layer.forward(x)))


def relu_grad(x: ArrayLike) -> np.ndarray:
    """1 where ``x >= 0``, else 0, of the dtype of ``x``: at 0 it is 1, where the layer ``Relu`` passes nothing on."""
    x = _check.as_real("x", x)
    return (x >= 0).astype(x.dtype)


def sum_squared_error(y: ArrayLike, t: ArrayLike) -> float:
    """``sum((y - t)^2) / 2`` over all elements; ``t`` is of the shape of ``y``.

    Raises
    ------
    ValueError
        Where shapes differ.
    TypeError
        For what is no array of real numbers.
    """
    y, t = _check.as_real("y", y), _check.as_real("t", t)
    _check.same_shape("t", t, y.shape, "y")
    if not y.size:
        return 0.0
    return MeanSquaredError().forward(y.reshape(1, -1), t.reshape(1, -1)) * y.size / 2


def softmax_loss(X: ArrayLike, t: ArrayLike) -> np.floating:
    """``cross_entropy_error`` of the softmax of the scores ``X``, (N, K) or (K,), against ``t``."""
    return cross_entropy_error(softmax(X), t)
