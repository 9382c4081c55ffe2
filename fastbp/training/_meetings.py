"""What ranks say when they meet, and meetings that none waits for while it works by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.basics import _pool
from fastbp.kernels._interrupts import uninterrupted

FAILS, ENDS, STEPS, TELLS, WORKS = range(5)  # what a rank is about to do
DOING = "has failed", "has ended its training", "does a step", "tells the others something", "works by itself"

_APART = 0.01  # seconds between two looks at whether all have come
_PAUSE = 2e-4  # seconds of sleep for who has nothing else to do: others may want the core


class OtherFailed(_pool.Stopped):
    """Ends the work of a rank because another has failed."""


class Meetings:
    """One meeting after the other, as long as ranks work by themselves: each hears soon of one that fails.

    Who begins a meeting goes on with its work, and looks now and then whether all others have come to it.

    Parameters
    ----------
    comm : the communicator of mpi4py
    count : asked for how much is done here
    tell : called, in the thread that looks, with how much is done on all other ranks
    """

    def __init__(self, comm: Any, count: Callable[[], float], tell: Callable[[float], object]) -> None:
        self._comm, self._count, self._tell = comm, count, tell
        self._own, self._all = np.zeros(2), np.zeros((comm.Get_size(), 2))
        self._request: Any = None
        self._next_look = 0.0

    @property
    def are_open(self) -> bool:
        """Whether any has begun."""
        return self._request is not None

    def begin(self, doing: int) -> None:
        """Begin one in which this rank says what it is ``doing``; all of those before have ended."""
        self._own[:] = doing, self._count()
        self._request = self._comm.Iallgather(self._own, self._all)

    def look(self) -> None:
        """Raise ``OtherFailed`` if a meeting has ended in which a rank says that it has; else begin the next."""
        if (now := time.perf_counter()) < self._next_look:
            return
        self._next_look = now + _APART
        with uninterrupted():
            if not self._request.Test():
                return
            if self._one_fails():
                raise OtherFailed
            self._tell_all()
            self.begin(WORKS)

    def end(self, doing: int) -> bool:
        """Wait, saying that this rank has ended its work or failed, until all have ended or one says that it failed.

        Returns whether one has.
        """
        while True:
            while not self._request.Test():
                time.sleep(_PAUSE)
            if self._one_fails() or (self._all[:, 0] == ENDS).all():
                return self._one_fails()
            self._tell_all()
            with uninterrupted():
                self.begin(doing)

    def _one_fails(self) -> bool:
        return bool((self._all[:, 0] == FAILS).any())

    def _tell_all(self) -> None:
        self._tell(self._all[:, 1].sum() - self._own[1])
