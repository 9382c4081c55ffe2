"""The layers of chapters 5 to 7."""

from typing import Any

import numpy as np

from fastbp.layers.arithmetic import AddLayer, MulLayer
from fastbp.reference.activations import Relu, Sigmoid
from fastbp.reference.book import functions
from fastbp.reference.book.functions import *  # noqa: F403 (as in fastbp.book)
from fastbp.reference.book.util import col2im, im2col, places
from fastbp.reference.layers import Affine, BatchNormalization
from fastbp.reference.losses import SoftmaxWithLoss

__all__ = [
    *functions.__all__,
    "AddLayer",
    "Affine",
    "BatchNormalization",
    "Convolution",
    "Dropout",
    "MulLayer",
    "Pooling",
    "Relu",
    "Sigmoid",
    "SoftmaxWithLoss",
    "col2im",
    "im2col",
]


class Dropout:
    """``x`` where kept, 0 where dropped; ``x (1 - dropout_ratio)`` when testing."""

    takes_train_flg = True

    def __init__(self, dropout_ratio=0.5):
        self.dropout_ratio = dropout_ratio
        self.mask: Any = None

    def forward(self, x, train_flg=True):
        """A training pass draws ``mask`` from np.random, True where kept."""
        if not train_flg:
            return x * (1 - self.dropout_ratio)
        self.mask = np.random.rand(*x.shape) > self.dropout_ratio
        return np.where(self.mask, x, 0)

    def backward(self, dout):
        """``dout`` where kept."""
        return np.where(self.mask, dout, 0)


class Convolution:
    """Filters ``W`` (FN, C, FH, FW) laid on images (N, C, H, W), plus ``b`` (FN,): a product with ``im2col``."""

    def __init__(self, W, b, stride=1, pad=0):
        self.W, self.b, self.stride, self.pad = W, b, stride, pad
        self.x: Any = None
        self.col: Any = None
        self.col_W: Any = None
        self.dW: Any = None
        self.db: Any = None

    def forward(self, x):
        """(N, C, H, W) to (N, FN, OH, OW); leaves x, col (N OH OW, C FH FW) and col_W (C FH FW, FN)."""
        n_filters, _, filter_h, filter_w = self.W.shape
        self.x, self.col_W = x, self.W.reshape(n_filters, -1).T
        self.col = im2col(x, filter_h, filter_w, self.stride, self.pad)
        out = (
            places(x.shape[2], filter_h, self.stride, self.pad),
            places(x.shape[3], filter_w, self.stride, self.pad),
        )
        return (np.dot(self.col, self.col_W) + self.b).reshape(len(x), *out, n_filters).transpose(0, 3, 1, 2)

    def backward(self, dout):
        """(N, FN, OH, OW) to dx (N, C, H, W); leaves dW and db."""
        rows = dout.transpose(0, 2, 3, 1).reshape(-1, len(self.W))
        self.db = rows.sum(axis=0)
        self.dW = np.dot(self.col.T, rows).T.reshape(self.W.shape)
        filter_h, filter_w = self.W.shape[2:]
        return col2im(np.dot(rows, self.col_W.T), self.x.shape, filter_h, filter_w, self.stride, self.pad)


class Pooling:
    """The maximum below a window at each of its places."""

    def __init__(self, pool_h, pool_w, stride=2, pad=0):
        self.pool_h, self.pool_w, self.stride, self.pad = pool_h, pool_w, stride, pad
        self.x: Any = None
        self.arg_max: Any = None

    def forward(self, x):
        """(N, C, H, W) to (N, C, OH, OW); leaves x, and where in its window each maximum stands, (N OH OW C,)."""
        n, channels, height, width = x.shape
        out = places(height, self.pool_h, self.stride, self.pad), places(width, self.pool_w, self.stride, self.pad)
        col = im2col(x, self.pool_h, self.pool_w, self.stride, self.pad).reshape(-1, self.pool_h * self.pool_w)
        self.x, self.arg_max = x, col.argmax(axis=1)
        return col.max(axis=1).reshape(n, *out, channels).transpose(0, 3, 1, 2)

    def backward(self, dout):
        """The gradient of an output goes to where its maximum was."""
        flat = dout.transpose(0, 2, 3, 1).reshape(-1)
        parts = np.zeros((flat.size, self.pool_h * self.pool_w), dout.dtype)
        parts[np.arange(flat.size), self.arg_max] = flat
        rows = parts.reshape(-1, dout.shape[1] * parts.shape[1])
        return col2im(rows, self.x.shape, self.pool_h, self.pool_w, self.stride, self.pad)
