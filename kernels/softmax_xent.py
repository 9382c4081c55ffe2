"""Softmax and cross-entropy as one: the mean loss of a batch, and its gradient.

What a program calls takes arrays, what Python calls has the form of an ``Entry``. Neither calls the other: what a
function calls by name is compiled with it once more.

Targets are class labels, (N,) intp in 0..K-1, or distributions, (N, K) of the scores' type, of which one-hot rows are
a case. They are not checked here. Smoothing moves a part s of every target to all classes alike: t becomes (1 - s) t +
s / K, as in PyTorch.
"""

import numpy as np

from ._jit import kernel
from .elementary import log
from .entry import give_number, number, rows_of, vector
from .memory import INFINITY, address, like, size_of, view
from .reduce import row_max, row_sum, wide_sum
from .row_losses import mean_loss, weigh_losses, weigh_rows
from .short_rows import xent_short_rows
from .softmax import part_of_rows, parts_of_rows, softmax_rows
from .team import package, part_of, parts_of, scratch_of, spread


@kernel(inline=True)
def _place(row, n_columns, column):
    """Of an element among those of all rows; unsigned, for numba looks at an index whether it is negative."""
    return np.uint64(row * n_columns + column)


@kernel
def _losses_of_labels(x, t, eps, y, tops, losses, begin, end):
    """Cross-entropy of rows ``begin`` to ``end`` against labels; ``losses`` holds the sums of exp at the start.

    Sums of float32 have their logarithm in float32, as in ``xent_short_rows``.
    """
    one, n_columns = like(1, x[0, 0]), x.shape[1]
    size = (end - begin) * n_columns
    rows, labels = losses[begin:end], t[begin:end]
    if eps > 0:
        probabilities = y[begin:end].reshape(size)
        for n in range(rows.size):
            rows[n] = probabilities[_place(n, n_columns, labels[n])] + eps
        for n in range(rows.size):
            rows[n] = -log(rows[n])
    else:
        scores = x[begin:end].reshape(size)
        for n in range(rows.size):
            rows[n] = log(like(rows[n], one))
        for n in range(rows.size):
            rows[n] += tops[n] - scores[_place(n, n_columns, labels[n])]


@kernel
def _losses_of_rows(x, t, eps, y, tops, losses, begin, end):
    """As ``_losses_of_labels``, against distributions. A class whose target is 0 counts nothing, were its y 0 too."""
    one = like(1, x[0, 0])
    for n in range(begin, end):
        log_total, top = like(log(like(losses[n], one)), 1.0), tops[n - begin]
        losses[n] = 0.0
        for k in range(x.shape[1]):
            if t[n, k] != 0:
                losses[n] += t[n, k] * (log_total + (top - x[n, k]) if eps == 0 else -log(y[n, k] + eps))


@kernel
def _smooth(x, eps, smoothing, y, tops, losses, begin, end):
    """Replace a part ``smoothing`` of the losses of rows ``begin`` to ``end`` by the mean loss over all classes."""
    n_columns = x.shape[1]
    one = x.dtype.type(1)
    for n in range(begin, end):
        if eps == 0:  # log(sum exp) - mean(x), with the largest score taken from both
            top, total = tops[n - begin], wide_sum(address(x[n]), n_columns, one)
            even = -log(like(row_max(address(y[n]), n_columns, one), 1.0))
            if abs(total) < INFINITY:
                even += top - total / n_columns
            else:
                for k in range(n_columns):
                    even += (top - x[n, k]) / n_columns
        else:
            even = 0.0
            for k in range(n_columns):
                even -= log(y[n, k] + eps)
            even /= n_columns
        losses[n] = (1 - smoothing) * losses[n] + smoothing * even


@kernel
def _forward(team, x, t, weights, eps, smoothing, y, losses, part, member):
    n_rows, n_columns = x.shape
    begin, end = part_of_rows(n_rows, n_columns, part)
    tops = softmax_rows(team, member, x, y, begin, end, losses)
    if t.ndim == 1:
        _losses_of_labels(x, t, eps, y, tops, losses, begin, end)
    else:
        _losses_of_rows(x, t, eps, y, tops, losses, begin, end)
    if smoothing > 0:
        _smooth(x, eps, smoothing, y, tops, losses, begin, end)
    weigh_losses(losses[begin:end], weights[begin:end])


@kernel
def softmax_xent_forward(team, x, t, weights, eps, smoothing, y, losses):
    """Mean cross-entropy of ``softmax(x)`` against ``t``, in nats.

    ::

        y[n, k]   = exp(x[n, k]) / sum_k exp(x[n, k])
        losses[n] = - weights[n] sum_k s[n, k] log(y[n, k] + eps)
        s[n, k]   = (1 - smoothing) t[n, k] + smoothing / K       (t[n] a label: t[n, k] = 1 where k is t[n])
        loss      = mean_n losses[n]

    Parameters
    ----------
    x : (N, K) float32 or float64, C-contiguous
    t : (N,) intp, or (N, K) of the type of ``x``; C-contiguous
    weights : (N,) of the type of ``x``, or of length 0: all rows count the same
    eps : float64
        The book's 1e-7; with 0 the loss is exact, ``log(sum_k exp(x[n, k])) - x[n, t[n]]``, and never rounds a small
        probability to 0. A score further from its row's largest than float64 goes then costs infinity.
    smoothing : float64 in 0..1; with 0 it costs nothing
    y : (N, K), overwritten
    losses : (N,) float64, overwritten

    Returns
    -------
    loss : float64. Losses are summed in float64, in an order that depends on N alone.
    """
    spread(team, parts_of_rows(*x.shape), package(_forward, (team, x, t, weights, eps, smoothing, y, losses)))
    return mean_loss(losses)


@kernel
def _times_sums(y, t, kept, dx, begin, end):
    """``dx = y sum_k s`` for the rows ``begin`` to ``end``: of ``t``, smoothing left a part ``kept`` in the targets s.

    ``dx`` may be ``y``.
    """
    n_columns = y.shape[1]
    one = like(1, kept)
    for n in range(begin, end):
        total = one + kept * (row_sum(address(t[n]), n_columns, one) - one)
        if total != one or address(y) != address(dx):
            for k in range(n_columns):
                dx[n, k] = y[n, k] * total


@kernel
def _backward(y, t, weights, eps, smoothing, share, dx, part, member):
    n_rows, n_columns = y.shape
    begin, end = part_of_rows(n_rows, n_columns, part)
    size = (end - begin) * n_columns
    kept, floor = like(1 - smoothing, share), like(smoothing / n_columns, share)
    if t.ndim == 2 and eps == 0:
        _times_sums(y, t, kept, dx, begin, end)
        y = dx
    probability, out = y[begin:end].reshape(size), dx[begin:end].reshape(size)
    if address(y) == address(dx):  # said in one array, which is vectorised
        if t.ndim == 1:
            for n in range(begin, end):
                dx[n, t[n]] -= kept
            for i in range(size):
                out[i] = (out[i] - floor) * share
        else:
            target = t[begin:end].reshape(size)
            for i in range(size):
                out[i] = (out[i] - kept * target[i] - floor) * share
    elif t.ndim == 1:
        for i in range(size):
            out[i] = (probability[i] - floor) * share
        labels = t[begin:end]
        for n in range(labels.size):
            at = _place(n, n_columns, labels[n])
            out[at] = (probability[at] - kept - floor) * share
    else:
        target = t[begin:end].reshape(size)
        for i in range(size):
            out[i] = (probability[i] - kept * target[i] - floor) * share
    weigh_rows(dx[begin:end], weights[begin:end])


@kernel
def softmax_xent_backward(team, y, t, weights, eps, smoothing, share, dx):
    """``dx = weights[n] (y - s) share``; where ``eps`` is 0, ``weights[n] (y sum_k s - s) share``.

    With 1 / N for ``share`` the second is the gradient of the mean loss for any targets. The first, the book's, is it
    for targets that sum to 1, up to what ``eps`` adds.

    y, t, weights, eps, smoothing : as in ``softmax_xent_forward``, which says what s is
    share : number of the type of ``y``
    dx : (N, K), overwritten; may be ``y``
    """
    spread(team, parts_of_rows(*y.shape), package(_backward, (y, t, weights, eps, smoothing, share, dx)))


@kernel(inline=True)
def _are_labels(t, n_classes):
    """Whether all of ``t`` are in 0..n_classes - 1."""
    outside = False
    for n in range(t.size):
        outside |= (t[n] < 0) | (t[n] >= n_classes)
    return not outside


@kernel(inline=True)
def _take_labels(given, t, n_classes):
    """Copy labels, which another thread may write into; returns whether the copies are in 0..n_classes - 1."""
    for n in range(t.size):
        t[n] = given[n]
    return _are_labels(t, n_classes)


@kernel(inline=True)
def _are_shares(t):
    """Whether nothing in ``t`` is negative."""
    outside = False
    for n in range(t.shape[0]):
        for k in range(t.shape[1]):
            outside |= t[n, k] < 0
    return not outside


@kernel(inline=True)
def _share_forward(team, operands, x, t, losses, one):
    """Share ``_forward`` among a team. Operands from the second on: weights, eps, smoothing; made first: y."""
    weights, eps, smoothing = vector(operands, 2, one), number(operands, 3), number(operands, 4)
    arguments = (team, x, t, weights, eps, smoothing, rows_of(operands, 5, one), losses)
    spread(team, parts_of_rows(*x.shape), package(_forward, arguments))


@kernel(inline=True)
def _share_backward(team, operands, y, t, one):
    """Share ``_backward`` among a team. Operands from the second on: weights, eps, smoothing, share; made: dx."""
    weights, eps, smoothing = vector(operands, 2, one), number(operands, 3), number(operands, 4)
    arguments = (y, t, weights, eps, smoothing, like(number(operands, 5), one), rows_of(operands, 6, one))
    spread(team, parts_of_rows(*y.shape), package(_backward, arguments))


@kernel(by_address=True)
def xent_of_labels(team, operands, one):
    """``softmax_xent_forward`` of labels, in the form of an ``Entry``.

    Operands: x (N, K), t (N,), weights (N,) or None, eps, smoothing; made: y (N, K), a copy of t, losses, their mean.
    Returns 0 where there is nothing, and for a label outside 0..K-1.
    """
    x, given = rows_of(operands, 0, one), vector(operands, 1, 1)
    t, losses = vector(operands, 6, 1), vector(operands, 7, 1.0)
    if x.size == 0 or not _take_labels(given, t, x.shape[1]):
        return 0
    _share_forward(team, operands, x, t, losses, one)
    give_number(operands, 8, mean_loss(losses))
    return 1


@kernel(by_address=True)
def xent_of_rows(team, operands, one):
    """``softmax_xent_forward`` of distributions, in the form of an ``Entry``.

    Operands: x, t (N, K), weights (N,) or None, eps, smoothing; made: y (N, K), losses, their mean. Returns 0 where
    there is nothing, and for a negative share.
    """
    x, t = rows_of(operands, 0, one), rows_of(operands, 1, one)
    if x.size == 0 or not _are_shares(t):
        return 0
    losses = vector(operands, 6, 1.0)
    _share_forward(team, operands, x, t, losses, one)
    give_number(operands, 7, mean_loss(losses))
    return 1


@kernel(by_address=True)
def xent_of_labels_backward(team, operands, one):
    """``softmax_xent_backward`` of labels, in the form of an ``Entry``.

    Operands: y (N, K), t (N,), weights (N,) or None, eps, smoothing, share; made: dx (N, K). Returns 0 for a label
    outside 0..K-1.
    """
    y, t = rows_of(operands, 0, one), vector(operands, 1, 1)
    if not _are_labels(t, y.shape[1]):
        return 0
    _share_backward(team, operands, y, t, one)
    return 1


@kernel(by_address=True)
def xent_of_rows_backward(team, operands, one):
    """``softmax_xent_backward`` of distributions, in the form of an ``Entry``.

    Operands: y, t (N, K), weights (N,) or None, eps, smoothing, share; made: dx (N, K).
    """
    _share_backward(team, operands, rows_of(operands, 0, one), rows_of(operands, 1, one), one)
    return 1


@kernel
def _probabilities_of_labels(y, t, eps, losses, part, member):
    begin, end = part_of(losses.size, part)
    _losses_of_labels(y, t, eps, y, losses, losses, begin, end)


@kernel
def _probabilities_of_rows(y, t, eps, losses, part, member):
    begin, end = part_of_rows(*y.shape, part)
    for n in range(begin, end):
        loss = 0.0
        for k in range(y.shape[1]):
            if t[n, k] != 0 or not 0 <= y[n, k] < INFINITY:  # else it adds nothing
                loss -= t[n, k] * log(y[n, k] + eps)
        losses[n] = loss


@kernel(by_address=True)
def cross_entropy_of_labels(team, operands, one):
    """The mean of ``-log(y[n, t[n]] + eps)``, in the form of an ``Entry``.

    Operands: y (N, K), t (N,), eps > 0; made: a copy of t, losses, their mean. Returns 0 where there is nothing, and
    for a label outside 0..K-1.
    """
    y, t, losses = rows_of(operands, 0, one), vector(operands, 3, 1), vector(operands, 4, 1.0)
    if y.size == 0 or not _take_labels(vector(operands, 1, 1), t, y.shape[1]):
        return 0
    spread(team, parts_of(t.size), package(_probabilities_of_labels, (y, t, number(operands, 2), losses)))
    give_number(operands, 5, mean_loss(losses))
    return 1


@kernel(by_address=True)
def cross_entropy_of_rows(team, operands, one):
    """The mean of ``-sum_k t[n, k] log(y[n, k] + eps)``, in the form of an ``Entry``.

    Operands: y, t (N, K), eps > 0; made: losses, their mean. Returns 0 where there is nothing, and for a share below 0.
    """
    y, t, losses = rows_of(operands, 0, one), rows_of(operands, 1, one), vector(operands, 3, 1.0)
    if y.size == 0 or not _are_shares(t):
        return 0
    spread(team, parts_of_rows(*y.shape), package(_probabilities_of_rows, (y, t, number(operands, 2), losses)))
    give_number(operands, 4, mean_loss(losses))
    return 1


@kernel
def _short(team, x, labels, eps, share, dx, losses, n_rows, n_columns, part, member):
    begin, end = part_of_rows(n_rows, n_columns, part)
    skipped = size_of(share) * begin * n_columns
    xent_short_rows(
        x + skipped,
        labels + 8 * begin,
        eps,
        share,
        dx + skipped,
        losses + 8 * begin,
        end - begin,
        n_columns,
        scratch_of(team, member),
    )


@kernel
def softmax_xent_short(team, x, labels, eps, share, dx, losses, n_rows, n_columns):
    """``softmax_xent_forward`` and ``_backward`` in one go, see ``xent_short_rows``; returns the mean loss."""
    arguments = (team, x, labels, eps, share, dx, losses, n_rows, n_columns)
    spread(team, parts_of_rows(n_rows, n_columns), package(_short, arguments))
    return mean_loss(view(losses, n_rows, 1.0))
