"""Quantiles of times, and of the ratios of times that were taken in turns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, and their 20 % and 80 % quantiles."""

    low: float
    median: float
    high: float


def spread(numbers: ArrayLike) -> Spread:
    """Summarise numbers."""
    return Spread(*map(float, np.quantile(np.asarray(numbers, float), (0.2, 0.5, 0.8))))


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """How many times as long each turn of one took as the same turn of the other: a machine that slows down slows both.

    Both sequences hold one number a turn, in the order of the turns.
    """
    if len(numerators) != len(denominators):
        raise ValueError(f"expected as many turns of both, got {len(numerators)} and {len(denominators)}")
    return spread(np.divide(numerators, denominators))
