"""What --data names: a data set that comes with fastbp, or a file; and the options that say how to read it."""

import argparse
import codecs
import difflib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastbp import datasets
from fastbp.commands import CommandError
from fastbp.commands._arrays import Npz, read_npy
from fastbp.commands._errors import DataError, check_file, no_such
from fastbp.commands._tables import SUFFIXES, Table, is_missing, read_table
from fastbp.commands._targets import whole
from fastbp.commands._text import TextForm

SETS = ("digits", "mnist", "fashion-mnist")
FILES = (".npz", ".npy", *SUFFIXES)
X_NAMES, T_NAMES = ("x", "X", "x_train", "X_train"), ("t", "y", "t_train", "y_train")  # in an .npz file
TAB = ("tab", "\\t", "\t")  # how a tab may be said


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
    left_out : how many had no target and are not among them
    """

    x: Any
    t: np.ndarray | None = None
    target: str = "target"
    weights: np.ndarray | None = None
    scale: float | None = None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.x)

    @property
    def rows(self) -> np.ndarray:
        """What messages call each sample."""
        return self.x.rows if isinstance(self.x, Table) else np.arange(1, len(self.x) + 1)


def add_data_options(parser: argparse.ArgumentParser, default: str | None = None, targets: bool = True) -> None:
    add = parser.add_argument
    what = f"{', '.join(SETS)}, or a file: {', '.join(FILES)}" + (" (default: %(default)s)" if default else "")
    add("--data", metavar="DATA", type=_data, default=default, required=default is None, help=what)
    folder = "folder with the IDX files of mnist or fashion-mnist (default: FASTBP_DATA_DIR, or they are downloaded)"
    add("--data-dir", metavar="DIR", help=folder)
    separator = "between the fields of a text file, as ';' or tab (default: found out)"
    add("--separator", metavar="CHAR", type=_separator, help=separator)
    encoding = "of a text file, as latin-1 or utf-16 (default: utf-8, or what the file begins with says)"
    add("--encoding", metavar="NAME", type=_encoding, help=encoding)
    add("--decimal", choices=(".", ","), default=".", help="sign before the decimals (default: %(default)s)")
    if not targets:
        parser.set_defaults(target=None, drop_missing_target=False)
        return
    target = "what to predict: a column, an array of the .npz file (default there: t or y), or another .npy file"
    add("--target", metavar="NAME", help=target)
    add("--drop-missing-target", action="store_true", help="leave out samples whose target is missing")


def _data(text: str) -> str:
    if text not in SETS and not text.lower().endswith(FILES):
        near = difflib.get_close_matches(text, SETS, 1)
        hint = f", did you mean {near[0]}?" if near else ""
        expected = f"one of {', '.join(SETS)}, or a file that ends in {', '.join(FILES)}"
        raise argparse.ArgumentTypeError(f"invalid choice: {text!r} is not {expected}{hint}")
    return text


def _separator(text: str) -> str:
    if text in TAB:
        return "\t"
    if len(text) != 1 or not text.isascii() or text.isalnum() or text in '"\n\r.-+':
        raise argparse.ArgumentTypeError(f"must be one character that is in no number or name, or tab, got {text!r}")
    return text


def _encoding(text: str) -> str:
    try:
        name = codecs.lookup(text).name
        "a".encode(name)
        codecs.getincrementaldecoder(name)
    except (LookupError, ValueError):
        raise argparse.ArgumentTypeError(f"must name an encoding of text, as utf-16 or cp1252, got {text!r}") from None
    return name


def check_data_options(options: argparse.Namespace) -> None:
    """CommandError for options that do not go together."""
    if options.data_dir is not None and options.data not in SETS[1:]:
        came = "; the digits come with fastbp" if options.data == "digits" else f", not with {options.data}"
        raise CommandError(f"--data-dir goes with --data mnist or fashion-mnist{came}", 2)
    if options.target is not None and options.data in SETS:
        raise CommandError(f"--target goes with a file, {options.data} has its own", 2)
    if options.drop_missing_target and options.data in SETS:
        raise CommandError(f"--drop-missing-target goes with a file, {options.data} lacks none", 2)
    if options.decimal != "." and not is_table(options.data):
        raise CommandError(f"--decimal goes with a table, not with {options.data}", 2)
    for name in ("separator", "encoding"):
        if getattr(options, name) and (not is_table(options.data) or options.data.lower().endswith(".parquet")):
            raise CommandError(f"--{name} goes with a text file, not with {options.data}", 2)


def is_table(data: str) -> bool:
    return data.lower().endswith(SUFFIXES)


def read_samples(
    options: argparse.Namespace, *, targets: bool = True, weights: str | None = None, missing: Collection[str] = ()
) -> tuple[Samples, Samples | None]:
    """The samples that ``options`` name, and those of a test part where there is one.

    ``targets`` says whether those are wanted, ``weights`` where the weights are, ``missing`` which words stand for no
    target. Raises CommandError where anything cannot be read, ImportError where an extra is missing.
    """
    check_data_options(options)
    if options.data in SETS:
        if weights is not None:
            raise CommandError(f"--sample-weight goes with a file, {options.data} has none", 2)
        return _data_set(options)
    check_file(options.data)
    if is_table(options.data):
        form = TextForm(options.separator, options.encoding, options.decimal)
        return _from_table(read_table(options.data, form), options, targets, weights, missing), None
    if options.data.lower().endswith(".npz"):
        return _from_npz(options, targets, weights)
    return _from_npy(options, targets, weights), None


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


def _from_table(
    table: Table, options: argparse.Namespace, targets: bool, weights: str | None, missing: Collection[str]
) -> Samples:
    if targets and options.target is None:
        raise CommandError(f"--data {options.data} needs --target, one of {', '.join(table.names):.300}", 2)
    for name in (options.target, weights):
        if name is not None and name not in table.names:
            raise CommandError(f"{options.data}: {no_such('column', name, table.names)}", 2)
    left_out = _without_targets(table, options.target, missing) if options.drop_missing_target else 0
    t = _column(table, options.target, missing) if targets else None
    return Samples(table, t, options.target or "target", _weights(table, weights), left_out=left_out)


def _without_targets(table: Table, name: str, missing: Collection[str]) -> int:
    """Leave out the rows of the table that have no target; returns how many."""
    absent = is_missing(table.text(name, missing)) | _absent(table, name, missing)
    if absent.all():
        raise DataError(f"target {name!r} is missing in every row")
    table.keep(~absent)
    return int(absent.sum())


def _absent(table: Table, name: str, missing: Collection[str]) -> np.ndarray:
    """Where a number is missing; in a column of text it is no number in other rows, too."""
    numbers, strange = table.numbers(name, missing)
    return np.isnan(numbers) & ~strange


def _weights(table: Table, name: str | None) -> np.ndarray | None:
    if name is None:
        return None
    numbers, strange = table.numbers(name)
    if strange.any():
        row = int(np.argmax(strange))
        raise DataError(f"column {name!r} of weights is {table.text(name)[row]!r} in row {table.rows[row]}, no number")
    return numbers


def _column(table: Table, name: str, missing: Collection[str]) -> np.ndarray:
    """A column of targets: int64 where all entries are whole numbers, float64 where all are numbers, else text."""
    text, (numbers, strange) = table.text(name, missing), table.numbers(name, missing)
    absent = is_missing(text) | (np.isnan(numbers) & ~strange)
    if absent.any():
        n, row = int(absent.sum()), table.rows[np.argmax(absent)]
        raise DataError(
            f"target {name!r} is missing in {n} of {len(text)} rows, first in row {row}: "
            f"--drop-missing-target leaves such rows out"
        )
    if strange.any():
        return text
    if not np.isfinite(numbers).all():
        raise DataError(f"target {name!r} is infinite in row {table.rows[np.argmax(np.isinf(numbers))]}")
    if not all(entry.lstrip("+-").isdecimal() for entry in text):
        return whole(numbers)
    integers = [int(entry) for entry in text]  # not by way of floats, where large ones are no longer different
    return np.array(integers, np.int64) if max(map(abs, integers)) < 1 << 63 else text


def _from_npz(options: argparse.Namespace, targets: bool, weights: str | None) -> tuple[Samples, Samples | None]:
    file = Npz(options.data)
    x, t = _first(file, X_NAMES), options.target or _first(file, T_NAMES)
    if x is None:
        raise DataError(f"{options.data} has no array x, only {', '.join(file.names):.200}")
    for name in (t, weights):
        if name is not None and name not in file.names:
            raise CommandError(f"{options.data}: {no_such('array', name, file.names)}", 2)
    t = t if targets else None
    target, drop = t or "target", options.drop_missing_target

    def array(name: str | None) -> np.ndarray | None:
        return None if name is None else file.read(name)

    train = _arrays(file.read(x), array(t), target, array(weights), drop)
    x_test, t_test = x.replace("train", "test"), t and t.replace("train", "test")
    if x_test == x or x_test not in file.names or (t_test and t_test not in file.names):
        return train, None
    return train, _arrays(file.read(x_test), array(t_test), target, None, drop)


def targets_of(samples: Samples) -> np.ndarray:
    """The targets; CommandError where there are none."""
    if samples.t is None:
        raise CommandError("there are no targets in the data: --target says where they are", 2)
    return samples.t


def _first(file: Npz, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in file.names), None)


def _from_npy(options: argparse.Namespace, targets: bool, weights: str | None) -> Samples:
    if targets and options.target is None:
        raise CommandError(f"--data {options.data} needs --target, the .npy file of the targets", 2)
    t, w = (None if path is None else read_npy(path) for path in (options.target if targets else None, weights))
    name = Path(options.target or "target").stem
    return _arrays(read_npy(options.data), t, name, w, options.drop_missing_target)


def _arrays(x: np.ndarray, t: np.ndarray | None, target: str, w: np.ndarray | None, drop: bool) -> Samples:
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
    samples = Samples(x, None, target, w, left_out=left_out)
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
                f"target {target!r} is not finite in row {int(np.argmax(wrong)) + 1}: "
                f"--drop-missing-target leaves rows without a number out"
            )
        t = whole(t.astype(np.float64))
    if t.dtype.kind == "f":
        return t
    if t.ndim == 2 and t.min() == 0 and t.max() == 1 and (t.sum(axis=1) == 1).all():
        return np.argmax(t, axis=1)
    return t.astype(np.int64)
