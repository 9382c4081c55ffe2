"""Binary cross-entropy of probabilities, and of the scores whose logistic function the probabilities are.

Each element of a row is a yes-or-no question of its own. A row's loss is the mean over its K elements, so that without
weights the loss of a batch is the mean over all elements. Targets are probabilities; they are not checked here.
"""

from ._jit import kernel
from .elementary import exp_nonpositive, log, log1p, logistic
from .memory import like
from .row_losses import mean_loss, mean_rows, weigh_losses, weigh_rows
from .softmax import parts_of_rows, rows_of_part
from .team import package, spread


@kernel(inline=True)
def _rows(x, part):
    """First and past-the-last row of a part."""
    rows = rows_of_part(*x.shape)
    return part * rows, min(x.shape[0], (part + 1) * rows)


@kernel(inline=True)
def _above(least, x):
    """x, but at least ``least``; NaN stays."""
    return least if x < least else x


@kernel
def _forward(x, t, weights, y, losses, part, member):
    begin, end = _rows(x, part)
    size = (end - begin) * x.shape[1]
    probability, target, out = x[begin:end].reshape(size), t[begin:end].reshape(size), y[begin:end].reshape(size)
    one, least = x.dtype.type(1), x.dtype.type(-100)
    for i in range(size):
        yes, no = _above(least, log(probability[i])), _above(least, log1p(-probability[i]))
        out[i] = -(target[i] * yes + (one - target[i]) * no)
    mean_rows(y, losses, begin, end)
    weigh_losses(losses, weights, begin, end)
    for i in range(size):
        out[i] = probability[i]


@kernel
def binary_cross_entropy_forward(team, x, t, weights, y, losses):
    """Mean binary cross-entropy of probabilities ``x`` against ``t``, in nats.

    ::

        losses[n] = - weights[n] mean_k( t[n, k] log(x[n, k]) + (1 - t[n, k]) log(1 - x[n, k]) )
        loss      = mean_n losses[n]

    Parameters
    ----------
    x, t : (N, K) float32 or float64, C-contiguous; x in 0..1
    weights : (N,) of the type of ``x``, or of length 0: all rows count the same
    y : (N, K), overwritten with ``x``, the prediction; must not be ``x``
    losses : (N,) float64, overwritten

    Returns
    -------
    loss : float64

    A logarithm counts as -100 where it is less, as in PyTorch: a target missed with certainty costs 100, not infinity.
    """
    spread(team, parts_of_rows(*x.shape), package(_forward, (x, t, weights, y, losses)))
    return mean_loss(losses)


@kernel
def _backward(y, t, weights, share, dx, part, member):
    begin, end = _rows(y, part)
    size = (end - begin) * y.shape[1]
    probability, target, out = y[begin:end].reshape(size), t[begin:end].reshape(size), dx[begin:end].reshape(size)
    one, least, part_share = like(1, share), like(1e-12, share), share / like(y.shape[1], share)
    for i in range(size):
        p = probability[i]
        out[i] = (p - target[i]) / _above(least, p * (one - p)) * part_share
    weigh_rows(dx, weights, begin, end)


@kernel
def binary_cross_entropy_backward(team, y, t, weights, share, dx):
    """``dx = weights[n] (y - t) / (y (1 - y)) share / K``, the gradient of the mean loss where ``share`` is 1 / N.

    The divisor y (1 - y) is taken as 1e-12 where it is less, as in PyTorch.

    y, t, weights : as in ``binary_cross_entropy_forward``
    share : number of the type of ``y``
    dx : (N, K), overwritten; may be ``y``
    """
    spread(team, parts_of_rows(*y.shape), package(_backward, (y, t, weights, share, dx)))


@kernel
def _forward_of_scores(x, t, weights, y, losses, part, member):
    begin, end = _rows(x, part)
    size = (end - begin) * x.shape[1]
    score, target, out = x[begin:end].reshape(size), t[begin:end].reshape(size), y[begin:end].reshape(size)
    zero = x.dtype.type(0)
    for i in range(size):
        s = score[i]
        out[i] = _above(zero, s) - s * target[i] + log1p(exp_nonpositive(-abs(s)))
    mean_rows(y, losses, begin, end)
    weigh_losses(losses, weights, begin, end)
    for i in range(size):
        out[i] = logistic(score[i])


@kernel
def sigmoid_xent_forward(team, x, t, weights, y, losses):
    """Mean binary cross-entropy of ``y = 1 / (1 + exp(-x))`` against ``t``, in nats, exact for any size of score.

    ::

        losses[n] = weights[n] mean_k( max(x[n, k], 0) - x[n, k] t[n, k] + log(1 + exp(-|x[n, k]|)) )
        loss      = mean_n losses[n]

    Parameters
    ----------
    x, t : (N, K) float32 or float64, C-contiguous
    weights : (N,) of the type of ``x``, or of length 0: all rows count the same
    y : (N, K), overwritten; must not be ``x``
    losses : (N,) float64, overwritten

    Returns
    -------
    loss : float64
    """
    spread(team, parts_of_rows(*x.shape), package(_forward_of_scores, (x, t, weights, y, losses)))
    return mean_loss(losses)


@kernel
def _backward_of_scores(y, t, weights, share, dx, part, member):
    begin, end = _rows(y, part)
    size = (end - begin) * y.shape[1]
    probability, target, out = y[begin:end].reshape(size), t[begin:end].reshape(size), dx[begin:end].reshape(size)
    part_share = share / like(y.shape[1], share)
    for i in range(size):
        out[i] = (probability[i] - target[i]) * part_share
    weigh_rows(dx, weights, begin, end)


@kernel
def sigmoid_xent_backward(team, y, t, weights, share, dx):
    """``dx = weights[n] (y - t) share / K``, the gradient of the mean loss where ``share`` is 1 / N.

    y, t, weights : as in ``sigmoid_xent_forward``
    share : number of the type of ``y``
    dx : (N, K), overwritten; may be ``y``
    """
    spread(team, parts_of_rows(*y.shape), package(_backward_of_scores, (y, t, weights, share, dx)))
