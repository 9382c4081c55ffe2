"""Processes that do the providers' work, in turns.

Each family of providers (all of PyTorch's, all of JAX's) has a process of its own for each number of threads, started
at its first row and used for all later ones. So no provider's waiting threads nor its heap are in another's way, and
all of a row run on the same cores.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .row import Unsuitable, Work

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment from which NumPy, scikit-learn, PyTorch and fastbp take their threads when they are imported."""

FOLDER = "FASTBP_BENCH_FOLDER"  # the environment variable with the folder for files that live as long as the run
BLOCK = 5e-5  # seconds of calls that are timed together, so that reading the clock does not count
PAUSED_CALLS = 20  # of a turn, each after a pause
SETTLE = 0.05  # seconds before a turn of several threads: its own wake up, and those of the turn before fall asleep

Clock = Callable[[], float]


def clock_for(threads: int, fresh: bool) -> Clock:
    """What tells the seconds of a row.

    On one core it is the time that the process itself has had it: what a neighbour takes of the core, in slices as
    long as many of the calls, is no part of it. Threads that wait for each other, and calls that are processes, are
    timed by the wall's clock.
    """
    return time.process_time if threads == 1 and not fresh else time.perf_counter


def settling_for(threads: int, fresh: bool) -> float:
    """For how many seconds calls are made before a turn is timed; 0 for those that bring the caches back at most."""
    return SETTLE if threads > 1 and not fresh else 0.0


@dataclass(frozen=True)
class Made:
    """What became of making a provider's work and calling it once."""

    answer: Sequence[np.ndarray] = ()
    first_seconds: float = 0.0  # of the first call, which compiles what is compiled
    problem: str = ""  # why there is no answer
    unsuitable: bool = False  # whether the provider said so itself


def cores(threads: int) -> list[int]:
    """The cores on which ``threads`` threads run: the last ones that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(threads))
    return sorted(os.sched_getaffinity(0))[-threads:]


def all_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Server:
    """A process with ``threads`` threads on as many cores."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, cores(threads)), daemon=True)
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        try:
            self._process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)

    def ask(self, function: Callable, *arguments: object):
        """What ``function(state, *arguments)`` returns there; ``state`` is a dict of the process's."""
        self._pipe.send((function, arguments))
        return self._pipe.recv()

    def stop(self) -> None:
        """End the process, by force if it does not in ten seconds."""
        self._pipe.send(None)
        self._process.join(10)
        self._process.kill()


def _serve(pipe, affinity: list[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, affinity)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    state: dict[str, Work] = {}
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent is gone
        while (question := pipe.recv()) is not None:
            function, arguments = question
            pipe.send(function(state, *arguments))


def make(state: dict, provider: str, maker: Callable[..., Work], arguments: tuple) -> Made:
    """Make the work of a provider and do it once."""
    try:
        work = maker(*arguments)
        start = time.perf_counter()
        work.call()
        first = time.perf_counter() - start
        answer = [np.array(a) for a in work.answer()]
    except Unsuitable as reason:
        return Made(problem=str(reason), unsuitable=True)
    except Exception as error:
        return Made(problem=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")
    state[provider] = work
    return Made(answer, first)


def warm_up(
    state: dict, provider: str, least: float, clock: Clock, settling: float, pause: float | None = None
) -> float | None:
    """Call until the times settle; choose how many calls a turn of ``least`` seconds has, after ``settling`` seconds.

    With a ``pause`` before each, they are timed one by one.

    A call that takes as long as a turn needs no settling and is one: seconds of a unit then, else None.
    """
    work = state[provider]
    once = _seconds(work.call, 1, clock)
    if pause is not None:
        state[provider, "plan"] = 1, PAUSED_CALLS, clock, settling, pause
        return None
    if once >= least:
        state[provider, "plan"] = 1, 1, clock, settling, 0.0
        return None if settling else once / work.units
    once = min(_seconds(work.call, 1, clock) for _ in range(2))
    if once < BLOCK:
        once = min(_seconds(work.call, 20, clock) for _ in range(3))
    calls = max(1, round(BLOCK / max(once, 1e-9)))
    state[provider, "plan"] = calls, max(1, round(least / (calls * max(once, 1e-9)))), clock, settling, 0.0
    return None


def take_turn(state: dict, provider: str) -> float:
    """Seconds of one unit of work: the median over the blocks of a turn, most of which no other process interrupts."""
    work: Work = state[provider]
    calls, blocks, clock, settling, pause = state[provider, "plan"]
    begin = time.perf_counter()
    if blocks > 1:  # bring code and data back into the caches from which the others have driven them
        work.call()
    while time.perf_counter() - begin < settling:
        work.call()
    collecting = gc.isenabled()
    gc.disable()
    try:
        return statistics.median(_seconds(work.call, calls, clock, pause) for _ in range(blocks)) / work.units
    finally:
        if collecting:
            gc.enable()


def finish(state: dict, provider: str) -> tuple[float, Mapping[str, object]]:
    """Let go of a provider's work; the units of a call, and its facts."""
    work = state.pop(provider)
    state.pop((provider, "plan"), None)
    units, facts = work.units, dict(work.facts())
    del work
    gc.collect()
    return units, facts


def _seconds(call: Callable[[], object], calls: int, clock: Clock, pause: float = 0.0) -> float:
    if pause:
        time.sleep(pause)
    start = clock()
    for _ in range(calls):
        call()
    return (clock() - start) / calls
