"""A memory-mapped file of samples, as long as a row asks for; the network that learns them, and how well it does."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .networks import Perceptron
from .servers import FOLDER

BATCH = 1000
NETWORK = Perceptron((16, 32, 10), BATCH)
CHECKED = 10_000  # rows on which the accuracy is taken


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
    """The share of the first CHECKED rows that get their class from W1, b1, W2 and b2."""
    W1, b1, W2, b2 = parameters
    scores = np.maximum(x[:CHECKED] @ W1 + b1, 0) @ W2 + b2
    return np.array(np.mean(np.argmax(scores, axis=1) == t[:CHECKED]))
