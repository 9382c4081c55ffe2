"""Standardisation: the mean and the standard deviation of columns, right wherever float64 can tell values apart."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastbp.basics._row_slices import row_slices
from fastbp.tables._errors import DataError

EXACT = 2.0**53  # float64 no longer tells larger whole numbers apart
LEAST_STEPS = 4  # between neighbouring float64 that a spread must have


def mean_std(x: np.ndarray, called: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (K,) of the columns of ``x`` (N, K), in float64; 1 and the value of a constant one.

    A column is constant when its values are all equal. ``called`` names column k for the DataError that tells of values
    too close to each other, or too far apart, for float64.
    """
    if len(x) == 0:
        return np.zeros(x.shape[1]), np.ones(x.shape[1])
    first = x[0].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        constant = np.all([(block == x[0]).all(axis=0) for block in _blocks(x)], axis=0)
        reach = np.max([np.abs(block - first).max(axis=0) for block in _blocks(x)], axis=0)
        unit = np.where(reach > 0, reach, 1.0)  # so that no square is too large or too small
        shift = sum(((block - first) / unit).sum(axis=0) for block in _blocks(x)) / len(x)
        squares = sum(((((block - first) / unit) - shift) ** 2).sum(axis=0) for block in _blocks(x))
        mean, std = first + shift * unit, np.sqrt(squares / len(x)) * unit
        close = ~constant & ~(std >= LEAST_STEPS * np.spacing(np.abs(mean)))
    wrong = close | ~np.isfinite(std)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise DataError(
            f"{called(k)} varies by {std[k]:.3g} around {mean[k]:.6g}, which float64 cannot resolve: "
            f"leave it out, or store it less a constant"
            if np.isfinite(std[k])
            else f"{called(k)} reaches from {x[:, k].min():.3g} to {x[:, k].max():.3g}, which float64 cannot subtract"
        )
    return mean, np.where(constant, 1.0, std)


def _blocks(x: np.ndarray) -> Iterator[Any]:
    """Some rows at a time: a float64 copy of all may not fit into memory beside them."""
    for rows in row_slices(len(x)):
        yield x[rows]
