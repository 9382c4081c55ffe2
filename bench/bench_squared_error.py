"""The mean squared error of a batch, and its gradient."""

from .losses import expected, loss_rows
from .row import rows


@rows(loss_rows("MeanSquaredError", label_targets=False), "squared error")
def bench_squared_error(measure, row, provider):
    measure(expected)
