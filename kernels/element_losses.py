"""Losses that are a mean over elements, each of which has a loss of its own: a batch's loss and its gradient.

Each has its kernels, which are called through their addresses as those of ``activations`` are: a loss that no network
uses is not compiled, and a new one is no branch of anything.

``loss(x, t, losses, n, share, number)``
    The loss of each of ``n`` elements, from the addresses ``x`` and ``t`` on, and written to ``losses``.
``loss_slope(x, t, dx, n, share, number)``
    ``share`` times the derivative of each by x.
``loss_slope_of_output(y, t, dx, n, share, number)``
    The same by the output y, of a loss that makes outputs of scores x by a function of ``activations``.
``loss_in_one_go(x, t, dx, n, share, number)``
    The sum of the losses, float64, and the slopes, where that is faster than one after the other.

``number`` is the loss's own, as Huber's delta; it names the element type, float32 or float64. What is written overlaps
nothing else. NaN stays NaN. Nothing is checked.

A batch of N rows and K columns has the loss ``sum_n weights[n] sum_k l[n, k] / (N K)``. It is divided by the number of
rows, not by the sum of the weights, so that a row of weight 2 counts as the row given twice does in a batch of that N.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .elementary import exp_nonpositive, log, log1p, logistic
from .elementwise import call_function
from .entry import extra, give_number, number, rows_of, vector
from .gemm import LINEAR, NOTHING
from .isa import ISA
from .memory import address, like, view
from .reduce import in_chains, row_sum, wide_sum
from .row_losses import weigh_rows
from .simd import I64, Vectors, element_type, interleave
from .softmax import part_of_rows, parts_of_rows
from .team import package, spread


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
def squared(x, t, losses, n, share, number):
    """``(x - t)^2``."""
    x, t, losses = view(x, n, number), view(t, n, number), view(losses, n, number)
    for i in range(losses.size):
        difference = x[i] - t[i]
        losses[i] = difference * difference


@kernel
def squared_slope(x, t, dx, n, share, number):
    """``2 (x - t)``."""
    x, t, dx, two_shares = view(x, n, number), view(t, n, number), view(dx, n, number), like(2, share) * share
    for i in range(dx.size):
        dx[i] = (x[i] - t[i]) * two_shares


@kernel
def squared_in_one_go(x, t, dx, n, share, number):
    """In one pass, of which memory is the limit where the arrays do not fit the cache."""
    return _squares(x, t, n, like(2, share) * share, dx)


@intrinsic
def _squares(typingctx, x, t, count, scale, dx):
    """``dx = (x - t) scale`` for ``count`` elements from three addresses on; returns sum((x - t)^2), float64."""

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
def absolute(x, t, losses, n, share, number):
    """``|x - t|``."""
    x, t, losses = view(x, n, number), view(t, n, number), view(losses, n, number)
    for i in range(losses.size):
        losses[i] = abs(x[i] - t[i])


@kernel
def absolute_slope(x, t, dx, n, share, number):
    """``sign(x - t)``."""
    x, t, dx = view(x, n, number), view(t, n, number), view(dx, n, number)
    for i in range(dx.size):
        difference = x[i] - t[i]
        dx[i] = share if difference > 0 else (-share if difference < 0 else difference)


@kernel
def huber(x, t, losses, n, share, number):
    """``(x - t)^2 / 2 where |x - t| <= delta, else delta (|x - t| - delta / 2)`` (Huber 1964)."""
    x, t, losses, half = view(x, n, number), view(t, n, number), view(losses, n, number), like(0.5, number)
    for i in range(losses.size):
        difference = x[i] - t[i]
        near = _within(number, difference)
        losses[i] = near * (difference - half * near)


@kernel
def huber_slope(x, t, dx, n, share, number):
    """``x - t``, but in -delta..delta."""
    x, t, dx = view(x, n, number), view(t, n, number), view(dx, n, number)
    for i in range(dx.size):
        dx[i] = _within(number, x[i] - t[i]) * share


@kernel
def binary(x, t, losses, n, share, number):
    """``-t log(x) - (1 - t) log(1 - x)`` of a probability x, in nats.

    A logarithm counts as -100 where it is less, as in PyTorch, so that a target missed with certainty costs 100, not
    infinity.
    """
    x, t, losses = view(x, n, number), view(t, n, number), view(losses, n, number)
    one, least = like(1, number), like(-100, number)
    for i in range(losses.size):
        yes, no = _above(least, log(x[i])), _above(least, log1p(-x[i]))
        losses[i] = -(t[i] * yes + (one - t[i]) * no)
    interleave()


@kernel
def binary_slope(x, t, dx, n, share, number):
    """``(x - t) / (x (1 - x))``, where x (1 - x) counts as 1e-12 where it is less, as in PyTorch."""
    x, t, dx = view(x, n, number), view(t, n, number), view(dx, n, number)
    one, least = like(1, number), like(1e-12, number)
    for i in range(dx.size):
        dx[i] = (x[i] - t[i]) / _above(least, x[i] * (one - x[i])) * share


@kernel
def binary_of_scores(x, t, losses, n, share, number):
    """``binary`` of y = 1 / (1 + exp(-x)), exact for any score x: ``max(x, 0) - x t + log(1 + exp(-|x|))``."""
    x, t, losses, zero = view(x, n, number), view(t, n, number), view(losses, n, number), like(0, number)
    for i in range(losses.size):
        losses[i] = _above(zero, x[i]) - x[i] * t[i] + log1p(exp_nonpositive(-abs(x[i])))
    interleave()


@kernel
def binary_of_scores_slope(x, t, dx, n, share, number):
    """``y - t``."""
    x, t, dx = view(x, n, number), view(t, n, number), view(dx, n, number)
    for i in range(dx.size):
        dx[i] = (logistic(x[i]) - t[i]) * share
    interleave()


@kernel
def binary_of_scores_slope_of_output(y, t, dx, n, share, number):
    """``y - t``."""
    y, t, dx = view(y, n, number), view(t, n, number), view(dx, n, number)
    for i in range(dx.size):
        dx[i] = (y[i] - t[i]) * share


def _calling(name, result):
    """An intrinsic ``name(function, x, t, out, n, share, number)`` that calls the kernel at an address."""

    def call(typingctx, function, x, t, out, n, share, number):
        def codegen(context, builder, signature, arguments):
            element = element_type(signature.args[-1])
            form = ir.FunctionType(context.get_value_type(result), [I64, I64, I64, I64, element, element])
            value = builder.call(builder.inttoptr(arguments[0], form.as_pointer()), arguments[1:])
            return context.get_dummy_value() if result is types.void else value

        return result(*[types.int64] * 5, number, number), codegen

    call.__name__ = name
    return intrinsic(call)


call_loss = _calling("call_loss", types.void)  # a loss or a slope
_call_in_one_go = _calling("_call_in_one_go", types.float64)


@kernel
def _forward(function, output, x, t, weights, number, y, partial, part, member):
    begin, end = part_of_rows(*x.shape, part)
    size = (end - begin) * x.shape[1]
    value, target, out = address(x[begin:end]), address(t[begin:end]), y[begin:end].reshape(size)
    call_loss(function, value, target, address(out), size, number, number)
    weigh_rows(y[begin:end], weights[begin:end])
    partial[part] = wide_sum(address(out), size, number)
    if output != LINEAR:
        call_function(output, value, address(out), size, number)
    else:
        given = x[begin:end].reshape(size)
        for i in range(size):
            out[i] = given[i]


@kernel
def _backward(slope, y, t, weights, share, number, dx, part, member):
    begin, end = part_of_rows(*y.shape, part)
    size = (end - begin) * y.shape[1]
    of_element = share / like(y.shape[1], share)
    call_loss(slope, address(y[begin:end]), address(t[begin:end]), address(dx[begin:end]), size, of_element, number)
    weigh_rows(dx[begin:end], weights[begin:end])


@kernel
def _both(function, slope, in_one_go, x, t, weights, share, number, partial, dx, part, member):
    begin, end = part_of_rows(*x.shape, part)
    size = (end - begin) * x.shape[1]
    of_element = share / like(x.shape[1], share)
    value, target, out = address(x[begin:end]), address(t[begin:end]), address(dx[begin:end])
    if in_one_go != NOTHING and weights.size == 0:
        partial[part] = _call_in_one_go(in_one_go, value, target, out, size, of_element, number)
        return
    call_loss(function, value, target, out, size, of_element, number)
    weigh_rows(dx[begin:end], weights[begin:end])
    partial[part] = wide_sum(out, size, share)
    call_loss(slope, value, target, out, size, of_element, number)
    weigh_rows(dx[begin:end], weights[begin:end])


@kernel(inline=True)
def _mean(partial, shape):
    n_rows, n_columns = shape
    return row_sum(address(partial), parts_of_rows(n_rows, n_columns), 1.0) / (n_rows * n_columns)


@kernel(by_address=True)
def element_loss_forward(team, operands, one):
    """The mean loss of a batch. The same bits for any number of threads.

    Operands: x, t (N, K), weights (N,) or None, number, the loss's own; made: the outputs y (N, K), room (N,) float64,
    the loss. Beside them a loss, and the function of ``activations`` that makes outputs of ``x``, or LINEAR. In the
    form of an ``Entry``; returns 0 where there is nothing. Losses are of the type of ``x``, and summed in float64.
    """
    x, t, weights = rows_of(operands, 0, one), rows_of(operands, 1, one), vector(operands, 2, one)
    y, partial = rows_of(operands, 4, one), vector(operands, 5, 1.0)
    if x.size == 0:
        return 0
    own = like(number(operands, 3), one)
    arguments = (extra(operands, 0), extra(operands, 1), x, t, weights, own, y, partial)
    spread(team, parts_of_rows(*x.shape), package(_forward, arguments))
    give_number(operands, 6, _mean(partial, x.shape))
    return 1


@kernel(by_address=True)
def element_loss_backward(team, operands, one):
    """``dx = weights[n] dl/dx share / K``, the gradient of the mean loss where ``share`` is 1 / N.

    Operands: y, t (N, K), weights (N,) or None, share, number; made: dx (N, K). Beside them the loss's slope by its
    output. In the form of an ``Entry``; returns 0 where there is nothing.
    """
    y, t, weights = rows_of(operands, 0, one), rows_of(operands, 1, one), vector(operands, 2, one)
    if y.size == 0:
        return 0
    share, own = like(number(operands, 3), one), like(number(operands, 4), one)
    arguments = (extra(operands, 0), y, t, weights, share, own, rows_of(operands, 5, one))
    spread(team, parts_of_rows(*y.shape), package(_backward, arguments))
    return 1


@kernel
def element_loss(team, function, slope, in_one_go, x, t, weights, share, number, partial, dx):
    """``element_loss_forward`` and ``element_loss_backward`` in one go, without ``y``; ``dx`` must not be ``x``.

    function, slope : addresses of a loss and of its slope
    x, t : (N, K) of one type, C-contiguous
    weights : (N,) of the type of ``x``, or of length 0: all rows count the same
    number : float64, the loss's own
    partial : (N,) float64, of which the first parts_of_rows(N, K) are overwritten

    ``in_one_go`` is the address of what does both without weights, or NOTHING.
    """
    arguments = (function, slope, in_one_go, x, t, weights, share, like(number, share), partial, dx)
    spread(team, parts_of_rows(*x.shape), package(_both, arguments))
    return _mean(partial, x.shape)
