"""Softmax and cross-entropy as one: the mean loss of a batch, and its gradient.

Targets are class labels, (N,) intp in 0..K-1, or distributions, (N, K) of the scores' type, of which one-hot rows are
a case. They are not checked here.
"""

from ._jit import kernel
from .elementary import log
from .memory import address
from .reduce import row_max, row_sum
from .softmax import exp_rows, parts_of_rows, rows_of_part, scale
from .team import package, spread


@kernel
def _losses_of_labels(x, t, eps, y, losses, begin, end):
    """Cross-entropy of rows ``begin`` to ``end`` against labels; ``losses`` holds the sums of exp at the start."""
    one = x.dtype.type(1)
    if eps > 0:
        for n in range(begin, end):
            losses[n] = y[n, t[n]] + eps
        for n in range(begin, end):
            losses[n] = -log(losses[n])
    else:
        for n in range(begin, end):
            losses[n] = log(losses[n])
        for n in range(begin, end):
            losses[n] += row_max(address(x[n]), x.shape[1], one) - x[n, t[n]]


@kernel
def _losses_of_rows(x, t, eps, y, losses, begin, end):
    """As ``_losses_of_labels``, against distributions. A class whose target is 0 counts nothing, were its y 0 too."""
    one = x.dtype.type(1)
    for n in range(begin, end):
        log_sum = 0.0
        if eps == 0:
            log_sum = log(losses[n]) + row_max(address(x[n]), x.shape[1], one)
        losses[n] = 0.0
        for k in range(x.shape[1]):
            if t[n, k] != 0:
                losses[n] += t[n, k] * (log_sum - x[n, k] if eps == 0 else -log(y[n, k] + eps))


@kernel
def _forward(x, t, eps, y, losses, part, member):
    n_rows, n_columns = x.shape
    rows = rows_of_part(n_rows, n_columns)
    begin, end = part * rows, min(n_rows, (part + 1) * rows)
    one = x.dtype.type(1)
    exp_rows(x, y, begin, end)
    for n in range(begin, end):
        total = row_sum(address(y[n]), n_columns, one)
        losses[n] = total
        scale(y[n], total)
    if t.ndim == 1:
        _losses_of_labels(x, t, eps, y, losses, begin, end)
    else:
        _losses_of_rows(x, t, eps, y, losses, begin, end)


@kernel
def softmax_xent_forward(team, x, t, eps, y, losses):
    """Mean cross-entropy of ``softmax(x)`` against ``t``, in nats.

    ::

        y[n, k]   = exp(x[n, k]) / sum_k exp(x[n, k])
        losses[n] = - sum_k t[n, k] log(y[n, k] + eps)        (t[n] a label: t[n, k] = 1 where k is t[n])
        loss      = mean_n losses[n]

    Parameters
    ----------
    x : (N, K) float32 or float64, C-contiguous
    t : (N,) intp, or (N, K) of the type of ``x``; C-contiguous
    eps : float64
        The book's 1e-7; with 0 the loss is exact, ``log(sum_k exp(x[n, k])) - x[n, t[n]]``, and never rounds a small
        probability to 0.
    y : (N, K), overwritten
    losses : (N,) float64, overwritten

    Returns
    -------
    loss : float64. Losses are summed in float64, in an order that depends on N alone.
    """
    spread(team, parts_of_rows(*x.shape), package(_forward, (x, t, eps, y, losses)))
    return row_sum(address(losses), losses.size, 1.0) / losses.size


@kernel
def _backward(y, t, share, dx, part, member):
    n_rows, n_columns = y.shape
    rows = rows_of_part(n_rows, n_columns)
    begin, end = part * rows, min(n_rows, (part + 1) * rows)
    size = (end - begin) * n_columns
    probability, out = y[begin:end].reshape(size), dx[begin:end].reshape(size)
    if t.ndim == 1:
        for i in range(size):
            out[i] = probability[i] * share
        for n in range(begin, end):
            dx[n, t[n]] = (y[n, t[n]] - y.dtype.type(1)) * share
    else:
        target = t[begin:end].reshape(size)
        for i in range(size):
            out[i] = (probability[i] - target[i]) * share


@kernel
def softmax_xent_backward(team, y, t, share, dx):
    """``dx = (y - t) share``, the gradient of the mean loss where ``share`` is 1 / N.

    y, t, dx : as in ``softmax_xent_forward``; ``dx`` is overwritten and may be ``y``.
    share : number of the type of ``y``
    """
    spread(team, parts_of_rows(*y.shape), package(_backward, (y, t, share, dx)))


@kernel
def first_misfit(labels, n_classes):
    """Index of the first of ``labels``, (N,) intp, that is outside 0..n_classes-1; -1 where all are inside."""
    for n in range(labels.size):
        if labels[n] < 0 or labels[n] >= n_classes:
            return n
    return -1
