"""LeakyRelu against its plain twin and PyTorch."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FLOAT_DTYPES, FLOATS, INTEGERS, LAYOUTS, SHAPES, assert_same_bits, assert_within, eps, hostile

import fastbp
from fastbp import reference

dtypes = pytest.mark.parametrize("dtype", FLOATS)


@given(SHAPES.flatmap(lambda shape: st.tuples(hostile(shape), hostile(shape))), FLOAT_DTYPES, st.floats(-2, 2))
def test_the_bits_of_the_plain_layer(arrays, dtype, slope):
    x, dout = (a.astype(dtype) for a in arrays)
    ours, plain = fastbp.LeakyRelu(slope), reference.LeakyRelu(slope)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(ours.forward(x), plain.forward(x))
        np.testing.assert_array_equal(ours.backward(dout), plain.backward(dout))
    np.testing.assert_array_equal(ours.mask, plain.mask)
    assert ours.forward(x).dtype == ours.backward(dout).dtype == dtype
    assert ours.mask.dtype == np.bool_


@dtypes
def test_nan_stays_and_0_counts_as_negative(dtype):
    layer = fastbp.LeakyRelu(0.25)
    x = np.array([np.nan, 0.0, -0.0, -4, 4, np.inf, -np.inf], dtype)
    np.testing.assert_array_equal(layer.forward(x), [np.nan, 0, 0, -1, 4, np.inf, -np.inf])
    np.testing.assert_array_equal(layer.mask, [False, True, True, True, False, False, True])
    np.testing.assert_array_equal(layer.backward(np.ones(7, dtype)), [1, 0.25, 0.25, 0.25, 1, 1, 0.25])


@dtypes
def test_it_agrees_with_torch(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's import says is not ours
        torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 19, 23)).astype(dtype)
    xt = torch.tensor(x, requires_grad=True)
    yt = torch.nn.functional.leaky_relu(xt)
    yt.backward(torch.tensor(dout))
    layer = fastbp.LeakyRelu()
    assert_within(layer.forward(x), yt.detach().numpy(), 2 * eps(dtype) * np.abs(x))
    assert_within(layer.backward(dout), xt.grad.numpy(), 2 * eps(dtype) * np.abs(dout))


def test_central_differences():
    x, h = np.array([-2.0, -0.5, 0.5, 3.0]), 1e-6
    layer = fastbp.LeakyRelu(0.1)
    numeric = (layer.forward(x + h) - layer.forward(x - h)) / (2 * h)
    assert_within(layer.backward(np.ones(4)), numeric, 1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout):
    x = np.random.default_rng(0).standard_normal((5, 7))
    laid_out = LAYOUTS[layout](x)
    assert_same_bits(fastbp.LeakyRelu().forward(laid_out), fastbp.LeakyRelu().forward(np.ascontiguousarray(laid_out)))


@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
def test_integers_give_float64(dtype):
    x = np.array([[0, 1], [1, 3]]).astype(dtype)
    assert_same_bits(fastbp.LeakyRelu().forward(x), x.astype(np.float64))


def test_arrays_are_fresh_and_the_callers_untouched():
    layer = fastbp.LeakyRelu()
    assert layer.mask is None
    x = np.array([-1.0, 1.0])
    y = layer.forward(x)
    dx = layer.backward(x)
    assert_same_bits(x, np.array([-1.0, 1.0]))
    assert not any(np.shares_memory(a, b) for a, b in ((x, y), (x, dx), (y, dx)))


def test_bad_input():
    for slope in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="slope must be a finite number"):
            fastbp.LeakyRelu(slope)
    layer = fastbp.LeakyRelu()
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(np.ones(3))
    with pytest.raises(TypeError, match="x must hold real numbers"):
        layer.forward(np.ones(2, complex))
    layer.forward(np.ones((4, 5)))
    with pytest.raises(ValueError, match=r"dout must have the shape of x, \(4, 5\), got \(5, 4\)"):
        layer.backward(np.ones((5, 4)))


@dtypes
def test_the_same_bits_for_any_number_of_threads(set_threads, dtype):
    x, dout = np.random.default_rng(0).standard_normal((2, 3, 33_000)).astype(dtype)
    answers = []
    for n in (1, 2, 3, 8):
        set_threads(n)
        layer = fastbp.LeakyRelu()
        answers.append((layer.forward(x).tobytes(), layer.mask.tobytes(), layer.backward(dout).tobytes()))
    assert len(set(answers)) == 1
