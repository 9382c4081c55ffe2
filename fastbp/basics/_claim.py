"""What one thread at a time does with a network."""

from __future__ import annotations

import os
import threading
import weakref


class Claim:
    """A thread's claim to a network, which it may make again inside; no one waits for it.

    ::

        try:
            if not claim.take(False):
                ...  # another thread has it
        finally:
            claim.end()

    so that Ctrl-C, wherever it comes, leaves none behind.

    Attributes
    ----------
    take : takes the claim for this thread; returns False where another has it. Its argument is False.
    """

    __slots__ = ("__weakref__", "_release", "take")

    def __init__(self) -> None:
        self._begin_afresh()
        _all.add(self)

    def _begin_afresh(self) -> None:
        lock = threading.RLock()
        self.take, self._release = lock.acquire, lock.release

    def end(self) -> None:
        """Take one claim of this thread back, if it has one."""
        try:  # noqa: SIM105 (contextlib.suppress takes ten times as long)
            self._release()
        except RuntimeError:  # it is another's
            pass

    def is_elsewhere(self) -> bool:
        """Whether another thread has it."""
        if self.take(False):
            self.end()
            return False
        return True


def in_training(what: str) -> RuntimeError:
    return RuntimeError(
        f"{what} was called on a network that is in training in another thread: a network is trained by one thread "
        "at a time (copy.deepcopy gives each its own)"
    )


_all: weakref.WeakSet[Claim] = weakref.WeakSet()


def _forget_other_threads() -> None:
    for claim in list(_all):
        if claim.is_elsewhere():
            claim._begin_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)
