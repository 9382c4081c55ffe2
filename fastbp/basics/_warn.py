"""Warnings that point at the user's line, however many calls lie between, and are told once where many give them."""

import sys
import warnings
from collections import Counter
from contextvars import ContextVar, Token

OURS = "fastbp", "sklearn"

_kept: ContextVar[list[tuple[str, type[Warning]]] | None] = ContextVar("kept", default=None)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of what the nearest caller outside of fastbp, and of scikit-learn, which stands between, has asked for.

    Within ``ToldOnce`` that is left to its end.
    """
    kept = _kept.get()
    if kept is not None:
        kept.append((message, category))
        return
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


class ToldOnce:
    """A block whose warnings are told at its end, each once, and how often it came; of what fails, the error is enough.

    Those of the pool's threads are among them, which have this context. Within another such block it is that one's end.
    (``warnings.catch_warnings`` changes what all threads see, and where two leave in another order, for good.)
    """

    _token: Token | None = None

    def __enter__(self) -> None:
        if _kept.get() is None:
            self._token = _kept.set([])

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._token is None:
            return
        kept = _kept.get() or []
        _kept.reset(self._token)
        if kind is None:
            for (message, category), times in sorted(Counter(kept).items(), key=lambda item: item[0][0]):
                warn(message if times == 1 else f"{message} (This came {times} times.)", category)


def is_told_later() -> bool:
    """Whether this is within ``ToldOnce``, one of many things that are done together."""
    return _kept.get() is not None
