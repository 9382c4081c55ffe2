"""Say what a trained network makes of new data: a row for each sample, as CSV on stdout or in a file.

Columns are found by their names; those that the model does not know do not matter. Of a data set with a test part,
that part is taken.
"""

import argparse
import csv
import io
import math
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._data import DataOptions, add_data_options, read_samples
from fastbp.commands._model import add_model_argument
from fastbp.commands._options import did_you_mean
from fastbp.commands._report import tell
from fastbp.files._files import write_whole
from fastbp.tables._load_model import load_model
from fastbp.tables._model import Model
from fastbp.tables._targets import Classes

EXAMPLES = """\
examples:
  fastbp predict iris.safetensors --data new.csv
  fastbp predict iris.safetensors --data new.csv --probabilities --output answers.csv
  fastbp predict iris.safetensors --data new.csv --keep id name
  fastbp predict digits.safetensors --data images.npy --output classes.npy
"""


@dataclass(frozen=True, kw_only=True)
class Options(DataOptions):
    """The model, the data, and what of the answers is written where."""

    model: str
    probabilities: bool
    keep: tuple[str, ...]
    output: str | None
    threads: int | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """The model and the data, then what to write beside the answers."""
    add_model_argument(parser)
    add_data_options(parser, targets=False)
    add = parser.add_argument
    add("--probabilities", action="store_true", help="of each class, too")
    keep = "columns to write before the answers; an answer of the same name becomes predicted_NAME"
    add("--keep", metavar="COLUMN", nargs="+", default=[], help=keep)
    output = "write there, .csv or .npy, where probabilities stand alone (default: CSV on stdout)"
    add("--output", metavar="FILE", type=types.output, help=output)
    add("--threads", metavar="N", type=types.threads, help="threads to use, which changes no result")


def run(options: Options) -> None:
    """Write an answer for each sample."""
    if options.output and not options.output.endswith((".csv", ".npy")):
        raise CommandError(f"--output must end in .csv or .npy, got {options.output!r}", 2)
    if options.keep and options.output and options.output.endswith(".npy"):
        raise CommandError("--keep goes with CSV, and --output is an array", 2)
    model = load_model(options.model)
    if options.probabilities and not isinstance(model.targets, Classes):
        raise CommandError("--probabilities go with classes, and this model predicts numbers", 2)
    train, test = read_samples(options, targets=False)
    samples = test or train
    kept = _kept(options.keep, samples.x)
    types.use_threads(options.threads)
    scores = model.outputs(samples.x, samples.rows, tell)
    answers = model.answers(scores)
    shares = model.shares(scores) if options.probabilities else None
    if options.output and options.output.endswith(".npy"):
        array = io.BytesIO()
        np.save(array, answers if shares is None else shares)
        write_whole(options.output, array.getvalue())
        return
    columns = kept
    for name, column in _columns(model, answers, shares).items():
        while name in kept:
            name = f"predicted_{name}"
        columns = columns | {name: column}
    if options.output is None:
        _write(sys.stdout, columns, model.dtype)
    else:
        text = io.StringIO()
        _write(text, columns, model.dtype)
        write_whole(options.output, text.getvalue().encode())


def _kept(names: Collection[str], x: Any) -> dict[str, Iterable[Any]]:
    """The columns of those ``names``, as they are written in the data."""
    if names and isinstance(x, np.ndarray):
        raise CommandError("--keep goes with a table, .csv or .parquet, and the data are arrays", 2)
    for name in names:
        if name not in x.names:
            near = did_you_mean(name, x.names)
            raise CommandError(f"--keep: there is no column {name!r}, only {', '.join(x.names):.300}{near}", 2)
    return {name: x.written(name) for name in names}


def _columns(model: Model, answers: np.ndarray, shares: np.ndarray | None) -> dict[str, Iterable[Any]]:
    """The answers, a column of each, and the probabilities, by what they are called."""
    name = model.targets.name
    columns: dict[str, Iterable[Any]] = {name: answers}
    if answers.ndim == 2:
        columns = {f"{name}_{k}": column for k, column in enumerate(answers.T)}
    if shares is not None and isinstance(model.targets, Classes):
        columns |= {f"p({value})": share for value, share in zip(model.targets.values, shares.T, strict=True)}
    return columns


def _write(file: TextIO, columns: dict[str, Iterable[Any]], dtype: str) -> None:
    digits = int((np.finfo(dtype).nmant + 1) * math.log10(2)) + 2  # so many tell every number of the dtype apart
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([f"{v:.{digits}g}" if isinstance(v, np.floating) else v for v in row])
