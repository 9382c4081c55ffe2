"""Images as rows, as a layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand


class Flatten(Layer):
    """Samples of any shape as rows of numbers, ``torch.nn.Flatten``.

    An Affine flattens what it gets by itself; this says where, and gives the gradient its shape back.
    """

    remembers = ("_last",)
    only_reshapes = True
    torch = "Flatten", {}
    numpy = "x.reshape(len(x), np.prod(x.shape[1:], dtype=int))"

    _last: tuple[int, ...] | None = None  # the shape of x

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x`` (N, ...) as (N, I), a view where one will do; (I,) is a single sample.

        Raises
        ------
        ValueError
            For a number.
        TypeError
            For what is no array of real numbers.
        """
        x = _check.as_real("x", x)
        if x.ndim == 0:
            raise ValueError("x must have at least one dimension, got a number")
        self._last = x.shape
        return x.reshape(_flat(x.shape))

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return ``dout`` (N, I) in the shape that ``x`` came in.

        Raises
        ------
        ValueError
            Unless ``dout`` has as many rows and columns.
        RuntimeError
            Before the first ``forward``.
        TypeError
            For what is no array of real numbers.
        """
        shape = self._last
        if shape is None:
            raise _check.not_before_forward(self)
        dout = _check.as_real("dout", dout)
        _check.same_shape("dout", dout, _flat(shape), "the output")
        return dout.reshape(shape)

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(I,), for samples with I numbers in all."""
        return (math.prod(shape),)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write nothing: rows of a program are flat as it is. A slope that nobody takes stays with who gave it."""
        p.on_backward(self, lambda dy, wanted: dy)
        x.shape = (x.columns,)
        return x

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """From a Flatten of all but the samples; TypeError for another."""
        if (module.start_dim, module.end_dim) != (1, -1):
            raise TypeError(f"{module!r} flattens other than what is in a sample, which Flatten does not")
        return cls()

    def onnx(self, node: Any, x: str) -> str:
        """ONNX's Flatten."""
        return node("Flatten", x)


def _flat(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) == 1 else (shape[0], math.prod(shape[1:]))
