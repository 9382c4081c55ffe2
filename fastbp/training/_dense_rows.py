"""The samples that a network is trained on, where they lie."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from fastbp.basics import _check
from fastbp.basics._pin import pin
from fastbp.programs._lowering import KIND_OF, Lowering


class DenseRows:
    """Samples as rows of numbers, read as they are where their type is one of ``KIND_OF``, else copied once.

    Raises TypeError for what is no array of real numbers, ValueError for an array without rows. ``scale`` is what the
    network multiplies their elements by, ``shape`` theirs as it came.

    A view or a memory map is held in its place, and is neither closed nor resized while this lives.
    """

    def __init__(self, name: str, value: Any, scale: float) -> None:
        self._pin = pin(name, value)
        x = _check.as_real(name, value)
        if x.ndim < 2:
            raise ValueError(f"{name} must have two dimensions or more, samples first, got shape {x.shape}")
        if x.dtype not in KIND_OF:
            x = x.astype(np.float32 if x.dtype.itemsize <= 2 else np.float64)
        self.shape = x.shape
        if x.ndim > 2:
            x = x.reshape(len(x), math.prod(x.shape[1:]))
        if not (x.flags.c_contiguous and x.flags.aligned):
            x = np.ascontiguousarray(x)
        self.array, self.scale = x, scale

    def gather(self, p: Lowering) -> int:
        """Write the copy of a batch's samples, scaled; returns its address."""
        return p.gather("x", self.array, self.scale)

    def rows(self, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """A copy of these rows as ``gather`` has it copied, of ``dtype``."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.array[rows].astype(dtype, copy=False) * dtype.type(self.scale)

    def split(self, n: int) -> tuple[DenseRows, DenseRows]:
        """The first ``n`` and the others."""
        first, rest = copy.copy(self), copy.copy(self)
        first.array, first.shape = self.array[:n], (n, *self.shape[1:])
        rest.array, rest.shape = self.array[n:], (len(self.array) - n, *self.shape[1:])
        return first, rest
