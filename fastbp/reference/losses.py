"""Losses as layers."""

from typing import Any

import numpy as np

from fastbp.reference.functions import cross_entropy_error, cross_entropy_of_scores, floats, sigmoid, softmax

__all__ = [
    "BinaryCrossEntropy",
    "Huber",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "RealTargetLoss",
    "SigmoidWithLoss",
    "SoftmaxWithLoss",
]


class SoftmaxWithLoss:
    """Softmax and mean cross-entropy.

    ``eps`` is what the book adds to each probability before its logarithm; 0 takes the exact form instead. With
    ``label_smoothing`` s, targets t become (1 - s) t + s / K.
    """

    def __init__(self, eps=1e-7, label_smoothing=0.0):
        self.eps = eps
        self.label_smoothing = label_smoothing
        self.loss = None
        self.y: Any = None
        self.t: Any = None
        self.weights: Any = None  # of the rows, where there are any

    def forward(self, x, t, sample_weight=None):
        """Mean loss of scores (N, K) or (K,) against (N,) classes or rows of the shape of ``x``."""
        self.t, self.weights = np.asarray(t), sample_weight
        self.y = softmax(x)
        if self.label_smoothing or sample_weight is not None:
            self.loss = self._smoothed_loss(floats(x))
        elif self.eps == 0:
            self.loss = cross_entropy_of_scores(x, self.t)
        else:
            self.loss = cross_entropy_error(self.y, self.t, self.eps)
        return self.loss

    def _smoothed_loss(self, x):
        rows, weights = self._smoothed()
        x, y = x.reshape(rows.shape), self.y.reshape(rows.shape)
        losses = [
            cross_entropy_of_scores(x[n], row) if self.eps == 0 else cross_entropy_error(y[n], row, self.eps)
            for n, row in enumerate(rows)
        ]
        return np.mean(weights[:, 0] * losses)

    def _smoothed(self):
        """The targets as rows, smoothed, and the weights of the rows as a column."""
        classes, s = self.y.shape[-1], self.label_smoothing
        t = self.t if self.t.size == self.y.size else np.eye(classes)[self.t]
        rows = ((1 - s) * t + s / classes).reshape(-1, classes)
        return rows, np.ones((len(rows), 1)) if self.weights is None else np.reshape(self.weights, (-1, 1))

    def backward(self, dout=1):
        """``(y - t) / len(t)``, and ``(y sum(t) - t) / len(t)`` where ``eps`` is 0.

        As in the book ``dout`` is not looked at, and for one one-hot sample of shape (K,) ``len(t)`` is K.
        """
        n = self.t.shape[0]
        if self.label_smoothing or self.weights is not None:
            rows, weights = self._smoothed()
            y = self.y.reshape(rows.shape)
            return (weights * (y * self._sums(rows) - rows) / n).reshape(self.y.shape)
        if self.t.size == self.y.size:
            t = self.t.reshape(self.y.shape)
            return (self.y * self._sums(t) - t) / n
        dx = self.y.copy()
        rows = dx.reshape(-1, dx.shape[-1])  # a view, so that one sample of shape (K,) is one row
        rows[np.arange(n), self.t] -= 1
        return dx / n

    def _sums(self, t):
        """What y counts with in the gradient: the sums of the targets, which the book takes to be 1."""
        return 1 if self.eps else np.sum(t, axis=-1, keepdims=True)


class RealTargetLoss:
    """Mean over all elements of the ``losses`` of a subclass, times the weight of the sample."""

    def __init__(self):
        self.loss: Any = None
        self.y: Any = None
        self.t: Any = None
        self.weights: Any = None

    def forward(self, x, t, sample_weight=None):
        """Mean loss of (N,) or (N, K) against as many targets."""
        x = floats(x)
        self.t = np.asarray(t).reshape(x.shape)
        self.weights = 1 if sample_weight is None else np.reshape(sample_weight, (-1, *[1] * (x.ndim - 1)))
        self.y = self.prediction(x)
        self.loss = np.mean(self.weights * self.losses(x, self.t))
        return self.loss

    def backward(self, dout=1):
        """``dout`` times the gradient of the mean, of the shape of ``x``."""
        return dout * self.weights * self.slopes(self.y, self.t) / self.y.size

    def prediction(self, x):
        """What ``x`` stands for, which is left in ``y``: itself, unless a subclass says otherwise."""
        return x.copy()

    def losses(self, x, t):
        """The loss of each element."""
        raise NotImplementedError

    def slopes(self, y, t):
        """The derivatives of ``losses`` by ``x``."""
        raise NotImplementedError


class BinaryCrossEntropy(RealTargetLoss):
    """``-(t log(x) + (1 - t) log(1 - x))``, logarithms cut off at -100."""

    def losses(self, x, t):
        """0 where a certain prediction is right, 100 where it is wrong, as in PyTorch."""
        with np.errstate(divide="ignore"):
            return -(t * np.maximum(np.log(x), -100) + (1 - t) * np.maximum(np.log1p(-x), -100))

    def slopes(self, y, t):
        """``(y - t) / (y (1 - y))``, the denominator at least 1e-12, as in PyTorch."""
        return (y - t) / np.maximum(y * (1 - y), 1e-12)


class SigmoidWithLoss(RealTargetLoss):
    """Binary cross-entropy of ``sigmoid(x)``, from the scores."""

    def prediction(self, x):
        """The probability of class 1."""
        return sigmoid(x)

    def losses(self, x, t):
        """``max(x, 0) - x t + log(1 + exp(-|x|))``, in which nothing overflows."""
        return np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))

    def slopes(self, y, t):
        """``y - t``, of the probability ``y``."""
        return y - t


class MeanSquaredError(RealTargetLoss):
    """``(x - t)^2``."""

    def losses(self, x, t):
        """The squared error, without the book's 1/2."""
        return (x - t) ** 2

    def slopes(self, y, t):
        """``2 (y - t)``."""
        return 2 * (y - t)


class MeanAbsoluteError(RealTargetLoss):
    """``|x - t|``."""

    def losses(self, x, t):
        """The distance."""
        return np.abs(x - t)

    def slopes(self, y, t):
        """Its sign, 0 where ``y`` is ``t``."""
        return np.sign(y - t)


class Huber(RealTargetLoss):
    """``(x - t)^2 / 2`` where ``|x - t| <= delta``, else ``delta (|x - t| - delta / 2)``."""

    def __init__(self, delta=1.0):
        super().__init__()
        self.delta = delta

    def losses(self, x, t):
        """Squared up to ``delta``, linear beyond, smooth there."""
        distance = np.abs(x - t)
        return np.where(distance <= self.delta, distance**2 / 2, self.delta * (distance - self.delta / 2))

    def slopes(self, y, t):
        """``y - t``, at most ``delta`` either way."""
        return np.clip(y - t, -self.delta, self.delta)
