"""Measure a trained network on data whose targets are known: loss, and accuracy of classes or errors of numbers.

Of a data set with a test part, that part is taken. rmse and mae are in the target's own unit; r2 is the share of its
variance that is explained.

With scikit-learn, also precision, recall and F1 of each class, the balanced accuracy, and the area under the ROC curve
where there are two classes. Of an ensemble, the measures are of its mean; a line more has those of its networks.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from fastbp.basics._extra import install
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._classes import class_measures, class_table
from fastbp.commands._data import DataOptions, add_data_options, is_table, read_samples
from fastbp.commands._model import add_model_argument
from fastbp.commands._report import check_picture, tell, write_picture, write_report
from fastbp.tables._ensemble_model import EnsembleModel
from fastbp.tables._load_model import load_model
from fastbp.tables._model import Model
from fastbp.tables._targets import Classes
from fastbp.views.plots import confusion_figure

EXAMPLES = """\
examples:
  fastbp evaluate digits.safetensors --data digits
  fastbp evaluate iris.safetensors --data test.csv --plot confusion.png
"""
NAMES = {"balanced_accuracy": "balanced accuracy", "roc_auc": "ROC AUC", "r2": "R2"}  # as they are read


@dataclass(frozen=True, kw_only=True)
class Options(DataOptions):
    """The model, the data with their targets, and where the measures go."""

    model: str
    plot: str | None
    json: str | None
    threads: int | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """The model and the data, then where to write the measures."""
    add_model_argument(parser)
    add_data_options(parser)
    add = parser.add_argument
    add("--plot", metavar="FILE", type=types.output, help="write a picture of the confusion matrix there")
    add("--json", metavar="FILE", type=types.output_or_stdout, help="write the measures there; - for stdout")
    add("--threads", metavar="N", type=types.threads, help="threads to use, which changes no result")


def run(options: Options) -> None:
    """Print and write the measures."""
    check_picture(options.plot)
    model = load_model(options.model)
    classes = model.targets if isinstance(model.targets, Classes) else None
    if options.plot and classes is None:
        raise CommandError("--plot goes with classes, and this model predicts numbers", 2)
    target = options.target or (model.targets.name if is_table(options.data) else None)
    train, test = read_samples(replace(options, target=target), missing=model.features.missing)
    samples = test or train
    types.use_threads(options.threads)
    encoded = model.targets.encode(samples.targets, samples.rows)
    scores = model.outputs(samples.x, samples.rows, tell)
    measures: dict[str, Any] = {"samples": len(scores)} | model.evaluated(scores, encoded)
    if isinstance(model, EnsembleModel):
        measures["networks"] = [
            member.evaluated(member.outputs(samples.x, samples.rows, lambda told: None), encoded)
            for member in model.members
        ]
    if classes is not None:
        measures |= _of_classes(model, classes, scores, encoded)
    if options.json != types.STDOUT:
        print(_text(measures))
    write_report(options.json, measures)
    if options.plot and classes is not None:
        write_picture(options.plot, confusion_figure(model.found(scores), encoded, classes.values))


def _of_classes(model: Model, classes: Classes, scores: np.ndarray, encoded: np.ndarray) -> dict[str, Any]:
    """What scikit-learn measures; without it, nothing but a word on how to have it."""
    if find_spec("sklearn") is None:
        tell(f"precision, recall and F1 of each class need scikit-learn: {install('sklearn')}")
        return {}
    return class_measures(encoded, model.found(scores), model.shares(scores), classes.values)


def _text(measures: dict[str, Any]) -> str:
    numbers = {name: value for name, value in measures.items() if name not in ("samples", "networks", "classes")}
    line = "  ".join(f"{NAMES.get(name, name)} {value:.4g}" for name, value in numbers.items())
    table = [f"\n{class_table(measures['classes'])}"] if "classes" in measures else []
    members = [_of_members(measures["networks"])] if "networks" in measures else []
    return "\n".join([f"{measures['samples']} samples:  {line}", *members, *table])


def _of_members(networks: Sequence[dict[str, float]]) -> str:
    """How good the networks of an ensemble are by themselves: the least and the most of each measure."""
    ranges = []
    for name in networks[0]:
        values = [network[name] for network in networks]
        ranges.append(f"{NAMES.get(name, name)} {min(values):.4g} to {max(values):.4g}")
    return f"its {len(networks)} networks, each by itself:  {'  '.join(ranges)}"
