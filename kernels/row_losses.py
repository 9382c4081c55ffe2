"""What losses have in common: a batch of rows of which each has one loss and perhaps a weight.

The loss of a batch is ``sum_n weights[n] losses[n] / N``. It is divided by the number of rows, not by the sum of the
weights, so that a row of weight 2 counts as the row given twice does in a batch of the same N.
"""

from ._jit import kernel
from .memory import INFINITY, address
from .reduce import row_sum

BLOCK = 4096  # values looked at before asking whether one of them was outside


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
    mean = row_sum(address(losses), losses.size, 1.0) / losses.size
    if mean == INFINITY:  # the sum may be what is too large
        mean = 0.0
        for n in range(losses.size):
            mean += losses[n] / losses.size
    return mean


@kernel
def first_outside(values, low, high):
    """Index of the first of ``values``, (n,), below ``low`` or above ``high``; -1 where there is none. NaN is neither.

    ``low`` and ``high`` are numbers that the type of ``values`` has.
    """
    least, most = values.dtype.type(low), values.dtype.type(high)
    for begin in range(0, values.size, BLOCK):
        block = values[begin : begin + BLOCK]
        outside = 0
        for i in range(block.size):  # without a way out, so that it is vectorised
            outside |= (block[i] < least) | (block[i] > most)
        if outside:
            for i in range(block.size):
                if block[i] < least or block[i] > most:
                    return begin + i
    return -1
