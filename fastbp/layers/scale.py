"""A factor and a shift for each column as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check, _team
from fastbp.basics._tensor import array_of_tensor
from fastbp.kernels import columns as of
from fastbp.kernels.columns import scale_columns, scale_columns_back
from fastbp.layers._columns import ColumnLayer
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand


class Scale(ColumnLayer):
    """``x factor + shift``, a number each for every column.

    Parameters
    ----------
    factor, shift : (K,) array of real numbers
        For samples of K numbers; kept by reference.
    trained : bool
        Whether they are parameters of a network; otherwise they stay as they are, as the means and standard deviations
        of data do: ``Scale(1 / std, -mean / std, trained=False)``.

    Attributes
    ----------
    dfactor : (K,) array or None
        The gradient of ``factor`` from the last ``backward``; None before the first.
    dshift : (K,) array or None
        That of ``shift``.
    """

    parameters: tuple[str, ...] = ("factor", "shift")
    _factor = "factor"

    torch = "ColumnScale", {"factor": "factor", "shift": "shift"}
    numpy = "x * factor + shift"
    c = """\
    for (size_t o = 0; o < n_outputs; o++)
        y[o] = x[o] * factor[o] + shift[o];
"""

    def __init__(self, factor: np.ndarray, shift: np.ndarray, trained: bool = True) -> None:
        self.factor, self.shift = factor, shift
        if not _arguments.flag("trained", trained):
            self.parameters, self.buffers = (), self.parameters
        self.dfactor: np.ndarray | None = None
        self.dshift: np.ndarray | None = None

    @property
    def trained(self) -> bool:
        """Whether ``factor`` and ``shift`` are parameters; it cannot be set."""
        return bool(self.parameters)

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x factor + shift``.

        Parameters
        ----------
        x : (N, K), (K,) or (N, C, H, W) array of real numbers
            (K,) is a single sample; (N, C, H, W) has C H W = K, and its rows are flattened.

        Returns
        -------
        out : array of the shape of ``x``
            Of the dtype of NumPy's arithmetic on ``x``, ``factor`` and ``shift``, float64 for integers.

        Raises
        ------
        ValueError
            Where shapes do not fit.
        TypeError
            For what is no array of real numbers.
        """
        factor, shift = self._taken("shift")
        x, rows, dtype = self._rows(x, (factor, shift))
        kind, y = rows.dtype, np.empty_like(rows)
        # All of these are this call's own views or copies, or new: they stay until it returns.
        scale_columns(_team.current().address, rows, _check.ready(factor, kind), _check.ready(shift, kind), y)
        self._last = rows, x.shape
        return _check.of_type(y.reshape(x.shape), dtype)

    def _back(self, last: tuple[Any, ...], d: np.ndarray, factor: np.ndarray, *rest: Any) -> None:
        scale_columns_back(_team.current().address, d, _check.ready(last[0], d.dtype), factor, *rest)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the instructions of this layer."""
        factor, shift = self._taken("shift")
        place = p.place_of if self.trained else p.keep
        at_factor, at_shift = place(factor), place(shift)
        columns, y = x.columns, p.buffer((self, "y"), x.columns)
        shape = p.rows, columns
        p.emit(of.ScaleColumns(x.address, at_factor, at_shift, y, *shape))

        def backward(dy: int, wanted: bool) -> int:
            if self.trained:
                targets, partial = self._targets(p, factor, shift), self._partial(p, columns)
                p.emit(
                    of.ScaleColumnsGradient(dy, x.address, at_factor, *targets, *shape, partial, p.adds, p.fused_step)
                )
            else:
                nothing = p.array((self, "no shift"), (columns,))
                p.emit(of.ScaleColumns(dy, at_factor, nothing, dy, *shape))
            return dy

        p.on_backward(self, backward)
        return Operand(y, x.shape)

    def onnx(self, node: Any, x: str) -> str:
        """A product and a sum."""
        return node("Add", node("Mul", x, self.factor), self.shift)

    def to_module(self, nn: Any) -> Any:
        """A module of fastbp's: PyTorch has none of this kind."""
        from fastbp.layers._torch_modules import ColumnScale  # which imports torch

        return ColumnScale(len(self.factor), self.trained)

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """From such a module, with copies of its arrays."""
        factor, shift = (np.array(array_of_tensor(name, getattr(module, name))) for name in ("factor", "shift"))
        return cls(factor, shift, bool(module.trained))

    def __repr__(self) -> str:
        return f"Scale({np.size(self.factor)}{'' if self.trained else ', trained=False'})"
