"""The book's layers in plain NumPy: the yardstick for tests and benchmarks.

Each class computes what its namesake in "Deep Learning from Scratch", chapter 5, computes, quirks included; what the
book does not have is as in PyTorch.
There are four differences: ``Relu.backward`` leaves its ``dout`` alone, Affine takes a single sample of shape (I,),
``SoftmaxWithLoss`` has an exact form, with its gradient, and rows of targets that are not one-hot are weighed, as their
gradient is, where the book's loss looks at their largest entry. Nothing is checked, compiled or tuned, and dtypes are
what NumPy's promotion makes of the arguments.

Letters in shapes: N samples, I inputs, O outputs, K classes.
"""

import math
from collections import OrderedDict
from typing import Any

import numpy as np

from fastbp.basics.gradient import numerical_gradient
from fastbp.layers.arithmetic import AddLayer, MulLayer

__all__ = [
    "AddLayer",
    "Affine",
    "BatchNormalization",
    "BinaryCrossEntropy",
    "Dropout",
    "Elu",
    "Gelu",
    "Huber",
    "LayerNormalization",
    "LeakyRelu",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Mish",
    "MulLayer",
    "Relu",
    "Scale",
    "Selu",
    "Sigmoid",
    "SigmoidWithLoss",
    "Silu",
    "Softmax",
    "SoftmaxWithLoss",
    "Softplus",
    "Tanh",
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

    ``x`` is (N, K) or (K,); ``t`` holds as many entries, rows of shares, or (N,) classes in 0..K-1.
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
        """(N, ...) or (I,), each sample of I entries in all, to (N, O) or (O,); where I is 1, (N,) are N samples."""
        x = np.asarray(x)
        self.original_x_shape = x.shape
        single = x.ndim == 1 and len(self.W) != 1
        self.x = x if single else x.reshape(x.shape[0], math.prod(x.shape[1:]))
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
        """Leaves ``mask``, True where x <= 0."""
        out = np.array(x)
        self.mask = out <= 0
        out[self.mask] = 0
        return out

    def backward(self, dout):
        """``dout``, and 0 where ``mask``."""
        dx = np.array(dout)
        dx[self.mask] = 0
        return dx


class LeakyRelu:
    """``x`` where it is positive or nan, else ``slope x``."""

    def __init__(self, slope=0.01):
        self.slope = slope
        self.mask: Any = None

    def forward(self, x):
        """Leaves ``mask``, True where x <= 0."""
        x = _floats(x)
        self.mask = x <= 0
        return np.where(self.mask, x.dtype.type(self.slope) * x, x)

    def backward(self, dout):
        """``dout``, and ``slope dout`` where ``mask``."""
        dout = _floats(dout)
        return np.where(self.mask, dout.dtype.type(self.slope) * dout, dout)


class Sigmoid:
    """``1 / (1 + exp(-x))``."""

    def __init__(self):
        self.out: Any = None

    def forward(self, x):
        """Leaves ``out``, the result."""
        self.out = sigmoid(x)
        return self.out

    def backward(self, dout):
        """``dout (1 - out) out``."""
        return dout * (1 - self.out) * self.out


class Tanh:
    """The hyperbolic tangent."""

    def __init__(self):
        self.out: Any = None

    def forward(self, x):
        """Leaves ``out``, the result."""
        self.out = np.tanh(_floats(x))
        return self.out

    def backward(self, dout):
        """``dout (1 - out^2)``."""
        return dout * (1 - self.out * self.out)


class OfInput:
    """A function of each element with its derivative, both of ``x``; subclasses say which."""

    def __init__(self):
        self.x: Any = None

    def forward(self, x):
        """Leaves ``x``."""
        self.x = _floats(x)
        return self.value(self.x)

    def backward(self, dout):
        """``dout`` times the derivative at the last ``x``."""
        return dout * self.slope(self.x)

    def value(self, x):
        """The function of each element."""
        raise NotImplementedError

    def slope(self, x):
        """Its derivative at each element."""
        raise NotImplementedError


class Gelu(OfInput):
    """``x P(x)`` with P the normal distribution function; or its approximation by tanh."""

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def value(self, x):
        """``x P(x)``."""
        return x * self._below(x)[0]

    def slope(self, x):
        """``P(x) + x P'(x)``."""
        below, density = self._below(x)
        return below + x * density

    def _below(self, x):
        """What ``x`` is multiplied with, and the derivative of that."""
        if self.approximate == "none":
            below = np.vectorize(lambda u: math.erfc(-u / math.sqrt(2)) / 2, otypes=[np.float64])(x)
            return below.astype(x.dtype), np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        root = np.sqrt(2 / np.pi)
        below = (1 + np.tanh(root * (x + 0.044715 * x**3))) / 2
        return below, 2 * below * (1 - below) * root * (1 + 3 * 0.044715 * x * x)


class Silu(OfInput):
    """``x sigmoid(x)``."""

    def value(self, x):
        """``x s`` with ``s = sigmoid(x)``."""
        return x * sigmoid(x)

    def slope(self, x):
        """``s (1 + x (1 - s))``."""
        return sigmoid(x) * (1 + x * sigmoid(-x))


class Elu(OfInput):
    """``x`` where it is positive, else ``alpha (exp(x) - 1)``."""

    def __init__(self, alpha=1.0):
        super().__init__()
        self.alpha = alpha

    def value(self, x):
        """By expm1, which keeps the digits of a small ``x``."""
        return np.where(x <= 0, self.alpha * np.expm1(np.minimum(x, 0)), x)

    def slope(self, x):
        """1 where ``x`` is positive, else ``alpha exp(x)``."""
        return np.where(x <= 0, self.alpha * np.exp(np.minimum(x, 0)), 1)


class Selu(OfInput):
    """``Elu`` times a scale."""

    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

    def value(self, x):
        """``scale`` times what Elu has."""
        return self.scale * np.where(x <= 0, self.alpha * np.expm1(np.minimum(x, 0)), x)

    def slope(self, x):
        """``scale`` times what Elu has."""
        return self.scale * np.where(x <= 0, self.alpha * np.exp(np.minimum(x, 0)), 1)


class Mish(OfInput):
    """``x tanh(log(1 + exp(x)))``."""

    def value(self, x):
        """``x w`` with ``w = tanh(log(1 + exp(x)))``."""
        return x * np.tanh(np.logaddexp(0, x))

    def slope(self, x):
        """``w + x (1 - w^2) sigmoid(x)``."""
        w = np.tanh(np.logaddexp(0, x))
        return w + x * (1 - w * w) * sigmoid(x)


class Softplus(OfInput):
    """``log(1 + exp(x))``."""

    def value(self, x):
        """By logaddexp, which does not overflow."""
        return np.logaddexp(0, x)

    def slope(self, x):
        """The sigmoid."""
        return sigmoid(x)


class Dropout:
    """``x / (1 - p)`` where kept, 0 where dropped; ``x`` when testing. Draws the masks that ``fastbp.Dropout`` does."""

    def __init__(self, p=0.5, seed=0):
        self.p = p
        self.seed = seed
        self.stream = 0
        self.step = 0
        self.mask: Any = None
        self.scale = 1.0

    def forward(self, x, train_flg=True):
        """Leaves ``mask``, True where kept; a training pass counts ``step`` up."""
        x = _floats(x)
        self.mask, self.scale = np.ones(x.shape, bool), 1.0
        if train_flg:
            keep = 1 - self.p
            bits = random_bits(self.seed, self.stream, self.step, x.size)
            self.mask, self.scale = (bits < int(keep * 2**53)).reshape(x.shape), 1 / keep if keep else 0.0
            self.step += 1
        return np.where(self.mask, x * x.dtype.type(self.scale), x.dtype.type(0))

    def backward(self, dout):
        """``dout`` with the mask and the scale of the last ``forward``."""
        dout = _floats(dout)
        return np.where(self.mask, dout * dout.dtype.type(self.scale), dout.dtype.type(0))


def random_bits(seed, stream, step, n):
    """The first n numbers in 0..2^53-1 of a key of ``fastbp.kernels.random``: SplitMix64."""
    golden = np.uint64(0x9E3779B97F4A7C15)

    def mixed(z):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    key = np.zeros(1, np.uint64)  # an array: its products wrap without a warning
    for word in (seed, stream, step):
        key = mixed((key ^ np.uint64(word)) + golden)
    return mixed(key + golden * np.arange(1, n + 1, dtype=np.uint64)) >> np.uint64(11)


class Scale:
    """``x factor + shift``, by column."""

    def __init__(self, factor, shift):
        self.factor, self.shift = factor, shift

    def forward(self, x):
        """(N, K) to (N, K)."""
        self.x = x
        return x * self.factor + self.shift

    def backward(self, dout):
        """``dout factor``; leaves dfactor and dshift, (K,)."""
        self.dfactor, self.dshift = (dout * self.x).sum(axis=0), dout.sum(axis=0)
        return dout * self.factor


class BatchNormalization:
    """Columns of mean 0 and variance 1 over the batch, or by the running statistics, then ``gamma`` and ``beta``."""

    def __init__(self, gamma, beta, momentum=0.9, running_mean=None, running_var=None, eps=10e-7):
        self.gamma, self.beta, self.momentum, self.eps = gamma, beta, momentum, eps
        self.running_mean, self.running_var = running_mean, running_var

    def forward(self, x, train_flg=True):
        """(N, ...) to the same shape; a training pass moves the running statistics, which begin with zeros."""
        rows = x.reshape(len(x), -1)
        if self.running_mean is None:
            self.running_mean, self.running_var = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
        self.trained = train_flg
        if train_flg:
            mean, var = rows.mean(axis=0), rows.var(axis=0)
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mean
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        else:
            mean, var = self.running_mean, self.running_var
        self.std = np.sqrt(var + self.eps)
        self.xn = (rows - mean) / self.std
        return (self.gamma * self.xn + self.beta).reshape(x.shape)

    def backward(self, dout):
        """The gradient through the batch's mean and variance, or by constant ones; leaves dgamma and dbeta."""
        rows = dout.reshape(len(dout), -1)
        self.dgamma, self.dbeta = (rows * self.xn).sum(axis=0), rows.sum(axis=0)
        g = rows * self.gamma
        if self.trained:
            g = g - g.mean(axis=0) - self.xn * (g * self.xn).mean(axis=0)
        return (g / self.std).reshape(dout.shape)


class LayerNormalization:
    """Rows of mean 0 and variance 1, then ``gamma`` and ``beta``."""

    def __init__(self, gamma, beta, eps=1e-5):
        self.gamma, self.beta, self.eps = gamma, beta, eps

    def forward(self, x):
        """(N, K) to (N, K)."""
        self.std = np.sqrt(x.var(axis=1, keepdims=True) + self.eps)
        self.xn = (x - x.mean(axis=1, keepdims=True)) / self.std
        return self.gamma * self.xn + self.beta

    def backward(self, dout):
        """The gradient through each row's mean and variance; leaves dgamma and dbeta, (K,)."""
        self.dgamma, self.dbeta = (dout * self.xn).sum(axis=0), dout.sum(axis=0)
        g = dout * self.gamma
        mean, along = g.mean(axis=1, keepdims=True), (g * self.xn).mean(axis=1, keepdims=True)
        return (g - mean - self.xn * along) / self.std


class Softmax:
    """Softmax along the classes, without a loss."""

    def __init__(self):
        self.y: Any = None

    def forward(self, x):
        """Leaves ``y``, the result."""
        self.y = softmax(x)
        return self.y

    def backward(self, dout):
        """``y (dout - sum_k dout y)``, sums by row."""
        return self.y * (dout - np.sum(dout * self.y, axis=-1, keepdims=True))


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
            self.loss = self._smoothed_loss(_floats(x))
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
        x = _floats(x)
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


class TwoLayerNet:
    """Affine, Relu, Affine, and softmax with its loss; the arguments of ``fastbp.TwoLayerNet``.

    Weights are normal with standard deviation ``weight_init_std``, drawn from ``np.random`` where no seed is given.
    """

    def __init__(self, input_size, hidden_size, output_size, weight_init_std=0.01, dtype=np.float64, seed=None):
        rng = np.random if seed is None else np.random.default_rng(seed)

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
        self.lastLayer: Any = SoftmaxWithLoss()

    def predict(self, x):
        """Scores (N, K), before the softmax."""
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x, t):
        """The mean loss of the batch, in nats."""
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
