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
        x = _check.as_real("x", x)
        dtype = _check.result_type(x)
        x = _check.ready(x, _check.computed_in(dtype))
        out = np.empty(x.shape, x.dtype)
        sigmoid_forward(_team.current().address, _check.as_rows(x), _check.as_rows(out))
        self.out = out.astype(dtype, copy=False)
        return self.out

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, dout (1 - out) out.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``.
        """
        if self.out is None:
            raise _check.not_before_forward(self)
        dout = _check.as_real("dout", dout)
        _check.same_shape("dout", dout, self.out.shape, "x")
        dtype = _check.result_type(dout, self.out)
        dout, out = (_check.ready(a, _check.computed_in(dtype)) for a in (dout, self.out))
        dx = np.empty(out.shape, out.dtype)
        sigmoid_backward(_team.current().address, *map(_check.as_rows, (dout, out, dx)))
        return dx.astype(dtype, copy=False)
