"""Folds of a cross-validation: what a splitter gives, looked at, and the parts of the data, copied once for all."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import _safe_indexing
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_method_params, _num_samples


class FoldData(NamedTuple):
    """Samples and targets, and what goes with them to ``fit`` and to the scorer."""

    X: Any
    y: Any
    fit: dict[str, Any]
    score: dict[str, Any]

    def part(self, rows: np.ndarray) -> FoldData:
        """A copy of the ``rows``."""
        X, y = (None if a is None else _safe_indexing(a, rows) for a in (self.X, self.y))
        return FoldData(X, y, *(_check_method_params(self.X, params=named, indices=rows) for named in self[2:]))


class Fold:
    """Rows to train on and rows to test on; the parts are copied for the first of ``users``, and kept for the last."""

    def __init__(self, data: FoldData, train: np.ndarray, test: np.ndarray, users: int) -> None:
        self._data, self._rows, self._users = data, (train, test), users
        self._lock = threading.Lock()
        self._parts: tuple[FoldData, FoldData] | None = None

    def __enter__(self) -> tuple[FoldData, FoldData]:
        with self._lock:
            if self._parts is None:
                self._parts = self._data.part(self._rows[0]), self._data.part(self._rows[1])
            return self._parts

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._parts = None


def checked_splits(splits: Iterable[Any], X: Any, y: Any, estimator: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """The rows to train on and to test on of each of the ``splits``.

    Raises ValueError that names the fold where one of both is empty, or has rows out of range, or rows are in both, or
    where a class of ``y`` is missing from what a classifier trains on.
    """
    n, found = _num_samples(X), []
    labels = np.asarray(y) if y is not None and is_classifier(estimator) else None
    if labels is not None and (labels.ndim > 1 or type_of_target(labels) not in ("binary", "multiclass")):
        labels = None
    classes, codes = np.unique(labels, return_inverse=True) if labels is not None else (None, None)
    for k, split in enumerate(splits):
        train, test = (_rows(k, what, rows, n) for what, rows in zip(("train", "test"), split, strict=True))
        both = np.intersect1d(train, test)
        if both.size:
            raise ValueError(
                f"fold {k} of cv tests on {both.size} of the samples that it trains on, sample {both[0]} among them"
            )
        if codes is not None and classes is not None:
            missing = np.flatnonzero(np.bincount(codes[train], minlength=len(classes)) == 0)
            if missing.size:
                raise ValueError(
                    f"fold {k} of cv trains on no sample of class {classes[missing[0]].item()!r}: a splitter such as "
                    "StratifiedKFold gives each fold samples of each class that has as many"
                )
        found.append((train, test))
    if not found:
        raise ValueError("cv gives no folds")
    return found


def _rows(k: int, what: str, rows: Any, n: int) -> np.ndarray:
    """The numbers of ``rows``, which may be a mask or a slice."""
    try:
        numbers = np.arange(n)[rows if isinstance(rows, slice) else np.asarray(rows, None if len(rows) else np.intp)]
    except (IndexError, TypeError) as error:
        raise ValueError(f"the {what} rows of fold {k} of cv must be numbers of the {n} samples: {error}") from None
    if numbers.ndim != 1:
        raise ValueError(f"the {what} rows of fold {k} of cv must be one-dimensional, got shape {numbers.shape}")
    if not numbers.size:
        raise ValueError(f"fold {k} of cv has no samples to {what} on")
    return numbers
