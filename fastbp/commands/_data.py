"""What --data names: a data set that comes with fastbp, or a file; and the options that say how to read it."""

import argparse
import difflib
from collections.abc import Collection
from dataclasses import dataclass

from fastbp import datasets
from fastbp.commands import CommandError
from fastbp.commands._options import Options
from fastbp.tables._array_samples import samples_of_npy, samples_of_npz
from fastbp.tables._errors import check_file
from fastbp.tables._frames import SUFFIXES, read_table
from fastbp.tables._samples import Samples, samples_of
from fastbp.tables._text import DECIMALS, check_encoding, check_separator

SETS = ("digits", "mnist", "fashion-mnist")
FILES = (".npz", ".npy", *SUFFIXES)
TAB = ("tab", "\\t", "\t")  # how a tab may be said


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Where data are, and how they are read."""

    data: str
    data_dir: str | None
    separator: str | None
    encoding: str | None
    decimal: str
    target: str | None
    drop_missing_target: bool


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
    add("--decimal", choices=DECIMALS, default=".", help="sign before the decimals (default: %(default)s)")
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
    try:
        check_separator(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _encoding(text: str) -> str:
    try:
        return check_encoding(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _check(options: DataOptions) -> None:
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
    options: DataOptions, *, targets: bool = True, weight: str | None = None, missing: Collection[str] = ()
) -> tuple[Samples, Samples | None]:
    """The samples that ``options`` name, and those of a test part where there is one.

    ``targets`` says whether those are wanted, ``weight`` what the weights are called, ``missing`` which words stand for
    no target. Raises CommandError and DataError where anything cannot be read, ImportError where an extra is missing.
    """
    _check(options)
    data, target, drop = options.data, options.target, options.drop_missing_target
    if data in SETS:
        if weight is not None:
            raise CommandError(f"--sample-weight goes with a file, {data} has none", 2)
        return _data_set(options)
    check_file(data)
    if is_table(data):
        table = read_table(data, separator=options.separator, encoding=options.encoding, decimal=options.decimal)
        if targets and target is None:
            raise CommandError(f"--data {data} needs --target, one of {', '.join(table.names):.300}", 2)
        return samples_of(table, target, weight=weight, missing=missing, drop_missing_target=drop), None
    if data.lower().endswith(".npz"):
        return samples_of_npz(data, target, targets=targets, weight=weight, drop_missing_target=drop)
    if targets and target is None:
        raise CommandError(f"--data {data} needs --target, the .npy file of the targets", 2)
    return samples_of_npy(data, target, weight=weight, drop_missing_target=drop), None


def _data_set(options: DataOptions) -> tuple[Samples, Samples]:
    try:
        if options.data == "digits":
            data = datasets.digits()
        else:
            data = (datasets.mnist if options.data == "mnist" else datasets.fashion_mnist)(options.data_dir)
    except datasets.DatasetError as error:
        raise CommandError(str(error)) from None
    train = Samples(data.x_train, data.t_train, "class", scale=data.scale)
    return train, Samples(data.x_test, data.t_test, "class", scale=data.scale)
