"""Measure a trained network on data whose targets are known: loss, and accuracy of classes or errors of numbers.

Of a data set with a test part, that part is taken. rmse and mae are in the target's own unit; r2 is the share of its
variance that is explained.

With scikit-learn, also precision, recall and F1 of each class, the balanced accuracy, and the area under the ROC curve
where there are two classes.
"""

import argparse
from importlib.util import find_spec
from typing import Any

import numpy as np

from fastbp._extra import install
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._answers import scores_of, shares_of
from fastbp.commands._classes import class_measures, class_table
from fastbp.commands._data import add_data_options, is_table, read_samples, targets_of
from fastbp.commands._model import Model, add_model_argument, load_model
from fastbp.commands._report import check_picture, tell, write_picture, write_report
from fastbp.commands._targets import Classes
from fastbp.plots import confusion_figure

EXAMPLES = """\
examples:
  fastbp evaluate digits.safetensors --data digits
  fastbp evaluate iris.safetensors --data test.csv --plot confusion.png
"""
NAMES = {"balanced_accuracy": "balanced accuracy", "roc_auc": "ROC AUC", "r2": "R2"}  # as they are read


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser)
    add_data_options(parser)
    add = parser.add_argument
    add("--plot", metavar="FILE", type=types.output, help="write a picture of the confusion matrix there")
    add("--json", metavar="FILE", type=types.output_or_stdout, help="write the measures there; - for stdout")
    add("--threads", metavar="N", type=types.threads, help="threads to use, which changes no result")


def run(options: argparse.Namespace) -> None:
    """Print and write the measures."""
    check_picture(options.plot)
    model = load_model(options.model)
    classes = model.targets if isinstance(model.targets, Classes) else None
    if options.plot and classes is None:
        raise CommandError("--plot goes with classes, and this model predicts numbers", 2)
    options.target = options.target or (model.targets.name if is_table(options.data) else None)
    train, test = read_samples(options, missing=model.features.missing)
    samples = test or train
    types.use_threads(options.threads)
    encoded = model.targets.encode(targets_of(samples), samples.rows)
    scores = scores_of(model, samples)
    measures = {"samples": len(scores)} | _measured(model, scores, encoded)
    if classes is not None:
        measures |= _of_classes(model, classes, scores, encoded)
    if options.json != types.STDOUT:
        print(_text(measures))
    write_report(options.json, measures)
    if options.plot and classes is not None:
        write_picture(options.plot, confusion_figure(model.found(scores), encoded, classes.values))


def _measured(model: Model, scores: np.ndarray, encoded: np.ndarray) -> dict[str, Any]:
    """As ``model.measured``; CommandError where a measure is beyond the largest float."""
    with np.errstate(over="ignore", invalid="ignore"):
        measures = model.measured(scores, encoded)
    if not np.isfinite(list(measures.values())).all():
        raise CommandError("the network's outputs are so far from the targets that their distance is no finite number")
    return measures


def _of_classes(model: Model, classes: Classes, scores: np.ndarray, encoded: np.ndarray) -> dict[str, Any]:
    """What scikit-learn measures; without it, nothing but a word on how to have it."""
    if find_spec("sklearn") is None:
        tell(f"precision, recall and F1 of each class need scikit-learn: {install('sklearn')}")
        return {}
    return class_measures(encoded, model.found(scores), shares_of(model, scores), classes.values)


def _text(measures: dict[str, Any]) -> str:
    numbers = {name: value for name, value in measures.items() if name not in ("samples", "classes")}
    line = "  ".join(f"{NAMES.get(name, name)} {value:.4g}" for name, value in numbers.items())
    table = [f"\n{class_table(measures['classes'])}"] if "classes" in measures else []
    return "\n".join([f"{measures['samples']} samples:  {line}", *table])
