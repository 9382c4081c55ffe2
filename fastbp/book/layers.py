"""The book's ``common/layers.py``: the layers of ``fastbp``, and its Dropout.

``BatchNormalization`` is fastbp's, whose defaults are the book's: eps 10e-7, and the running variance that of batches.
"""

import numpy as np
from numpy.typing import ArrayLike

from fastbp.activations import Relu, Sigmoid
from fastbp.basics import _check, _team
from fastbp.book import functions
from fastbp.book.functions import *  # noqa: F403 (as scripts that say import * get it from the book's module)
from fastbp.book.util import col2im, im2col
from fastbp.layers import dropout
from fastbp.layers.affine import Affine
from fastbp.layers.arithmetic import AddLayer, MulLayer
from fastbp.layers.batch_normalization import BatchNormalization
from fastbp.losses.softmax_with_loss import SoftmaxWithLoss

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


class Dropout(dropout.Dropout):
    """Dropout as the book has it: what is kept stays as it is, and all is scaled when testing.

    Parameters
    ----------
    dropout_ratio : float in 0..1
        Probability to drop an element; 1 minus this is what ``x`` is multiplied by when testing.

    Attributes
    ----------
    mask : bool array of the shape of ``x``, or None
        True where the last training pass kept; None before the first. It is drawn from ``np.random``, as in the book.
    """

    def __init__(self, dropout_ratio: float = 0.5) -> None:
        super().__init__(dropout_ratio)

    def forward(self, x: ArrayLike, train_flg: bool = True) -> np.ndarray:
        """Return ``x`` where a new mask is True and 0 elsewhere; ``x (1 - dropout_ratio)`` unless ``train_flg``.

        Of the dtype of ``x``, float64 for integers. Raises TypeError for what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        if not train_flg:
            return _check.of_type(x * x.dtype.type(1 - self.p), dtype)
        mask = np.random.random_sample(x.shape) > self.p
        self._last = mask, 1.0
        return _check.of_type(dropout.BACKWARD(_team.address, x, mask, 1.0), dtype)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return ``x (1 - dropout_ratio)``, without touching the mask of the last ``forward``."""
        return self.forward(x, False)
