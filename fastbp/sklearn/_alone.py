"""One thread at a time trains an estimator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_in_training: dict[int, object] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_training.clear)  # a child has none of the threads that train


@contextmanager
def alone(estimator: object) -> Iterator[None]:
    """RuntimeError if ``estimator`` is in training already."""
    own = object()
    if _in_training.setdefault(id(estimator), own) is not own:  # in one step: no other thread comes between
        raise RuntimeError(
            f"this {type(estimator).__name__} is being trained by another call, perhaps in another thread: "
            "train a clone, or wait"
        )
    try:
        yield
    finally:
        _in_training.pop(id(estimator), None)
