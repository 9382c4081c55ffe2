"""What losses have in common: a batch of rows of which each has one loss and perhaps a weight.

The loss of a batch is ``sum_n weights[n] losses[n] / N``. It is divided by the number of rows, not by the sum of the
weights, so that a row of weight 2 counts as the row given twice does in a batch of the same N.
"""

from ._jit import kernel
from .memory import address
from .reduce import row_sum

SHORT = 16  # columns that are added one by one sooner than as a vector


@kernel
def mean_rows(values, losses, begin, end):
    """``losses[n] = mean_k values[n, k]`` for rows ``begin`` to ``end``; the sum is taken in the type of ``values``."""
    n_columns = values.shape[1]
    if n_columns == 1:
        column, out = values[begin:end].reshape(end - begin), losses[begin:end]
        for n in range(out.size):
            out[n] = column[n]
    elif n_columns <= SHORT:
        for n in range(begin, end):
            total = values[n, 0]
            for k in range(1, n_columns):
                total += values[n, k]
            losses[n] = total
        out = losses[begin:end]
        for n in range(out.size):
            out[n] /= n_columns
    else:
        for n in range(begin, end):
            losses[n] = row_sum(address(values[n]), n_columns, values.dtype.type(1)) / n_columns


@kernel
def weigh_losses(losses, weights, begin, end):
    """``losses[n] *= weights[n]`` for rows ``begin`` to ``end``; nothing where ``weights`` has no elements."""
    if weights.size > 0:
        for n in range(begin, end):
            losses[n] *= weights[n]


@kernel
def weigh_rows(dx, weights, begin, end):
    """``dx[n, k] *= weights[n]`` for rows ``begin`` to ``end``; nothing where ``weights`` has no elements."""
    if weights.size > 0:
        for n in range(begin, end):
            for k in range(dx.shape[1]):
                dx[n, k] *= weights[n]


@kernel
def mean_loss(losses):
    """The mean of ``losses``, (N,) float64, summed in an order that depends on N alone."""
    return row_sum(address(losses), losses.size, 1.0) / losses.size
