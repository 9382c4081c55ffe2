"""Show what a model file holds: layers, loss, dtype, how data are prepared, and where training stopped."""

import argparse
from dataclasses import dataclass
from typing import Any

from fastbp._load import Checkpoint, load_checkpoint
from fastbp.commands import _options as types
from fastbp.commands._model import add_model_argument
from fastbp.commands._report import write_report
from fastbp.tables._model import Model, model_of
from fastbp.tables._table_features import TableFeatures, part_of
from fastbp.tables._targets import Classes

EXAMPLES = """\
examples:
  fastbp inspect iris.safetensors
  fastbp inspect iris.safetensors --json -
"""
SHOWN = 8  # columns and classes of many


@dataclass(frozen=True, kw_only=True)
class Options(types.Options):
    """The model, and where it is written what is in it."""

    model: str
    json: str | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """The model, then where to write what is in it."""
    add_model_argument(parser)
    parser.add_argument("--json", metavar="FILE", type=types.output_or_stdout, help="write it there; - for stdout")


def run(options: Options) -> None:
    """Print and write what the file holds."""
    checkpoint = load_checkpoint(options.model)
    model = model_of(checkpoint, options.model)
    if options.json != types.STDOUT:
        print(model.net.summary())
        print(f"loss      {model.net.loss_layer!r}")
        print(f"dtype     {model.dtype}")
        for line in (*_features(model), *_targets(model), *_state(checkpoint)):
            print(line)
    write_report(options.json, _report(checkpoint, model))


def _features(model: Model) -> list[str]:
    features = model.features
    if isinstance(features, TableFeatures):
        columns = [
            f"{column['name']!r} of {len(column['categories'])} categories"
            if "categories" in column
            else f"{part_of(column)}{column['name']!r} (mean {column['mean']:.4g}, std {column['std']:.4g})"
            for column in features.columns
        ]
        return [f"columns   {_few(columns)}", f"missing   {'filled in' if features.fill else 'an error'}"]
    how = "standardised column by column" if features.mean else f"times {features.scale:.6g}"
    return [f"inputs    arrays of {features.n_inputs} numbers a sample, {how}"]


def _targets(model: Model) -> list[str]:
    targets = model.targets
    if isinstance(targets, Classes):
        return [f"target    {targets.name!r}, one of {_few(list(map(repr, targets.values)))}"]
    return [f"target    {targets.name!r}, {targets.n_outputs} number{'s' * (targets.n_outputs > 1)}"]


def _state(checkpoint: Checkpoint) -> list[str]:
    state = checkpoint.state
    if state is None:
        return ["training  no state saved"]
    epochs = state.step // -(-state.n_samples // state.batch_size)
    return [
        f"training  stopped after step {state.step}, {epochs} epochs of {state.n_samples} samples, seed {state.seed}"
    ]


def _few(texts: list[str]) -> str:
    return ", ".join(texts[:SHOWN]) + (f", and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")


def _report(checkpoint: Checkpoint, model: Model) -> dict[str, Any]:
    return {
        "layers": [repr(layer) for layer in model.net.layers.values()],
        "parameters": {name: list(array.shape) for name, array in model.net.params.items()},
        "loss": repr(model.net.loss_layer),
        "dtype": model.dtype,
        "step": None if checkpoint.state is None else checkpoint.state.step,
        "extra": checkpoint.extra,
    }
