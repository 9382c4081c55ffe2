"""Layers beside activations."""

import math
from typing import Any

import numpy as np

from fastbp.reference.functions import floats, softmax

__all__ = ["Affine", "BatchNormalization", "Dropout", "LayerNormalization", "Scale", "Softmax", "random_bits"]


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


class Dropout:
    """``x / (1 - p)`` where kept, 0 where dropped; ``x`` when testing. Draws the masks that ``fastbp.Dropout`` does."""

    takes_train_flg = True

    def __init__(self, p=0.5, seed=0):
        self.p = p
        self.seed = seed
        self.stream = 0
        self.step = 0
        self.mask: Any = None
        self.scale = 1.0

    def forward(self, x, train_flg=True):
        """Leaves ``mask``, True where kept; a training pass counts ``step`` up."""
        x = floats(x)
        self.mask, self.scale = np.ones(x.shape, bool), 1.0
        if train_flg:
            keep = 1 - self.p
            bits = random_bits(self.seed, self.stream, self.step, x.size)
            self.mask, self.scale = (bits < int(keep * 2**53)).reshape(x.shape), 1 / keep if keep else 0.0
            self.step += 1
        return np.where(self.mask, x * x.dtype.type(self.scale), x.dtype.type(0))

    def backward(self, dout):
        """``dout`` with the mask and the scale of the last ``forward``."""
        dout = floats(dout)
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
    """Columns of mean 0 and variance 1 over the batch, or by the running statistics, then ``gamma`` and ``beta``.

    The columns of images are their channels where ``gamma`` has a number for each, else, as in the book, pixels.
    """

    takes_train_flg = True

    def __init__(self, gamma, beta, momentum=0.9, running_mean=None, running_var=None, eps=10e-7):
        self.gamma, self.beta, self.momentum, self.eps = gamma, beta, momentum, eps
        self.running_mean, self.running_var = running_mean, running_var

    def rows(self, x):
        """(N, ...) as rows of columns."""
        if x.ndim == 4 and x.shape[1] == len(self.gamma):
            return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
        return x.reshape(len(x), -1)

    def back_in_place(self, rows, x):
        """Rows in the form of ``x``, of which they are."""
        if x.ndim == 4 and x.shape[1] == len(self.gamma):
            return np.moveaxis(rows.reshape(len(x), *x.shape[2:], -1), -1, 1)
        return rows.reshape(x.shape)

    def forward(self, x, train_flg=True):
        """(N, ...) to the same shape; a training pass moves the running statistics, which begin with zeros."""
        rows = self.rows(x)
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
        return self.back_in_place(self.gamma * self.xn + self.beta, x)

    def backward(self, dout):
        """The gradient through the batch's mean and variance, or by constant ones; leaves dgamma and dbeta."""
        rows = self.rows(dout)
        self.dgamma, self.dbeta = (rows * self.xn).sum(axis=0), rows.sum(axis=0)
        g = rows * self.gamma
        if self.trained:
            g = g - g.mean(axis=0) - self.xn * (g * self.xn).mean(axis=0)
        return self.back_in_place(g / self.std, dout)


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
