"""The processes that train one network together: what they tell each other, and that they end together.

``Ranks`` alone knows MPI's communicator; ``Alone`` is asked the same by a run that has the data to itself.

Whatever passes between ranks begins with a *meeting*: each says what it is about to do, with a number. So that all
hear of one that cannot go on, and none waits for what will never come.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from fastbp.basics import _arguments, _pool, _team
from fastbp.basics._extra import import_extra, install
from fastbp.kernels._interrupts import uninterrupted
from fastbp.kernels.shares import add_in_order
from fastbp.training._digest import digest
from fastbp.training._meetings import DOING, ENDS, FAILS, STEPS, TELLS, WORKS, Meetings, OtherFailed

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")
VectorsOf = Callable[[int], Iterable[np.ndarray]]

PARCEL = 1 << 24  # bytes that are pickled at once
_KINDS = {kind.__name__: kind for kind in (ValueError, TypeError, FloatingPointError, MemoryError, ImportError)}


class Alone:
    """A single rank.

    Attributes
    ----------
    rank, size : which of how many this is
    """

    rank, size = 0, 1

    def together(self, work: Callable[[], R]) -> R:
        """What ``work()`` returns, on no rank before all have done theirs; raises on all where one does."""
        return work()

    def apart(self, work: Callable[[], R], count: Callable[[], float], tell: Callable[[float], object]) -> R:
        """What ``work()`` returns, in which ranks do nothing together; on no rank before all have done theirs.

        Where one raises, that of the others ends at the calling thread's next ``_pool.look``, and all raise. At some
        of these looks ``tell`` hears how much ``count()`` says is done on all other ranks.
        """
        return work()

    def gathered(self, value: V) -> list[V]:
        """The ``value`` of each rank, which can be pickled."""
        return [value]

    def of_first(self, value: V) -> V:
        """The ``value`` of the first rank, as which all have to go on."""
        return value

    def of_owners(
        self, owners: Sequence[int], sizes: Sequence[int], values: Mapping[int, V], vectors: VectorsOf
    ) -> list[V]:
        """For each k the value that rank ``owners[k]`` has of it, which can be pickled, of about ``sizes[k]`` bytes.

        Where that is not None, its ``vectors(k)`` overwrite those of the other ranks, of the same sizes and types.
        """
        return [values[k] for k in range(len(owners))]

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        return flag

    def agree(self, settings: Callable[[], Mapping[str, Any]]) -> None:
        """ValueError, on all, unless what has to be the same everywhere is: arrays, or things with a ``repr``."""

    def mean(self, measures: dict[str, float], rows: float) -> dict[str, float]:
        """The mean of ``measures`` over the rows of all ranks, of which here are ``rows``."""
        return measures

    def first_said(self, words: str) -> str:
        """The words of the first rank that says any."""
        return words

    def part_of(self, n: int) -> slice:
        """The rows of this rank where ``n`` are dealt out in order, to all about as many."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def threads(self, asked: int | None) -> int | None:
        """How many threads to use, where the user asks for so many, or leaves it open."""
        return asked


ALONE = Alone()


class Ranks(Alone):
    """Those of an mpi4py communicator.

    TypeError where ``comm`` is none, ValueError where it has one rank, ImportError where mpi4py is not installed.
    """

    def __init__(self, comm: Any) -> None:
        MPI = mpi()
        if not isinstance(comm, MPI.Intracomm):
            expected = "comm must be a communicator of mpi4py such as MPI.COMM_WORLD"
            raise TypeError(f"{expected}, got {_arguments.shown(comm)}")
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        if self.size == 1:
            raise ValueError(
                "comm must have two ranks or more, got one: start the script by mpiexec -n 2 python script.py, with "
                "the mpiexec of the MPI that mpi4py has, or leave comm out"
            )
        self._comm, self._own_error = comm, MPI.Exception
        self._own, self._all = np.zeros(2), np.zeros((self.size, 2))
        self._rooms: dict[tuple[int, np.dtype], _Room] = {}
        self._is_down = False

    def together(self, work: Callable[[], R]) -> R:
        try:
            result = work()
            self._meet(ENDS)
            return result
        except BaseException as error:
            if not self._is_down and not isinstance(error, self._own_error):
                with uninterrupted():
                    self._say(FAILS)
                    self._comm.allgather((type(error).__name__, str(error)))
            raise

    def apart(self, work: Callable[[], R], count: Callable[[], float], tell: Callable[[float], object]) -> R:
        meetings = Meetings(self._comm, count, tell)
        try:
            with uninterrupted():  # so that all begin
                self._meet(WORKS)
                meetings.begin(WORKS)
            with _pool.watched(meetings.look):
                result = work()
            if meetings.end(ENDS):
                raise OtherFailed
            return result
        except BaseException as error:
            if self._is_down or not meetings.are_open or isinstance(error, self._own_error):
                raise
            with uninterrupted():
                self._is_down = meetings.end(FAILS)  # or all have ended theirs before
                own = None if isinstance(error, OtherFailed) else (type(error).__name__, str(error))
                said = self._comm.allgather(own) if self._is_down else []
            if own is None:
                raise _failure(said) from None
            raise

    def _say(self, doing: int, number: float = 0.0) -> np.ndarray:
        """Tell all what this rank is ``doing``; returns what each says."""
        self._own[:] = doing, number
        self._comm.Allgather(self._own, self._all)
        return self._all

    def _meet(self, doing: int, number: float = 0.0) -> list[float]:
        """The ``number`` of each rank, all of which must be ``doing`` the same."""
        said = self._say(doing, number)
        if (said[:, 0] == doing).all():
            return said[:, 1].tolist()
        self._is_down = True
        if (said[:, 0] == FAILS).any():
            raise _failure(self._comm.allgather(None))
        places = ", ".join(f"rank {rank} {DOING[int(kind)]}" for rank, kind in enumerate(said[:, 0]))
        raise RuntimeError(f"the ranks are no longer at the same place of the run: {places}")

    def gathered(self, value: V) -> list[V]:
        with uninterrupted():  # so that all do both
            self._meet(TELLS)
            return self._comm.allgather(value)

    def of_first(self, value: V) -> V:
        with uninterrupted():
            self._meet(TELLS)
            return self._comm.bcast(value)

    def of_owners(
        self, owners: Sequence[int], sizes: Sequence[int], values: Mapping[int, V], vectors: VectorsOf
    ) -> list[V]:
        found: dict[int, V] = {}
        with uninterrupted():  # so that all do all of it
            self._meet(TELLS)
            for owner in range(self.size):
                for some in _parcels([k for k, other in enumerate(owners) if other == owner], sizes):
                    found |= self._comm.bcast({k: values[k] for k in some if owner == self.rank}, owner)
                    for vector in itertools.chain(*(vectors(k) for k in some if found[k] is not None)):
                        self._comm.Bcast(vector, owner)
        return [found[k] for k in range(len(owners))]

    def any(self, flag: bool) -> bool:
        return max(self._meet(TELLS, bool(flag))) > 0

    def agree(self, settings: Callable[[], Mapping[str, Any]]) -> None:
        first, *others = self.gathered({name: digest(value) for name, value in settings().items()})
        for rank, other in enumerate(others, 1):
            names = [name for name in first | other if first.get(name) != other.get(name)]
            if names:
                raise ValueError(
                    f"rank {rank} has another {' and another '.join(names)} than rank 0: all ranks need the same"
                )

    def mean(self, measures: dict[str, float], rows: float) -> dict[str, float]:
        everyone = self.gathered((measures, rows))
        total = sum(n for _, n in everyone)
        names = [name for name in measures if all(name in other for other, _ in everyone)]
        return {name: sum(other[name] * n for other, n in everyone) / total for name in names}

    def first_said(self, words: str) -> str:
        said = self.gathered(words)
        return next((f"on rank {rank}, {words}" for rank, words in enumerate(said) if words), "")

    def threads(self, asked: int | None) -> int | None:
        """As the user asks; else those that a process may use, divided among the ranks that share its cores."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        mates = self.gathered((socket.gethostname(), cores))
        return max(1, _team.get_num_threads() // mates.count(mates[self.rank])) if asked is None else asked

    def numbers(self, own: float) -> list[float]:
        """The numbers of all ranks, in the midst of a step."""
        return self._meet(STEPS, own)

    def add_up(self, vector: np.ndarray) -> None:
        """Have ``vector``, which is of one size and type on all ranks, be the sum of all, in the order of the ranks.

        Each rank adds up a piece: it receives that of all others, and sends them the sum.
        """
        self.make_room(vector).add_up(self._comm, vector)

    def make_room(self, vector: np.ndarray) -> _Room:
        """What ``add_up`` needs for such vectors, as much memory as one has: made before a step, no step lacks it."""
        key = vector.size, vector.dtype
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = _Room(self, vector)
        return room


class _Room:
    """Where vectors of one size and type are added up.

    MPI's own sum of them takes any order; that of the ranks gives the same bits each time, whatever library it is.
    """

    def __init__(self, ranks: Ranks, vector: np.ndarray) -> None:
        self._rank, n_ranks = ranks.rank, ranks.size
        bounds = [vector.size * r // n_ranks for r in range(n_ranks + 1)]
        self._begin, self._end = begin, end = bounds[self._rank], bounds[self._rank + 1]
        others = [r != self._rank for r in range(n_ranks)]
        self._others = np.zeros((n_ranks, end - begin), vector.dtype)
        own = [(end - begin) * other for other in others]
        pieces = [(bounds[r + 1] - bounds[r]) * other for r, other in enumerate(others)]
        self._pieces, self._own = (pieces, bounds[:-1]), (own, [0] * n_ranks)
        self._rows = own, [(end - begin) * r for r in range(n_ranks)]
        # What is sent and what is received are parts of one vector, which MPI takes for one and the same where both
        # begin at its first element.
        self._first = end if self._rank == 0 else 0
        self._back = pieces, [max(0, bound - self._first) for bound in bounds[:-1]]

    def add_up(self, comm: Any, vector: np.ndarray) -> None:
        comm.Alltoallv([vector, self._pieces], [self._others, self._rows])
        own = vector[self._begin : self._end]
        add_in_order(_team.address(), own, self._others, self._rank)
        comm.Alltoallv([own, self._own], [vector[self._first :], self._back])


def on_all_ranks(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function's argument ``comm``, a communicator or None, be ``Ranks`` or ``Alone`` in its body.

    What it raises on one rank, it raises on all.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        comm = kwargs.get("comm")
        if comm is None:
            kwargs["comm"] = ALONE
            return function(*args, **kwargs)
        kwargs["comm"] = ranks = Ranks(comm)
        return ranks.together(lambda: function(*args, **kwargs))

    return call


def mpi() -> Any:
    """mpi4py's module ``MPI``; ImportError that names the extra where it is not installed, or finds no MPI."""
    try:
        return import_extra("mpi4py.MPI", "mpi")
    except RuntimeError as error:  # mpi4py's own, of all the places where it has looked
        raise ImportError(f"mpi4py finds no library of MPI: {install('mpi')}") from error


def _parcels(places: list[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """The ``places`` one after the other, in lists of about ``PARCEL`` bytes."""
    parcel, size = [], 0
    for k in places:
        parcel.append(k)
        size += sizes[k]
        if size >= PARCEL:
            yield parcel
            parcel, size = [], 0
    if parcel:
        yield parcel


def _failure(said: list[tuple[str, str] | None]) -> Exception:
    """The error of the first rank that has failed, for the others to raise."""
    rank, (name, message) = next((rank, words) for rank, words in enumerate(said) if words is not None)
    if name in _KINDS:
        return _KINDS[name](f"on rank {rank}: {message}")
    return RuntimeError(f"rank {rank} has ended with {name}{message and ': '}{message}")
