"""``fastbp train``: load the data, train, tell."""

import argparse
import dataclasses
import sys
import time

import numpy as np
from numba.core.event import TimingListener, install_listener
from tqdm import tqdm

from fastbp import datasets
from fastbp.history import History
from fastbp.json_file import write_json
from fastbp.optimizers import get_optimizer
from fastbp.two_layer_net import TwoLayerNet

ROWS_AT_A_TIME = 1024  # of an evaluation: their floats stay in the cache, and the data set needs no float copy


class CommandError(Exception):
    """The command cannot go on; a line for the user, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    ``loss`` is the mean over its images in nats, each at the step that used it; the accuracies are shares of
    all images, with the weights at its end; ``seconds`` include finding them.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Totals:
    """What the whole training took, evaluation and compilation included; ``compile_share`` is of ``seconds``.

    Machine code that comes from numba's cache on disk was not compiled and does not count.
    """

    seconds: float
    images_per_second: float
    compile_seconds: float
    compile_share: float


def run(options: argparse.Namespace) -> None:
    """Train as the parsed ``options`` say, print a line per epoch and the totals, write the JSON file."""
    try:
        data = _load(options)
    except datasets.DatasetError as error:
        raise CommandError(str(error)) from None
    n_train = len(data.x_train)
    if options.batch_size > n_train:
        message = f"--batch-size must be at most {n_train}, the training images, got {options.batch_size}"
        raise CommandError(message, code=2)
    start = time.perf_counter()
    with install_listener("numba:compile", TimingListener()) as compiling:
        try:
            epochs = _train(options, data)
        except FloatingPointError as error:
            raise CommandError(str(error)) from None
    seconds = time.perf_counter() - start
    compile_seconds = compiling.duration if compiling.done else 0.0
    totals = Totals(seconds, len(epochs) * n_train / seconds, compile_seconds, compile_seconds / seconds)
    if options.json:
        report = {
            "options": {name: value for name, value in vars(options).items() if name != "command"},
            "epochs": [dataclasses.asdict(epoch) for epoch in epochs],
            "totals": dataclasses.asdict(totals),
        }
        write_json(options.json, report)
    print(totals_line(len(epochs), totals))


def epoch_line(epoch: Epoch, epochs: int) -> str:
    return (
        f"epoch {epoch.epoch:{len(str(epochs))}}/{epochs}  loss {epoch.loss:.4f}"
        f"  train {epoch.train_accuracy:.4f}  test {epoch.test_accuracy:.4f}"
    )


def totals_line(epochs: int, totals: Totals) -> str:
    return (
        f"{epochs} epoch{'s' * (epochs > 1)} in {totals.seconds:.2f} s, "
        f"{totals.images_per_second:.0f} images/s, {totals.compile_share:.1%} of the time compiling"
    )


def _load(options: argparse.Namespace) -> datasets.Dataset:
    if options.data == "mnist":
        return datasets.mnist(options.data_dir)
    if options.data == "fashion-mnist":
        return datasets.fashion_mnist(options.data_dir)
    return datasets.digits()


def _train(options: argparse.Namespace, data: datasets.Dataset) -> list[Epoch]:
    """Train with a progress bar on stderr, if that is a terminal, and print a line per epoch."""
    inputs, classes = data.x_train.shape[1], 10
    net = TwoLayerNet(inputs, options.hidden, classes, dtype=options.dtype, seed=options.seed)
    epochs: list[Epoch] = []
    start = time.perf_counter()

    def tell(history: History) -> None:
        nonlocal start
        train_accuracy = _accuracy(net, data.x_train, data.t_train, data.scale)
        test_accuracy = _accuracy(net, data.x_test, data.t_test, data.scale)
        now = time.perf_counter()
        epochs.append(Epoch(len(history.loss), history.loss[-1], train_accuracy, test_accuracy, now - start))
        start = now
        with tqdm.external_write_mode():
            print(epoch_line(epochs[-1], options.epochs), flush=True)

    net.fit(
        data.x_train,
        data.t_train,
        epochs=options.epochs,
        batch_size=options.batch_size,
        optimizer=get_optimizer(options.optimizer, lr=options.lr),
        seed=options.seed,
        threads=options.threads,
        callbacks=[tell],
        progress=sys.stderr is not None,
        scale=data.scale,
    )
    return epochs


def _accuracy(net: TwoLayerNet, x: np.ndarray, t: np.ndarray, scale: float) -> float:
    """The share of the images ``x``, times ``scale``, whose highest score is that of their class."""
    dtype = net.params["W1"].dtype
    right = 0
    for begin in range(0, len(x), ROWS_AT_A_TIME):
        rows = slice(begin, begin + ROWS_AT_A_TIME)
        scores = net.predict(np.multiply(x[rows], scale, dtype=dtype))
        right += int(np.count_nonzero(np.argmax(scores, axis=1) == t[rows]))
    return right / len(x)
