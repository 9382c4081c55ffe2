"""Normalisation: of each column over the rows of a batch, and of each row over its columns; and their gradients.

With xhat = (x - mean) inverse and inverse = 1 / sqrt(variance + eps), the variance divided by the number of elements::

    y      = gamma xhat + beta
    dgamma = sum of dy xhat,  dbeta = sum of dy, over the rows
    g      = dy gamma
    dx     = inverse (g - mean of g - xhat mean of (g xhat)),  means over what was normalised

Ioffe & Szegedy 2015 (batches), Ba, Kiros & Hinton 2016 (rows). Means and sums are taken in float64 for either type,
over all rows of a column one after the other and over all columns of a row in the order of ``reduce``: the same bits
for any number of threads.
"""

import math

from ._jit import kernel
from .memory import address, view
from .reduce import wide_sum
from .softmax import part_of_rows, parts_of_rows
from .team import package, scratch_of, spread

COLUMNS = 64  # in a part of work that goes along the columns; a fixed cut


@kernel(inline=True)
def _parts_of_columns(n_columns):
    return (n_columns + COLUMNS - 1) // COLUMNS


@kernel(inline=True)
def _sums(team, member, n, count):
    """Room for the sums of ``n`` columns, number ``count`` of its kind, set to 0."""
    sums = view(scratch_of(team, member) + 8 * COLUMNS * count, n, 1.0)
    for j in range(sums.size):
        sums[j] = 0.0
    return sums


@kernel
def _batch_forward(team, x, parameters, y, kept, running, eps, momentum, part, member):
    gamma, beta = parameters
    running_mean, running_variance = running
    n_rows = x.shape[0]
    begin, end = part * COLUMNS, min(x.shape[1], (part + 1) * COLUMNS)
    means, squares = _sums(team, member, end - begin, 0), _sums(team, member, end - begin, 1)
    for n in range(n_rows):
        row = x[n, begin:end]
        for j in range(row.size):
            means[j] += row[j]
    for j in range(means.size):
        means[j] /= n_rows
    for n in range(n_rows):
        row = x[n, begin:end]
        for j in range(row.size):
            difference = row[j] - means[j]
            squares[j] += difference * difference
    of = x.dtype.type
    mean, inverse = kept[0, begin:end], kept[1, begin:end]
    for j in range(means.size):
        variance = squares[j] / n_rows
        mean[j] = of(means[j])
        inverse[j] = of(1.0 / math.sqrt(variance + eps))
        unbiased = squares[j] / max(1, n_rows - 1)
        running_mean[begin + j] = of(running_mean[begin + j] + momentum * (means[j] - running_mean[begin + j]))
        change = momentum * (unbiased - running_variance[begin + j])
        running_variance[begin + j] = of(running_variance[begin + j] + change)
    factors, terms = gamma[begin:end], beta[begin:end]
    for n in range(n_rows):
        row, out = x[n, begin:end], y[n, begin:end]
        for j in range(row.size):
            out[j] = factors[j] * ((row[j] - mean[j]) * inverse[j]) + terms[j]


@kernel
def batch_norm_forward(team, x, gamma, beta, y, kept, running_mean, running_variance, eps, momentum):
    """Normalise each column over the batch, and let the running statistics follow by ``momentum``.

    x, y : (N, F) float32 or float64, C-contiguous, N >= 1; ``y`` is overwritten and is not ``x``
    gamma, beta : (F,) of that type
    kept : (2, F), overwritten with mean and inverse, for the backward pass
    running_mean, running_variance : (F,), changed in place by the batch's mean and its variance divided by N - 1
    eps, momentum : float64
    """
    job = package(_batch_forward, (team, x, (gamma, beta), y, kept, (running_mean, running_variance), eps, momentum))
    spread(team, _parts_of_columns(x.shape[1]), job)


@kernel
def _batch_backward(team, dy, x, gamma, kept, dx, dgamma, dbeta, part, member):
    n_rows = x.shape[0]
    begin, end = part * COLUMNS, min(x.shape[1], (part + 1) * COLUMNS)
    plain, scaled = _sums(team, member, end - begin, 0), _sums(team, member, end - begin, 1)
    mean, inverse = kept[0, begin:end], kept[1, begin:end]
    for n in range(n_rows):
        row, slope = x[n, begin:end], dy[n, begin:end]
        for j in range(row.size):
            plain[j] += slope[j]
            scaled[j] += slope[j] * ((row[j] - mean[j]) * inverse[j])
    of = x.dtype.type
    for j in range(plain.size):
        dbeta[begin + j] = of(plain[j])
        dgamma[begin + j] = of(scaled[j])
        plain[j] /= n_rows
        scaled[j] /= n_rows
    if dx.size == 0:
        return
    factors = gamma[begin:end]
    for n in range(n_rows):
        row, slope, out = x[n, begin:end], dy[n, begin:end], dx[n, begin:end]
        for j in range(row.size):
            xhat = (row[j] - mean[j]) * inverse[j]
            out[j] = factors[j] * inverse[j] * (slope[j] - of(plain[j]) - xhat * of(scaled[j]))


@kernel
def batch_norm_backward(team, dy, x, gamma, kept, dx, dgamma, dbeta):
    """The gradients of ``batch_norm_forward`` with respect to x, gamma and beta.

    dy, x : (N, F); gamma : (F,); kept : (2, F) of the forward pass
    dx : (N, F), overwritten, not ``dy``; or (0, F), to leave it out
    dgamma, dbeta : (F,), overwritten
    """
    job = package(_batch_backward, (team, dy, x, gamma, kept, dx, dgamma, dbeta))
    spread(team, _parts_of_columns(x.shape[1]), job)


@kernel
def _layer_forward(x, gamma, beta, y, kept, eps, part, member):
    begin, end = part_of_rows(*x.shape, part)
    of = x.dtype.type
    n_columns = x.shape[1]
    for n in range(begin, end):
        row, out = x[n], y[n]
        mean = wide_sum(address(row), n_columns, of(1)) / n_columns
        centre = of(mean)
        for k in range(row.size):
            difference = row[k] - centre
            out[k] = difference * difference
        # The squares are about the rounded mean: what that is off by is taken off again.
        off = mean - centre
        variance = wide_sum(address(out), n_columns, of(1)) / n_columns - off * off
        inverse = of(1.0 / math.sqrt(max(variance, 0.0) + eps))
        kept[n, 0], kept[n, 1] = centre, inverse
        for k in range(row.size):
            out[k] = gamma[k] * ((row[k] - centre) * inverse) + beta[k]


@kernel
def layer_norm_forward(team, x, gamma, beta, y, kept, eps):
    """Normalise each row over its columns.

    x, y : (N, F) float32 or float64, C-contiguous, F >= 1; ``y`` is overwritten and is not ``x``
    gamma, beta : (F,) of that type
    kept : (N, 2), overwritten with mean and inverse of each row, for the backward pass
    eps : float64
    """
    spread(team, parts_of_rows(*x.shape), package(_layer_forward, (x, gamma, beta, y, kept, eps)))


@kernel
def _layer_rows(dy, x, gamma, kept, dx, part, member):
    begin, end = part_of_rows(*x.shape, part)
    of = x.dtype.type
    one, n_columns = of(1), x.shape[1]
    for n in range(begin, end):
        row, slope, out = x[n], dy[n], dx[n]
        mean, inverse = kept[n, 0], kept[n, 1]
        for k in range(row.size):
            out[k] = slope[k] * gamma[k]
        plain = of(wide_sum(address(out), n_columns, one) / n_columns)
        for k in range(row.size):
            out[k] = slope[k] * gamma[k] * ((row[k] - mean) * inverse)
        scaled = of(wide_sum(address(out), n_columns, one) / n_columns)
        for k in range(row.size):
            xhat = (row[k] - mean) * inverse
            out[k] = inverse * (slope[k] * gamma[k] - plain - xhat * scaled)


@kernel
def _layer_columns(team, dy, x, kept, dgamma, dbeta, adds, part, member):
    begin, end = part * COLUMNS, min(x.shape[1], (part + 1) * COLUMNS)
    plain, scaled = _sums(team, member, end - begin, 0), _sums(team, member, end - begin, 1)
    for n in range(x.shape[0]):
        row, slope = x[n, begin:end], dy[n, begin:end]
        mean, inverse = kept[n, 0], kept[n, 1]
        for j in range(row.size):
            plain[j] += slope[j]
            scaled[j] += slope[j] * ((row[j] - mean) * inverse)
    of = x.dtype.type
    for j in range(plain.size):
        dbeta[begin + j] = of(plain[j]) + (dbeta[begin + j] if adds else of(0))
        dgamma[begin + j] = of(scaled[j]) + (dgamma[begin + j] if adds else of(0))


@kernel
def layer_norm_backward(team, dy, x, gamma, kept, dx, dgamma, dbeta, adds):
    """The gradients of ``layer_norm_forward`` with respect to x, gamma and beta.

    dy, x : (N, F); gamma : (F,); kept : (N, 2) of the forward pass
    dx : (N, F), overwritten, not ``dy``; or (0, F), to leave it out
    dgamma, dbeta : (F,), overwritten, or added to where ``adds``
    """
    if dx.size:
        spread(team, parts_of_rows(*x.shape), package(_layer_rows, (dy, x, gamma, kept, dx)))
    job = package(_layer_columns, (team, dy, x, kept, dgamma, dbeta, adds))
    spread(team, _parts_of_columns(x.shape[1]), job)


@kernel
def _affine_rows(x, factors, terms, y, part, member):
    begin, end = part_of_rows(*x.shape, part)
    for n in range(begin, end):
        row, out = x[n], y[n]
        for k in range(row.size):
            out[k] = row[k] * factors[k] + terms[k]


@kernel
def scale_columns(team, x, factors, terms, y):
    """``y = x factors + terms``, column by column: x, y (N, F), which may be one array; factors, terms (F,)."""
    spread(team, parts_of_rows(*x.shape), package(_affine_rows, (x, factors, terms, y)))


@kernel
def _scale_columns_back(team, dy, x, factors, dx, dfactors, dterms, adds, part, member):
    begin, end = part * COLUMNS, min(x.shape[1], (part + 1) * COLUMNS)
    plain, scaled = _sums(team, member, end - begin, 0), _sums(team, member, end - begin, 1)
    for n in range(x.shape[0]):
        row, slope = x[n, begin:end], dy[n, begin:end]
        for j in range(row.size):
            plain[j] += slope[j]
            scaled[j] += slope[j] * row[j]
    of = x.dtype.type
    for j in range(plain.size):
        dterms[begin + j] = of(plain[j]) + (dterms[begin + j] if adds else of(0))
        dfactors[begin + j] = of(scaled[j]) + (dfactors[begin + j] if adds else of(0))
    if dx.size == 0:
        return
    for n in range(x.shape[0]):
        slope, out = dy[n, begin:end], dx[n, begin:end]
        for j in range(slope.size):
            out[j] = slope[j] * factors[begin + j]


@kernel
def scale_columns_backward(team, dy, x, factors, dx, dfactors, dterms, adds):
    """The gradients of ``scale_columns``: dx (N, F), which may be ``dy``, or (0, F) to leave it out, and (F,) twice."""
    job = package(_scale_columns_back, (team, dy, x, factors, dx, dfactors, dterms, adds))
    spread(team, _parts_of_columns(x.shape[1]), job)
