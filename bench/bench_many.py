"""Many small networks: an ensemble on one data set, one network for each group of a data set, and what beginning costs.

A call trains all networks on; the time is that of one network. JAX and PyTorch have their arrays and the orders of all
epochs beforehand, and leave out what is no whole mini-batch at the end of an epoch, as one vmap has one shape. Checked
is the mean accuracy after the first call, or the mean squared error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from fastbp import reference

from .row import Expected, Row, Work, rows
from .servers import all_cores

RATE, NOISE = 0.1, 0.1
APART = 0.03  # of accuracies, and of errors where those of no training are 1
LEARNED = 4  # networks that the plain layers train


@dataclass(frozen=True)
class Many:
    """``n`` networks of ``sizes``, each trained for so many ``epochs`` of ``n_rows`` rows, in batches of ``batch``.

    Those of two outputs are an ensemble on the same rows, of classes; those of one output have rows of their own.
    """

    n: int
    sizes: tuple[int, ...]
    n_rows: int
    epochs: int
    batch: int = 32

    @property
    def is_ensemble(self) -> bool:
        """Whether all have the same rows."""
        return self.sizes[-1] > 1

    @property
    def name(self) -> str:
        """As it stands in labels of rows."""
        what = "networks" if self.is_ensemble else "groups"
        return f"{self.n:,} {what} {'-'.join(map(str, self.sizes))}, {self.n_rows:,} rows, {self.epochs} epochs"

    @property
    def flops(self) -> int:
        """Of the matrix products of one network's training."""
        products = [i * o for i, o in pairwise(self.sizes)]
        return 2 * self.epochs * self.n_rows * (3 * sum(products) - products[0])

    def parameters(self, k: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Fresh weights, He's, and biases of network ``k``; float32."""
        rng = np.random.default_rng(k)
        shapes = list(pairwise(self.sizes))
        scale = [np.float32(np.sqrt(2 / i)) for i, _ in shapes]
        weights = [s * rng.standard_normal(shape, np.float32) for s, shape in zip(scale, shapes, strict=True)]
        return weights, [np.zeros(o, np.float32) for _, o in shapes]

    def orders(self) -> np.ndarray:
        """(n, epochs, n_rows) int32, rows in the order of each network's epochs, for loops that draw none."""
        rng = np.random.default_rng(1)
        one = np.broadcast_to(np.arange(self.n_rows, dtype=np.int32), (self.n, self.epochs, self.n_rows))
        return rng.permuted(one, axis=2) + (0 if self.is_ensemble else self.n_rows) * np.arange(
            self.n, dtype=np.int32
        ).reshape(-1, 1, 1)

    def score(self, scores: np.ndarray, t: np.ndarray) -> float:
        """The accuracy of ``scores`` (N, K), or their mean squared error."""
        return float(np.mean(scores.argmax(axis=1) == t) if self.is_ensemble else np.mean((scores - t) ** 2))

    def rows_of(self, k: int) -> slice:
        """Those that network ``k`` is trained on."""
        return slice(None) if self.is_ensemble else slice(k * self.n_rows, (k + 1) * self.n_rows)


@cache
def data(many: Many) -> tuple[np.ndarray, np.ndarray]:
    """Samples float32 and targets: two classes by a curved border, or a number, by another function in each group."""
    rng = np.random.default_rng(0)
    n = many.n_rows * (1 if many.is_ensemble else many.n)
    x = rng.standard_normal((n, many.sizes[0]), np.float32)
    if many.is_ensemble:
        return x, (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(np.intp)
    slopes = np.repeat(rng.standard_normal((many.n, many.sizes[0]), np.float32), many.n_rows, axis=0)
    t = (x * slopes).sum(axis=1, keepdims=True) / np.linalg.norm(slopes, axis=1, keepdims=True)
    return x, t + np.float32(NOISE) * rng.standard_normal((n, 1), np.float32)


def work(
    many: Many,
    train: Callable[[], object],
    predict: Callable[[int, np.ndarray], Any],
    units: int | None = None,
) -> Work:
    """``train`` trains them all, or ``units`` of them; ``predict(k, x)`` then gives the scores of network ``k``."""
    x, t = data(many)

    def answer() -> list[np.ndarray]:
        some = range(LEARNED)
        scores = [many.score(np.asarray(predict(k, x[many.rows_of(k)])), t[many.rows_of(k)]) for k in some]
        return [np.array(np.mean(scores))]

    return Work(train, answer, units or many.n)


@cache
def expected(many: Many) -> Expected:
    """The mean score by the plain layers in float64, of as many networks as others are asked for."""
    x, t = data(many)
    loss = reference.SoftmaxWithLoss(eps=0) if many.is_ensemble else reference.MeanSquaredError()
    scores = []
    for k, order in enumerate(many.orders()[:LEARNED]):
        weights, biases = many.parameters(k)
        affines: list[Any] = [
            reference.Affine(W.astype(np.float64), b.astype(np.float64)) for W, b in zip(weights, biases, strict=True)
        ]
        layers = [layer for affine in affines for layer in (affine, reference.Relu())][:-1]

        def forward(out, layers=layers):
            for layer in layers:
                out = layer.forward(out)
            return out

        for epoch in order:
            for begin in range(0, many.n_rows, many.batch):
                rows_of_batch = epoch[begin : begin + many.batch]
                loss.forward(forward(x[rows_of_batch].astype(np.float64)), t[rows_of_batch])
                slope = loss.backward()
                for layer in reversed(layers):
                    slope = layer.backward(slope)
                for affine in affines:
                    affine.W -= RATE * affine.dW
                    affine.b -= RATE * affine.db
        own = many.rows_of(k)
        scores.append(many.score(forward(x[own].astype(np.float64)), t[own]))
    return [(np.array(np.mean(scores)), 1.0)]


ENSEMBLE = Many(64, (20, 32, 2), 2000, 20)
GROUPS = Many(10_000, (8, 16, 1), 100, 50)
FEWER_GROUPS = Many(500, (8, 16, 1), 100, 50)

ROWS = [
    Row(
        "many",
        many.name,
        (many,),
        threads=threads,
        flops=many.flops,
        tolerance=APART / float(np.finfo(np.float32).eps),
        quick=many is ENSEMBLE,
        turns=2,
    )
    for many in (ENSEMBLE, FEWER_GROUPS, GROUPS)
    for threads in sorted({1, all_cores()})
]


@rows(ROWS, "many")
def bench_many(measure, row, provider):
    measure(expected)


def expected_nothing(many: Many) -> Expected:
    """That no step was done."""
    return [(np.zeros(1), 1.0)]


@rows([Row("many begun", "1,000 networks 8-16-1 made, no step", (Many(1000, (8, 16, 1), 100, 0),))], "begun")
def bench_begun(measure, row, provider):
    measure(expected_nothing)
