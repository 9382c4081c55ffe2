"""The leaky rectified linear unit."""

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _arguments, _check, _team
from fastbp._attributes import setting
from fastbp._lowering import Backward, Lowering
from fastbp.kernels.leaky_relu import leaky_relu_backward, leaky_relu_forward


class LeakyRelu:
    """ReLU that lets a part of what is negative through, as a layer for arrays of any shape.

    Parameters
    ----------
    slope : float
        What ``x`` is multiplied with where x <= 0.

    Attributes
    ----------
    mask : bool array of the shape of ``x``, True where x <= 0; None before the first ``forward``
    """

    slope: float = setting(_arguments.real)

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope
        self.mask: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x``, and ``slope x`` where x <= 0; NaN stays.

        The dtype is that of ``x``, float64 for integers. Raises TypeError for what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        y, mask = np.empty(x.shape, x.dtype), np.empty(x.shape, _check.BOOL)
        slope = x.dtype.type(self.slope)
        # x is this call's own view or copy, y and mask are new: all stay until it returns.
        leaky_relu_forward(_team.current().address, _check.as_rows(x), slope, _check.as_rows(y), _check.as_rows(mask))
        self.mask = mask
        return _check.of_type(y, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout``, and ``slope dout`` where ``mask``.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``, TypeError
        for a ``mask`` that was set to other than bools.
        """
        mask = self.mask
        if mask is None:
            raise _check.not_before_forward(self)
        dout, dtype = _check.operand("dout", dout)
        mask = _check.as_mask(mask, dout)
        slope = dout.dtype.type(self.slope)
        dx = np.empty(dout.shape, dout.dtype)
        # dout and mask are this call's own views or copies, dx is new: all stay until it returns.
        leaky_relu_backward(
            _team.current().address, _check.as_rows(dout), _check.as_rows(mask), slope, _check.as_rows(dx)
        )
        return _check.of_type(dx, dtype)

    def lower(self, p: Lowering, x: int, columns: int, place: int, computed: bool) -> tuple[int, int, Backward]:
        """Write the instructions of this layer; see ``Lowering.masked``."""
        return p.masked("leaky_relu", x, columns, place, self.slope)

    def __repr__(self) -> str:
        return f"LeakyRelu(slope={self.slope:g})"
