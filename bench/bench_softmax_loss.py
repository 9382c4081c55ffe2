"""Softmax with cross-entropy: the mean loss of a batch of labels, and its gradient."""

from .losses import expected, loss_rows
from .row import rows


@rows(loss_rows("SoftmaxWithLoss", label_targets=True), "softmax loss")
def bench_softmax_loss(measure, row, provider):
    measure(expected)
