"""What the benchmarks of the losses share: the mean loss of a batch, and its gradient with respect to the scores."""

import math

import numpy as np

from fastbp import reference

from .row import Expected, Row

SHAPES = ((100, 10), (128, 1000), (4096, 100), (100_000, 10), (1_000_000, 10))
QUICK = ((100, 10), (100_000, 10))


def loss_rows(loss: str, label_targets: bool) -> list[Row]:
    """Of one of ``fastbp.reference``'s losses."""
    return [
        Row(
            job,
            f"{n}x{k}",
            (loss, (n, k)),
            moved=4.0 * n * k * (2 if label_targets else 3),
            working_set=4.0 * n * k * (2 if label_targets else 3),
            tolerance=64,
            quick=(n, k) in QUICK,
        )
        for job in ["softmax loss" if label_targets else "squared error"]
        for n, k in SHAPES
    ]


def scores_and_targets(loss: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, K) float32, and labels (N,) intp or targets of the shape of the scores."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, np.float32)
    if loss == "SoftmaxWithLoss":
        return x, rng.integers(0, shape[1], shape[0])
    return x, rng.standard_normal(shape, np.float32)


def expected(loss: str, shape: tuple[int, int]) -> Expected:
    """By the plain layer, in float64: the loss, and the gradient, whose errors are in units of its largest."""
    x, t = scores_and_targets(loss, shape)
    layer = reference.SoftmaxWithLoss(eps=0) if loss == "SoftmaxWithLoss" else reference.MeanSquaredError()
    value = layer.forward(x.astype(np.float64), t)
    gradient = layer.backward()
    summing = 1 + math.sqrt(x.size) / 64  # a sum in float32 may be off by as many eps as the root of its length
    return [(np.asarray(value), abs(value) * summing), (gradient, np.max(np.abs(gradient)))]
