"""Measure a trained network on data whose targets are known: loss, and accuracy of classes or errors of numbers.

Of a data set with a test part, that part is taken. rmse and mae are in the target's own unit; r2 is the share of its
variance that is explained.
"""

import argparse

from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._data import add_data_options, is_table, read_samples, targets_of
from fastbp.commands._features import inputs_of
from fastbp.commands._model import add_model_argument, load_model
from fastbp.commands._report import check_picture, write_picture, write_report
from fastbp.commands._targets import Classes
from fastbp.plots import confusion_figure

EXAMPLES = """\
examples:
  fastbp evaluate digits.safetensors --data digits
  fastbp evaluate iris.safetensors --data test.csv --plot confusion.png
"""


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
    scores = model.scores(inputs_of(model.features, samples.x, model.dtype))
    measures = model.measured(scores, encoded)
    if options.json != types.STDOUT:
        print("  ".join(f"{name} {value:.4g}" for name, value in measures.items()), f" of {len(scores)} samples")
    write_report(options.json, {"samples": len(scores)} | measures)
    if options.plot and classes is not None:
        write_picture(options.plot, confusion_figure(model.found(scores), encoded, classes.values))
