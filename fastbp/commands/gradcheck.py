"""Compare the gradients that backpropagation finds with central differences, in float64.

The network is one of the given layers, or that of a model file. Samples and targets are drawn at random; of each
parameter, some entries are checked, drawn at random too. The error is the largest difference, as a share of the
parameter's largest gradient. Ends with 1 if one is above the limit.

Two things are left out of what is checked: Dropout, which has no gradient of its own, and the eps that the book's
softmax loss adds to probabilities, which its gradient ignores.
"""

import argparse
from dataclasses import dataclass

import numpy as np

import fastbp
from fastbp import Sequential, losses
from fastbp._load import load_checkpoint
from fastbp.activations import BY_NAME
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.losses._loss import LABELS, PROBABILITIES

EXAMPLES = """\
examples:
  fastbp gradcheck --layers 20 30 5 --activation tanh
  fastbp gradcheck --layers 8 16 1 --loss mse
  fastbp gradcheck iris.safetensors
"""
SHIFT = 1e-6  # error about SHIFT**2 from the formula, 1e-16 / SHIFT from rounding; few kinks of relu lie so near
LIMIT = 1e-6


@dataclass(frozen=True, kw_only=True)
class Options(types.Options):
    """A model file, or the network to make; and how much of it is checked."""

    model: str | None
    layers: tuple[int, ...] | None
    activation: str | tuple[str, ...] | None
    loss: str | None
    samples: int
    entries: int
    seed: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """The file or the layers of a network, and how many samples and entries to try."""
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", help="a model file")
    add("--layers", metavar="N", type=types.count, nargs="+", help="inputs, hidden units, outputs of a new network")
    activation = f"of the new network, or one for each hidden layer, as relu,tanh (default: relu): {', '.join(BY_NAME)}"
    add("--activation", metavar="NAME", type=types.activation, help=activation)
    add("--loss", choices=losses.BY_NAME, help="of the new network (default: softmax)")
    add("--samples", metavar="N", type=types.count, default=10, help="(default: %(default)s)")
    add("--entries", metavar="N", type=types.count, default=50, help="of each parameter (default: %(default)s)")
    add("--seed", metavar="N", type=types.seed, default=0, help="of all that is drawn (default: %(default)s)")


def run(options: Options) -> None:
    """Print a table of the parameters; CommandError if a gradient is wrong."""
    rng = np.random.default_rng(options.seed)
    net = _network(options)
    n_inputs, n_outputs = net.n_inputs, net.n_outputs
    x = rng.standard_normal((options.samples, n_inputs))
    found = compare_gradients(net, x, _targets(net, options.samples, n_outputs, rng), options.entries, rng)
    print(f"{'parameter':<10}{'shape':<14}{'entries':>8}{'largest':>12}{'error':>12}")
    for name, (entries, largest, error) in found.items():
        shape = " x ".join(map(str, net.params[name].shape))
        print(f"{name:<10}{shape:<14}{entries:>8}{largest:>12.3e}{error:>12.1e}  {'ok' if error <= LIMIT else 'WRONG'}")
    wrong = [name for name, (_, _, error) in found.items() if not error <= LIMIT]
    if wrong:
        raise CommandError(f"the gradient of {', '.join(wrong)} is off by more than {LIMIT:g}")


def _network(options: Options) -> Sequential:
    """The network to check, in float64 and without Dropout."""
    if options.model is None and options.layers is not None:
        if len(options.layers) < 2:
            raise CommandError("--layers must be at least inputs and outputs", 2)
        types.check_activations(options.activation, len(options.layers) - 2)
        words = options.activation or "relu", options.loss or "softmax"
        return fastbp.mlp(options.layers, words[0], dtype=np.float64, seed=options.seed, loss=words[1])
    if options.model is None or options.layers is not None:
        raise CommandError("gradcheck needs either MODEL or --layers", 2)
    if options.activation or options.loss:
        raise CommandError("--activation and --loss go with --layers, MODEL has its own", 2)
    saved = load_checkpoint(options.model).net
    layers = [layer for layer in saved.layers.values() if not layer.draws]
    for layer in layers:
        for name in (*layer.parameters, *layer.buffers):
            array = getattr(layer, name)
            setattr(layer, name, None if array is None else array.astype(np.float64))
    return Sequential(layers, saved.loss_layer.exact())


def _targets(net: Sequential, n: int, n_outputs: int, rng: np.random.Generator) -> np.ndarray:
    if net.loss_layer.targets == LABELS:
        return rng.integers(0, n_outputs, n)
    if net.loss_layer.targets == PROBABILITIES:
        return rng.integers(0, 2, (n, n_outputs)).astype(np.float64)
    return rng.standard_normal((n, n_outputs))


def compare_gradients(
    net: Sequential, x: np.ndarray, t: np.ndarray, entries: int, rng: np.random.Generator
) -> dict[str, tuple[int, float, float]]:
    """For each parameter: how many entries were checked, its largest gradient, and the error."""
    gradients = net.gradient(x, t)
    found = {}
    for name, parameter in net.params.items():
        gradient = gradients[name].ravel()
        places = np.sort(rng.permutation(parameter.size)[:entries])
        numbers = parameter.reshape(-1)  # a view: parameters are contiguous
        by_differences = np.empty(len(places))
        for n, place in enumerate(places):
            value = numbers[place]
            numbers[place] = value + SHIFT
            above = float(net._trained_loss(x, t))
            numbers[place] = value - SHIFT
            below = float(net._trained_loss(x, t))
            numbers[place] = value
            by_differences[n] = (above - below) / (2 * SHIFT)
        largest = float(np.abs(gradient).max())
        difference = float(np.abs(gradient[places] - by_differences).max())
        found[name] = len(places), largest, difference / max(largest, LIMIT)
    return found
