"""The options of a network and of its training, and what they make."""

import argparse
import inspect
from collections.abc import Mapping
from typing import Any

import fastbp
from fastbp import Sequential, TwoLayerNet, activations, losses, schedules
from fastbp._loss import NUMBERS, Loss
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._data import SETS
from fastbp.commands._options import did_you_mean
from fastbp.commands._targets import Classes, Targets
from fastbp.optimizers import Optimizer, get_optimizer

EPOCHS = {"digits": 150, "mnist": 17, "fashion-mnist": 17}  # 17 times 600 batches: the book's 10,000
FILE_EPOCHS = 100
LEARNING_RATES = {  # with which each optimizer learns the data above well in these epochs
    "sgd": 0.1,
    "momentum": 0.01,
    "nesterov": 0.01,
    "adagrad": 0.1,
    "rmsprop": 0.001,
    "adam": 0.001,
    "adamw": 0.001,
}
BATCH, FILE_BATCH = 100, 32
OF_A_MODEL = {"hidden": [50], "dropout": 0.0, "label_smoothing": 0.0, "dtype": "float32"}  # defaults for a new one
OF_DATA = ("drop", "categorical", "dates", "missing", "fill_missing", "no_standardize", "scale")
FIXED = (*OF_A_MODEL, "activation", "loss", *OF_DATA)


def add_network_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--hidden", metavar="N", type=types.count, nargs="+", help="hidden units, layer by layer (default: 50)")
    activation = f"after each hidden layer (default: relu): {', '.join(activations.BY_NAME)}"
    add("--activation", metavar="NAME", choices=activations.BY_NAME, help=activation)
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


def complete(options: argparse.Namespace) -> None:
    """Fill in the defaults that depend on other options. Raises CommandError for what does not go together."""
    for name in FIXED:
        if options.resume and getattr(options, name):
            raise CommandError(f"--{name.replace('_', '-')} does not go with --resume: the model has its own", 2)
    for name, default in OF_A_MODEL.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    if options.epochs is None:
        options.epochs = EPOCHS.get(options.data, FILE_EPOCHS)
    if options.lr is None:
        options.lr = LEARNING_RATES[options.optimizer]
    _check_settings(options)


def _check_settings(options: argparse.Namespace) -> None:
    """CommandError for settings that the optimizer does not have."""
    known = list(inspect.signature(type(get_optimizer(options.optimizer))).parameters)
    known.remove("lr")  # has an option of its own
    for name, _ in options.setting:
        if name == "lr":
            raise CommandError("--setting lr: the learning rate is an option of its own, --lr", 2)
        if name not in known:
            only = f"only {', '.join(known)}{did_you_mean(name, known)}"
            raise CommandError(f"--setting {name}: {options.optimizer} has no such setting, {only}", 2)


def choose_batch(options: argparse.Namespace, n_samples: int) -> None:
    """Fill in the default of --batch-size; CommandError where it is more than there are samples."""
    if options.batch_size is None:
        options.batch_size = min(n_samples, BATCH if options.data in SETS else FILE_BATCH)
    if options.batch_size > n_samples:
        message = f"--batch-size must be at most {n_samples}, the training samples, got {options.batch_size}"
        raise CommandError(message, 2)


def new_network(options: argparse.Namespace, n_inputs: int, targets: Targets) -> Sequential:
    """The network to train: the book's on a data set of fastbp where nothing else is asked for."""
    asked = options.activation or len(options.hidden) > 1 or options.dropout or options.label_smoothing
    if options.data in SETS and not asked and options.loss in (None, "softmax"):
        return TwoLayerNet(n_inputs, options.hidden[0], targets.n_outputs, dtype=options.dtype, seed=options.seed)
    sizes = [n_inputs, *options.hidden, targets.n_outputs]
    return fastbp.mlp(
        sizes,
        options.activation or "relu",
        dropout=options.dropout,
        dtype=options.dtype,
        seed=options.seed,
        loss=_loss(options, targets),
    )


def _loss(options: argparse.Namespace, targets: Targets) -> Loss:
    loss: Any = losses.named(options.loss or ("softmax" if isinstance(targets, Classes) else "mse"))
    if options.label_smoothing:
        if not hasattr(loss, "label_smoothing"):
            raise CommandError("--label-smoothing goes with --loss softmax", 2)
        loss.label_smoothing = options.label_smoothing
    return loss


def fit_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of ``fit`` that options give."""
    settings = {
        name: getattr(options, name)
        for name in ("epochs", "batch_size", "seed", "threads", "clip_norm", "patience", "max_steps")
    }
    settings |= {"shuffle": not options.no_shuffle, "optimizer": _optimizer(options)}
    return settings


def _optimizer(options: argparse.Namespace) -> Optimizer:
    lr: Any = options.lr
    if options.schedule == "cosine":
        lr = schedules.cosine(lr, epochs=options.epochs)
    if options.warm_up:
        lr = schedules.warm_up(lr, options.warm_up)
    try:
        return get_optimizer(options.optimizer, lr=lr, **dict(options.setting))
    except (TypeError, ValueError) as error:
        raise CommandError(f"--setting: {error}", 2) from None
