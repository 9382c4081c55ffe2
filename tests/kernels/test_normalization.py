"""Batch and layer normalisation, and a factor and a shift a column, as the formulas say, in one part and in many."""

import numpy as np
import pytest
from calls import FLOATS, team_for

from fastbp import reference
from fastbp.kernels.columns import rows_of_part, scale_columns, scale_columns_back, shape_of_partial
from fastbp.kernels.normalization import (
    MEAN,
    STATISTICS,
    VAR,
    batch_normalization,
    batch_normalization_back,
    layer_normalization,
    layer_normalization_back,
    move_averages,
)

SHAPES = [(1, 1), (2, 3), (7, 33), (9, 127), (64, 16), (5, 70_000), (3 * 1024 + 1, 32)]  # the last in four parts
dtypes = pytest.mark.parametrize("dtype", FLOATS)
shapes = pytest.mark.parametrize("shape", SHAPES)


def operands(shape, dtype, seed=0):
    """x, dy, factor and shift."""
    rng = np.random.default_rng(seed)
    x, dy = 3 + 2 * rng.standard_normal(shape), rng.standard_normal(shape)
    factor, shift = 1 + 0.3 * rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
    return [a.astype(dtype) for a in (x, dy, factor, shift)]


def empty(like, *shape):
    return np.full(shape, np.nan, like.dtype)


def partial(x):
    return np.full(shape_of_partial(*x.shape), np.nan)


def place_of_dx(back, d):
    """``d`` itself, where a kernel is told where its result goes."""
    return [d] if back is batch_normalization_back else []


def gradients(back, d, *taken, rate=1, start=None):
    """What a backward kernel makes of ``d``, in place, and of the places of the two gradients."""
    d = d.copy()
    places = [empty(d, d.shape[1]) if start is None else start.copy() for _ in range(2)]
    options = d.dtype.type(rate), start is not None, *places, *place_of_dx(back, d)
    back(team_for(d.dtype), d, *taken, partial(d), *options)
    return d, *places


def by_batch(x, factor, shift, eps):
    z, y, statistics = empty(x, *x.shape), empty(x, *x.shape), empty(x, STATISTICS, x.shape[1])
    batch_normalization(team_for(x.dtype), x, eps, factor, shift, statistics, z, y, partial(x))
    return z, y, statistics


def by_row(x, factor, shift, eps):
    z, y, scales = empty(x, *x.shape), empty(x, *x.shape), empty(x, len(x))
    layer_normalization(team_for(x.dtype), x, eps, factor, shift, z, scales, y)
    return z, y, scales


def assert_close(got, expected, eps, times=1.0):
    """Off by some roundings of the largest of what was added up."""
    tolerance = 64 * eps * times * max(1, np.abs(expected).max())
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


@dtypes
@shapes
def test_batch_normalization_is_that_of_the_reference(shape, dtype):
    x, dy, factor, shift = operands(shape, dtype)
    layer = reference.BatchNormalization(*wide(factor, shift), eps=0.1)
    expected = layer.forward(*wide(x))
    expected_dx = layer.backward(*wide(dy))
    z, y, statistics = by_batch(x, factor, shift, 0.1)
    eps = np.finfo(dtype).eps
    assert_close(y, expected, eps)
    assert_close(z, layer.xn, eps)
    assert_close(statistics[MEAN], x.mean(axis=0, dtype=np.float64), eps)
    assert_close(statistics[VAR], x.var(axis=0, dtype=np.float64), eps)
    dx, dfactor, dshift = gradients(batch_normalization_back, dy, z, factor, statistics, False)
    assert_close(dx, expected_dx, eps)
    assert_close(dfactor, layer.dgamma, eps, np.sqrt(len(x)))
    assert_close(dshift, layer.dbeta, eps, np.sqrt(len(x)))


@dtypes
@shapes
def test_layer_normalization_is_that_of_the_reference(shape, dtype):
    x, dy, factor, shift = operands(shape, dtype)
    layer = reference.LayerNormalization(*wide(factor, shift), eps=0.1)
    expected = layer.forward(*wide(x))
    expected_dx = layer.backward(*wide(dy))
    z, y, scales = by_row(x, factor, shift, 0.1)
    eps = np.finfo(dtype).eps
    assert_close(y, expected, eps)
    dx, dfactor, dshift = gradients(layer_normalization_back, dy, z, factor, scales)
    assert_close(dx, expected_dx, eps)
    assert_close(dfactor, layer.dgamma, eps, np.sqrt(len(x)))
    assert_close(dshift, layer.dbeta, eps, np.sqrt(len(x)))


@dtypes
@shapes
@pytest.mark.parametrize("in_place", [False, True])
def test_scale_is_that_of_the_reference(shape, dtype, in_place):
    x, dy, factor, shift = operands(shape, dtype)
    layer = reference.Scale(*wide(factor, shift))
    expected = layer.forward(*wide(x))
    y = x.copy() if in_place else empty(x, *shape)
    scale_columns(team_for(dtype), y if in_place else x, factor, shift, y)
    eps = np.finfo(dtype).eps
    assert_close(y, expected, eps)
    dx, dfactor, dshift = gradients(scale_columns_back, dy, x, factor)
    assert_close(dx, layer.backward(*wide(dy)), eps)
    assert_close(dfactor, layer.dfactor, eps, np.sqrt(len(x)))
    assert_close(dshift, layer.dshift, eps, np.sqrt(len(x)))


def backward_passes(x, dy, factor, shift):
    """Each backward kernel with what it takes beside the gradient."""
    z, _, statistics = by_batch(x, factor, shift, 1e-5)
    yield batch_normalization_back, (z, factor, statistics, False)
    z, _, scales = by_row(x, factor, shift, 1e-5)
    yield layer_normalization_back, (z, factor, scales)
    yield scale_columns_back, (x, factor)


@dtypes
def test_gradients_are_added_times_a_rate(dtype):
    x, dy, factor, shift = operands((40, 9), dtype)
    start = shift
    for back, taken in backward_passes(x, dy, factor, shift):
        _, dfactor, dshift = gradients(back, dy, *taken)
        _, *moved = gradients(back, dy, *taken, rate=-0.125, start=start)
        for got, gradient in zip(moved, (dfactor, dshift), strict=True):
            assert_close(got, start - 0.125 * gradient, np.finfo(dtype).eps)


@dtypes
def test_a_factor_that_takes_its_own_step_is_read_before(dtype):
    x, dy, factor, shift = operands((40, 9), dtype)
    for back, taken in backward_passes(x, dy, factor, shift):
        expected, *_ = gradients(back, dy, *taken)
        own, d = factor.copy(), dy.copy()
        taken = [own if a is factor else a for a in taken]
        options = dtype(-0.1), True, own, shift.copy(), *place_of_dx(back, d)
        back(team_for(dtype), d, *taken, partial(d), *options)
        np.testing.assert_array_equal(d, expected)
        assert not np.array_equal(own, factor)


@dtypes
def test_given_statistics_are_constants_to_the_gradient(dtype):
    x, dy, factor, shift = operands((40, 9), dtype)
    z, _, statistics = by_batch(x, factor, shift, 1e-5)
    dx, _, _ = gradients(batch_normalization_back, dy, z, factor, statistics, True)
    assert_close(dx, dy * factor / np.sqrt(x.var(axis=0, dtype=np.float64) + 1e-5), np.finfo(dtype).eps)


@dtypes
def test_moments_do_not_lose_a_small_spread_around_a_large_mean(dtype):
    rows = 3 * rows_of_part.py_func(4)  # joined over parts
    rng = np.random.default_rng(0)
    x = (1000 + rng.integers(-2, 3, (rows, 4))).astype(dtype)  # exact in both types; a mean of squares is not
    _, _, statistics = by_batch(x, np.ones(4, dtype), np.zeros(4, dtype), 1e-5)
    # Of integers the variance is exact; from sums of squares of 1000 it would be off by some 1e-10 in float64.
    small = x.astype(np.int64) - 1000
    expected = (rows * (small**2).sum(axis=0) - small.sum(axis=0) ** 2) / rows**2
    np.testing.assert_allclose(statistics[VAR], expected, rtol=max(2 * np.finfo(dtype).eps, 4e-12))


@dtypes
def test_averages_move(dtype):
    statistics = np.arange(STATISTICS * 3.0).reshape(STATISTICS, 3).astype(dtype)
    mean, var = np.ones(3, dtype), np.full(3, 2, dtype)
    move_averages(statistics, mean, var, 0.75)
    np.testing.assert_array_equal(mean, (0.75 + 0.25 * statistics[MEAN]).astype(dtype))
    np.testing.assert_array_equal(var, (1.5 + 0.25 * statistics[VAR]).astype(dtype))


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_bits_do_not_depend_on_the_number_of_threads(threads, set_threads):
    x, dy, factor, shift = operands((5 * 1024 + 7, 32), np.float32)

    def everything():
        z, y, statistics = by_batch(x, factor, shift, 1e-5)
        rows = by_row(x, factor, shift, 1e-5)
        backward = [a for back, taken in backward_passes(x, dy, factor, shift) for a in gradients(back, dy, *taken)]
        return [z, y, statistics[:3], *rows, *backward]

    set_threads(1)
    expected = everything()
    set_threads(threads)
    for got, want in zip(everything(), expected, strict=True):
        assert got.tobytes() == want.tobytes()
