"""Long work in blocks of rows, between which Python hears Ctrl-C."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.basics import _machine
from fastbp.kernels.machine import FIXED

LEAST_ROWS = FIXED.predict_rows


def rows_of_block(per_row: int) -> int:
    """How many rows a block has, each of ``per_row`` multiplications."""
    return max(LEAST_ROWS, _machine.numbers().predict_work // per_row)


def in_blocks(function: Callable[[Any], np.ndarray], x: Any, per_row: int) -> np.ndarray:
    """``function(x)``, whose rows are those of ``x`` (N, I), each of ``per_row`` multiplications.

    The last block has what is left as well, so that none is so small that it is computed in another way.
    """
    rows = rows_of_block(per_row)
    if type(x) is not np.ndarray or x.ndim != 2 or len(x) < 2 * rows:
        return function(x)
    first = function(x[:rows])
    result = np.empty((len(x), *first.shape[1:]), first.dtype)
    result[:rows] = first
    starts = range(rows, len(x) - rows + 1, rows)
    for begin, end in zip(starts, [*starts[1:], len(x)], strict=True):
        result[begin:end] = function(x[begin:end])
    return result
