"""Write a model in a form that needs no fastbp: ONNX, a C file, a NumPy module, or weights for PyTorch.

Standardisation becomes part of the first layer's weights and of the last's, so what is exported takes and gives numbers
as they are in the data. A column of text is an input for each category, 1 for its own and 0 for the others; the order
of the inputs is printed.
"""

import argparse
import copy
from pathlib import Path

import numpy as np

from fastbp import Sequential
from fastbp._extra import needed
from fastbp.affine import Affine
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._features import TableFeatures
from fastbp.commands._model import Model, add_model_argument, load_model
from fastbp.commands._targets import Classes, Numbers

EXAMPLES = """\
examples:
  fastbp export iris.safetensors --format onnx
  fastbp export iris.safetensors --format c --output iris.c
"""
SUFFIXES = {"onnx": ".onnx", "c": ".c", "numpy": ".py", "torch": ".pt"}


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser)
    add = parser.add_argument
    add("--format", choices=SUFFIXES, required=True, help="torch is a state dict, for torch.load")
    add("--output", metavar="FILE", type=types.output, help="(default: the model's name, and what its format ends in)")


def run(options: argparse.Namespace) -> None:
    """Write the file, and say what it takes and gives."""
    model = load_model(options.model)
    suffix = SUFFIXES[options.format]
    path = options.output or types.output(str(Path(options.model).with_suffix(suffix)))
    try:
        net = folded(model)
        if options.format == "onnx":
            net.to_onnx(path)
        elif options.format == "c":
            net.to_c(path)
        elif options.format == "numpy":
            net.to_numpy(path)
        else:
            needed("torch", "torch").save(net.to_torch().state_dict(), path)
    except (ValueError, TypeError) as error:  # layers that the format does not have, weights that are not finite
        raise CommandError(str(error)) from None
    print(f"inputs   {_inputs(model)}")
    print(f"outputs  {_outputs(model)}")
    print(f"written  {path}")


def folded(model: Model) -> Sequential:
    """The network for data as they are: features standardise in its first layer, targets in its last.

    Computed in float64 and rounded once.
    """
    net = copy.deepcopy(model.net)
    layers = list(net.layers.values())
    mean, factor = _of_inputs(model)
    if mean.any() or (factor != 1).any():
        first = layers[0]
        if not isinstance(first, Affine) or first.b is None:
            raise CommandError("the first layer must be an Affine with bias to take the standardisation")
        weights = first.W * factor[:, None]
        first.b[...] = first.b - mean @ weights
        first.W[...] = weights
        net.scale = 1  # it is in the weights now
    targets = model.targets
    if isinstance(targets, Numbers) and (any(targets.mean) or targets.std != [1.0] * len(targets.std)):
        last = layers[-1]
        if not isinstance(last, Affine) or last.b is None:
            raise CommandError("the last layer must be an Affine with bias to take the targets' mean")
        last.W[...] = last.W * np.array(targets.std)
        last.b[...] = last.b * np.array(targets.std) + np.array(targets.mean)
    return net


def _of_inputs(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """What is subtracted from each input, and what it is multiplied with then, in float64."""
    features = model.features
    if not isinstance(features, TableFeatures):
        if features.mean:
            return np.array(features.mean), 1 / np.array(features.std)
        return np.zeros(features.n_inputs), np.full(features.n_inputs, features.scale)
    mean, factor = [], []
    for column in features.columns:
        n = len(column.get("categories", "1"))
        mean += [column.get("mean", 0.0)] * n
        factor += [1 / column.get("std", 1.0)] * n
    return np.array(mean), np.array(factor)


def _inputs(model: Model) -> str:
    features = model.features
    if not isinstance(features, TableFeatures):
        return f"{features.n_inputs} numbers"
    names = []
    for column in features.columns:
        name = column["name"]
        names += [f"{name}={category}" for category in column["categories"]] if "categories" in column else [name]
    return ", ".join(names)


def _outputs(model: Model) -> str:
    targets = model.targets
    if not isinstance(targets, Classes):
        return targets.name if targets.n_outputs == 1 else f"{targets.n_outputs} numbers, {targets.name}"
    names = ", ".join(map(str, targets.values))
    return f"a score, above 0 for {targets.values[1]}" if targets.binary else f"a score for each of {names}"
