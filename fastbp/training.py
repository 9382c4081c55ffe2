"""Training a network by stochastic gradient descent, epoch by epoch."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fastbp.datasets import Dataset
from fastbp.two_layer_net import TwoLayerNet


@dataclass(frozen=True)
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


def train(
    net: TwoLayerNet,
    data: Dataset,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    on_batch: Callable[[], object] = lambda: None,
) -> Iterator[Epoch]:
    """Train ``net`` in place by plain gradient descent and yield an ``Epoch`` after each.

    Every epoch passes once over the training images in a new order drawn from ``seed``; its last batch is
    the smaller one if ``batch_size`` does not divide their number. Images are scaled to 0..1 in the dtype of
    the weights. ``on_batch`` is called after each batch.

    Raises
    ------
    FloatingPointError
        The loss of a batch is nan or infinite; names the epoch and batch, counted from 1. The weights are
        those that gave that loss.
    """
    dtype = net.params["W1"].dtype
    x_train, x_test = data.x_train * dtype.type(data.scale), data.x_test * dtype.type(data.scale)
    rng = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        total = 0.0
        order = rng.permutation(len(x_train))
        for batch, first in enumerate(range(0, len(order), batch_size), 1):
            rows = order[first : first + batch_size]
            loss = _step(net, x_train[rows], data.t_train[rows], lr)
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in epoch {epoch}, batch {batch}: try a learning rate below {lr:g}"
                )
            total += loss * len(rows)
            on_batch()
        yield Epoch(
            epoch,
            loss=total / len(order),
            train_accuracy=float(net.accuracy(x_train, data.t_train)),
            test_accuracy=float(net.accuracy(x_test, data.t_test)),
            seconds=time.perf_counter() - start,
        )


def _step(net: TwoLayerNet, x: np.ndarray, t: np.ndarray, lr: float) -> float:
    """Take one step of gradient descent unless the loss is not finite; return the loss before the step."""
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges shows in its loss
        grads = net.gradient(x, t)
        loss = float(net.lastLayer.loss)
        if math.isfinite(loss):
            for name, param in net.params.items():
                param -= lr * grads[name]
    return loss
