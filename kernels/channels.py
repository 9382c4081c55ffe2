"""Batch normalisation of images by channel: the formulas of ``normalization``, over all pixels of a channel.

An image is (channels, area). A channel is one part of the work, and its sums are taken in float64, image after image:
the bits do not depend on the number of threads.
"""

import math
from typing import NamedTuple

import numpy as np

from ._jit import kernel
from .columns import rate_of
from .instructions import operands, operation
from .memory import bits_of_float, like, matrix, size_of, store, view
from .normalization import MEAN, SCALE, STATISTICS, VAR, scale_by_variance
from .program import LOSS
from .reduce import sum_of_squares, wide_dot, wide_sum
from .team import package, spread


@kernel
def _normalize(x, shape, eps, factor, shift, statistics, z, y, one, channel, member):
    images, channels, area = shape
    apart, total = size_of(one) * channels * area, 0.0
    first = size_of(one) * channel * area
    for n in range(images):
        total += wide_sum(x + first + n * apart, area, one)
    mean, squares = total / (images * area), 0.0
    for n in range(images):
        at = first + n * apart
        given, standard = view(x + at, area, one), view(z + at, area, one)
        for i in range(standard.size):
            standard[i] = like(np.float64(given[i]) - mean, one)
        squares += sum_of_squares(z + at, area, one)
    variance = squares / (images * area)
    statistics[MEAN, channel], statistics[VAR, channel] = mean, variance
    statistics[SCALE, channel] = 1.0 / math.sqrt(variance + eps)
    scale, by, off = statistics[SCALE, channel], factor[channel], shift[channel]
    for n in range(images):
        at = first + n * apart
        standard, out = view(z + at, area, one), view(y + at, area, one)
        for i in range(out.size):
            standard[i] = standard[i] * scale
            out[i] = standard[i] * by + off


@kernel
def normalize_channels(team, x, shape, eps, factor, shift, statistics, z, y, one):
    """Batch normalisation by the batch's own moments of each channel.

    x, z, y : addresses of ``shape`` = (images, channels, area), of which there are some; z and y are overwritten
    factor, shift : (C,)
    statistics : (STATISTICS, C), of which MEAN, VAR and SCALE are overwritten
    """
    arguments = (x, shape, eps, factor, shift, statistics, z, y, one)
    spread(team, shape[1], package(_normalize, arguments))


@kernel
def _apply(x, shape, factor, shift, statistics, z, y, one, channel, member):
    images, channels, area = shape
    mean, scale, by, off = statistics[MEAN, channel], statistics[SCALE, channel], factor[channel], shift[channel]
    for n in range(images):
        at = size_of(one) * (n * channels + channel) * area
        given, standard, out = view(x + at, area, one), view(z + at, area, one), view(y + at, area, one)
        for i in range(out.size):
            standard[i] = (given[i] - mean) * scale
        for i in range(out.size):
            out[i] = standard[i] * by + off


@kernel
def normalize_channels_by(team, x, shape, factor, shift, statistics, z, y, one):
    """``z`` and ``y`` by the MEAN and SCALE of given ``statistics``; ``z`` may be ``y``."""
    spread(team, shape[1], package(_apply, (x, shape, factor, shift, statistics, z, y, one)))


@kernel
def _back(d, z, shape, factor, statistics, constant, rate, adds, dfactor, dshift, channel, member):
    images, channels, area = shape
    first, apart = size_of(rate) * channel * area, size_of(rate) * channels * area
    total, along = 0.0, 0.0
    for n in range(images):
        at = first + n * apart
        total += wide_sum(d + at, area, rate)
        along += wide_dot(d + at, z + at, area, rate)
    by = factor[channel] * statistics[SCALE, channel]
    if not adds:
        dfactor[channel] = 0
        dshift[channel] = 0
    dfactor[channel] += rate * like(along, rate)
    dshift[channel] += rate * like(total, rate)
    count = images * area
    off = like(0.0 if constant else total / count, rate)
    slope = like(0.0 if constant else along / count, rate)
    for n in range(images):
        at = first + n * apart
        own, standard = view(d + at, area, rate), view(z + at, area, rate)
        for i in range(own.size):
            own[i] = by * (own[i] - off - slope * standard[i])


@kernel
def normalize_channels_back(team, d, z, shape, factor, statistics, constant, rate, adds, dfactor, dshift):
    """The gradients of either; ``d``, an address, becomes that with respect to x in place.

    constant : whether moments were given, not the batch's own
    rate, adds, dfactor, dshift : what gradients are multiplied by, whether they are added to what stands there, and
        where they belong; ``dfactor`` may be ``factor``
    """
    arguments = (d, z, shape, factor, statistics, constant, rate, adds, dfactor, dshift)
    spread(team, shape[1], package(_back, arguments))


class ChannelNormalization(NamedTuple):
    """y = z gamma + beta with z of mean 0 and variance 1 over all pixels of a channel; leaves the statistics."""

    x: int
    gamma: int
    beta: int
    statistics: int
    z: int
    y: int
    images: int
    channels: int
    area: int
    eps: float


class RunningChannelNormalization(NamedTuple):
    """The same by running statistics; y alone is left. A variance below 0 makes the step's loss NaN."""

    x: int
    gamma: int
    beta: int
    running_mean: int
    running_var: int
    statistics: int
    y: int
    images: int
    channels: int
    area: int
    eps: float


class ChannelNormalizationGradient(NamedTuple):
    """d becomes that with respect to x; dgamma and dbeta as in ``ScaleColumnsGradient``."""

    d: int
    z: int
    gamma: int
    statistics: int
    dgamma: int
    dbeta: int
    images: int
    channels: int
    area: int
    adds: int
    descends: int


@operation(ChannelNormalization)
def normalize_batch_of_images(team, row, step, one):
    """Run ``ChannelNormalization``."""
    i = operands(ChannelNormalization, row)
    gamma, beta = view(i.gamma, i.channels, one), view(i.beta, i.channels, one)
    statistics, shape = matrix(i.statistics, STATISTICS, i.channels, one), (i.images, i.channels, i.area)
    normalize_channels(team, i.x, shape, i.eps, gamma, beta, statistics, i.z, i.y, one)


@operation(RunningChannelNormalization)
def normalize_images_by_running(team, row, step, one):
    """Run ``RunningChannelNormalization``."""
    i = operands(RunningChannelNormalization, row)
    gamma, beta = view(i.gamma, i.channels, one), view(i.beta, i.channels, one)
    statistics, shape = matrix(i.statistics, STATISTICS, i.channels, one), (i.images, i.channels, i.area)
    statistics[MEAN] = view(i.running_mean, i.channels, one)
    if not scale_by_variance(view(i.running_var, i.channels, one), i.eps, statistics[SCALE]):
        store(step + 8 * LOSS, bits_of_float(math.nan))
        return
    normalize_channels_by(team, i.x, shape, gamma, beta, statistics, i.y, i.y, one)


@operation(ChannelNormalizationGradient)
def normalize_batch_of_images_gradient(team, row, step, one):
    """Run ``ChannelNormalizationGradient``."""
    i = operands(ChannelNormalizationGradient, row)
    gamma, statistics = view(i.gamma, i.channels, one), matrix(i.statistics, STATISTICS, i.channels, one)
    rate, adds, shape = rate_of(step, i.descends, one), i.adds + i.descends > 0, (i.images, i.channels, i.area)
    dgamma, dbeta = view(i.dgamma, i.channels, one), view(i.dbeta, i.channels, one)
    normalize_channels_back(team, i.d, i.z, shape, gamma, statistics, False, rate, adds, dgamma, dbeta)
