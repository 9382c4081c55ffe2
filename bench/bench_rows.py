"""How the cost of an epoch grows with the rows of a memory-mapped file: mini-batches of 1,000 rows, drawn anew."""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from .networks import Network
from .row import Expected, Row, rows
from .servers import FOLDER

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


@lru_cache(maxsize=1)
def expected(n: int) -> Expected:
    """The accuracy that a plain epoch comes to, whose order is one of many."""
    from .peers.numpy import epoch  # which has its rows from here

    plain = epoch(n)
    plain.call()
    return [(plain.answer()[0], 1.0)]


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
    "growth by rows",
)
def bench_rows(measure, row, provider):
    measure(expected)
