"""Say what a trained network makes of new data: a row for each sample, as CSV on stdout or in a file.

Columns are found by their names; those that the model does not know do not matter. Of a data set with a test part,
that part is taken.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import numpy as np

from fastbp._files import write_whole
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._data import add_data_options, read_samples
from fastbp.commands._features import inputs_of
from fastbp.commands._model import Model, add_model_argument, load_model
from fastbp.commands._targets import Classes

EXAMPLES = """\
examples:
  fastbp predict iris.safetensors --data new.csv
  fastbp predict iris.safetensors --data new.csv --probabilities --output answers.csv
  fastbp predict digits.safetensors --data images.npy --output classes.npy
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser)
    add_data_options(parser, targets=False)
    add = parser.add_argument
    add("--probabilities", action="store_true", help="of each class, too")
    output = "write there, .csv or .npy, where probabilities stand alone (default: CSV on stdout)"
    add("--output", metavar="FILE", type=types.output, help=output)
    add("--threads", metavar="N", type=types.threads, help="threads to use, which changes no result")


def run(options: argparse.Namespace) -> None:
    """Write an answer for each sample."""
    if options.output and not options.output.endswith((".csv", ".npy")):
        raise CommandError(f"--output must end in .csv or .npy, got {options.output!r}", 2)
    model = load_model(options.model)
    if options.probabilities and not isinstance(model.targets, Classes):
        raise CommandError("--probabilities go with classes, and this model predicts numbers", 2)
    train, test = read_samples(options, targets=False)
    types.use_threads(options.threads)
    scores = model.scores(inputs_of(model.features, (test or train).x, model.dtype))
    answers = model.answers(scores)
    shares = _of_each_class(model, scores) if options.probabilities else None
    if options.output is None:
        _write(sys.stdout, model, answers, shares)
    elif options.output.endswith(".npy"):
        array = io.BytesIO()
        np.save(array, answers if shares is None else shares)
        write_whole(options.output, array.getvalue())
    else:
        text = io.StringIO()
        _write(text, model, answers, shares)
        write_whole(options.output, text.getvalue().encode())


def _of_each_class(model: Model, scores: np.ndarray) -> np.ndarray:
    """Probabilities (N, number of classes)."""
    shares = model.net.lastLayer.probabilities(scores)
    return np.hstack([1 - shares, shares]) if shares.shape[1] == 1 else shares


def _write(file: TextIO, model: Model, answers: np.ndarray, shares: np.ndarray | None) -> None:
    name = model.targets.name
    several = answers.ndim == 2
    header = [f"{name}_{k}" for k in range(answers.shape[1])] if several else [name]
    columns: list[Iterable[Any]] = list(answers.T) if several else [answers]
    if shares is not None and isinstance(model.targets, Classes):
        header += [f"p({value})" for value in model.targets.values]
        columns += list(shares.T)
    digits = np.finfo(model.dtype).precision + 2  # so many tell every number of the dtype from the next
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for row in zip(*columns, strict=True):
        writer.writerow([f"{v:.{digits}g}" if isinstance(v, np.floating) else v for v in row])
