"""What losses have in common: a batch of rows of which each has one loss and perhaps a weight.

The loss of a batch is ``sum_n weights[n] losses[n] / N``. It is divided by the number of rows, not by the sum of the
weights, so that a row of weight 2 counts as the row given twice does in a batch of the same N.
"""

from ._jit import kernel
from .memory import address
from .reduce import row_sum


@kernel
def weigh_losses(losses, weights):
    """``losses[n] *= weights[n]``; nothing where ``weights`` has no elements."""
    for n in range(weights.size):
        losses[n] *= weights[n]


@kernel
def weigh_rows(dx, weights):
    """``dx[n, k] *= weights[n]``; nothing where ``weights`` has no elements."""
    for n in range(weights.size):
        for k in range(dx.shape[1]):
            dx[n, k] *= weights[n]


@kernel
def mean_loss(losses):
    """The mean of ``losses``, (N,) float64, summed in an order that depends on N alone."""
    return row_sum(address(losses), losses.size, 1.0) / losses.size
