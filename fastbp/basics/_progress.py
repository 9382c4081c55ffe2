"""What a user at a terminal or in a notebook sees while something takes its time; nobody else is told anything.

Two things take time: steps, which have a bar, and the first use of a kernel, which is compiled then. That is told by a
line with the number of kernels and of seconds so far, wherever it happens: kernels tell nothing, this file listens to
numba.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from numba.core import event

from fastbp.kernels._jit import REFUSED, KernelCache

P = ParamSpec("P")
R = TypeVar("R")

COMPILING = "compiling kernels, once for this machine"
PATIENCE = 1.0  # seconds of compiling before the line appears
PAUSE = 1.0  # seconds without any, after which it is another wait
ABOUT = 80  # kernels that the first step of a network takes where no machine code is kept

_silent = ContextVar("silent", default=False)


def _in_notebook() -> bool:
    return "ipykernel.zmqshell" in sys.modules


def _visible() -> bool:
    """Whether there is anybody to see a bar: standard error is a terminal, or this is a notebook."""
    try:
        return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())
    except ValueError:  # it is closed
        return False


def _shown() -> bool:
    return _visible() and not _silent.get()


class silence:
    """Show nothing in the block if ``on``."""

    def __init__(self, on: bool = True) -> None:
        self._on = on

    def __enter__(self) -> None:
        self._token = _silent.set(_silent.get() or self._on)

    def __exit__(self, *exception: object) -> None:
        _silent.reset(self._token)


def told_if(wanted: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have nothing shown by calls of a function for whose arguments ``wanted`` is not true."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with silence(not wanted(*args, **kwargs)):
                return function(*args, **kwargs)

        return call

    return decorate


@functools.cache
def _line_class() -> Any:
    """The bar of tqdm, with a lock of this process alone, and of fastbp alone.

    tqdm's own is shared with child processes: one that is killed holds it for ever. It is also left locked by a
    KeyboardInterrupt while a bar is drawn. Nor is a thread needed to see to it that a bar is drawn: chunks of steps are
    short.
    """
    if _in_notebook():
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm

    class Line(tqdm):
        monitor_interval = 0

        def refresh(self, nolock: bool = False, lock_args: Any = None) -> bool:
            for side in ("ncols", "nrows"):
                if getattr(self, side) == -1:  # one less than 0: the terminal was never told its size
                    setattr(self, side, None)
            if not self.disable:
                with nullcontext() if nolock else self.get_lock():
                    self.display()
            return not self.disable

    def renew_lock() -> None:
        Line.set_lock(threading.RLock())

    renew_lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew_lock)
    return Line


class Bar:
    """A bar of ``total`` units, shown where there is anybody to see it; elsewhere it takes no lock and does nothing."""

    def __init__(self, total: int, unit: str, *, done: int = 0, wanted: bool = True) -> None:
        options = {"total": total, "unit": unit, "initial": done, "leave": False}
        self._bar = _line_class()(**options) if wanted and _shown() else None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, n: int = 1, *, loss: float | None = None) -> None:
        """Count ``n`` units as done, at the present ``loss``."""
        if self._bar is not None:
            if loss is not None:
                self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self._bar.update(n)

    def reach(self, n: int) -> None:
        """Count as many units as make ``n``."""
        if self._bar is not None:
            self.advance(n - self._bar.n)

    def describe(self, what: str) -> None:
        """Name what is being done."""
        if self._bar is not None:
            self._bar.set_description(what)


class SharedBar(Bar):
    """A bar that several threads advance; it is there until ``close``, whoever is done with it before.

    Attributes
    ----------
    count : units by which it was advanced
    """

    def __init__(self, total: int, unit: str, *, done: int = 0) -> None:
        super().__init__(total, unit, done=done)
        self._lock, self.count, self._elsewhere = threading.Lock(), 0, 0

    def __exit__(self, *exception: object) -> None:
        """Leave it to the others."""

    def advance(self, n: int = 1, *, loss: float | None = None) -> None:
        """Count ``n`` units as done; there are as many losses as threads, and none is shown."""
        with self._lock:
            self.count += n
            super().advance(n)

    def reach_elsewhere(self, n: int) -> None:
        """Have ``n`` units be those that other processes have done."""
        with self._lock:
            super().advance(n - self._elsewhere)
            self._elsewhere = n

    def close(self) -> None:
        """Take it away."""
        super().__exit__()


def above_bars() -> AbstractContextManager[Any]:
    """A block in which lines can be printed, that come out above the bars."""
    return _line_class().external_write_mode() if _visible() else nullcontext()


class _Compilation(event.Listener):
    """Shows the line while kernels are compiled; those that a kernel calls are compiled within it."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._compiled = 0
        self._told = False

    def on_start(self, event: event.Event) -> None:
        if not self._is_ours(event):
            return
        place = self._local.__dict__
        place["depth"] = place.get("depth", 0) + 1
        if place["depth"] == 1:
            now = time.perf_counter()
            if now - place.get("ended", -PAUSE) >= PAUSE:
                place["began"] = now
            if _shown():
                with suppress(OSError):  # the terminal is gone, which must not hinder the compiler
                    self._tell_where(event.data["dispatcher"]._cache)
                    self._show()

    def on_end(self, event: event.Event) -> None:
        if not self._is_ours(event):
            return
        self._compiled += 1
        place = self._local.__dict__
        place["depth"] -= 1
        with suppress(OSError):
            if _shown():
                self._show()
            if place["depth"] == 0:
                place["ended"] = time.perf_counter()
                if "bar" in place:
                    place.pop("bar").close()

    def _show(self) -> None:
        """Draw the line, once the wait is long enough to ask what for."""
        place = self._local.__dict__
        waited = time.perf_counter() - place["began"]
        if waited < PATIENCE:
            return
        if "bar" not in place:
            place["bar"] = _line_class()(bar_format="{desc}", leave=False)
        total = f" of about {ABOUT}" if self._compiled <= ABOUT and not KernelCache.found else ""
        place["bar"].set_description_str(f"{COMPILING}: {self._compiled}{total}, {waited:.0f} s")

    @staticmethod
    def _is_ours(event: event.Event) -> bool:
        return isinstance(getattr(event.data["dispatcher"], "_cache", None), KernelCache)

    def _tell_where(self, cache: KernelCache) -> None:
        """Say, once, that machine code cannot be kept."""
        if not self._told and cache.cache_path is None:
            self._told = True
            with above_bars():
                print(f"fastbp: every process compiles its kernels anew: {why_not_kept()}", file=sys.stderr)


def why_not_kept() -> str:
    """Why there is no folder for machine code."""
    return "; ".join(dict.fromkeys(REFUSED.values())) or "no folder can be written"


event.register("numba:compile", _Compilation())
