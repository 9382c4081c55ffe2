"""Losses whose gradient with respect to the scores x is ``y - t``: each goes with the function that makes y of x.

::

    y = softmax(x)            l = - log(sum_k t[k] y[k])                             t one-hot
    y = 1 / (1 + exp(-x))     l = - sum_k log(y[k] where t[k] is 1, else 1 - y[k])   t 0 or 1
    y = exp(x)                l = sum_k t[k] log(t[k] / y[k]) - t[k] + y[k]          t >= 0, half the deviance of
                                                                                     Poisson's distribution
    y = x                     l = mean_k (y[k] - t[k])^2 / 2

They are those of scikit-learn's multi-layer perceptrons, whose probabilities count as at least eps, that of their type,
and at most 1 - eps in a loss. (The gradient of the last is that of the sum over k, though the loss is the mean: also
theirs.) The loss of a batch is ``sum_n weights[n] l[n] / sum_n weights[n]``, and of no weight at all it is 0.

All but the first are functions of ``activations`` and losses in the form of ``element_losses``, of y in place of x:
they are called through their addresses, and ``number`` is ``1 / (2 K)``.
"""

from ._jit import kernel
from .element_losses import call_loss
from .elementary import exp, log
from .elementwise import call_function
from .gemm import LINEAR, NOTHING
from .memory import address, like, size_of, view
from .reduce import row_sum, wide_sum
from .row_losses import weigh_losses, weigh_rows
from .short_rows import SHORT_ROWS_BYTES
from .softmax import part_of_rows, parts_of_rows, softmax_rows
from .team import package, scratch_of, spread


@kernel(inline=True)
def _probability(p):
    """``p`` within eps and 1 - eps; NaN stays."""
    eps = like(2.0**-23 if size_of(p) == 4 else 2.0**-52, p)
    most = like(1, p) - eps
    return eps if p < eps else (most if p > most else p)


@kernel
def exponential(x, y, n, number):
    """``y = exp(x)``, a function in the form of ``activations``; y must not be x."""
    x, y = view(x, n, number), view(y, n, number)
    for i in range(y.size):
        y[i] = exp(x[i])


@kernel
def binary_choice(y, t, losses, n, share, number):
    """``-log(y where t is 1, else 1 - y)``."""
    y, t, losses, one = view(y, n, number), view(t, n, number), view(losses, n, number), like(1, number)
    for i in range(losses.size):
        losses[i] = -log(_probability(y[i] if t[i] == one else one - y[i]))


@kernel
def poisson(y, t, losses, n, share, number):
    """``t log(t / y) - t + y``."""
    y, t, losses, one = view(y, n, number), view(t, n, number), view(losses, n, number), like(1, number)
    for i in range(losses.size):
        ratio = t[i] / y[i]
        ratio = one if t[i] == like(0, number) else ratio  # of 0, which takes no part, whatever y is
        losses[i] = t[i] * log(ratio) - t[i] + y[i]


@kernel
def share_of_squares(y, t, losses, n, share, number):
    """``number (y - t)^2``."""
    y, t, losses = view(y, n, number), view(t, n, number), view(losses, n, number)
    for i in range(losses.size):
        difference = y[i] - t[i]
        losses[i] = number * difference * difference


@kernel
def _sum_of_rows(team, member, x, y, t, weights, begin, end):
    """Write softmax of rows ``begin`` to ``end`` to ``y``; returns the sum of their losses."""
    losses = view(scratch_of(team, member) + SHORT_ROWS_BYTES + 8 * (end - begin), end - begin, 1.0)  # behind the tops
    softmax_rows(team, member, x[begin:end], y[begin:end], 0, end - begin, losses)
    for n in range(begin, end):
        right = y.dtype.type(0)
        for k in range(y.shape[1]):
            right += y[n, k] * t[n, k]
        losses[n - begin] = -log(like(_probability(right), 1.0))
    weigh_losses(losses, weights[begin:end])
    return row_sum(address(losses), losses.size, 1.0)


@kernel
def _sum_of_elements(function, output, x, y, t, weights, terms, begin, end):
    """Write the outputs of rows ``begin`` to ``end`` to ``y``; returns the sum of their losses.

    ``terms``, of the shape of ``y``, is overwritten.
    """
    size, number = (end - begin) * y.shape[1], y.dtype.type(0.5) / like(y.shape[1], y[0, 0])
    scores, out, values = address(x[begin:end]), address(y[begin:end]), address(terms[begin:end])
    if output != LINEAR:
        call_function(output, scores, out, size, number)
    else:
        given, taken = x[begin:end].reshape(size), y[begin:end].reshape(size)
        for i in range(size):
            taken[i] = given[i]
    call_loss(function, out, address(t[begin:end]), values, size, number, number)
    weigh_rows(terms[begin:end], weights[begin:end])
    return wide_sum(values, size, number)


@kernel
def _part(team, function, output, x, t, weights, share, y, dx, partial, part, member):
    n_rows, n_columns = x.shape
    begin, end = part_of_rows(n_rows, n_columns, part)
    if function == NOTHING:
        partial[part] = _sum_of_rows(team, member, x, y, t, weights, begin, end)
    else:
        partial[part] = _sum_of_elements(function, output, x, y, t, weights, dx, begin, end)
    size = (end - begin) * n_columns
    value, target, out = y[begin:end].reshape(size), t[begin:end].reshape(size), dx[begin:end].reshape(size)
    for i in range(size):
        out[i] = (value[i] - target[i]) * share
    weigh_rows(dx[begin:end], weights[begin:end])


@kernel
def sum_of_weights(weights, n_rows):
    """What the losses of ``n_rows`` rows are divided by, in float64: their number where ``weights`` has no elements."""
    if weights.size == 0:
        return float(n_rows)
    total = 0.0
    for n in range(weights.size):
        total += weights[n]
    return total


@kernel
def deviance(team, function, output, x, t, weights, total, y, dx, partial):
    """The loss of a batch and its gradient, by the formulas above. The same bits for any number of threads.

    Parameters
    ----------
    function, output : addresses of a loss and of the function of ``activations`` that makes y of x, or LINEAR
        NOTHING for the loss stands for that of softmax.
    x, t : (N, K) float32 or float64, C-contiguous
        Scores and targets, the latter not checked here.
    weights : (N,) of the type of ``x``, or of length 0: all rows count the same
    total : float64
        The sum of the weights of the batch, of which these rows may be a part. If it is 0, so are loss and gradient.
    y : (N, K), overwritten with the outputs; must not be ``x``
    dx : (N, K), overwritten with ``weights[n] (y - t) / total``; must not be ``x``, ``y`` or ``t``
    partial : (N,) float64, of which the first parts_of_rows(N, K) are overwritten

    Returns
    -------
    loss : float64
    """
    share = 1.0 / total if total != 0 else 0.0
    parts = parts_of_rows(*x.shape)
    arguments = (team, function, output, x, t, weights, x.dtype.type(share), y, dx, partial)
    spread(team, parts, package(_part, arguments))
    return row_sum(address(partial), parts, 1.0) * share
