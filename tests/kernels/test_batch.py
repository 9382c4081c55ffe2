"""The order of an epoch, and the rows of a batch."""

import itertools
import math

import numpy as np
import pytest
from calls import FLOATS, address, team_for, uncached

from fastbp.basics._machine import numbers
from fastbp.kernels.batch import KINDS, below, gather_kind, gather_sparse, shuffle


def permutation(n, seed=0, epoch=0):
    order = np.full(n, -1, np.int64)
    shuffle(order, seed, epoch)
    return order


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 100, 1001, 60_000])
def test_an_order_is_a_permutation(n):
    for seed, epoch in itertools.product([0, 1, 2**63 - 1], [0, 1, 10**6]):
        np.testing.assert_array_equal(np.sort(permutation(n, seed, epoch)), np.arange(n))


def test_an_order_depends_on_nothing_but_seed_and_epoch():
    used = np.arange(100)[::-1].copy()
    shuffle(used, 3, 5)
    np.testing.assert_array_equal(used, permutation(100, 3, 5))


def test_each_seed_and_each_epoch_has_an_order_of_its_own():
    orders = {permutation(20, seed, epoch).tobytes() for seed in range(50) for epoch in range(50)}
    assert len(orders) == 2500


@uncached
def number_below(n, bits):
    return below(n, bits)


@pytest.mark.parametrize("n", [1, 60_000, 2**31 - 1, 2**31, 2**31 + 1, 2**32])
def test_places_in_an_order_of_any_size(n):
    for bits in (0, 1 << 21, 0x15555555555555, 0x1B0AD5F8D6C3A7, (1 << 53) - 1):
        assert number_below(n, bits) == (bits >> 21) * n >> 32


@pytest.mark.parametrize("over", ["epochs", "seeds"])
def test_orders_are_all_as_likely(over):
    n_draws = 24_000
    counts = dict.fromkeys(itertools.permutations(range(4)), 0)
    for i in range(n_draws):
        counts[tuple(permutation(4, *((1, i) if over == "epochs" else (i, 1))).tolist())] += 1
    expected = n_draws / 24
    # Chi-squared of 23 degrees of freedom: its mean is 23, its deviation sqrt(46).
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 23 + 4 * math.sqrt(46)


def test_a_sample_is_anywhere_as_often():
    n, n_draws = 50, 5000
    places = np.zeros((n, n))
    for epoch in range(n_draws):
        places[np.arange(n), permutation(n, 0, epoch)] += 1
    expected = n_draws / n
    chi_squared, freedom = np.sum((places - expected) ** 2) / expected, (n - 1) ** 2
    assert abs(chi_squared - freedom) < 4 * math.sqrt(2 * freedom)


def source_of(kind, shape):
    rng = np.random.default_rng(0)
    if kind.startswith("float"):
        return (1e3 * rng.standard_normal(shape)).astype(kind)
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, kind, endpoint=True)


def gathered(source, rows, dtype, scale=1.0, width=None):
    """Rows gathered into the inside of a larger array, whose rest must stay NaN."""
    width = source.shape[1] if width is None else width
    whole = np.full(len(rows) * width + 20, np.nan, dtype)
    target = whole[10 : 10 + len(rows) * width].reshape(len(rows), width)
    kind = KINDS.index(source.dtype.name)
    gather_kind(team_for(dtype), address(source), kind, *source.shape, rows, target, np.dtype(dtype).type(scale))
    assert np.isnan(whole[:10]).all()
    assert np.isnan(whole[len(whole) - 10 :]).all()
    return target


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 1 / 255])
@pytest.mark.parametrize("width", [1, 7, 64, 785])
def test_rows_are_converted_and_scaled(width, scale, kind, dtype):
    source = source_of(kind, (90, width))
    rows = np.random.default_rng(1).integers(0, 90, 3 * (numbers().gather_part // 785) + 1)
    rows[:2] = 0, 89
    expected = source[rows].astype(dtype) * np.dtype(dtype).type(scale)
    np.testing.assert_array_equal(gathered(source, rows, dtype, scale), expected, strict=True)


PART = numbers().gather_part // 500


@pytest.mark.parametrize("n_rows", [0, 1, PART - 1, PART, PART + 1, 3 * PART + 1])
@pytest.mark.parametrize("in_order", [True, False])
def test_any_number_of_rows_is_gathered(n_rows, in_order):
    source = source_of("uint8", (4 * PART, 500))
    rows = np.arange(4 * PART)[-n_rows:] if in_order else np.random.default_rng(1).permutation(4 * PART)[:n_rows]
    rows = rows[:n_rows]
    np.testing.assert_array_equal(gathered(source, rows, np.float32), source[rows].astype(np.float32))


@pytest.mark.parametrize("ahead", [0, 1, 499, 500, 5000, 1 << 20])
@pytest.mark.parametrize("n_rows", [0, 1, 2, PART + 3])
def test_however_many_rows_are_sent_for_the_copies_are_the_same(n_rows, ahead, set_numbers):
    source = source_of("uint8", (4 * PART, 500))
    rows = np.random.default_rng(1).permutation(4 * PART)[:n_rows]
    set_numbers(gather_ahead=ahead)
    np.testing.assert_array_equal(gathered(source, rows, np.float32), source[rows].astype(np.float32))


def test_rows_may_be_the_beginning_of_longer_ones():
    source = source_of("float32", (30, 9))
    rows = np.array([29, 0, 3])
    np.testing.assert_array_equal(gathered(source, rows, np.float32, width=4), source[rows, :4])


def test_the_source_may_be_read_only_and_stays_as_it_is():
    source = source_of("int16", (30, 9))
    kept = source.copy()
    source.flags.writeable = False
    gathered(source, np.arange(30), np.float64, 0.5)
    np.testing.assert_array_equal(source, kept)


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_number_of_threads_gathers_the_same(dtype, set_threads):
    source = source_of("uint8", (1000, 800))
    rows = np.random.default_rng(1).permutation(1000)
    expected = gathered(source, rows, dtype, 1 / 255)
    for n in (1, 2, 3, 8):
        set_threads(n)
        np.testing.assert_array_equal(gathered(source, rows, dtype, 1 / 255), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_rows", [1, 16, 83])
def test_rows_of_a_sparse_matrix(dtype, n_rows):
    rng = np.random.default_rng(0)
    whole = np.where(rng.random((50, 30)) < 0.1, rng.standard_normal((50, 30)), 0).astype(dtype)
    whole[3] = 0
    row, column = whole.nonzero()
    # Each element in two halves, which add up.
    values, columns = np.repeat(whole[row, column] / 2, 2), np.repeat(column, 2)
    starts = np.concatenate([[0], np.cumsum(2 * (whole != 0).sum(axis=1))])
    rows, target = rng.integers(0, 50, n_rows), np.full((n_rows, 30), np.nan, dtype)
    gather_sparse(team_for(dtype), address(values), address(columns), address(starts), rows, target)
    np.testing.assert_array_equal(target, whole[rows])
