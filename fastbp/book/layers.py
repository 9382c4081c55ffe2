"""The book's ``common/layers.py``: the layers of ``fastbp``, with what the book's have beside.

``BatchNormalization`` is fastbp's, whose defaults are the book's: eps 10e-7, and the running variance that of batches.
"""

import numpy as np
from numpy.typing import ArrayLike

from fastbp.activations import Relu, Sigmoid
from fastbp.basics import _check, _team
from fastbp.basics._attributes import derived
from fastbp.book import functions
from fastbp.book.functions import *  # noqa: F403 (as scripts that say import * get it from the book's module)
from fastbp.book.util import col2im, im2col
from fastbp.kernels import instructions as of
from fastbp.layers import convolution, dropout, pooling
from fastbp.layers.affine import Affine
from fastbp.layers.arithmetic import AddLayer, MulLayer
from fastbp.layers.batch_normalization import BatchNormalization
from fastbp.losses.softmax_with_loss import SoftmaxWithLoss
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

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

        Of the dtype of ``x``, float64 for integers.

        Raises
        ------
        TypeError
            For what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        if not train_flg:
            return _check.of_type(x * x.dtype.type(1 - self.p), dtype)
        mask = self.draw(x.shape)
        self.keep(mask)
        return _check.of_type(dropout.BACKWARD(_team.address, x, mask, 1.0), dtype)

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """The mask of the next training pass of an ``x`` of that ``shape``, from ``np.random``."""
        return np.random.random_sample(shape) > self.p

    def keep(self, mask: np.ndarray) -> None:
        """Remember the mask of a training pass, by which ``backward`` goes."""
        self._last = mask, 1.0

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return ``x (1 - dropout_ratio)``, without touching the mask of the last ``forward``."""
        return self.forward(x, False)

    @classmethod
    def is_lowered(cls) -> bool:
        """False: only the book's networks draw masks for their programs, see ``lower``; others go by ``forward``."""
        return False

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the instructions of a training pass, before which somebody puts what ``draw`` gives into ``mask``."""
        n, y = p.rows * x.columns, p.buffer((self, "y"), x.columns)
        mask = p.buffer((self, "mask"), x.columns, _check.BOOL)
        p.emit(of.DropoutGradient(x.address, mask, y, n, 1.0))

        def backward(dy: int, wanted: bool) -> int:
            p.emit(of.DropoutGradient(dy, mask, dy, n, 1.0))
            return dy

        p.on_backward(self, backward)
        return Operand(y, x.shape)


class Convolution(convolution.Convolution):
    """fastbp's, with what the book's layer keeps beside, which is made when it is asked for."""

    @property
    def col(self) -> np.ndarray | None:
        """``im2col`` of ``x``, (N OH OW, C FH FW); None before the first ``forward``."""
        if self.x is None:
            return None
        filter_h, filter_w = self.W.shape[2:]
        return im2col(self.x, filter_h, filter_w, self.stride, self.pad)

    @property
    def col_W(self) -> np.ndarray | None:
        """The filters as they are now, a column each, (C FH FW, FN); None before the first ``forward``."""
        return None if self.x is None else self.W.reshape(len(self.W), -1).T


class Pooling(pooling.MaxPooling):
    """fastbp's MaxPooling, with the book's stride and its order of ``arg_max``.

    Parameters
    ----------
    pool_h, pool_w : int of at least 1
        Size of a window.
    stride : int of at least 1
        Pixels from one window to the next, down and to the right.
    pad : int of at least 0
        Zeros around the images, which count as numbers do. (The book's own fails with any.)
    """

    def __init__(self, pool_h: int, pool_w: int, stride: int = 2, pad: int = 0) -> None:
        super().__init__(pool_h, pool_w, stride, pad)

    @derived
    def arg_max(self) -> np.ndarray | None:
        """Which number of its window was the largest, by image, place and channel, (N OH OW C,); None at first."""
        places = self._last[1]
        return None if places is None else places.transpose(0, 2, 3, 1).reshape(-1).astype(np.intp)


IN_NETWORKS = (Affine, BatchNormalization, Convolution, Dropout, Pooling, Relu, Sigmoid)
"""What the book's networks are made of."""
LOSSES_OF_NETWORKS = (SoftmaxWithLoss,)
"""What they end with."""
