"""Where a run goes back to when its numbers are no longer finite."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np

MOST_OF_THE_TIME = 1 / 500  # that copies may take; the look before each takes as long again


class Steps(Protocol):
    """What a retreat asks of a run.

    Attributes
    ----------
    step : how many it has done
    """

    step: int

    @property
    def vectors(self) -> tuple[np.ndarray, ...]:
        """All that steps change."""

    def is_finite(self) -> bool:
        """Whether these are finite numbers, as they do not become again once they are not."""

    def execute(self, rates: np.ndarray, losses: np.ndarray) -> int:
        """Do steps from ``step`` on, without counting them, at these learning rates; returns how many were finished."""

    def put_back(self, vectors: list[np.ndarray]) -> None:
        """Have the vectors be what they were."""


class Retreat:
    """A copy of the vectors that steps change, and the learning rates of the steps since.

    Of a large network, to look whether all numbers are finite and to copy them takes a twentieth of a step. It is
    therefore done as seldom as makes no difference; where it comes out that numbers are no longer finite, the steps
    since the copy are done again, to the same bits, up to the last that left them so.
    """

    def __init__(self, vectors: tuple[np.ndarray, ...]) -> None:
        self._copies = [np.empty_like(vector) for vector in vectors]  # no memory for it: nothing has changed yet
        self._step = -1  # of the copy; -1 where there is none
        self._rates: list[np.ndarray] = []
        self._seconds = self._copying = 0.0  # of the steps since, and of the copy

    @property
    def is_ready(self) -> bool:
        """Whether there is a copy to go back to."""
        return self._step >= 0

    @property
    def is_far(self) -> bool:
        """Whether it is time for another copy."""
        return self._seconds * MOST_OF_THE_TIME >= self._copying

    def prepare(self, run: Steps) -> None:
        """Copy the vectors of ``run`` as they are, which are finite, where there is no copy."""
        if not self.is_ready:
            start = time.perf_counter()
            for copy, vector in zip(self._copies, run.vectors, strict=True):
                copy[...] = vector
            self._step, self._rates, self._seconds = run.step, [], 0.0
            self._copying = time.perf_counter() - start

    def forget(self) -> None:
        """Go back no further than the next ``prepare``: somebody else may have written into the vectors."""
        self._step = -1

    def went(self, rates: np.ndarray, seconds: float) -> None:
        """Take note of steps at these rates, which took so long."""
        self._rates.append(rates)
        self._seconds += seconds

    def go_back(self, run: Steps) -> None:
        """Have ``run`` go back to the last step after which all numbers were finite."""
        run.put_back(self._copies)
        run.step, rates = self._step, self._rates
        self._rates = []
        for some in rates:
            if not _again(run, some):
                break


def _again(run: Steps, rates: np.ndarray) -> bool:
    """Do steps for as long as numbers stay finite, and count them; returns whether these were all."""
    before = [vector.copy() for vector in run.vectors]
    if run.execute(rates, np.zeros(len(rates))) == len(rates) and run.is_finite():
        run.step += len(rates)
        return True
    run.put_back(before)
    half = len(rates) // 2
    return half > 0 and _again(run, rates[:half]) and _again(run, rates[half:])
