"""Write a model in a form that needs no fastbp: ONNX, a C file, a NumPy module, or weights for PyTorch.

What is exported takes and gives numbers as they are in the data, and names them. A column of text is an input for each
category, 1 for its own and 0 for the others; the order of the inputs is printed. Standardisation is computed apart from
the weights and in float64, so that no digits are lost however far a column lies from 0: inputs and predicted numbers
are doubles then. PyTorch's state dict has the means and deviations beside the weights, and says how they are used.

Of an ensemble, one file has all networks and gives their mean, of classes that of the probabilities.
"""

import argparse
import copy
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastbp import Sequential
from fastbp.basics._extra import import_extra
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._model import add_model_argument
from fastbp.commands._words import in_a_line
from fastbp.ensemble import Ensemble
from fastbp.files import ensemble_exports
from fastbp.files._files import write_whole
from fastbp.files._interface import Interface, Unit
from fastbp.files.to_c import to_c
from fastbp.files.to_numpy import to_numpy
from fastbp.files.to_onnx import to_onnx
from fastbp.tables._ensemble_model import EnsembleModel
from fastbp.tables._load_model import load_model
from fastbp.tables._model import Model
from fastbp.tables._table_features import TableFeatures, part_of
from fastbp.tables._targets import Classes, Numbers

EXAMPLES = """\
examples:
  fastbp export iris.safetensors --format onnx
  fastbp export iris.safetensors --format c --output iris.c
"""
SUFFIXES = {"onnx": ".onnx", "c": ".c", "numpy": ".py", "torch": ".pt"}


@dataclass(frozen=True, kw_only=True)
class Options(types.Options):
    """The model, the format, and the file to write; None for a name like the model's."""

    model: str
    format: str
    output: str | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """The model, then the form that it is to have."""
    add_model_argument(parser)
    add = parser.add_argument
    add("--format", choices=SUFFIXES, required=True, help="torch is a state dict, for torch.load")
    add("--output", metavar="FILE", type=types.output, help="(default: the model's name, and what its format ends in)")


def run(options: Options) -> None:
    """Write the file, and say what it takes and gives."""
    model = load_model(options.model)
    suffix = SUFFIXES[options.format]
    path = options.output or types.output(str(Path(options.model).with_suffix(suffix)))
    net, interface = take_apart(model)
    try:
        if isinstance(model, EnsembleModel):
            _write_ensemble(model.ensemble, options.format, path, interface)
        elif options.format == "onnx":
            to_onnx(net, path, interface=interface)
        elif options.format == "c":
            to_c(net, path, interface=interface)
        elif options.format == "numpy":
            to_numpy(net, path, interface)
        else:
            _write_state_dict(net, path, interface)
    except (ValueError, TypeError) as error:  # layers that the format does not have, weights that are not finite
        raise CommandError(str(error)) from None
    print(f"inputs   {in_a_line(_inputs(model))}")
    print(f"outputs  {in_a_line(_outputs(model))}")
    if options.format == "torch":
        for line in _use_of_units(net, interface):
            print(line)
    print(f"written  {in_a_line(path)}")


def _write_ensemble(ensemble: Ensemble, form: str, path: str, interface: Interface) -> None:
    """All networks and their mean, in one file."""
    nets, weights = ensemble.nets, ensemble.weights.tolist()
    if form == "onnx":
        ensemble_exports.to_onnx(nets, weights, path, interface)
    elif form == "c":
        ensemble_exports.to_c(nets, weights, path, "", interface)
    elif form == "numpy":
        ensemble_exports.to_numpy(nets, weights, path, interface)
    else:
        raise CommandError(f"--format torch takes one network, and the model is an ensemble of {len(nets)}", 2)


def take_apart(model: Model) -> tuple[Sequential, Interface]:
    """The network, and what it takes and gives in the units of the data and under their names."""
    net, targets = copy.deepcopy(model.net), model.targets
    outputs = None
    if isinstance(targets, Numbers) and (any(targets.mean) or targets.std != [1.0] * len(targets.std)):
        outputs = Unit(np.array(targets.mean), np.array(targets.std))
    classes = targets.values if isinstance(targets, Classes) else None
    return net, Interface(_unit_of_inputs(model), outputs, _names(model), classes)


def _unit_of_inputs(model: Model) -> Unit | None:
    """The unit that the network's inputs have of the data, None where the data are taken as they are."""
    features = model.features
    if not isinstance(features, TableFeatures):
        return Unit(np.array(features.mean), np.array(features.std)) if features.mean else None
    mean, std = [], []
    for column in features.columns:
        n = len(column.get("categories", "1"))
        mean += [column.get("mean", 0.0)] * n
        std += [column.get("std", 1.0)] * n
    plain = not any(mean) and std == [1.0] * len(std)
    return None if plain else Unit(np.array(mean), np.array(std))


def _write_state_dict(net: Sequential, path: str, interface: Interface) -> None:
    """Weights for ``torch.load``; units as tensors beside them, for which a module must provide; names as attributes.

    A scale goes into the first layer's weights, where it costs no digits.
    """
    torch = import_extra("torch", "torch")
    if net.scale != 1:
        name, first = next(iter(net.layers.items()))
        scaled = first.with_scaled_inputs(net.scale)
        if scaled is None:
            raise CommandError(
                f"the first layer must take the scale of the inputs into its weights, as an Affine does, got {first!r}"
            )
        net.layers[name], net.scale = scaled, 1.0
    state = net.to_torch().state_dict()
    for name, unit in (("inputs", interface.inputs), ("outputs", interface.outputs)):
        if unit is not None:
            state[f"{name}.mean"], state[f"{name}.std"] = torch.from_numpy(unit.mean), torch.from_numpy(unit.std)
    for name, list_ in (("input_names", interface.input_names), ("class_names", interface.class_names)):
        if list_ is not None:
            setattr(state, name, list(list_))
    with io.BytesIO() as buffer:
        torch.save(state, buffer)
        write_whole(path, buffer.getvalue())


def _use_of_units(net: Sequential, interface: Interface) -> list[str]:
    """How the means and deviations in a state dict are to be used."""
    lines = []
    if interface.inputs is not None:
        lines.append(f"take     ((x.double() - state['inputs.mean']) / state['inputs.std']).to(torch.{net.dtype.name})")
    if interface.outputs is not None:
        lines.append("give     scores.double() * state['outputs.std'] + state['outputs.mean']")
    return lines


def _names(model: Model) -> list[str] | None:
    """What the inputs are called; None for those of arrays."""
    if not isinstance(model.features, TableFeatures):
        return None
    names = []
    for column in model.features.columns:
        name = part_of(column) + column["name"]
        names += [f"{name}={category}" for category in column["categories"]] if "categories" in column else [name]
    return names


def _inputs(model: Model) -> str:
    names = _names(model)
    return f"{model.features.n_inputs} numbers" if names is None else ", ".join(names)


def _outputs(model: Model) -> str:
    targets = model.targets
    if not isinstance(targets, Classes):
        return targets.name if targets.n_outputs == 1 else f"{targets.n_outputs} numbers, {targets.name}"
    names = ", ".join(map(str, targets.values))
    if isinstance(model, EnsembleModel):
        return f"the probability of {targets.values[1]}" if targets.binary else f"a probability for each of {names}"
    return f"a score, above 0 for {targets.values[1]}" if targets.binary else f"a score for each of {names}"
