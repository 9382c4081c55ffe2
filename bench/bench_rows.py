"""How the cost of an epoch grows with the rows of a memory-mapped file: mini-batches of 1,000 rows, drawn anew."""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

import fastbp

from . import peers
from .laboratory import FOLDER
from .networks import Network
from .row import Expected, Row, Work, rows
from .steps_numpy import Net

BATCH = 1000
NETWORK = Network((16, 32, 10), BATCH)
ROWS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
CHECKED = 10_000  # rows on which the accuracy is taken
APART = 0.05  # accuracies after an epoch in another order are no further apart


def open_rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, 16) float32, a file mapped into memory, and labels (n,): the largest of the first ten columns."""
    path = Path(os.environ[FOLDER], f"{n}.float32")
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        rng = np.random.default_rng(0)
        with part.open("wb") as file:
            for begin in range(0, n, 100_000):
                rng.standard_normal((min(n - begin, 100_000), 16), np.float32).tofile(file)
        part.replace(path)
    x = np.memmap(path, np.float32, "r", shape=(n, 16))
    return x, np.concatenate([np.argmax(x[b : b + 100_000, :10], axis=1) for b in range(0, n, 100_000)])


def accuracy(parameters: Iterable[np.ndarray], x: np.ndarray, t: np.ndarray) -> np.ndarray:
    W1, b1, W2, b2 = parameters
    scores = np.maximum(x[:CHECKED] @ W1 + b1, 0) @ W2 + b2
    return np.array(np.mean(np.argmax(scores, axis=1) == t[:CHECKED]))


def fastbp_epoch(n: int) -> Work:
    x, t = open_rows(n)
    (W1, W2), (b1, b2) = NETWORK.parameters()
    net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
    sgd = fastbp.optimizers.SGD(lr=NETWORK.rate)

    def epoch() -> None:
        net.fit(x, t, batch_size=BATCH, optimizer=sgd, seed=0, progress=False)

    return Work(epoch, lambda: [accuracy(net.params.values(), x, t)], n)


def numpy_epoch(n: int) -> Work:
    x, t = open_rows(n)
    net, rng = Net(NETWORK), np.random.default_rng(0)

    def epoch() -> None:
        order = rng.permutation(n)
        for begin in range(0, n, BATCH):
            mask = order[begin : begin + BATCH]
            net.train(x[mask], t[mask])

    def answer() -> list[np.ndarray]:
        (W1, W2), (b1, b2) = net.weights, net.biases
        return [accuracy((W1, b1, W2, b2), x, t)]

    return Work(epoch, answer, n)


def torch_epoch(n: int) -> Work:
    from .steps_torch import build

    torch = peers.torch()
    x, t = open_rows(n)
    net, optimizer, measure = build(NETWORK)

    def epoch() -> None:
        order = torch.randperm(n).numpy()
        for begin in range(0, n, BATCH):
            mask = order[begin : begin + BATCH]
            optimizer.zero_grad()
            measure(net(torch.from_numpy(x[mask])), torch.from_numpy(t[mask])).backward()
            optimizer.step()

    def answer() -> list[np.ndarray]:
        W1, b1, W2, b2 = (p.detach().numpy() for p in net.parameters())
        return [accuracy((W1.T, b1, W2.T, b2), x, t)]

    return Work(epoch, answer, n)


@lru_cache(maxsize=1)
def expected(n: int) -> Expected:
    """The accuracy that a plain epoch comes to, whose order is one of many."""
    plain = numpy_epoch(n)
    plain.call()
    return [(plain.answer()[0], 1.0)]


PROVIDERS = {"fastbp": fastbp_epoch, "numpy": numpy_epoch, "torch": torch_epoch}


@rows(
    [
        Row(
            "growth by rows",
            f"{n:,}",
            (n,),
            flops=NETWORK.flops / BATCH,
            working_set=(4.0 * NETWORK.sizes[0] + 8) * n,  # a row and its label
            tolerance=APART / float(np.finfo(np.float32).eps),
            quick=False,
            turns=2,
            place=n,
        )
        for n in ROWS
    ],
    PROVIDERS,
)
def bench_rows(measure, row, provider):
    measure(PROVIDERS, expected)
