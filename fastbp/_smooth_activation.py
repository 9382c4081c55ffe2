"""What Sigmoid and Tanh share: activations whose derivative follows from their output."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check, _team
from fastbp._lowering import Backward, Lowering


class SmoothActivation:
    """An activation for arrays of any shape; subclasses name its two kernels and its operation.

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    _kernel_forward: Any
    _kernel_backward: Any
    _operation: str

    def __init__(self) -> None:
        self.out: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the function of each element, within 4 units in the last place, however small it is.

        The dtype is that of ``x``, float64 for integers. Raises TypeError for what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        out = np.empty(x.shape, x.dtype)
        # x is this call's own view or copy, out is new: both stay until it returns.
        self._kernel_forward(_team.current().address, _check.as_rows(x), _check.as_rows(out))
        self.out = result = _check.of_type(out, dtype)
        return result

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout`` times the derivative.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``.
        """
        out = self.out
        if out is None:
            raise _check.not_before_forward(self)
        dout, out, dtype = _check.operands(("dout", "out"), dout, out)
        dx = np.empty(out.shape, out.dtype)
        # dout and out are this call's own views or copies, dx is new: all stay until it returns.
        self._kernel_backward(_team.current().address, _check.as_rows(dout), _check.as_rows(out), _check.as_rows(dx))
        return _check.of_type(dx, dtype)

    def lower(self, p: Lowering, x: int, columns: int, place: int, computed: bool) -> tuple[int, int, Backward]:
        """Write the instructions of this layer; see ``Lowering.elementwise``."""
        return p.elementwise(self._operation, x, columns, place, computed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
