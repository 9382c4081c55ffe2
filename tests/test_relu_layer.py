"""Relu against its plain twin: values of every kind, its mask, and what it leaves alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FLOAT_DTYPES, FLOATS, INTEGERS, SHAPES, assert_same_bits, hostile

import fastbp
from fastbp import reference


@given(st.data(), SHAPES, FLOAT_DTYPES)
def test_relu_is_the_reference_bit_for_bit_for_any_values_and_shape(data, shape, dtype):
    x, dout = data.draw(hostile(shape, dtype)), data.draw(hostile(shape, dtype))
    layer = fastbp.Relu()
    out = layer.forward(x)
    assert_same_bits(out, np.where(x <= 0, dtype(0), x))
    assert_same_bits(layer.mask, x <= 0)
    dx = layer.backward(dout)
    assert_same_bits(dx, np.where(x <= 0, dtype(0), dout))
    plain = reference.Relu()
    assert_same_bits(out, plain.forward(x))
    assert_same_bits(dx, plain.backward(dout.copy()))


def test_relu_mask_is_true_where_x_is_not_positive():
    layer = fastbp.Relu()
    layer.forward(np.array([[1.0, -0.5], [-2.0, 3.0], [0.0, -0.0]]))
    assert layer.mask.dtype == np.bool_
    np.testing.assert_array_equal(layer.mask, [[False, True], [True, False], [True, True]])


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_keeps_nan_as_the_books_mask_does(dtype):
    layer = fastbp.Relu()
    out = layer.forward(np.array([np.nan, -1.0] * 20, dtype))
    np.testing.assert_array_equal(out, [np.nan, 0.0] * 20)
    np.testing.assert_array_equal(layer.mask, [False, True] * 20)
    np.testing.assert_array_equal(layer.backward(np.full(40, 7, dtype)), [7.0, 0.0] * 20)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 5.0])
def test_relu_dx_is_exactly_zero_where_masked_whatever_dout_is(value, dtype):
    x = np.resize(np.array([-1.0, 0.0, -0.0, -np.inf], dtype), 37)
    layer = fastbp.Relu()
    layer.forward(x)
    assert_same_bits(layer.backward(np.full(37, value, dtype)), np.zeros(37, dtype))


@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
def test_relu_keeps_an_integer_dtype(dtype):
    x = np.array([[0, 1, 2], [3, 0, 1]]).astype(dtype)
    layer = fastbp.Relu()
    assert_same_bits(layer.forward(x), x)
    np.testing.assert_array_equal(layer.mask, x == 0)
    dout = np.full((2, 3), 1.5, np.float32)
    assert_same_bits(layer.backward(dout), np.where(x == 0, np.float32(0), dout))


def test_relu_of_negative_integers_is_zero():
    assert_same_bits(fastbp.Relu().forward(np.array([-3, 0, 4])), np.array([0, 0, 4]))


def test_relu_leaves_dout_as_it_was():
    layer = fastbp.Relu()
    layer.forward(np.array([-1.0, 1.0]))
    dout = np.array([2.0, 3.0])
    dx = layer.backward(dout)
    np.testing.assert_array_equal(dout, [2.0, 3.0])
    assert not np.shares_memory(dx, dout)


@pytest.mark.parametrize("changed", ["x", "out"])
def test_relu_remembers_its_mask_when_x_or_out_is_changed_afterwards(changed):
    x = np.array([[-1.0, 2.0], [3.0, -4.0]])
    layer = fastbp.Relu()
    out = layer.forward(x)
    {"x": x, "out": out}[changed][...] *= -1
    np.testing.assert_array_equal(layer.backward(np.ones((2, 2))), [[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(layer.mask, [[True, False], [False, True]])
