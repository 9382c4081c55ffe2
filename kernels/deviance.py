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
from .memory import address, like, size_of
from .reduce import row_sum
from .row_losses import mean_rows, weigh_losses, weigh_rows
from .softmax import parts_of_rows, rows_of_part, softmax_rows
from .team import package, spread

SOFTMAX, LOGISTIC, EXP, IDENTITY = range(4)


@kernel(inline=True)
def _probability(p):
    """p within eps and 1 - eps; NaN stays."""
    eps = like(2.0**-23 if size_of(p) == 4 else 2.0**-52, p)
    most = like(1, p) - eps
    return eps if p < eps else (most if p > most else p)


@kernel
def _outputs(team, member, kind, x, y, losses, begin, end):
    """``y`` of rows ``begin`` to ``end``; ``losses`` may be overwritten."""
    size = (end - begin) * x.shape[1]
    score, out = x[begin:end].reshape(size), y[begin:end].reshape(size)
    if kind == SOFTMAX:
        softmax_rows(team, member, x, y, begin, end, losses)
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
def _losses(kind, y, t, terms, losses, begin, end):
    """The losses of rows ``begin`` to ``end``; ``terms``, of the shape of ``y``, is overwritten."""
    n_columns = y.shape[1]
    size = (end - begin) * n_columns
    value, target, term = y[begin:end].reshape(size), t[begin:end].reshape(size), terms[begin:end].reshape(size)
    one, zero, half = y.dtype.type(1), y.dtype.type(0), y.dtype.type(0.5)
    if kind == SOFTMAX:
        for i in range(size):
            term[i] = value[i] * target[i]
    elif kind == LOGISTIC:
        for i in range(size):
            term[i] = -log(_probability(value[i] if target[i] == one else one - value[i]))
    elif kind == EXP:
        for i in range(size):
            logarithm = zero if target[i] == zero else target[i] * log(target[i] / value[i])
            term[i] = logarithm - target[i] + value[i]
    else:
        for i in range(size):
            difference = value[i] - target[i]
            term[i] = half * difference * difference
    mean_rows(terms, losses, begin, end)
    if kind != IDENTITY:
        for n in range(begin, end):
            losses[n] *= n_columns
    if kind == SOFTMAX:
        for n in range(begin, end):
            losses[n] = -log(like(_probability(like(losses[n], one)), 1.0))


@kernel
def _part(team, kind, x, t, weights, share, y, dx, losses, part, member):
    n_rows, n_columns = x.shape
    rows = rows_of_part(n_rows, n_columns)
    begin, end = part * rows, min(n_rows, (part + 1) * rows)
    _outputs(team, member, kind, x, y, losses, begin, end)
    _losses(kind, y, t, dx, losses, begin, end)
    weigh_losses(losses, weights, begin, end)
    size = (end - begin) * n_columns
    value, target, out = y[begin:end].reshape(size), t[begin:end].reshape(size), dx[begin:end].reshape(size)
    for i in range(size):
        out[i] = (value[i] - target[i]) * share
    weigh_rows(dx, weights, begin, end)


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
def deviance(team, kind, x, t, weights, y, dx, losses):
    """The loss of a batch and its gradient, by the formulas above. The same bits for any number of threads.

    Parameters
    ----------
    kind : int64
        SOFTMAX, LOGISTIC, EXP or IDENTITY.
    x, t : (N, K) float32 or float64, C-contiguous
        Scores and targets, the latter not checked here.
    weights : (N,) of the type of ``x``, or of length 0: all rows count the same
    y : (N, K), overwritten with the outputs; must not be ``x``
    dx : (N, K), overwritten with ``weights[n] (y - t) / sum_n weights[n]``; must not be ``x``, ``y`` or ``t``
    losses : (N,) float64, overwritten

    Returns
    -------
    loss : float64
    """
    n_rows = x.shape[0]
    total = sum_of_weights(weights, n_rows)
    share = 1.0 / total if total != 0 else 0.0
    spread(
        team,
        parts_of_rows(*x.shape),
        package(_part, (team, kind, x, t, weights, x.dtype.type(share), y, dx, losses)),
    )
    return row_sum(address(losses), n_rows, 1.0) * share
