"""The logistic function as a layer."""

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check, _team
from fastbp.kernels.sigmoid import sigmoid_backward, sigmoid_forward


class Sigmoid:
    """1 / (1 + exp(-x)) as a layer, for arrays of any shape.

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    def __init__(self) -> None:
        self.out: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return 1 / (1 + exp(-x)) within 4 units in the last place, however small it is.

        The dtype is that of ``x``, float64 for integers. Raises TypeError for what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        out = np.empty(x.shape, x.dtype)
        sigmoid_forward(_team.current().address, _check.as_rows(x), _check.as_rows(out))
        self.out = _check.of_type(out, dtype)
        return self.out

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, dout (1 - out) out.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``.
        """
        if self.out is None:
            raise _check.not_before_forward(self)
        dout, out, dtype = _check.operands("dout", dout, self.out)
        _check.same_shape("dout", dout, out.shape, "x")
        dx = np.empty(out.shape, out.dtype)
        sigmoid_backward(_team.current().address, _check.as_rows(dout), _check.as_rows(out), _check.as_rows(dx))
        return _check.of_type(dx, dtype)
