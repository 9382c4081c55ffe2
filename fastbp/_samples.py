"""The samples that a network is trained on, where they lie."""

import math
from typing import Any

import numpy as np

from fastbp import _arguments, _check
from fastbp._pin import pin
from fastbp.kernels.batch import KINDS


class Samples:
    """Samples as rows of numbers, read as they are where their type is one of ``KINDS``, else copied once.

    Raises TypeError for what is no array of real numbers, ValueError for a scale that is not above 0 and for an array
    without rows.

    A view or a memory map is held in its place, and is neither closed nor resized while this lives.
    """

    def __init__(self, name: str, value: Any, scale: float) -> None:
        self._pin = pin(name, value)
        x = _check.as_real(name, value)
        if x.ndim < 2:
            raise ValueError(f"{name} must have two dimensions or more, samples first, got shape {x.shape}")
        self.scale = _arguments.real("scale", scale, above=0)
        if x.dtype.name not in KINDS:
            x = x.astype(np.float32 if x.dtype.itemsize <= 2 else np.float64)
        x = x.reshape(len(x), math.prod(x.shape[1:]))
        if not (x.flags.c_contiguous and x.flags.aligned):
            x = np.ascontiguousarray(x)
        self.array, self.kind = x, KINDS.index(x.dtype.name)

    def check_columns(self, columns: int, name: str) -> None:
        """ValueError unless a sample has ``columns`` elements."""
        if self.array.shape[1] != columns:
            raise ValueError(f"{name} has {self.array.shape[1]} elements a sample, the network has {columns} inputs")

    def converted(self, dtype: np.dtype) -> np.ndarray:
        """All samples in floating point, scaled."""
        x = self.array.astype(dtype, copy=False)
        return x if self.scale == 1 else x * dtype.type(self.scale)
