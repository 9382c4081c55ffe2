"""The layers of chapters 5 and 6."""

from typing import Any

import numpy as np

from fastbp.layers.arithmetic import AddLayer, MulLayer
from fastbp.reference.activations import Relu, Sigmoid
from fastbp.reference.book import functions
from fastbp.reference.book.functions import *  # noqa: F403 (as in fastbp.book)
from fastbp.reference.book.util import col2im, im2col
from fastbp.reference.layers import Affine, BatchNormalization
from fastbp.reference.losses import SoftmaxWithLoss

__all__ = [
    *functions.__all__,
    "AddLayer",
    "Affine",
    "BatchNormalization",
    "Dropout",
    "MulLayer",
    "Relu",
    "Sigmoid",
    "SoftmaxWithLoss",
    "col2im",
    "im2col",
]


class Dropout:
    """``x`` where kept, 0 where dropped; ``x (1 - dropout_ratio)`` when testing."""

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
