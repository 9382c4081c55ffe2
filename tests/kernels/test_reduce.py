"""The largest element and the sum of a row of any length, against NumPy."""

import sys

import numpy as np
import pytest
from calls import FLOATS, address, python, uncached

from fastbp.kernels import reduce

dtypes = pytest.mark.parametrize("dtype", FLOATS)
row_max, row_sum = reduce.row_max, reduce.row_sum
LENGTHS = range(101)


@uncached
def row_max_of(at, count, one):
    return row_max(at, count, one)


@uncached
def row_sum_of(at, count, one):
    return row_sum(at, count, one)


def inside(values, frame):
    """``values`` with the ``frame`` on either side, at an address that is no multiple of a vector."""
    whole = np.full(values.size + 70, frame, values.dtype)
    row = whole[3 : values.size + 3]
    row[...] = values
    return row


def largest(values, frame=np.inf):
    row = inside(values, frame)
    return row_max_of(address(row), row.size, values.dtype.type(1))


def total(values, frame=np.nan):
    row = inside(values, frame)
    return row_sum_of(address(row), row.size, values.dtype.type(1))


def normal(n, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(dtype)


@dtypes
def test_max_of_any_length_wherever_it_stands(dtype):
    for n in LENGTHS[1:]:
        row = -1 - np.abs(normal(n, dtype))
        assert largest(row) == row.max()
        for i in range(n):
            other = row.copy()
            other[i] = -0.5
            assert largest(other) == -0.5, (n, i)


@dtypes
def test_max_of_a_row_with_nan_is_nan_or_below_the_row(dtype):
    """Whatever is subtracted from such a row, its softmax is NaN; but nothing may come from outside the row."""
    for n in LENGTHS[1:]:
        for i in range(n):
            row = normal(n, dtype)
            row[i] = np.nan
            top = largest(row)
            assert np.isnan(top) or top == -np.inf or top in row, (n, i)


@dtypes
def test_max_of_infinities(dtype):
    for n in LENGTHS[1:]:
        row = np.full(n, -np.inf, dtype)
        assert largest(row) == -np.inf
        row[n // 2] = np.finfo(dtype).min
        assert largest(row) == np.finfo(dtype).min
        row[-1] = np.inf
        assert largest(row) == np.inf


@dtypes
def test_max_of_nothing_is_minus_infinity(dtype):
    assert largest(np.empty(0, dtype)) == -np.inf


@dtypes
def test_sum_of_whole_numbers_is_exact_for_any_length(dtype):
    rng = np.random.default_rng(0)
    for n in LENGTHS:
        row = rng.integers(-1000, 1001, n).astype(dtype)
        assert total(row) == row.sum()


@dtypes
def test_every_element_counts_once_in_the_sum(dtype):
    for n in LENGTHS:
        for i in range(n):
            row = np.zeros(n, dtype)
            row[i] = 1
            assert total(row) == 1, (n, i)


@dtypes
@pytest.mark.parametrize("n", [1, 15, 100, 1000, 100_000])
def test_error_of_the_sum(dtype, n):
    row = normal(n, dtype)
    exact, size = np.sum(row, dtype=np.longdouble), np.sum(np.abs(row), dtype=np.longdouble)
    # One partial sum a lane, 2 lanes at the least.
    assert abs(total(row) - exact) <= (n / 2 + 4) * np.finfo(dtype).eps * size / 2


@dtypes
def test_nan_and_infinities_in_the_sum(dtype):
    for n in LENGTHS[2:]:
        row = normal(n, dtype)
        row[n // 3] = np.inf
        assert total(row) == np.inf
        row[-1] = -np.inf
        assert np.isnan(total(row))
        row[-1] = np.nan
        assert np.isnan(total(row))


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_nothing_outside_the_row_is_read():
    python("import guard_pages; guard_pages.reductions()")
