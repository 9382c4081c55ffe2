"""Losses that are a mean over elements, each of which has a loss of its own: a batch's loss and its gradient.

::

    SQUARED    y = x                    l = (y - t)^2                                  dl/dx = 2 (y - t)
    BINARY     y = x in 0..1            l = - t log(y) - (1 - t) log(1 - y)            dl/dx = (y - t) / (y (1 - y))
    OF_SCORES  y = 1 / (1 + exp(-x))    l = max(x, 0) - x t + log(1 + exp(-|x|))       dl/dx = y - t
    ABSOLUTE   y = x                    l = |y - t|                                    dl/dx = sign(y - t)
    HUBER      y = x                    l = (y - t)^2 / 2 where |y - t| <= delta       dl/dx = y - t
                                        else delta (|y - t| - delta / 2)               else delta sign(y - t)

``delta`` is the loss's number (Huber 1964); the others have none.
BINARY is binary cross-entropy in nats: a logarithm counts as -100 where it is less, and y (1 - y) as 1e-12, as in
PyTorch, so that a target missed with certainty costs 100, not infinity. OF_SCORES is the same of the logistic function
of a score, exact for a score of any size. Targets are not checked here.

A batch of N rows and K columns has the loss ``sum_n weights[n] sum_k l[n, k] / (N K)``. It is divided by the number of
rows, not by the sum of the weights, so that a row of weight 2 counts as the row given twice does in a batch of that N.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .elementary import exp_nonpositive, log, log1p, logistic
from .isa import ISA
from .memory import address, like
from .reduce import in_chains, row_sum, wide_sum
from .row_losses import weigh_rows
from .simd import Vectors, element_type
from .softmax import part_of_rows, parts_of_rows
from .team import package, spread

SQUARED, BINARY, OF_SCORES, ABSOLUTE, HUBER = range(5)


@kernel(inline=True)
def _above(least, x):
    """x, but at least ``least``; NaN stays."""
    return least if x < least else x


@kernel(inline=True)
def _within(bound, x):
    """x, but in -bound..bound; NaN stays."""
    x = bound if x > bound else x
    return -bound if x < -bound else x


@kernel
def _losses(kind, number, x, t, losses):
    """The loss of each element; all arrays (n,)."""
    one, zero, least = like(1, x[0]), like(0, x[0]), like(-100, x[0])
    if kind == SQUARED:
        for i in range(x.size):
            difference = x[i] - t[i]
            losses[i] = difference * difference
    elif kind == BINARY:
        for i in range(x.size):
            yes, no = _above(least, log(x[i])), _above(least, log1p(-x[i]))
            losses[i] = -(t[i] * yes + (one - t[i]) * no)
    elif kind == ABSOLUTE:
        for i in range(x.size):
            losses[i] = abs(x[i] - t[i])
    elif kind == HUBER:
        half, delta = like(0.5, x[0]), like(number, x[0])
        for i in range(x.size):
            difference = x[i] - t[i]
            near = _within(delta, difference)
            losses[i] = near * (difference - half * near)
    else:
        for i in range(x.size):
            losses[i] = _above(zero, x[i]) - x[i] * t[i] + log1p(exp_nonpositive(-abs(x[i])))


@kernel
def _outputs(kind, x, y):
    if kind == OF_SCORES:
        for i in range(x.size):
            y[i] = logistic(x[i])
    else:
        for i in range(x.size):
            y[i] = x[i]


@kernel
def _slopes(kind, number, y, t, share, dx):
    """``share`` times the derivative of each element's loss by x."""
    one, least, two_shares = like(1, share), like(1e-12, share), like(2, share) * share
    if kind == SQUARED:
        for i in range(y.size):
            dx[i] = (y[i] - t[i]) * two_shares
    elif kind == BINARY:
        for i in range(y.size):
            dx[i] = (y[i] - t[i]) / _above(least, y[i] * (one - y[i])) * share
    elif kind == ABSOLUTE:
        for i in range(y.size):
            difference = y[i] - t[i]
            dx[i] = share if difference > 0 else (-share if difference < 0 else difference)
    elif kind == HUBER:
        delta = like(number, share)
        for i in range(y.size):
            dx[i] = _within(delta, y[i] - t[i]) * share
    else:
        for i in range(y.size):
            dx[i] = (y[i] - t[i]) * share


@kernel
def _forward(kind, number, x, t, weights, y, partial, part, member):
    begin, end = part_of_rows(*x.shape, part)
    size = (end - begin) * x.shape[1]
    value, out = x[begin:end].reshape(size), y[begin:end].reshape(size)
    _losses(kind, number, value, t[begin:end].reshape(size), out)
    weigh_rows(y[begin:end], weights[begin:end])
    partial[part] = wide_sum(address(out), size, x.dtype.type(1))
    _outputs(kind, value, out)


@kernel
def _backward(kind, number, y, t, weights, share, dx, part, member):
    begin, end = part_of_rows(*y.shape, part)
    size = (end - begin) * y.shape[1]
    of_element = share / like(y.shape[1], share)
    value, target, out = y[begin:end].reshape(size), t[begin:end].reshape(size), dx[begin:end].reshape(size)
    _slopes(kind, number, value, target, of_element, out)
    weigh_rows(dx[begin:end], weights[begin:end])


@intrinsic
def _squares(typingctx, x, t, count, scale, dx):
    """``dx = (x - t) scale`` for ``count`` elements from three addresses on; returns sum((x - t)^2), float64.

    In one pass, of which memory is the limit where the arrays do not fit the cache.
    """

    def codegen(context, builder, signature, arguments):
        x, t, count, scale, dx = arguments
        v, wide = Vectors(builder, element_type(signature.args[3])), Vectors(builder, ir.DoubleType())
        lanes = ISA.lanes(v.bytes)
        x, t, dx = v.pointer(x), v.pointer(t), v.pointer(dx)
        scales = v.splat(scale, lanes)

        def visit(so_far, at, mask):
            difference = builder.fsub(v.load(v.at(x, at), lanes, mask), v.load(v.at(t, at), lanes, mask))
            v.store(builder.fmul(difference, scales), v.at(dx, at), mask)
            difference = v.widened(difference)
            return wide.fmuladd(difference, difference, so_far)

        return in_chains(v, count, wide.zero(lanes), visit, builder.fadd)

    return types.float64(types.int64, types.int64, types.int64, scale, types.int64), codegen


@kernel
def _both(kind, number, x, t, weights, share, partial, dx, part, member):
    begin, end = part_of_rows(*x.shape, part)
    size = (end - begin) * x.shape[1]
    of_element = share / like(x.shape[1], share)
    value, target, out = x[begin:end].reshape(size), t[begin:end].reshape(size), dx[begin:end].reshape(size)
    if kind == SQUARED and weights.size == 0:
        scale = like(2, share) * of_element
        partial[part] = _squares(address(value), address(target), size, scale, address(out))
        return
    _losses(kind, number, value, target, out)
    weigh_rows(dx[begin:end], weights[begin:end])
    partial[part] = wide_sum(address(out), size, share)
    if kind == OF_SCORES:
        for i in range(size):
            out[i] = (logistic(value[i]) - target[i]) * of_element
    else:
        _slopes(kind, number, value, target, of_element, out)
    weigh_rows(dx[begin:end], weights[begin:end])


@kernel(inline=True)
def _mean(partial, shape):
    n_rows, n_columns = shape
    return row_sum(address(partial), parts_of_rows(n_rows, n_columns), 1.0) / (n_rows * n_columns)


@kernel
def element_loss_forward(team, kind, number, x, t, weights, y, partial):
    """The mean loss of a batch, by the formulas above. The same bits for any number of threads.

    Parameters
    ----------
    kind : int64
        SQUARED, ..., HUBER.
    number : float64
        HUBER's delta; the others read none.
    x, t : (N, K) float32 or float64, C-contiguous
    weights : (N,) of the type of ``x``, or of length 0: all rows count the same
    y : (N, K), overwritten; must not be ``x``
    partial : (N,) float64, of which the first parts_of_rows(N, K) are overwritten

    Returns
    -------
    loss : float64. Losses are computed in the type of ``x`` and summed in float64.
    """
    spread(team, parts_of_rows(*x.shape), package(_forward, (kind, number, x, t, weights, y, partial)))
    return _mean(partial, x.shape)


@kernel
def element_loss_backward(team, kind, number, y, t, weights, share, dx):
    """``dx = weights[n] dl/dx share / K``, the gradient of the mean loss where ``share`` is 1 / N.

    kind, number, y, t, weights : as in ``element_loss_forward``
    share : number of the type of ``y``
    dx : (N, K), overwritten; may be ``y``
    """
    spread(team, parts_of_rows(*y.shape), package(_backward, (kind, number, y, t, weights, share, dx)))


@kernel
def element_loss(team, kind, number, x, t, weights, share, partial, dx):
    """``element_loss_forward`` and ``element_loss_backward`` in one go, without ``y``; ``dx`` must not be ``x``."""
    spread(team, parts_of_rows(*x.shape), package(_both, (kind, number, x, t, weights, share, partial, dx)))
    return _mean(partial, x.shape)
