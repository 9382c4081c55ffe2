"""Show what a model file holds: layers, loss, dtype, how data are prepared, and where training stopped."""

import argparse
from dataclasses import dataclass
from typing import Any

from fastbp import Sequential
from fastbp.basics._arguments import few
from fastbp.commands import _options as types
from fastbp.commands._model import add_model_argument
from fastbp.commands._report import write_report
from fastbp.files.ensemble_file import Kept
from fastbp.tables._load_model import load_kept
from fastbp.tables._model import Model
from fastbp.tables._table_features import TableFeatures, part_of
from fastbp.tables._targets import Classes

EXAMPLES = """\
examples:
  fastbp inspect iris.safetensors
  fastbp inspect iris.safetensors --json -
"""


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
    model, kept = load_kept(options.model)
    if options.json != types.STDOUT:
        print("\n\n".join(dict.fromkeys(net.summary() for net in kept.nets)))  # one for all that look alike
        if kept.weights is not None:
            print(f"ensemble  the mean of {len(kept.nets)} networks, {_weighed(kept.weights)}")
        print(f"loss      {model.net.loss_layer!r}")
        print(f"dtype     {model.dtype}")
        for line in (*_features(model), *_targets(model), *_state(kept)):
            print(line)
    write_report(options.json, _report(kept, model))


def _features(model: Model) -> list[str]:
    features = model.features
    if isinstance(features, TableFeatures):
        columns = [
            f"{column['name']!r} of {len(column['categories'])} categories"
            if "categories" in column
            else f"{part_of(column)}{column['name']!r} (mean {column['mean']:.4g}, std {column['std']:.4g})"
            for column in features.columns
        ]
        return [f"columns   {few(columns)}", f"missing   {'filled in' if features.fill else 'an error'}"]
    how = "standardised column by column" if features.mean else f"times {features.scale:.6g}"
    return [f"inputs    arrays of {features.n_inputs} numbers a sample, {how}"]


def _targets(model: Model) -> list[str]:
    targets = model.targets
    if isinstance(targets, Classes):
        return [f"target    {targets.name!r}, one of {few(map(repr, targets.values))}"]
    return [f"target    {targets.name!r}, {targets.n_outputs} number{'s' * (targets.n_outputs > 1)}"]


def _weighed(weights: list[float]) -> str:
    if len(set(weights)) == 1:
        return "each of the same weight"
    return f"of weights {few(f'{weight:.4g}' for weight in weights)}"


def _state(kept: Kept) -> list[str]:
    state = kept.state
    if state is None:
        return ["training  no state saved"]
    epochs = state.step // -(-state.n_samples // state.batch_size)
    return [
        f"training  stopped after step {state.step}, {epochs} epochs of {state.n_samples} samples, seed {state.seed}"
    ]


def _report(kept: Kept, model: Model) -> dict[str, Any]:
    members = {} if kept.weights is None else {"ensemble": [_of_network(net) for net in kept.nets]}
    weights = {} if kept.weights is None else {"weights": kept.weights}
    return {
        **_of_network(kept.nets[0]),
        **members,
        **weights,
        "loss": repr(model.net.loss_layer),
        "dtype": model.dtype,
        "step": None if kept.state is None else kept.state.step,
        "extra": kept.extra,
    }


def _of_network(net: Sequential) -> dict[str, Any]:
    return {
        "layers": [repr(layer) for layer in net.layers.values()],
        "parameters": {name: list(array.shape) for name, array in net.params.items()},
    }
