"""Many independent tasks on a few threads of Python's: each runs whole on one thread, with a team of one.

A task is work that mostly lets go of the GIL, as chunks of steps do; what it does in Python then overlaps with what the
others compute. It asks between two chunks whether it is to go on (``look``), so that Ctrl-C ends all of them soon.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from fastbp.basics import _team
from fastbp.kernels._interrupts import uninterrupted

R = TypeVar("R")

TELL_SECONDS = 0.05  # between two looks of the calling thread at how far the others are


class Stopped(BaseException):
    """Ends a task of a pool that is to stop; no Exception, so that nobody takes it for the task's own failure."""


_local = threading.local()


def look() -> None:
    """Raise ``Stopped`` where the calling thread is to stop; for tasks, between two chunks."""
    pool = getattr(_local, "pool", None)
    if pool is not None and pool.is_stopping:
        raise Stopped
    watch = getattr(_local, "watch", None)
    if watch is not None:
        watch()


@contextmanager
def watched(watch: Callable[[], object]) -> Iterator[None]:
    """Have the calling thread, in the block, also call ``watch`` at each look, which may raise ``Stopped``."""
    _local.watch = watch
    try:
        yield
    finally:
        _local.watch = None


def threads_for(n_tasks: int, threads: int | None) -> int:
    """How many threads do so many tasks, where ``threads`` are asked for, as many as ``get_num_threads`` says if None.

    No more than there are tasks or cores: threads that take turns on a core only keep each other waiting.
    """
    asked = _team.get_num_threads() if threads is None else threads
    return max(1, min(asked, _team.most_members(), n_tasks))


def run_all(
    n_tasks: int,
    work: Callable[[int], R],
    threads: int | None = None,
    *,
    tell: Callable[[int], object] = lambda done: None,
) -> list[R | Exception]:
    """Do ``work(k)`` for each k of 0..n_tasks-1; returns what each has returned, or the Exception that it raised.

    Whoever is free takes the next. With one thread this is the calling one, otherwise it waits. What comes in that is
    no Exception, such as KeyboardInterrupt, also from within a task, ends all others at their next ``look``, and is
    raised when none is running any more; those that had not begun are not done.

    Parameters
    ----------
    threads : see ``threads_for``
    tell : called now and then, and at the end, by the calling thread with the number of tasks that are done
    """
    n_threads = threads_for(n_tasks, threads)
    pool = _Pool(n_tasks, work, n_threads)
    if n_threads == 1:
        _team.with_threads(1, lambda: pool.serve_alone(tell))
    else:
        pool.serve(tell)
    tell(n_tasks)
    return pool.outcomes


class _Pool(Generic[R]):
    """Tasks, what became of them, and whether they are to stop."""

    def __init__(self, n_tasks: int, work: Callable[[int], R], n_threads: int) -> None:
        self._n_tasks, self._work = n_tasks, work
        self.outcomes: list[Any] = [None] * n_tasks
        self._next = self._done = 0
        self._lock, self._all_done = threading.Lock(), threading.Event()
        self._running = n_threads
        self._end: BaseException | None = None
        self.is_stopping = False

    def _do(self, k: int) -> None:
        try:
            self.outcomes[k] = self._work(k)
        except Exception as error:
            self.outcomes[k] = error
        with self._lock:
            self._done += 1

    def serve_alone(self, tell: Callable[[int], object]) -> None:
        """Do all tasks on this thread."""
        told = time.perf_counter()
        for k in range(self._n_tasks):
            look()  # of a pool that this one is within
            self._do(k)
            if (now := time.perf_counter()) - told > TELL_SECONDS:
                tell(k + 1)
                told = now

    def serve(self, tell: Callable[[int], object]) -> None:
        """Do all tasks on threads of the pool's own, none of which is left afterwards."""
        threads: list[threading.Thread] = []
        try:
            with uninterrupted():  # a thread whose start is interrupted runs, and cannot be waited for
                for number in range(self._running):
                    run = contextvars.copy_context().run
                    thread = threading.Thread(
                        target=run, args=(self._serve,), name=f"fastbp-pool-{number}", daemon=True
                    )
                    thread.start()
                    threads.append(thread)
            # By looks, as an endless wait hears no Ctrl-C on Windows.
            while not self._all_done.wait(TELL_SECONDS):
                look()
                tell(self._done)
        except BaseException:
            self.is_stopping = True
            raise
        finally:
            with uninterrupted():
                for thread in threads:
                    thread.join()
        if self._end is not None:
            raise self._end

    def _serve(self) -> None:
        """Do tasks until none is left, or until they are to stop."""
        _local.pool = self
        try:
            _team.with_threads(1, self._take_tasks)
        except BaseException as end:
            self.is_stopping = True
            if not isinstance(end, Stopped):
                self._end = end
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._all_done.set()

    def _take_tasks(self) -> None:
        while not self.is_stopping:
            with self._lock:
                k, self._next = self._next, self._next + 1
            if k >= self._n_tasks:
                return
            self._do(k)
