"""Samples with their targets and weights, from arrays in .npz and .npy files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fastbp.tables._arrays import Npz, read_npy
from fastbp.tables._errors import DataError, SettingError, Settings, no_such
from fastbp.tables._samples import Samples
from fastbp.tables._targets import whole

X_NAMES, T_NAMES = ("x", "X", "x_train", "X_train"), ("t", "y", "t_train", "y_train")  # in an .npz file


def samples_of_npz(
    path: str, target: str | None, *, targets: bool = True, weight: str | None = None, drop_missing_target: bool = False
) -> tuple[Samples, Samples | None]:
    """The samples in an .npz file, and those of a test part where there is one.

    ``targets`` says whether those are wanted; where they are, ``target`` names their array, else it is found out.
    SettingError where there is no such array, DataError for arrays that are no samples.
    """
    file = Npz(path)
    x, t = _first(file, X_NAMES), target or _first(file, T_NAMES)
    if x is None:
        raise DataError(f"{path} has no array x, only {', '.join(file.names):.200}")
    for name in (t, weight):
        if name is not None and name not in file.names:
            raise SettingError(f"{path}: {no_such('array', name, file.names)}")
    t = t if targets else None
    called, drop = t or "target", drop_missing_target

    def array(name: str | None) -> np.ndarray | None:
        return None if name is None else file.read(name)

    train = _samples(file.read(x), array(t), called, array(weight), weight, drop)
    x_test, t_test = x.replace("train", "test"), t and t.replace("train", "test")
    if x_test == x or x_test not in file.names or (t_test and t_test not in file.names):
        return train, None
    return train, _samples(file.read(x_test), array(t_test), called, None, None, drop)


def samples_of_npy(
    path: str, target: str | None, *, weight: str | None = None, drop_missing_target: bool = False
) -> Samples:
    """The samples in an .npy file; ``target`` and ``weight`` are the paths of others."""
    t, w = (None if name is None else read_npy(name) for name in (target, weight))
    return _samples(read_npy(path), t, Path(target or "target").stem, w, weight, drop_missing_target)


def _first(file: Npz, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in file.names), None)


def _samples(
    x: np.ndarray, t: np.ndarray | None, target: str, w: np.ndarray | None, weight: str | None, drop: bool
) -> Samples:
    if x.dtype.kind not in "fiub" or x.ndim < 2 or len(x) == 0:
        raise DataError(f"samples must be numbers of shape (N, ...), got {x.dtype} of shape {x.shape}")
    if w is not None and w.dtype.kind not in "fiub":
        raise DataError(f"sample weights must be numbers, got {w.dtype}")
    for name, array in (("targets", t), ("sample weights", w)):
        if array is not None and (array.ndim == 0 or len(array) != len(x)):
            raise DataError(f"there are {len(x)} samples, and {name} of shape {array.shape}")
    w = None if w is None else w.astype(np.float64)
    left_out = 0
    if drop and t is not None and t.dtype.kind == "f":
        there = ~np.isnan(t.reshape(len(t), -1)).any(axis=1)
        left_out = int((~there).sum())
        if left_out == len(t):
            raise DataError(f"target {target!r} is missing in every row")
        x, t, w = (x[there], t[there], None if w is None else w[there]) if left_out else (x, t, w)
    samples = Samples(x, None, target, w, weight, left_out=left_out)
    return samples if t is None else replace(samples, t=_entries(t, target))


def _entries(t: np.ndarray, target: str) -> np.ndarray:
    """Targets of an array as int64, float64 or str; one-hot rows of whole numbers as classes."""
    kind = t.dtype.kind
    if kind not in "fiubU" or t.ndim > 2:
        raise DataError(f"target {target!r} must be numbers or text, (N,) or (N, K), got {t.dtype} of shape {t.shape}")
    if t.ndim == 2 and t.shape[1] == 1:
        t = t[:, 0]
    if kind == "U":
        return t.astype(object)
    if kind == "f":
        wrong = ~np.isfinite(t.reshape(len(t), -1)).all(axis=1)
        if wrong.any():
            raise DataError(
                f"target {target!r} is not finite in row {int(np.argmax(wrong)) + 1}: ",
                Settings(drop_missing_target=True),
                " leaves rows without a number out",
            )
        t = whole(t.astype(np.float64))
    if t.dtype.kind == "f":
        return t
    if t.ndim == 2 and t.min() == 0 and (t.sum(axis=1) == 1).all():
        return np.argmax(t, axis=1)
    return t.astype(np.int64)
