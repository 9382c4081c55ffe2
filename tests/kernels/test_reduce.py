"""The largest element and the sums of a row of any length, against NumPy."""

import sys

import numpy as np
import pytest
from calls import FLOATS, address, python, uncached

from fastbp.kernels import reduce

dtypes = pytest.mark.parametrize("dtype", FLOATS)
LENGTHS = range(101)


def called(reduction):
    """``reduction``, which exists in compiled code only, as a function of Python."""

    def call(at, count, one):
        return reduction(at, count, one)

    return uncached(call)


row_max_of = called(reduce.row_max)
SUMS = {"row": called(reduce.row_sum), "wide": called(reduce.wide_sum), "squares": called(reduce.sum_of_squares)}
sums = pytest.mark.parametrize("name", SUMS)


def inside(values, frame):
    """``values`` with the ``frame`` on either side, at an address that is no multiple of a vector."""
    whole = np.full(values.size + 70, frame, values.dtype)
    row = whole[3 : values.size + 3]
    row[...] = values
    return row


def largest(values, frame=np.inf):
    row = inside(values, frame)
    return row_max_of(address(row), row.size, values.dtype.type(1))


def total(name, values, frame=np.nan):
    row = inside(values, frame)
    return SUMS[name](address(row), row.size, values.dtype.type(1))


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


@sums
@dtypes
def test_sum_of_whole_numbers_is_exact_for_any_length(name, dtype):
    rng = np.random.default_rng(0)
    for n in LENGTHS:
        row = rng.integers(-1000, 1001, n).astype(dtype)
        exact = np.sum((row.astype(np.int64)) ** (2 if name == "squares" else 1))
        assert total(name, row) == exact


@sums
@dtypes
def test_every_element_counts_once_in_the_sum(name, dtype):
    for n in LENGTHS:
        for i in range(n):
            row = np.zeros(n, dtype)
            row[i] = 1
            assert total(name, row) == 1, (n, i)


@sums
@dtypes
@pytest.mark.parametrize("n", [1, 15, 100, 1000, 100_000])
def test_error_of_the_sum(name, dtype, n):
    row = normal(n, dtype)
    terms = row.astype(np.longdouble) ** (2 if name == "squares" else 1)
    eps = np.finfo(dtype if name == "row" else np.float64).eps
    # One partial sum a lane, 2 lanes at the least.
    assert abs(total(name, row) - terms.sum()) <= (n / 2 + 4) * eps * np.abs(terms).sum() / 2


@dtypes
def test_wide_sums_do_not_overflow_in_float32(dtype):
    row = np.full(50, np.finfo(np.float32).max, dtype)
    assert total("wide", row) == 50 * float(np.finfo(np.float32).max)
    assert np.isfinite(total("squares", row))


@sums
@dtypes
def test_nan_and_infinities_in_the_sum(name, dtype):
    for n in LENGTHS[2:]:
        row = normal(n, dtype)
        row[n // 3] = np.inf
        assert total(name, row) == np.inf
        row[-1] = -np.inf
        assert total(name, row) == np.inf if name == "squares" else np.isnan(total(name, row))
        row[-1] = np.nan
        assert np.isnan(total(name, row))


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_nothing_outside_the_row_is_read():
    python("import guard_pages; guard_pages.reductions()")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_number_that_is_not_finite_is_found_among_any_number(dtype, wrong):
    look = called(reduce.nan_unless_finite)
    for n in (1, 3, 16, 17, 64, 65, 1000):
        x = np.full(n, np.finfo(dtype).max, dtype)
        x[::2] *= -1
        assert look(address(x), n, dtype(1)) == 0
        for at in {0, n // 2, n - 1}:
            spoilt = x.copy()
            spoilt[at] = wrong
            assert np.isnan(look(address(spoilt), n, dtype(1)))
