"""The rectified linear unit."""

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check, _team
from fastbp._lowering import Backward, Lowering
from fastbp.kernels.gemm import RELU
from fastbp.kernels.relu import relu_backward, relu_forward


class Relu:
    """ReLU as a layer, for arrays of any shape.

    Attributes
    ----------
    mask : bool array of the shape of ``x``, True where x <= 0; None before the first ``forward``
    """

    in_product = RELU  # what the matrix product before can apply to its result at once

    def __init__(self) -> None:
        self.mask: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x`` with 0 where x <= 0; NaN stays. The dtype is that of ``x``, integers included.

        Raises TypeError for complex, object and other arrays that hold no real numbers.
        """
        x = _check.as_real("x", x)
        if x.dtype not in _check.FLOATS:
            self.mask = mask = np.asarray(x <= 0)
            return np.where(mask, x.dtype.type(0), x)
        x = _check.ready(x, x.dtype)
        y, mask = np.empty(x.shape, x.dtype), np.empty(x.shape, _check.BOOL)
        arrays = (x, y, mask) if x.ndim == 2 else map(_check.as_rows, (x, y, mask))
        # x is this call's own view or copy, y and mask are new: all stay until it returns.
        relu_forward(_team.current().address, *arrays)
        self.mask = mask
        return y

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout``, and 0 where ``mask``, even if dout is not finite there.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``, TypeError
        for a ``mask`` that was set to other than bools.
        """
        mask = self.mask
        if mask is None:
            raise _check.not_before_forward(self)
        dout = _check.as_real("dout", dout)
        mask = _check.as_mask(mask, dout)
        if dout.dtype not in _check.FLOATS:
            return np.where(mask, dout.dtype.type(0), dout)
        dout = _check.ready(dout, dout.dtype)
        dx = np.empty(dout.shape, dout.dtype)
        # dout and mask are this call's own views or copies, dx is new: all stay until it returns.
        relu_backward(_team.current().address, _check.as_rows(dout), _check.as_rows(mask), _check.as_rows(dx))
        return dx

    def lower(self, p: Lowering, x: int, columns: int, place: int, computed: bool) -> tuple[int, int, Backward]:
        """Write the instructions of this layer; see ``Lowering.elementwise``."""
        return p.elementwise("relu", x, columns, place, computed)

    def __repr__(self) -> str:
        return "Relu()"
