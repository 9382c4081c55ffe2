"""What --data names: a data set that comes with fastbp, or a file; and the options that say how to read it."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastbp import datasets
from fastbp.commands import CommandError
from fastbp.commands._tables import SUFFIXES, Table, is_missing, read_table

SETS = ("digits", "mnist", "fashion-mnist")
FILES = (".npz", ".npy", *SUFFIXES)
X_NAMES, T_NAMES = ("x", "X", "x_train", "X_train"), ("t", "y", "t_train", "y_train")  # in an .npz file


@dataclass
class Samples:
    """Samples as they were read.

    Attributes
    ----------
    x : a table, or an array (N, ...)
    t : targets, integers, float64 or str: (N,), or (N, K) of several numbers; None where they were not asked for
    target : what they are called
    weights : (N,) float64 or None
    scale : times an element of ``x`` is what the network takes; None if that is not known
    """

    x: Any
    t: np.ndarray | None = None
    target: str = "target"
    weights: np.ndarray | None = None
    scale: float | None = None

    def __len__(self) -> int:
        return len(self.x)


def add_data_options(parser: argparse.ArgumentParser, default: str | None = None, targets: bool = True) -> None:
    add = parser.add_argument
    what = f"{', '.join(SETS)}, or a file: {', '.join(FILES)}" + (" (default: %(default)s)" if default else "")
    add("--data", metavar="DATA", type=_data, default=default, required=default is None, help=what)
    folder = "folder with the IDX files of mnist or fashion-mnist (default: FASTBP_DATA_DIR, or they are downloaded)"
    add("--data-dir", metavar="DIR", help=folder)
    if not targets:
        parser.set_defaults(target=None)
        return
    target = "what to predict: a column, an array of the .npz file (default there: t or y), or another .npy file"
    add("--target", metavar="NAME", help=target)


def _data(text: str) -> str:
    if text not in SETS and not text.endswith(FILES):
        raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {', '.join((*SETS, *FILES))})")
    return text


def check_data_options(options: argparse.Namespace) -> None:
    """CommandError for options that do not go together."""
    if options.data_dir is not None and options.data not in SETS[1:]:
        came = "; the digits come with fastbp" if options.data == "digits" else f", not with {options.data}"
        raise CommandError(f"--data-dir goes with --data mnist or fashion-mnist{came}", 2)
    if options.target is not None and options.data in SETS:
        raise CommandError(f"--target goes with a file, {options.data} has its own", 2)


def read_samples(
    options: argparse.Namespace, *, targets: bool = True, weights: str | None = None
) -> tuple[Samples, Samples | None]:
    """The samples that ``options`` name, and those of a test part where there is one.

    ``targets`` says whether those are wanted, ``weights`` where the weights are. Raises CommandError where anything
    cannot be read, ImportError where an extra is missing.
    """
    check_data_options(options)
    if options.data in SETS:
        if weights is not None:
            raise CommandError(f"--sample-weight goes with a file, {options.data} has none", 2)
        return _data_set(options)
    if options.data.endswith(SUFFIXES):
        return _from_table(read_table(options.data), options, targets, weights), None
    try:
        if options.data.endswith(".npz"):
            return _from_npz(options, targets, weights)
        return _from_npy(options, targets, weights), None
    except (ValueError, EOFError) as error:  # no file of NumPy's, or one with pickled objects
        raise CommandError(f"{options.data}: cannot be read: {error}") from None


def _data_set(options: argparse.Namespace) -> tuple[Samples, Samples]:
    try:
        if options.data == "digits":
            data = datasets.digits()
        else:
            data = (datasets.mnist if options.data == "mnist" else datasets.fashion_mnist)(options.data_dir)
    except datasets.DatasetError as error:
        raise CommandError(str(error)) from None
    train = Samples(data.x_train, data.t_train, "class", scale=data.scale)
    return train, Samples(data.x_test, data.t_test, "class", scale=data.scale)


def _from_table(table: Table, options: argparse.Namespace, targets: bool, weights: str | None) -> Samples:
    if targets and options.target is None:
        raise CommandError(f"--data {options.data} needs --target, one of {', '.join(table.names):.300}", 2)
    for name in (options.target, weights):
        if name is not None and name not in table.names:
            raise CommandError(f"{options.data} has no column {name!r}, only {', '.join(table.names):.300}", 2)
    t = _column(table, options.target) if targets else None
    w = None if weights is None else table.numbers(weights)
    if weights is not None and w is None:
        raise CommandError(f"column {weights!r} has entries that are no numbers")
    return Samples(table, t, options.target or "target", w)


def _column(table: Table, name: str) -> np.ndarray:
    """A column of targets: int64 where all entries are written as whole numbers, float64 where all are numbers."""
    text, numbers = table.text(name), table.numbers(name)
    missing = is_missing(text)
    if missing.any():
        n = int(missing.sum())
        raise CommandError(
            f"target {name!r} is missing in {n} of {len(text)} rows, first in row {np.argmax(missing) + 1}"
        )
    if numbers is None:
        return text
    if not all(entry.lstrip("+-").isdecimal() for entry in text):
        return numbers
    whole = [int(entry) for entry in text]  # not by way of floats, where large ones are no longer different
    return np.array(whole, np.int64) if max(map(abs, whole)) < 1 << 63 else text


def _from_npz(options: argparse.Namespace, targets: bool, weights: str | None) -> tuple[Samples, Samples | None]:
    with np.load(options.data) as file:
        x, t = _first(file, X_NAMES), options.target or _first(file, T_NAMES)
        if x is None:
            raise CommandError(f"{options.data} has no array x, only {', '.join(file.files):.200}")
        for name in (t, weights):
            if name is not None and name not in file.files:
                raise CommandError(f"{options.data} has no array {name!r}, only {', '.join(file.files):.200}", 2)
        t = t if targets else None
        train = _arrays(file[x], file[t] if t else None, t or "target", file[weights] if weights else None)
        x_test, t_test = x.replace("train", "test"), t and t.replace("train", "test")
        if x_test == x or x_test not in file.files or (t_test and t_test not in file.files):
            return train, None
        return train, _arrays(file[x_test], file[t_test] if t_test else None, train.target, None)


def targets_of(samples: Samples) -> np.ndarray:
    """The targets; CommandError where there are none."""
    if samples.t is None:
        raise CommandError("there are no targets in the data: --target says where they are", 2)
    return samples.t


def _first(file: Any, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in file.files), None)


def _from_npy(options: argparse.Namespace, targets: bool, weights: str | None) -> Samples:
    if targets and options.target is None:
        raise CommandError(f"--data {options.data} needs --target, the .npy file of the targets", 2)
    t, w = (np.load(path) if path is not None else None for path in (options.target if targets else None, weights))
    return _arrays(np.load(options.data, mmap_mode="r"), t, Path(options.target or "target").stem, w)


def _arrays(x: np.ndarray, t: np.ndarray | None, target: str, w: np.ndarray | None) -> Samples:
    if x.dtype.kind not in "fiub" or x.ndim < 2 or len(x) == 0:
        raise CommandError(f"samples must be numbers of shape (N, ...), got {x.dtype} of shape {x.shape}")
    for name, array in (("targets", t), ("sample weights", w)):
        if array is not None and (array.ndim == 0 or len(array) != len(x)):
            raise CommandError(f"there are {len(x)} samples, and {name} of shape {array.shape}")
    return Samples(x, None if t is None else _entries(t, target), target, None if w is None else w.astype(np.float64))


def _entries(t: np.ndarray, target: str) -> np.ndarray:
    """Targets of an array as int64, float64 or str; one-hot rows of integers as classes."""
    kind = t.dtype.kind
    if kind not in "fiubU" or t.ndim > 2:
        raise CommandError(
            f"target {target!r} must be numbers or text, (N,) or (N, K), got {t.dtype} of shape {t.shape}"
        )
    if t.ndim == 2 and t.shape[1] == 1:
        t = t[:, 0]
    if kind == "U":
        return t.astype(object)
    if kind == "f":
        if not np.isfinite(t).all():
            raise CommandError(f"target {target!r} has numbers that are not finite")
        return t.astype(np.float64)
    if t.ndim == 2 and t.min() == 0 and t.max() == 1 and (t.sum(axis=1) == 1).all():
        return np.argmax(t, axis=1)
    return t.astype(np.int64)
