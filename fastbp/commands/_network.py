"""The options of a network and of its training, and what they make."""

import argparse
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastbp import Sequential, TwoLayerNet, convnet, losses, schedules
from fastbp._convnet import NETWORKS as CONVNETS
from fastbp._mlp import NORMALIZATIONS
from fastbp.activations import BY_NAME
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._data import SETS, DataOptions
from fastbp.commands._options import did_you_mean
from fastbp.losses._loss import NUMBERS
from fastbp.optimizers import Optimizer, get_optimizer
from fastbp.tables._design import BATCH as FILE_BATCH
from fastbp.tables._design import EPOCHS as FILE_EPOCHS
from fastbp.tables._design import HIDDEN, LEARNING_RATES, Design
from fastbp.tables._targets import Targets

EPOCHS = {"digits": 150, "mnist": 17, "fashion-mnist": 17}  # 17 times 600 batches: the book's 10,000
BATCH = 100
NO_NORMALIZATION = "none"
OF_A_MODEL = {  # of a new one
    "hidden": list(HIDDEN),
    "normalization": NO_NORMALIZATION,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "dtype": "float32",
}
OF_DATA = ("drop", "categorical", "dates", "missing", "fill_missing", "no_standardize", "scale")
FIXED = (*OF_A_MODEL, "network", "activation", "loss", *OF_DATA)


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(DataOptions):
    """What network is trained on the data, and how. Only ``batch_size`` may still be open."""

    network: str | None
    hidden: tuple[int, ...]
    activation: str | tuple[str, ...] | None
    normalization: str
    dropout: float
    loss: str | None
    label_smoothing: float
    epochs: int
    batch_size: int | None
    optimizer: str
    lr: float
    schedule: str
    warm_up: int | None
    setting: tuple[tuple[str, float], ...]
    clip_norm: float | None
    sample_weight: str | None
    class_weight: tuple[str | tuple[str, float], ...]
    patience: int | None
    max_steps: int | None
    no_shuffle: bool
    seed: int
    dtype: str
    threads: int | None


def add_network_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    network = "a convolutional network of the book, for square images of one channel, in place of hidden layers"
    add("--network", choices=CONVNETS, help=network)
    add("--hidden", metavar="N", type=types.count, nargs="+", help="hidden units, layer by layer (default: 50)")
    activation = f"after each hidden layer, or one for each, as relu,tanh (default: relu): {', '.join(BY_NAME)}"
    add("--activation", metavar="NAME", type=types.activation, help=activation)
    normalization = "of each hidden layer, before its activation (default: none)"
    add("--normalization", choices=(NO_NORMALIZATION, *NORMALIZATIONS), help=normalization)
    add("--dropout", metavar="P", type=types.share, help="share of hidden units dropped (default: 0)")
    numbers = ", ".join(losses.words(NUMBERS))
    loss = f"softmax or sigmoid (of two classes) for classes, one of {numbers} for numbers (default: by the target)"
    add("--loss", choices=losses.BY_NAME, help=loss)
    add("--label-smoothing", metavar="X", type=types.share, help="of softmax (default: 0)")
    epochs, rates = _listed(EPOCHS), _listed(LEARNING_RATES)
    add(
        "--epochs",
        metavar="N",
        type=types.count,
        help=f"passes over the samples (default: {epochs}, {FILE_EPOCHS} for files)",
    )
    batch = f"samples a step (default: {BATCH}, {FILE_BATCH} for files)"
    add("--batch-size", metavar="N", type=types.count, help=batch)
    optimizer = "how gradients move the weights (default: %(default)s)"
    add("--optimizer", choices=LEARNING_RATES, default="sgd", help=optimizer)
    add("--lr", metavar="X", type=types.above_0, help=f"learning rate (default: {rates})")
    add("--schedule", choices=("constant", "cosine"), default="constant", help="of the rate (default: %(default)s)")
    add("--warm-up", metavar="N", type=types.count, help="steps in which the rate rises to its full value")
    setting = "other settings of the optimizer, as momentum=0.8 or weight_decay=1e-4"
    add("--setting", metavar="NAME=X", type=types.setting, nargs="+", default=[], help=setting)
    add("--clip-norm", metavar="X", type=types.above_0, help="scale gradients down to this norm")
    weight = "weights of the samples: a column, an array of the .npz file, or a .npy file"
    add("--sample-weight", metavar="NAME", help=weight)
    class_weight = "weights of classes, or balanced: each class weighs the same in all"
    add("--class-weight", metavar="CLASS=X", type=types.class_weight, nargs="+", default=[], help=class_weight)
    patience = "stop after N epochs without a lower validation loss, and keep the best weights"
    add("--patience", metavar="N", type=types.count, help=patience)
    add("--max-steps", metavar="N", type=types.count, help="stop after N steps in all")
    add("--no-shuffle", action="store_true", help="take the samples in their order")
    add("--seed", metavar="N", type=types.seed, default=0, help="of weights, order and split (default: %(default)s)")
    add("--dtype", choices=("float32", "float64"), help="(default: float32)")
    threads = "threads to use, which changes no result (default: as many as there are cores)"
    add("--threads", metavar="N", type=types.threads, help=threads)


def _listed(defaults: Mapping[str, float]) -> str:
    return ", ".join(f"{value} for {name}" for name, value in defaults.items())


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options' ``values`` with the defaults that depend on others. CommandError for what does not go together."""
    values = dict(values)
    for name in FIXED:
        if values.get("resume") and values[name]:
            raise CommandError(f"--{name.replace('_', '-')} does not go with --resume: the model has its own", 2)
    for name in ("hidden", "activation", "normalization", "dropout"):
        if values["network"] and values[name]:
            raise CommandError(f"--{name} does not go with --network: {values['network']} has its own", 2)
    defaults = OF_A_MODEL | {
        "epochs": EPOCHS.get(values["data"], FILE_EPOCHS),
        "lr": LEARNING_RATES[values["optimizer"]],
    }
    values |= {name: default for name, default in defaults.items() if values[name] is None}
    types.check_activations(values["activation"], len(values["hidden"]))
    _check_settings(values["optimizer"], values["setting"])
    return values


def _check_settings(optimizer: str, settings: Sequence[tuple[str, float]]) -> None:
    """CommandError for settings that the optimizer does not have."""
    known = list(inspect.signature(type(get_optimizer(optimizer))).parameters)
    known.remove("lr")  # has an option of its own
    for name, _ in settings:
        if name == "lr":
            raise CommandError("--setting lr: the learning rate is an option of its own, --lr", 2)
        if name not in known:
            only = f"only {', '.join(known)}{did_you_mean(name, known)}"
            raise CommandError(f"--setting {name}: {optimizer} has no such setting, {only}", 2)


def batch_size(options: NetworkOptions, n_samples: int) -> int:
    """What --batch-size says, or its default; CommandError where it is more than there are samples."""
    if options.batch_size is None:
        return min(n_samples, BATCH if options.data in SETS else FILE_BATCH)
    if options.batch_size > n_samples:
        message = f"--batch-size must be at most {n_samples}, the training samples, got {options.batch_size}"
        raise CommandError(message, 2)
    return options.batch_size


def new_network(options: NetworkOptions, n_inputs: int, targets: Targets) -> Sequential:
    """The network to train: the book's on a data set of fastbp where nothing else is asked for."""
    if options.network is not None:
        side = math.isqrt(n_inputs)
        if side * side != n_inputs:
            expected = f"{options.network} takes square images of one channel"
            raise CommandError(f"--network: {expected}, got samples of {n_inputs} numbers", 2)
        design = Design(loss=options.loss, label_smoothing=options.label_smoothing)
        settings: dict[str, Any] = {"dtype": options.dtype, "seed": options.seed, "loss": design.loss_for(targets)}
        try:
            return convnet(options.network, targets.n_outputs, (1, side, side), **settings)
        except ValueError as error:
            raise CommandError(f"--network: {error}", 2) from None
    normalization = None if options.normalization == NO_NORMALIZATION else options.normalization
    asked = options.activation or normalization or options.dropout or options.label_smoothing
    if options.data in SETS and not asked and len(options.hidden) == 1 and options.loss in (None, "softmax"):
        return TwoLayerNet(n_inputs, options.hidden[0], targets.n_outputs, dtype=options.dtype, seed=options.seed)
    names = "hidden", "dropout", "loss", "label_smoothing", "dtype", "seed"
    same = {name: getattr(options, name) for name in names}
    design = Design(activation=options.activation or "relu", normalization=normalization, **same)
    return design.network(n_inputs, targets)


def fit_settings(options: NetworkOptions) -> dict[str, Any]:
    """The keyword arguments of ``fit`` that options give."""
    names = "epochs", "batch_size", "seed", "threads", "clip_norm", "patience", "max_steps"
    settings = {name: getattr(options, name) for name in names}
    return settings | {"shuffle": not options.no_shuffle, "optimizer": _optimizer(options)}


def settings_of_all(options: NetworkOptions) -> dict[str, Any]:
    """The keyword arguments of ``fit_many`` that options give, and that are called as those of ``fit``."""
    names = "threads", "clip_norm", "patience", "max_steps"
    return {name: getattr(options, name) for name in names} | {"shuffle": not options.no_shuffle}


def _optimizer(options: NetworkOptions) -> Optimizer:
    lr: Any = options.lr
    if options.schedule == "cosine":
        lr = schedules.cosine(lr, epochs=options.epochs)
    if options.warm_up:
        lr = schedules.warm_up(lr, options.warm_up)
    try:
        return get_optimizer(options.optimizer, lr=lr, **dict(options.setting))
    except (TypeError, ValueError) as error:
        raise CommandError(f"--setting: {error}", 2) from None
