"""Sigmoid against its plain twin and extended precision, far tails included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from single_layers import step
from strategies import FLOAT_DTYPES, FLOATS, INTEGERS, SHAPES, assert_same_bits, assert_within, eps, normal

import fastbp
from fastbp import reference


@given(st.data(), SHAPES, FLOAT_DTYPES)
def test_sigmoid_agrees_with_the_reference(data, shape, dtype):
    x, dout = data.draw(normal(shape, dtype, scale=4)), data.draw(normal(shape, dtype))
    out, dx = step(fastbp.Sigmoid(), x, None, dout)
    plain = reference.Sigmoid()
    exact = plain.forward(x.astype(np.float64))
    assert out.dtype == dx.dtype == dtype
    # out: 4 ulp for ours, 3 for exp, sum and quotient of the reference. dx: those of out, twice since 1 - out
    # errs by as much, and three roundings more.
    assert_within(out, exact, (4 * eps(dtype) + 3 * eps(np.float64)) * exact)
    size = np.abs(dout.astype(np.float64)) * exact
    assert_within(dx, plain.backward(dout.astype(np.float64)), 17 * eps(dtype) * size)


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.float32, -87, 20), (np.float64, -708, 40)])
def test_sigmoid_keeps_relative_accuracy_of_4_ulp_in_its_far_tails(dtype, low, high):
    x = np.concatenate([np.linspace(low, high, 4001), np.linspace(-2, 2, 1001), [-80, -87]]).astype(dtype)
    out, dx = step(fastbp.Sigmoid(), x, None, np.ones_like(x))
    wide = x.astype(np.longdouble if dtype is np.float64 else np.float64)
    exact = 1 / (1 + np.exp(-wide))
    ulps = 4 if eps(wide.dtype) < eps(dtype) else 7  # exact itself is 3 off where there is nothing wider
    assert_within(out, exact, ulps * np.spacing(exact.astype(dtype)))
    tail = x < -1  # 1 - out loses nothing here: dx stays relatively accurate too
    assert_within(dx[tail], (exact * (1 - exact))[tail], 12 * eps(dtype) * exact[tail])


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_is_exact_at_zero_infinity_and_nan(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1000.0, 1e30, -1e30], dtype)
    out = fastbp.Sigmoid().forward(x)
    np.testing.assert_array_equal(out, [0.5, 0.5, 1.0, 0.0, np.nan, 1.0, 1.0, 0.0])


def test_sigmoid_out_is_what_forward_returned():
    layer = fastbp.Sigmoid()
    x = np.array([[-1.0, 0.0, 2.0]])
    out = layer.forward(x).copy()
    x[...] = 0
    assert_same_bits(layer.out, out)


@pytest.mark.parametrize("function", [lambda x: fastbp.Sigmoid().forward(x), fastbp.sigmoid])
@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
def test_sigmoid_accepts_integers_and_bools(dtype, function):
    x = np.array([0, 1, 2, 5], dtype)
    out = function(x)
    if x.dtype.itemsize >= 4:  # NumPy's exp of a smaller integer is a smaller float
        assert out.dtype == np.float64
    assert_within(out, 1 / (1 + np.exp(-x.astype(np.float64))), 4 * eps(out.dtype))
