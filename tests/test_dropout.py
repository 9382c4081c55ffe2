"""Dropout: its arithmetic, and the masks it draws, their statistics, and that they come again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FLOAT_DTYPES, FLOATS, LAYOUTS, SHAPES, assert_same_bits, hostile

import fastbp
from fastbp import reference

dtypes = pytest.mark.parametrize("dtype", FLOATS)
SEED = 2**63 - 1
RECORDED = ("11001010110000100111000110101011", "10111010001010111101010010011100")


def masks(n_masks, n, p=0.5, seed=0, stream=0):
    layer = fastbp.Dropout(p, seed)
    layer.stream = stream
    x, drawn = np.ones(n, np.float32), []
    for _ in range(n_masks):
        layer.forward(x)
        drawn.append(layer.mask)
    return np.array(drawn)


@given(SHAPES.flatmap(hostile), FLOAT_DTYPES, st.floats(0, 1), st.integers(0, SEED))
def test_the_bits_of_the_plain_layer(x, dtype, p, seed):
    x = x.astype(dtype)
    ours, plain = fastbp.Dropout(p, seed), reference.Dropout(p, seed)
    with np.errstate(all="ignore"):
        for _ in range(2):
            np.testing.assert_array_equal(ours.forward(x), plain.forward(x))
            np.testing.assert_array_equal(ours.mask, plain.mask)
            np.testing.assert_array_equal(ours.backward(x), plain.backward(x))
    assert ours.forward(x).dtype == ours.backward(x).dtype == dtype


@dtypes
def test_what_is_kept_is_scaled_and_what_is_dropped_is_0_whatever_it_was(dtype):
    layer = fastbp.Dropout(0.75, seed=1)
    x = np.where(masks(1, 1000, 0.75, seed=1)[0], 1, np.nan).astype(dtype)
    np.testing.assert_array_equal(layer.forward(x), np.where(layer.mask, 4, 0))
    np.testing.assert_array_equal(layer.backward(x), np.where(layer.mask, 4, 0))


@dtypes
def test_testing_returns_a_copy(dtype):
    layer = fastbp.Dropout(0.5, seed=1)
    x = np.random.default_rng(0).standard_normal((4, 5)).astype(dtype)
    y = layer.forward(x, train_flg=False)
    assert_same_bits(y, x)
    assert not np.shares_memory(x, y)
    assert layer.mask.all()
    assert layer.step == 0
    assert_same_bits(layer.backward(x), x)


def test_p_0_keeps_everything_and_p_1_nothing():
    x = np.arange(1.0, 100_001)
    assert_same_bits(fastbp.Dropout(0).forward(x), x)
    layer = fastbp.Dropout(1)
    assert_same_bits(layer.forward(x), np.zeros_like(x))
    assert_same_bits(layer.backward(x), np.zeros_like(x))


# --- Statistics, to 5 standard deviations ------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9])
def test_the_share_of_what_is_kept(p):
    n = 1_000_000
    kept = masks(1, n, p, seed=3).sum()
    assert abs(kept - n * (1 - p)) <= 5 * np.sqrt(n * p * (1 - p))


def assert_independent(a, b):
    """Bits that are 1 half the time agree half the time."""
    assert abs(np.mean(a == b) - 0.5) <= 5 * 0.5 / np.sqrt(a.size)


def test_neighbours_calls_streams_and_seeds_are_independent():
    drawn = masks(3, 200_000, seed=5)
    flat = drawn[0]
    for lag in (1, 2, 16, 32, 64, 1000, 1 << 15):
        assert_independent(flat[lag:], flat[:-lag])
    assert_independent(drawn[0], drawn[1])
    assert_independent(drawn[1], drawn[2])
    assert_independent(drawn[0], masks(1, 200_000, seed=6)[0])
    assert_independent(drawn[0], masks(1, 200_000, seed=5, stream=1)[0])
    # Seed, stream and step are not exchangeable.
    assert_independent(masks(2, 200_000, seed=0)[1], masks(1, 200_000, seed=0, stream=1)[0])
    assert_independent(masks(2, 200_000, seed=0)[1], masks(1, 200_000, seed=1)[0])


def test_every_column_is_kept_as_often():
    kept = masks(4000, 64, 0.25, seed=7).sum(axis=0)
    assert np.abs(kept - 3000).max() <= 5 * np.sqrt(4000 * 0.25 * 0.75)


# --- The same masks again ----------------------------------------------------------------------------------


def test_recorded_bits():
    """Masks are part of what a seed means: a change here changes everybody's results."""
    assert "".join(map(str, masks(1, 32, seed=0)[0].astype(int))) == RECORDED[0]
    assert "".join(map(str, masks(2, 32, seed=SEED, stream=3)[1].astype(int))) == RECORDED[1]


def test_a_seed_gives_the_same_masks_again_and_none_another():
    assert_same_bits(masks(3, 1000, seed=9), masks(3, 1000, seed=9))
    assert (masks(2, 1000, seed=None) != masks(2, 1000, seed=None)).any()


def test_a_step_can_be_drawn_again():
    layer = fastbp.Dropout(seed=1)
    x = np.ones(100)
    first = layer.forward(x)
    assert (layer.forward(x) != first).any()
    layer.step = 0
    assert_same_bits(layer.forward(x), first)
    assert layer.step == 1


def test_a_mask_depends_neither_on_the_shape_nor_on_the_dtype():
    expected = masks(1, 120, seed=1)[0]
    for shape in ((120,), (8, 15), (2, 3, 20), (30, 2, 2, 1)):
        for dtype in FLOATS:
            layer = fastbp.Dropout(seed=1)
            layer.forward(np.ones(shape, dtype))
            assert_same_bits(layer.mask.reshape(-1), expected)


def test_numpys_state_is_neither_used_nor_changed():
    np.random.seed(0)
    before = np.random.get_state()
    fastbp.Dropout().forward(np.ones(10))
    after = np.random.get_state()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    np.random.seed(0)
    x = np.ones(64)
    assert (fastbp.Dropout().forward(x) != fastbp.Dropout().forward(x)).any()


@dtypes
def test_the_same_bits_for_any_number_of_threads(set_threads, dtype):
    x, dout = np.random.default_rng(0).standard_normal((2, 3, 33_000)).astype(dtype)
    answers = []
    for n in (1, 2, 3, 8):
        set_threads(n)
        layer = fastbp.Dropout(seed=11)
        answers.append((layer.forward(x).tobytes(), layer.mask.tobytes(), layer.backward(dout).tobytes()))
    assert len(set(answers)) == 1


# --- Input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout):
    x = np.random.default_rng(0).standard_normal((5, 7))
    laid_out = LAYOUTS[layout](x)
    expected = fastbp.Dropout(seed=1).forward(np.ascontiguousarray(laid_out))
    assert_same_bits(fastbp.Dropout(seed=1).forward(laid_out), expected)


def test_arrays_are_fresh_and_the_callers_untouched():
    layer = fastbp.Dropout(seed=1)
    x = np.ones(50)
    y, mask = layer.forward(x), layer.mask
    kept = y.copy(), mask.copy()
    dx = layer.backward(x)
    layer.forward(x)
    assert_same_bits(y, kept[0])
    assert_same_bits(mask, kept[1])
    assert_same_bits(x, np.ones(50))
    assert not any(np.shares_memory(a, b) for a, b in ((x, y), (x, dx), (y, dx), (mask, layer.mask)))


def test_integers_give_float64():
    x = np.arange(20)
    for training in (True, False):
        assert fastbp.Dropout().forward(x, training).dtype == np.float64


def test_bad_input():
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"p must be a finite number in 0\.\.1"):
            fastbp.Dropout(p)
    for seed, error in ((-1, ValueError), (2**63, ValueError), (0.5, TypeError), (True, TypeError), ("1", TypeError)):
        with pytest.raises(error, match=rf"seed must be an integer in 0\.\.{2**63 - 1}, got"):
            fastbp.Dropout(seed=seed)
    layer = fastbp.Dropout()
    assert layer.mask is None
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(np.ones(3))
    with pytest.raises(TypeError, match="x must hold real numbers"):
        layer.forward(np.ones(2, complex))
    assert layer.step == 0
    layer.forward(np.ones((4, 5)))
    with pytest.raises(ValueError, match=r"dout must have the shape of x, \(4, 5\), got \(5, 4\)"):
        layer.backward(np.ones((5, 4)))
