"""Ctrl-C at a moment when it does no harm."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Listener:
    """Stands in for the handler of SIGINT, and keeps what it was called with."""

    def __init__(self, handler):
        self.handler = handler
        self.heard = None

    def __call__(self, *call):
        self.heard = call


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Have Ctrl-C wait until the block has ended, so that nothing in it is left half made.

    In the middle of compilation, a KeyboardInterrupt is lost where Python code was called from C, and numba then
    speaks of machine code that it does not find. Of blocks within each other, Ctrl-C waits for the innermost alone:
    whoever compiles a function can do without those that it calls, if these are whole. Threads other than the main one
    are not interrupted anyway.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    listener = _Listener(before.handler if isinstance(before, _Listener) else before)
    signal.signal(signal.SIGINT, listener)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if listener.heard is not None:
            listener.handler(*listener.heard)
