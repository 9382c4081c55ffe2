"""The book's layers in plain NumPy: the yardstick for tests and benchmarks.

Each class computes what its namesake in "Deep Learning from Scratch", chapter 5, computes, quirks included.
There are four differences: ``Relu.backward`` leaves its ``dout`` alone, Affine takes a single sample of
shape (I,), ``SoftmaxWithLoss`` has an exact form, and rows of targets that are not one-hot are weighed, as their
gradient is, where the book's loss looks at their largest entry. Nothing is checked, compiled or tuned, and dtypes are
what NumPy's promotion makes of the arguments.

Letters in shapes: N samples, I inputs, O outputs, K classes.
"""

import math
from collections import OrderedDict
from typing import Any

import numpy as np

from fastbp.arithmetic import AddLayer, MulLayer
from fastbp.gradient import numerical_gradient

__all__ = [
    "AddLayer",
    "Affine",
    "MulLayer",
    "Relu",
    "Sigmoid",
    "Softmax",
    "SoftmaxWithLoss",
    "TwoLayerNet",
    "cross_entropy_error",
    "numerical_gradient",
    "relu",
    "sigmoid",
    "softmax",
]


def relu(x):
    """``max(x, 0)``; nan stays nan."""
    return np.maximum(x, 0)


def sigmoid(x):
    """``1 / (1 + exp(-x))``, 0 where ``exp(-x)`` overflows."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-_floats(x)))


def softmax(x):
    """``exp(x) / sum(exp(x))`` along the last axis, shifted by the maximum so that nothing overflows."""
    x = _floats(x)
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def cross_entropy_error(y, t, eps=1e-7):
    """Return ``mean_n(-log(y[n, t[n]] + eps))`` in nats.

    Parameters
    ----------
    y : (N, K) or (K,)
        Probabilities; one dimension is one sample.
    t : as many entries as ``y``, or (N,) integers
        One-hot rows or distributions, or classes in 0..K-1.
    eps : float
        Keeps the logarithm finite; the book's 1e-7.
    """
    y, t = np.asarray(y), np.asarray(t)
    if y.ndim == 1:
        y, t = y.reshape(1, y.size), t.reshape(1, t.size)
    n = y.shape[0]
    if t.size == y.size:
        return -np.sum(t * np.log(y + eps)) / n
    return -np.sum(np.log(y[np.arange(n), t] + eps)) / n


def cross_entropy_of_scores(x, t):
    """Return ``mean_n(-sum_k t[n, k] log softmax(x)[n, k])`` in nats, exact however small the probability.

    ``x`` is (N, K) or (K,); ``t`` holds as many entries, rows that sum to one, or (N,) classes in 0..K-1.
    """
    x = _floats(x)
    x = x.reshape(-1, x.shape[-1])
    shifted = x - np.max(x, axis=1, keepdims=True)
    log_y = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    n = x.shape[0]
    if t.size == x.size:
        t = t.reshape(x.shape)
        return -np.sum(t * np.where(t == 0, 0, log_y)) / n  # a class of weight 0 counts 0, also at log_y = -inf
    return -np.sum(log_y[np.arange(n), t]) / n


class Affine:
    """``x W + b``."""

    def __init__(self, W, b):
        self.W = W
        self.b = b
        self.x: Any = None
        self.original_x_shape = None
        self.dW = None
        self.db = None

    def forward(self, x):
        """(N, ...) or (I,), each sample of I entries in all, to (N, O) or (O,)."""
        x = np.asarray(x)
        self.original_x_shape = x.shape
        self.x = x if x.ndim == 1 else x.reshape(x.shape[0], math.prod(x.shape[1:]))
        return np.dot(self.x, self.W) + self.b

    def backward(self, dout):
        """(N, O) or (O,) to dx of the shape ``forward`` was given; leaves dW (I, O) and db (O,)."""
        dout = np.asarray(dout)
        rows, x = np.atleast_2d(dout), np.atleast_2d(self.x)
        self.dW = np.dot(x.T, rows)
        self.db = np.sum(rows, axis=0)
        return np.dot(dout, np.transpose(self.W)).reshape(self.original_x_shape)


class Relu:
    """``x`` where it is positive or nan, else 0."""

    def __init__(self):
        self.mask = None

    def forward(self, x):
        out = np.array(x)
        self.mask = out <= 0
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dx = np.array(dout)
        dx[self.mask] = 0
        return dx


class Sigmoid:
    """``1 / (1 + exp(-x))``."""

    def __init__(self):
        self.out: Any = None

    def forward(self, x):
        self.out = sigmoid(x)
        return self.out

    def backward(self, dout):
        return dout * (1 - self.out) * self.out


class Softmax:
    """Softmax along the classes, without a loss."""

    def __init__(self):
        self.y: Any = None

    def forward(self, x):
        self.y = softmax(x)
        return self.y

    def backward(self, dout):
        return self.y * (dout - np.sum(dout * self.y, axis=-1, keepdims=True))


class SoftmaxWithLoss:
    """Softmax and mean cross-entropy.

    ``eps`` is what the book adds to each probability before its logarithm; 0 takes the exact form instead.
    """

    def __init__(self, eps=1e-7):
        self.eps = eps
        self.loss = None
        self.y: Any = None
        self.t: Any = None

    def forward(self, x, t):
        """Mean loss of scores (N, K) or (K,) against (N,) classes or rows of the shape of ``x``."""
        self.t = np.asarray(t)
        self.y = softmax(x)
        if self.eps == 0:
            self.loss = cross_entropy_of_scores(x, self.t)
        else:
            self.loss = cross_entropy_error(self.y, self.t, self.eps)
        return self.loss

    def backward(self, dout=1):
        """``(y - t) / len(t)``. As in the book ``dout`` is not looked at, and for one one-hot sample of shape
        (K,) ``len(t)`` is K."""
        n = self.t.shape[0]
        if self.t.size == self.y.size:
            return (self.y - self.t) / n
        dx = self.y.copy()
        rows = dx.reshape(-1, dx.shape[-1])  # a view, so that one sample of shape (K,) is one row
        rows[np.arange(n), self.t] -= 1
        return dx / n


class TwoLayerNet:
    """Affine, Relu, Affine, and softmax with its loss; the arguments of ``fastbp.TwoLayerNet``.

    Weights are normal with standard deviation ``weight_init_std``, from a generator of the network's own.
    """

    def __init__(self, input_size, hidden_size, output_size, weight_init_std=0.01, dtype=np.float64, seed=None):
        rng = np.random.default_rng(seed)

        def weights(inputs, outputs):
            return (weight_init_std * rng.standard_normal((inputs, outputs))).astype(dtype)

        self.params = {
            "W1": weights(input_size, hidden_size),
            "b1": np.zeros(hidden_size, dtype),
            "W2": weights(hidden_size, output_size),
            "b2": np.zeros(output_size, dtype),
        }
        self.layers: OrderedDict[str, Any] = OrderedDict(
            Affine1=Affine(self.params["W1"], self.params["b1"]),
            Relu1=Relu(),
            Affine2=Affine(self.params["W2"], self.params["b2"]),
        )
        self.lastLayer = SoftmaxWithLoss()

    def predict(self, x):
        """Scores (N, K), before the softmax."""
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x, t):
        return self.lastLayer.forward(self.predict(x), t)

    def accuracy(self, x, t):
        """Share of rows whose highest score is at the class ``t``, (N,) or one-hot (N, K)."""
        t = np.asarray(t)
        if t.ndim != 1:
            t = np.argmax(t, axis=1)
        return float(np.mean(np.argmax(self.predict(x), axis=1) == t))

    def numerical_gradient(self, x, t):
        """The gradient of the loss for each of ``params``, by central differences: slow, for checking."""
        return {name: numerical_gradient(lambda _: self.loss(x, t), p) for name, p in self.params.items()}

    def gradient(self, x, t):
        """The gradient of the loss for each of ``params``, by backpropagation."""
        self.loss(x, t)
        dout = self.lastLayer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        first, second = self.layers["Affine1"], self.layers["Affine2"]
        return {"W1": first.dW, "b1": first.db, "W2": second.dW, "b2": second.db}


def _floats(x):
    """Return ``x`` as an array, integers and booleans as float64: small ones would wrap or go to float16."""
    x = np.asarray(x)
    return x.astype(np.float64) if x.dtype.kind in "biu" else x
