"""What the layers with a number for each column have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.basics import _check
from fastbp.kernels.columns import shape_of_partial
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering


class ColumnLayer(Layer):
    """A layer for samples of K numbers, whose arrays have one number for each of them, (K,)."""

    _factor: str  # the attribute that the columns are multiplied by at the end

    def _columns(self, name: str) -> np.ndarray:
        """The array ``name`` as it is now, in one of its own.

        Raises ValueError where it is not of the factor's shape, (K,), TypeError for what is no array of real numbers.
        """
        array = _check.as_real(name, getattr(self, name))
        if name == self._factor:
            if array.ndim != 1 or not array.size:
                raise ValueError(f"{name} must be (K,), a number for each column, got shape {array.shape}")
        else:
            _check.same_shape(name, array, np.shape(getattr(self, self._factor)), self._factor)
        return array

    @classmethod
    def of_width(cls, n: int, dtype: np.dtype) -> Layer:
        """One that begins with factors of 1 and shifts of 0."""
        make: Any = cls
        return make(np.ones(n, dtype), np.zeros(n, dtype))

    def checked(self) -> tuple[np.ndarray | None, ...]:
        return tuple(self._columns(name) for name in (*self.parameters, *self.buffers))

    @property
    def n_inputs(self) -> int:
        return len(getattr(self, self._factor))

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        own = self._columns(self._factor).shape
        if shape != own:
            raise ValueError(f"{self._factor} of shape {own} does not fit the {shape[0]} outputs of the layers before")
        return shape

    def _rows(self, x: Any, arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray, np.dtype]:
        """``x`` as it came and as rows (N, K) ready for a kernel, and the type of results.

        (K,) is one sample; of more dimensions than two, rows are flattened as in the book.
        """
        x = _check.as_real("x", x)
        n_columns = len(arrays[0])
        rows = x.reshape(1, -1) if x.ndim == 1 else x.reshape(len(x), -1) if x.ndim > 1 and x.size else x
        if rows.ndim != 2 or rows.shape[1] != n_columns:
            raise ValueError(
                f"x of shape {x.shape} does not fit {self._factor} of shape ({n_columns},): "
                f"x must have {n_columns} numbers a sample"
            )
        dtype = _check.result_type(x, *arrays)
        return x, _check.ready(rows, _check.computed_in(dtype)), dtype

    def _dout(
        self, dout: Any, shape: tuple[int, ...], kept: np.ndarray, factor: np.ndarray
    ) -> tuple[np.ndarray, np.dtype]:
        """A copy of ``dout`` as rows for a kernel beside what was ``kept``, and the type of the gradients."""
        dout = _check.as_real("dout", dout)
        _check.same_shape("dout", dout, shape, "x")
        if len(factor) != kept.shape[1]:
            raise ValueError(f"{self._factor} of shape {factor.shape} does not fit the x of the last forward, {shape}")
        dtype = _check.result_type(dout, kept, factor)
        return np.array(dout, _check.computed_in(dtype), order="C").reshape(kept.shape), dtype

    def _partial(self, p: Lowering, columns: int) -> int:
        """Room in a program for the sums of columns."""
        return p.array(f"sums of {columns} columns", shape_of_partial(p.most_rows, columns), _check.FLOAT64)

    def _targets(self, p: Lowering, factor: np.ndarray, shift: np.ndarray) -> tuple[int, int]:
        """Where the gradients of the factor and the shift go in a program."""
        place = p.place_of if p.fused_step else p.gradient_of
        return place(factor), place(shift)
