"""What the layers with a number for each column have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check
from fastbp.basics._attributes import left
from fastbp.kernels.columns import shape_of_partial
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering


class ColumnLayer(Layer):
    """A layer for samples of K numbers, whose arrays have one number for each of them, (K,)."""

    remembers = ("_last",)

    _factor: str  # the attribute that the columns are multiplied by at the end
    _last: tuple[Any, ...] | None = left(None)  # what backward works with, rows (N, K) first, and the shape of x last

    def _taken(self, *names: str) -> list[np.ndarray]:
        """The factor and the arrays of these names as they are now, each looked at once, in arrays of their own.

        Raises ValueError where the factor is not (K,), or another is not of the shape of the factor that was taken;
        TypeError for what is no array of real numbers.
        """
        factor = _check.as_real(self._factor, getattr(self, self._factor))
        if factor.ndim != 1 or not factor.size:
            raise ValueError(f"{self._factor} must be (K,), a number for each column, got shape {factor.shape}")
        return [factor, *(self._fitting(name, getattr(self, name), factor) for name in names)]

    def _fitting(self, name: str, given: Any, factor: np.ndarray) -> np.ndarray:
        """What was ``given`` as ``name``, checked beside the factor."""
        array = _check.as_real(name, given)
        _check.same_shape(name, array, factor.shape, self._factor)
        return array

    @classmethod
    def of_width(cls, n: int, dtype: np.dtype) -> Layer:
        """One that begins with factors of 1 and shifts of 0."""
        make: Any = cls
        return make(np.ones(n, dtype), np.zeros(n, dtype))

    def checked(self) -> tuple[np.ndarray | None, ...]:
        return tuple(self._taken(*(*self.parameters, *self.buffers)[1:]))  # of which the factor is the first

    @property
    def n_inputs(self) -> int:
        return len(getattr(self, self._factor))

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        own = self._taken()[0].shape
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

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, and set those of the parameters, with a ``d`` before their names.

        The factor is taken as it is now.

        Raises
        ------
        ValueError
            Unless ``dout`` has the shape of ``x``.
        RuntimeError
            Before the first ``forward``.
        TypeError
            For what is no array of real numbers.
        """
        last = self._last
        if last is None:
            raise _check.not_before_forward(self)
        kept, shape = last[0], last[-1]
        dout, factor = _check.as_real("dout", dout), self._taken()[0]
        _check.same_shape("dout", dout, shape, "x")
        if len(factor) != kept.shape[1]:
            raise ValueError(f"{self._factor} of shape {factor.shape} does not fit the x of the last forward, {shape}")
        dtype = _check.result_type(dout, kept, factor)
        kind = _check.computed_in(dtype)
        d = np.array(dout, kind, order="C").reshape(kept.shape)
        gradients, partial = np.empty((2, len(factor)), kind), np.zeros(shape_of_partial(*d.shape[:2]))
        # All of these are this call's own copies, or new: they stay until it returns.
        self._back(last, d, _check.ready(factor, kind), partial, kind.type(1), False, *gradients)
        for name, gradient in zip(type(self).parameters, gradients, strict=True):
            setattr(self, f"d{name}", _check.of_type(gradient, dtype))
        return _check.of_type(d.reshape(shape), dtype)

    def _back(self, last: tuple[Any, ...], d: np.ndarray, factor: np.ndarray, *rest: Any) -> None:
        """Call the kernel: ``d`` becomes the gradient with respect to x; ``rest`` is what all such kernels end with."""
        raise NotImplementedError

    def _partial(self, p: Lowering, columns: int) -> int:
        """Room in a program for the sums of columns."""
        return p.array(f"sums of {columns} columns", shape_of_partial(p.most_rows, columns), _check.FLOAT64)

    def _targets(self, p: Lowering, factor: np.ndarray, shift: np.ndarray) -> tuple[int, int]:
        """Where the gradients of the factor and the shift go in a program."""
        place = p.place_of if p.fused_step else p.gradient_of
        return place(factor), place(shift)
