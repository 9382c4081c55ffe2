"""The mean of the squared differences between predictions and targets."""

from ._jit import kernel
from .memory import like
from .row_losses import mean_loss, mean_rows, weigh_losses, weigh_rows
from .softmax import parts_of_rows, rows_of_part
from .team import package, spread


@kernel
def _forward(x, t, weights, y, losses, part, member):
    n_rows, n_columns = x.shape
    rows = rows_of_part(n_rows, n_columns)
    begin, end = part * rows, min(n_rows, (part + 1) * rows)
    size = (end - begin) * n_columns
    value, target, out = x[begin:end].reshape(size), t[begin:end].reshape(size), y[begin:end].reshape(size)
    for i in range(size):
        difference = value[i] - target[i]
        out[i] = difference * difference
    mean_rows(y, losses, begin, end)
    weigh_losses(losses, weights, begin, end)
    for i in range(size):
        out[i] = value[i]


@kernel
def mean_squared_error_forward(team, x, t, weights, y, losses):
    """Mean squared error of ``x`` against ``t``.

    ::

        losses[n] = weights[n] mean_k (x[n, k] - t[n, k])^2
        loss      = mean_n losses[n]

    Parameters
    ----------
    x, t : (N, K) float32 or float64, C-contiguous
    weights : (N,) of the type of ``x``, or of length 0: all rows count the same
    y : (N, K), overwritten with ``x``, the prediction; must not be ``x``
    losses : (N,) float64, overwritten

    Returns
    -------
    loss : float64
    """
    spread(team, parts_of_rows(*x.shape), package(_forward, (x, t, weights, y, losses)))
    return mean_loss(losses)


@kernel
def _backward(y, t, weights, share, dx, part, member):
    n_rows, n_columns = y.shape
    rows = rows_of_part(n_rows, n_columns)
    begin, end = part * rows, min(n_rows, (part + 1) * rows)
    size = (end - begin) * n_columns
    value, target, out = y[begin:end].reshape(size), t[begin:end].reshape(size), dx[begin:end].reshape(size)
    part_share = like(2, share) * share / like(n_columns, share)
    for i in range(size):
        out[i] = (value[i] - target[i]) * part_share
    weigh_rows(dx, weights, begin, end)


@kernel
def mean_squared_error_backward(team, y, t, weights, share, dx):
    """``dx = 2 weights[n] (y - t) share / K``, the gradient of the mean loss where ``share`` is 1 / N.

    y, t, weights : as in ``mean_squared_error_forward``
    share : number of the type of ``y``
    dx : (N, K), overwritten; may be ``y``
    """
    spread(team, parts_of_rows(*y.shape), package(_backward, (y, t, weights, share, dx)))
