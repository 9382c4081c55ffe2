"""Softmax as a layer: its formula, its gradient, and scores of any size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from single_layers import DIFFERENCE_TOLERANCE, D, N, derivative, step
from strategies import FLOAT_DTYPES, FLOATS, SOME, assert_within, eps, normal

import fastbp


@given(st.data(), st.one_of(st.tuples(SOME), st.tuples(SOME, SOME)), FLOAT_DTYPES)
def test_softmax_layer_agrees_with_its_formula(data, shape, dtype):
    x, dout = data.draw(normal(shape, dtype, scale=3)), data.draw(normal(shape, dtype))
    y, dx = step(fastbp.Softmax(), x, None, dout)
    assert y.dtype == dx.dtype == dtype
    wide = x.astype(np.longdouble)
    exact = np.exp(wide - wide.max(axis=-1, keepdims=True))
    exact /= exact.sum(axis=-1, keepdims=True)
    # Rounding score - maximum costs half an eps of it, the sum of K terms K eps, exp and division a few.
    unit = eps(dtype) * (6 + shape[-1] + np.ptp(x, axis=-1, keepdims=True))
    assert_within(y, exact, unit * exact)
    wide = dout.astype(np.longdouble)
    mean = np.sum(wide * exact, axis=-1, keepdims=True)
    size = np.abs(wide) + np.sum(np.abs(wide) * exact, axis=-1, keepdims=True)
    assert_within(dx, exact * (wide - mean), 2 * unit * exact * size)


@pytest.mark.parametrize("shape", [(5,), (4, 7), (1, 3)])
def test_softmax_then_the_gradient_of_the_cross_entropy_is_softmax_with_loss(shape):
    x = np.random.default_rng(6).standard_normal(shape)
    t = np.zeros(shape)
    t[..., 2] = 1
    fused, layer = fastbp.SoftmaxWithLoss(), fastbp.Softmax()
    fused.forward(x, t)
    y = layer.forward(x)
    batch_size = t.shape[0]
    assert_within(layer.backward(-t / y / batch_size), fused.backward(), 16 * eps(np.float64) / batch_size)


def test_softmax_gradient_agrees_with_central_differences():
    rng = np.random.default_rng(7)
    x, dout, direction = rng.standard_normal((3, N, D))
    layer = fastbp.Softmax()
    layer.forward(x)
    numeric = derivative(lambda x: np.sum(fastbp.Softmax().forward(x) * dout), x, direction)
    assert abs(np.sum(layer.backward(dout) * direction) - numeric) <= DIFFERENCE_TOLERANCE * N


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("soft", [fastbp.softmax, lambda x: fastbp.Softmax().forward(x)])
def test_softmax_is_safe_for_huge_scores_and_minus_infinity(soft, dtype):
    x = np.array([[1e4, -1e4, 1e4], [-np.inf, 0, -np.inf], [-1e4, -1e4, -np.inf]], dtype)
    np.testing.assert_array_equal(soft(x), [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0.5, 0]])
