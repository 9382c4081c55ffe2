"""What is measured: a row, which is one job that several providers do, and how a file says which rows it has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from .replay import clock


class Unsuitable(Exception):
    """Raised by a provider that has no form of a row; the reason stands in the table in place of a time."""


@dataclass(frozen=True)
class Row:
    """One job, of one size, in one dtype, on so many threads.

    Attributes
    ----------
    job, name : what is done, and which of its sizes and forms this row is
    arguments : of the providers' functions and of the one that knows the right answer
    flops, moved : floating-point operations, and bytes read and written at the least, of one unit of work
    working_set : bytes that have to stay in a cache for it to be the one that is read from
    tolerance : the largest error allowed, as ``errors`` measures it, in units of the dtype's eps; or the function
        of ``arguments`` that knows it
    quick : whether the row is in the quick form
    turns : how often each provider gets its turn, twice as often in the full form; None leaves it to the run
    pause : seconds in which nothing is done before each call, which are then timed one by one; None times many together
    fresh : whether each call is a process of its own, of which the first is as good as any
    figure : "seconds", or "bytes" where it is the fact of that name that counts; one call is enough then
    place : where the row lies on the curve that the rows of its job make, if they make one
    grid : its line, row and column in the grids that the rows of its job make, if they make any
    """

    job: str
    name: str
    arguments: tuple
    dtype: str = "float32"
    threads: int = 1
    flops: float = 0.0
    moved: float = 0.0
    working_set: float = 0.0
    tolerance: float | Callable[..., float] = 32.0
    quick: bool = True
    turns: int | None = None
    pause: float | None = None
    fresh: bool = False
    figure: str = "seconds"
    place: float | None = None
    grid: tuple[str, int, int] | None = None

    @property
    def label(self) -> str:
        """Unique among all rows: the group of its entries, and what ``--only`` is matched against."""
        return f"{self.job} {self.name} {self.dtype} {self.threads} thread{'s' * (self.threads > 1)}"

    def allowed_error(self) -> float:
        """The largest error that counts as right, as ``errors`` measures it."""
        tolerance = self.tolerance(*self.arguments) if callable(self.tolerance) else self.tolerance
        return tolerance * float(np.finfo(self.dtype).eps)


@dataclass(frozen=True)
class Work:
    """What a provider's function makes of a row's arguments.

    Attributes
    ----------
    call : does ``units`` units of work, of which the times are, and has done them when it returns
    answer : the arrays to be checked, after one call
    facts : called at the end for what else is to be recorded, by name: numbers or texts
    """

    call: Callable[[], object]
    answer: Callable[[], Sequence[np.ndarray]]
    units: float = 1
    facts: Callable[[], Mapping[str, object]] = field(default=dict)


Expected = Sequence[tuple[np.ndarray, object]]
"""The right answer: an array of a provider's answer, and what its errors are to be divided by, for each."""


def errors(answer: Sequence[np.ndarray], expected: Expected) -> float:
    """The largest error of an answer in units of the scales of ``expected``; infinity where one is not finite."""
    if len(answer) != len(expected):
        raise ValueError(f"the answer holds {len(answer)} arrays, expected {len(expected)}")
    worst = 0.0
    for got, (right, scale) in zip(answer, expected, strict=True):
        got = np.asarray(got, np.float64)
        if got.shape != np.shape(right):
            raise ValueError(f"the answer has the shape {got.shape}, expected {np.shape(right)}")
        error = float(np.max(np.abs(got - right) / scale, initial=0.0))
        worst = max(worst, error if np.isfinite(error) else np.inf)
    return worst


def rows(rows: Iterable[Row], providers: str | Mapping[str, Callable[..., Work]]) -> Callable[[Callable], Callable]:
    """Mark a benchmark: one entry for each of ``rows`` and each of ``providers``, on the clock that replays.

    ``providers`` are makers by name, or the job that all peers are asked for.
    """

    def mark(function: Callable) -> Callable:
        function.measured = list(rows), providers  # type: ignore[attr-defined]  # for conftest, which knows the peers
        return pytest.mark.benchmark(timer=clock)(function)

    return mark
