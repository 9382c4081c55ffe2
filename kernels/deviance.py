"""Losses whose gradient with respect to the scores x is ``y - t``: each goes with the function that makes y of x.

::

    SOFTMAX   y = softmax(x)            l = - log(sum_k t[k] y[k])                             t one-hot
    LOGISTIC  y = 1 / (1 + exp(-x))     l = - sum_k log(y[k] where t[k] is 1, else 1 - y[k])   t 0 or 1
    EXP       y = exp(x)                l = sum_k t[k] log(t[k] / y[k]) - t[k] + y[k]          t >= 0, half the deviance
    IDENTITY  y = x                     l = mean_k (y[k] - t[k])^2 / 2                         of Poisson's distribution

They are those of scikit-learn's multi-layer perceptrons, whose probabilities count as at least eps, that of their type,
and at most 1 - eps in a loss. (The gradient of IDENTITY is that of the sum over k, though the loss is the mean: also
theirs.) The loss of a batch is ``sum_n weights[n] l[n] / sum_n weights[n]``, and of no weight at all it is 0.
"""

from ._jit import kernel
from .elementary import exp, log, logistic
from .memory import address, like, size_of, view
from .reduce import row_sum, wide_sum
from .row_losses import weigh_losses, weigh_rows
from .short_rows import SCRATCH_BYTES
from .softmax import part_of_rows, parts_of_rows, softmax_rows
from .team import package, scratch_of, spread

SOFTMAX, LOGISTIC, EXP, IDENTITY = range(4)


@kernel(inline=True)
def _probability(p):
    """``p`` within eps and 1 - eps; NaN stays."""
    eps = like(2.0**-23 if size_of(p) == 4 else 2.0**-52, p)
    most = like(1, p) - eps
    return eps if p < eps else (most if p > most else p)


@kernel
def _outputs(team, member, kind, x, y, totals, begin, end):
    """``y`` of rows ``begin`` to ``end``; ``totals``, a float64 for each, may be overwritten."""
    size = (end - begin) * x.shape[1]
    score, out = x[begin:end].reshape(size), y[begin:end].reshape(size)
    if kind == SOFTMAX:
        softmax_rows(team, member, x[begin:end], y[begin:end], 0, end - begin, totals)
    elif kind == LOGISTIC:
        for i in range(size):
            out[i] = logistic(score[i])
    elif kind == EXP:
        for i in range(size):
            out[i] = exp(score[i])
    else:
        for i in range(size):
            out[i] = score[i]


@kernel
def _sum_of_rows(y, t, weights, losses, begin, end):
    """The sum of the losses of SOFTMAX of rows ``begin`` to ``end``; ``losses``, a float64 for each, is overwritten."""
    for n in range(begin, end):
        right = y.dtype.type(0)
        for k in range(y.shape[1]):
            right += y[n, k] * t[n, k]
        losses[n - begin] = -log(like(_probability(right), 1.0))
    weigh_losses(losses, weights[begin:end])
    return row_sum(address(losses), losses.size, 1.0)


@kernel
def _sum_of_elements(kind, y, t, weights, terms, begin, end):
    """The same of the other kinds; ``terms``, of the shape of ``y``, is overwritten."""
    size = (end - begin) * y.shape[1]
    value, target, term = y[begin:end].reshape(size), t[begin:end].reshape(size), terms[begin:end].reshape(size)
    one, zero = y.dtype.type(1), y.dtype.type(0)
    half_share = y.dtype.type(0.5) / like(y.shape[1], one)
    if kind == LOGISTIC:
        for i in range(size):
            term[i] = -log(_probability(value[i] if target[i] == one else one - value[i]))
    elif kind == EXP:
        for i in range(size):
            logarithm = zero if target[i] == zero else target[i] * log(target[i] / value[i])
            term[i] = logarithm - target[i] + value[i]
    else:
        for i in range(size):
            difference = value[i] - target[i]
            term[i] = half_share * difference * difference
    weigh_rows(terms[begin:end], weights[begin:end])
    return wide_sum(address(term), size, one)


@kernel
def _part(team, kind, x, t, weights, share, y, dx, partial, part, member):
    n_rows, n_columns = x.shape
    begin, end = part_of_rows(n_rows, n_columns, part)
    losses = view(scratch_of(team, member) + SCRATCH_BYTES + 8 * (end - begin), end - begin, 1.0)  # behind the tops
    _outputs(team, member, kind, x, y, losses, begin, end)
    if kind == SOFTMAX:
        partial[part] = _sum_of_rows(y, t, weights, losses, begin, end)
    else:
        partial[part] = _sum_of_elements(kind, y, t, weights, dx, begin, end)
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
def deviance(team, kind, x, t, weights, total, y, dx, partial):
    """The loss of a batch and its gradient, by the formulas above. The same bits for any number of threads.

    Parameters
    ----------
    kind : int64
        SOFTMAX, LOGISTIC, EXP or IDENTITY.
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
    spread(team, parts, package(_part, (team, kind, x, t, weights, x.dtype.type(share), y, dx, partial)))
    return row_sum(address(partial), parts, 1.0) * share
