"""One way of timing for all benchmarks.

The providers of a row take turns inside one run (A B A B ...), so that a machine whose speed drifts drifts for all of
them; what is quoted is the median time, and the median over the turns of the ratio of two providers in one turn.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Environment in which NumPy, PyTorch and fastbp use one thread each; they read it when they are imported."""


def pin_to_one_core() -> None:
    """One thread for everybody, on one core. To be called before NumPy is imported."""
    os.environ.update(ONE_THREAD)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@dataclass(frozen=True)
class Timing:
    """Seconds a call, one entry for each turn."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ratio_to(self, other: "Timing") -> float:
        """How many times as long as ``other`` this took: the median over the turns."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def in_turns(
    calls: Sequence[Callable[[], object]], *, seconds: float = 1.0, turns: int = 15, least: float = 1e-3
) -> list[Timing]:
    """Time ``calls`` in turns, about ``seconds`` in all; each is warmed up first and then repeated for ``least``."""
    repeats = []
    for call in calls:
        call()
        start = time.perf_counter()
        call()
        once = time.perf_counter() - start
        longest = max(least, seconds / turns / len(calls))
        repeats.append(max(1, round(longest / max(once, 1e-7))))
    columns: list[list[float]] = [[] for _ in calls]
    for _ in range(turns):
        for call, n, column in zip(calls, repeats, columns, strict=True):
            start = time.perf_counter()
            for _ in range(n):
                call()
            column.append((time.perf_counter() - start) / n)
    return [Timing(tuple(column)) for column in columns]


def _serve_turns(make: Callable[..., Callable[[], object]], arguments: tuple, cores: int, least: float, pipe) -> None:
    """A provider's process: make its call, then time it whenever told to, until told to stop."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    call = make(*arguments)
    call()
    start = time.perf_counter()
    call()
    repeats = max(1, round(least / max(time.perf_counter() - start, 1e-7)))
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        pipe.send((time.perf_counter() - start) / repeats)


def processes_in_turns(
    makers: Sequence[Callable[..., Callable[[], object]]],
    *arguments: object,
    cores: int,
    turns: int = 15,
    least: float = 0.05,
) -> list[Timing]:
    """Time ``make(*arguments)()`` of each maker in turns, each in a process of its own on the same ``cores`` cores.

    So no provider's waiting threads nor its heap are in another's way. ``least`` is the length of a turn in seconds.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, str(cores)))
    try:
        for make in makers:
            ours, theirs = context.Pipe()
            processes.append(context.Process(target=_serve_turns, args=(make, arguments, cores, least, theirs)))
            processes[-1].start()
            pipes.append(ours)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    for pipe in pipes:
        pipe.recv()
    columns: list[list[float]] = [[] for _ in makers]
    for _ in range(turns):
        for pipe, column in zip(pipes, columns, strict=True):
            pipe.send(True)
            column.append(pipe.recv())
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        process.join()
    return [Timing(tuple(column)) for column in columns]


def options(description: str) -> argparse.Namespace:
    """The options of every benchmark file."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer turns: the figures are only good for a look")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name holds TEXT")
    return parser.parse_args()


def print_row(*cells: object, widths: Sequence[int]) -> None:
    print(" ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip(), flush=True)
