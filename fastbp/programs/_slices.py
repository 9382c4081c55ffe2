"""Which batches are computed in slices, and the programs of those that are; see ``kernels.slices``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from fastbp.kernels import instructions as of
from fastbp.kernels.machine import FIXED
from fastbp.kernels.slices import GRADIENT, LAST, PART_WORDS, WHOLE
from fastbp.programs._lowering import Lowering

SLICE_BYTES, LEAST_ROWS, LEAST_SLICES = FIXED.slice_bytes, FIXED.slice_rows, FIXED.least_slices


class Cuttable(Protocol):
    """Layers one after the other, as far as it depends on them whether a batch is cut."""

    @property
    def vector(self) -> np.ndarray: ...

    @property
    def layers(self) -> list[Any]: ...

    @property
    def shapes(self) -> list[tuple[int, ...]]: ...

    @property
    def n_inputs(self) -> int: ...


def rows_of_slice(chain: Cuttable, n_rows: int) -> int:
    """How many rows a slice of a batch of ``n_rows`` has; 0 where the batch is better computed as a whole."""
    parameters = chain.vector
    if parameters.size > FIXED.slice_parameters or any(layer.mixes_rows for layer in chain.layers):
        return 0
    widths = [math.prod(s) for layer, s in zip(chain.layers, chain.shapes, strict=True) if layer.parameters]
    columns = chain.n_inputs + 2 * sum(widths)
    rows = max(LEAST_ROWS, SLICE_BYTES // (columns * parameters.itemsize) // 16 * 16)
    if n_rows >= LEAST_SLICES * rows:
        return rows
    operations = 6 * n_rows * parameters.size
    # Where products are too small to be shared one by one, and gradients small enough to be added up.
    halved = operations >= FIXED.half_operations and parameters.size <= FIXED.half_parameters
    return -(-n_rows // 2) if halved else 0


def lower_batch(p: Lowering, write: Callable[[Lowering], None], slice_rows: int) -> None:
    """Write into ``p`` the loss and gradient of a batch of ``p.rows`` rows.

    They are what ``write`` writes for the batch, or, unless ``slice_rows`` is 0, for slices of so many rows.
    """
    if not slice_rows:
        write(p)
        return
    n_slices = -(-p.rows // slice_rows)
    n_parts = min(FIXED.slice_parts, n_slices)
    words = np.zeros((n_parts, PART_WORDS), np.int64)
    for part in words:
        gradients = np.zeros_like(p.gradients)
        own = Lowering(p.parameters, gradients, slice_rows, adds=n_slices > n_parts)
        part[GRADIENT] = own.keep(gradients)
        for word, table in zip((WHOLE, LAST), own.tables(p.rows, write), strict=True):
            part[word] = own.keep(table)
        p.include(own)
    into = p.keep(p.gradients)
    p.emit(of.Slices(p.keep(words), n_parts, p.rows, slice_rows, len(table), into, p.gradients.size))
