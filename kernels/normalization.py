"""Batch and layer normalisation: columns, or rows, of mean 0 and variance 1, then a factor and a shift for each column.

Ioffe & Szegedy 2015 (arXiv 1502.03167) and Ba, Kiros & Hinton 2016 (arXiv 1607.06450)::

    z = (x - mean) / sqrt(var + eps)        over the rows of the batch, or over the columns of each row
    y = z factor + shift

    g = dy factor
    dx = (g - mean(g) - z mean(g z)) / sqrt(var + eps)       with means over the same

``var`` is the mean squared deviation. Moments are taken in float64, those of parts of a batch joined by the formula of
Chan, Golub & LeVeque 1983 (The American Statistician 37(3)), in the order of the parts: the bits do not depend on the
number of threads.
"""

import math
from typing import NamedTuple

from ._jit import kernel
from .column_vectors import column_moments, put_moments, put_slopes
from .columns import add_up_part, part_of_columns, partial_at, parts_of_columns, put_gradients, rate_of
from .entry import integer, number, operand, rows_of, vector
from .instructions import operands, operation
from .memory import address, bits_of_float, like, matrix, size_of, store, view
from .program import LOSS
from .reduce import sum_of_squares, wide_dot, wide_sum
from .team import package, spread

# Rows of the statistics of columns: mean, variance and 1 / sqrt(var + eps); what the backward pass computes dx by.
MEAN, VAR, SCALE, BY, OFF, ALONG = range(6)
STATISTICS = 6


@kernel
def _moments(x, partial, part, member):
    """Leave the mean of each column over the rows of a part, and the sum of the squared deviations from it."""
    begin, end = part_of_columns(x.shape, part)
    one, apart = x.dtype.type(1), x.shape[1]
    first = address(x) + size_of(one) * begin * apart
    means, squares = address(partial[part, 0]), address(partial[part, 1])
    column_moments(apart, end - begin, apart, first, means, squares, one)


@kernel
def _join_moments(shape, partial):
    """Join the moments of all parts into those of the first."""
    means, squares = partial[0, 0], partial[0, 1]
    for part in range(1, partial.shape[0]):
        begin, end = part_of_columns(shape, part)
        own_means, own_squares = partial[part, 0], partial[part, 1]
        share = (end - begin) / end
        for k in range(means.size):
            apart = own_means[k] - means[k]
            means[k] += apart * share
            squares[k] += own_squares[k] + apart * apart * share * begin


@kernel
def _apply(x, statistics, factor, shift, z, y, part, member):
    begin, end = part_of_columns(x.shape, part)
    one, apart = x.dtype.type(1), x.shape[1]
    first = size_of(one) * begin * apart
    rows = address(x) + first, address(z) + first, address(y) + first
    numbers = address(statistics[MEAN]), address(statistics[SCALE]), address(factor), address(shift)
    put_moments(apart, end - begin, apart, rows[0], *numbers, rows[1], rows[2], one)


@kernel
def normalize_by(team, x, statistics, factor, shift, z, y):
    """``z`` and ``y`` of the formulas above by the MEAN and SCALE of given ``statistics``."""
    spread(team, parts_of_columns(x.shape), package(_apply, (x, statistics, factor, shift, z, y)))


@kernel
def scale_by_variance(running_var, eps, scale):
    """``scale = 1 / sqrt(running_var + eps)`` of each column; returns whether no variance was below 0."""
    one, zero, eps = scale.dtype.type(1), scale.dtype.type(0), scale.dtype.type(eps)
    allowed = True
    for k in range(scale.size):
        allowed &= not (running_var[k] < zero)
        scale[k] = one / math.sqrt(running_var[k] + eps)
    return allowed


@kernel
def batch_normalization(team, x, eps, factor, shift, statistics, z, y, partial):
    """Batch normalisation by the batch's own moments.

    x, z, y : (N, K), N >= 1, C-contiguous, three arrays; z and y are overwritten
    factor, shift : (K,)
    statistics : (STATISTICS, K), of which MEAN, VAR and SCALE are overwritten
    partial : float64 of ``shape_of_partial(N, K)``, overwritten
    """
    spread(team, parts_of_columns(x.shape), package(_moments, (x, partial)))
    _join_moments(x.shape, partial)
    means, squares = partial[0, 0], partial[0, 1]
    mean, var, scale = statistics[MEAN], statistics[VAR], statistics[SCALE]
    for k in range(means.size):
        variance = squares[k] / x.shape[0]
        mean[k], var[k], scale[k] = means[k], variance, 1.0 / math.sqrt(variance + eps)
    normalize_by(team, x, statistics, factor, shift, z, y)


@kernel
def move_averages(statistics, running_mean, running_var, momentum):
    """``running = momentum running + (1 - momentum) batch`` for the mean and the variance (K,)."""
    mean, var = statistics[MEAN], statistics[VAR]
    for k in range(mean.size):
        running_mean[k] = momentum * running_mean[k] + (1.0 - momentum) * mean[k]
        running_var[k] = momentum * running_var[k] + (1.0 - momentum) * var[k]


@kernel
def _add_up(d, z, partial, part, member):
    add_up_part(d, z, partial, part)


@kernel
def _back_columns(d, z, statistics, dx, part, member):
    begin, end = part_of_columns(d.shape, part)
    one, apart = d.dtype.type(1), d.shape[1]
    first = size_of(one) * begin * apart
    numbers = address(statistics[BY]), address(statistics[OFF]), address(statistics[ALONG])
    put_slopes(apart, end - begin, apart, address(d) + first, address(z) + first, *numbers, address(dx) + first, one)


@kernel
def batch_normalization_back(team, d, z, factor, statistics, constant, partial, rate, adds, of_factor, of_shift, dx):
    """The gradients of ``batch_normalization`` by that with respect to y, ``d``.

    d, dx : (N, K); ``dx`` is overwritten, and may be ``d``
    z, factor, statistics : as the forward pass left them; BY, OFF and ALONG are overwritten
    constant : whether MEAN and SCALE did not come from the batch, so that no gradient goes through them
    partial : as in the forward pass
    rate, adds, of_factor, of_shift : see ``columns.put_gradients``; ``of_factor`` may be ``factor``
    """
    parts = parts_of_columns(d.shape)
    spread(team, parts, package(_add_up, (d, z, partial)))
    by, off, along = statistics[BY], statistics[OFF], statistics[ALONG]
    by[:] = statistics[SCALE] * factor  # before the factor may be overwritten
    put_gradients(partial, rate, adds, of_factor, of_shift)
    sums, products = partial[0, 0], partial[0, 1]
    share = 0.0 if constant else 1.0 / d.shape[0]
    for k in range(sums.size):
        off[k], along[k] = sums[k] * share * by[k], products[k] * share * by[k]
    spread(team, parts, package(_back_columns, (d, z, statistics, dx)))


@kernel(by_address=True)
def batch_normalization_forward(team, given, one):
    """``batch_normalization`` as an ``Entry``: x, factor, shift, eps, statistics, partial; made: z, y."""
    x, statistics = rows_of(given, 0, one), rows_of(given, 4, one)
    partial = partial_at(operand(given, 5)[0], x.shape[0], x.shape[1])
    factor, shift, z, y = vector(given, 1, one), vector(given, 2, one), rows_of(given, 6, one), rows_of(given, 7, one)
    batch_normalization(team, x, number(given, 3), factor, shift, statistics, z, y, partial)
    return 1


@kernel(by_address=True)
def batch_normalization_backward(team, given, one):
    """``batch_normalization_back`` as an ``Entry``: dy, z, factor, statistics, partial, constant; made: gradients."""
    dy, z = rows_of(given, 0, one), rows_of(given, 1, one)
    factor, statistics = vector(given, 2, one), rows_of(given, 3, one)
    partial, dx = partial_at(operand(given, 4)[0], dy.shape[0], dy.shape[1]), rows_of(given, 6, one)
    dfactor, dshift, rate = vector(given, 7, one), vector(given, 8, one), like(1, one)
    constant = integer(given, 5) != 0
    batch_normalization_back(team, dy, z, factor, statistics, constant, partial, rate, False, dfactor, dshift, dx)
    return 1


@kernel
def _rows(x, eps, factor, shift, z, scales, y, part, member):
    begin, end = part_of_columns(x.shape, part)
    one = x.dtype.type(1)
    for n in range(begin, end):
        row, standard, out = x[n], z[n], y[n]
        mean = like(wide_sum(address(row), row.size, one) / row.size, one)
        for k in range(row.size):
            standard[k] = row[k] - mean
        scale = like(1.0 / math.sqrt(sum_of_squares(address(standard), row.size, one) / row.size + eps), one)
        scales[n] = scale
        for k in range(row.size):
            standard[k] *= scale
        for k in range(row.size):
            out[k] = standard[k] * factor[k] + shift[k]


@kernel
def layer_normalization(team, x, eps, factor, shift, z, scales, y):
    """Layer normalisation.

    x, z, y : (N, K), C-contiguous, three arrays; z and y are overwritten
    factor, shift : (K,)
    scales : (N,), overwritten with 1 / sqrt(var + eps) of each row
    """
    spread(team, parts_of_columns(x.shape), package(_rows, (x, eps, factor, shift, z, scales, y)))


@kernel
def _back_rows(d, z, factor, scales, partial, part, member):
    add_up_part(d, z, partial, part)
    begin, end = part_of_columns(d.shape, part)
    one = d.dtype.type(1)
    for n in range(begin, end):
        row, standard, scale = d[n], z[n], scales[n]
        for k in range(row.size):
            row[k] *= factor[k]
        off = like(wide_sum(address(row), row.size, one) / row.size, one)
        along = like(wide_dot(address(row), address(standard), row.size, one) / row.size, one)
        for k in range(row.size):
            row[k] = scale * (row[k] - off - along * standard[k])


@kernel
def layer_normalization_back(team, d, z, factor, scales, partial, rate, adds, of_factor, of_shift):
    """The gradients of ``layer_normalization`` by that with respect to y, which becomes that with respect to x.

    d : (N, K), overwritten
    z, factor, scales : as the forward pass left them
    partial : float64 of ``columns.shape_of_partial(N, K)``, overwritten
    rate, adds, of_factor, of_shift : see ``columns.put_gradients``; ``of_factor`` may be ``factor``
    """
    spread(team, parts_of_columns(d.shape), package(_back_rows, (d, z, factor, scales, partial)))
    put_gradients(partial, rate, adds, of_factor, of_shift)


class BatchNormalization(NamedTuple):
    """z and y of ``normalization`` by the moments of the batch, which ``statistics`` (STATISTICS, columns) receives."""

    x: int
    gamma: int
    beta: int
    statistics: int
    z: int
    y: int
    rows: int
    columns: int
    eps: float
    partial: int


class RunningNormalization(NamedTuple):
    """z and y of ``normalization`` by running moments; MEAN and SCALE of ``statistics`` receive what it goes by.

    Of a variance below 0 it makes a loss that is not a number, so that the program ends.
    """

    x: int
    gamma: int
    beta: int
    running_mean: int
    running_var: int
    statistics: int
    z: int
    y: int
    rows: int
    columns: int
    eps: float


class BatchNormalizationGradient(NamedTuple):
    """d becomes dx; dgamma and dbeta get their gradients, or, if ``descends``, are parameters that take a step."""

    d: int
    z: int
    gamma: int
    statistics: int
    dgamma: int
    dbeta: int
    rows: int
    columns: int
    partial: int
    adds: int
    descends: int


class MovingAverages(NamedTuple):
    """running = momentum running + (1 - momentum) batch, of the mean and the variance in ``statistics``."""

    statistics: int
    running_mean: int
    running_var: int
    columns: int
    momentum: float


class LayerNormalization(NamedTuple):
    """z and y of ``normalization`` by the moments of each row; ``scales`` (N,) receives 1 / sqrt(var + eps)."""

    x: int
    gamma: int
    beta: int
    z: int
    scales: int
    y: int
    rows: int
    columns: int
    eps: float


class LayerNormalizationGradient(NamedTuple):
    """As ``BatchNormalizationGradient``."""

    d: int
    z: int
    gamma: int
    scales: int
    dgamma: int
    dbeta: int
    rows: int
    columns: int
    partial: int
    adds: int
    descends: int


@operation(BatchNormalization)
def normalize_batch(team, row, step, one):
    """Run ``BatchNormalization``."""
    i = operands(BatchNormalization, row)
    x, z = matrix(i.x, i.rows, i.columns, one), matrix(i.z, i.rows, i.columns, one)
    y = matrix(i.y, i.rows, i.columns, one)
    gamma, beta = view(i.gamma, i.columns, one), view(i.beta, i.columns, one)
    statistics = matrix(i.statistics, STATISTICS, i.columns, one)
    batch_normalization(team, x, i.eps, gamma, beta, statistics, z, y, partial_at(i.partial, i.rows, i.columns))


@operation(RunningNormalization)
def normalize_by_running(team, row, step, one):
    """Run ``RunningNormalization``."""
    i = operands(RunningNormalization, row)
    x, z = matrix(i.x, i.rows, i.columns, one), matrix(i.z, i.rows, i.columns, one)
    y = matrix(i.y, i.rows, i.columns, one)
    gamma, beta = view(i.gamma, i.columns, one), view(i.beta, i.columns, one)
    statistics = matrix(i.statistics, STATISTICS, i.columns, one)
    statistics[MEAN] = view(i.running_mean, i.columns, one)
    if not scale_by_variance(view(i.running_var, i.columns, one), i.eps, statistics[SCALE]):
        store(step + 8 * LOSS, bits_of_float(math.nan))
        return
    normalize_by(team, x, statistics, gamma, beta, z, y)


@operation(BatchNormalizationGradient)
def normalize_batch_gradient(team, row, step, one):
    """Run ``BatchNormalizationGradient``."""
    i = operands(BatchNormalizationGradient, row)
    d, z = matrix(i.d, i.rows, i.columns, one), matrix(i.z, i.rows, i.columns, one)
    gamma = view(i.gamma, i.columns, one)
    statistics, partial = matrix(i.statistics, STATISTICS, i.columns, one), partial_at(i.partial, i.rows, i.columns)
    rate, adds = rate_of(step, i.descends, one), i.adds + i.descends > 0
    dgamma, dbeta = view(i.dgamma, i.columns, one), view(i.dbeta, i.columns, one)
    batch_normalization_back(team, d, z, gamma, statistics, False, partial, rate, adds, dgamma, dbeta, d)


@operation(MovingAverages)
def moving_averages(team, row, step, one):
    """Run ``MovingAverages``."""
    i = operands(MovingAverages, row)
    running_mean, running_var = view(i.running_mean, i.columns, one), view(i.running_var, i.columns, one)
    move_averages(matrix(i.statistics, STATISTICS, i.columns, one), running_mean, running_var, i.momentum)


@operation(LayerNormalization)
def normalize_rows(team, row, step, one):
    """Run ``LayerNormalization``."""
    i = operands(LayerNormalization, row)
    x, z = matrix(i.x, i.rows, i.columns, one), matrix(i.z, i.rows, i.columns, one)
    gamma, beta, scales = view(i.gamma, i.columns, one), view(i.beta, i.columns, one), view(i.scales, i.rows, one)
    layer_normalization(team, x, i.eps, gamma, beta, z, scales, matrix(i.y, i.rows, i.columns, one))


@operation(LayerNormalizationGradient)
def normalize_rows_gradient(team, row, step, one):
    """Run ``LayerNormalizationGradient``."""
    i = operands(LayerNormalizationGradient, row)
    d, z = matrix(i.d, i.rows, i.columns, one), matrix(i.z, i.rows, i.columns, one)
    gamma, scales = view(i.gamma, i.columns, one), view(i.scales, i.rows, one)
    rate, adds, partial = rate_of(step, i.descends, one), i.adds + i.descends > 0, partial_at(i.partial, *d.shape)
    dgamma, dbeta = view(i.dgamma, i.columns, one), view(i.dbeta, i.columns, one)
    layer_normalization_back(team, d, z, gamma, scales, partial, rate, adds, dgamma, dbeta)
