"""Tanh, the layer and the function it rests on."""

import copy
import warnings

import numpy as np
import pytest
from hypothesis import given
from strategies import FLOAT_DTYPES, FLOATS, INTEGERS, LAYOUTS, SHAPES, assert_same_bits, assert_within, eps, hostile

import fastbp
from fastbp import reference

dtypes = pytest.mark.parametrize("dtype", FLOATS)
needs_longdouble = pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="nothing to compare with")


def ulps(got, exact):
    """Errors in units in the last place of the type of ``got``, subnormal numbers included."""
    wide = exact.dtype.type
    unit = np.spacing(np.abs(exact).astype(got.dtype)).astype(wide)
    return np.abs(got.astype(wide) - exact) / unit


def forward(x):
    return fastbp.Tanh().forward(x)


def test_every_9973rd_float32_is_within_4_ulp():
    x = np.arange(0, 2**32, 9973, dtype=np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):  # signalling NaN
        exact = np.tanh(x.astype(np.float64))
    y = forward(x)
    known = ~np.isnan(x)
    assert np.isnan(y[~known]).all()
    assert ulps(y[known], exact[known]).max() <= 4


@needs_longdouble
def test_float64_is_within_4_ulp():
    rng = np.random.default_rng(0)
    tiny = np.ldexp(rng.uniform(-1, 1, 100_000), rng.integers(-1074, 6, 100_000))
    x = np.concatenate([rng.uniform(-25, 25, 300_000), rng.uniform(-1, 1, 300_000), tiny])
    assert ulps(forward(x), np.tanh(x.astype(np.longdouble))).max() <= 4


@dtypes
def test_exact_at_0_and_the_infinities_and_nan_stays(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, 1e30, -1e30], dtype)
    assert_same_bits(forward(x), np.array([0.0, -0.0, 1, -1, 1, -1], dtype))
    assert np.isnan(forward(np.array([np.nan], dtype))[0])


@dtypes
def test_the_smallest_numbers_are_their_own_tanh(dtype):
    kind = np.finfo(dtype)
    x = np.array([1, 2, 5, 1000], dtype) * kind.smallest_subnormal
    x = np.concatenate([x, -x, [kind.smallest_normal, 1e-30, dtype(1e-30) * kind.eps]]).astype(dtype)
    assert_same_bits(forward(x), x)


@dtypes
def test_it_is_odd_and_never_exceeds_1(dtype):
    x = np.linspace(0, 25, 100_001).astype(dtype)
    y = forward(x)
    assert_same_bits(forward(-x), -y)
    assert y.max() == 1


@given(hostile((7, 33)), FLOAT_DTYPES)
def test_backward_is_dout_times_1_minus_out_squared(dout, dtype):
    layer, plain = fastbp.Tanh(), reference.Tanh()
    x, dout = np.random.default_rng(0).standard_normal((7, 33)).astype(dtype), dout.astype(dtype)
    layer.forward(x)
    plain.out = layer.out.astype(np.float64)
    with np.errstate(invalid="ignore"):
        exact = plain.backward(dout.astype(np.float64))
    got = layer.backward(dout)
    assert got.dtype == dtype
    tolerance = 2 * eps(dtype) * np.abs(np.where(np.isfinite(dout), dout, 0)).astype(np.float64)
    assert_within(got, exact, tolerance + np.finfo(dtype).smallest_subnormal)


def test_central_differences():
    x, h = np.linspace(-3, 3, 61), np.cbrt(eps(np.float64))
    layer = fastbp.Tanh()
    layer.forward(x)
    numeric = (forward(x + h) - forward(x - h)) / (2 * h)
    assert_within(layer.backward(np.ones(61)), numeric, 10 * h**2)


@dtypes
def test_it_agrees_with_torch(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's import says is not ours
        torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((19, 23)).astype(dtype)
    xt = torch.tensor(x, requires_grad=True)
    yt = torch.tanh(xt)
    yt.sum().backward()
    layer = fastbp.Tanh()
    assert_within(layer.forward(x), yt.detach().numpy(), 8 * eps(dtype))
    assert_within(layer.backward(np.ones_like(x)), xt.grad.numpy(), 16 * eps(dtype))


@given(SHAPES.flatmap(hostile), FLOAT_DTYPES)
def test_any_shape(x, dtype):
    with np.errstate(over="ignore"):
        x = x.astype(dtype)
    y = forward(x)
    assert y.dtype == dtype
    assert_within(y, np.tanh(x), 4 * eps(dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout):
    x = np.random.default_rng(0).standard_normal((5, 7))
    laid_out = LAYOUTS[layout](x)
    assert_same_bits(forward(laid_out), forward(np.ascontiguousarray(laid_out)))


@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
def test_integers_give_float64(dtype):
    x = np.array([[0, 1], [1, 3]]).astype(dtype)
    assert_same_bits(forward(x), forward(x.astype(np.float64)))


def test_out_is_none_then_the_result_and_arrays_are_fresh():
    layer = fastbp.Tanh()
    assert layer.out is None
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(np.ones(3))
    x = np.ones((3, 2))
    y = layer.forward(x)
    assert layer.out is y
    kept = copy.deepcopy(y)
    dx = layer.backward(x)
    layer.forward(2 * x)
    assert_same_bits(y, kept)
    assert_same_bits(x, np.ones((3, 2)))
    assert not any(np.shares_memory(a, b) for a, b in ((x, y), (x, dx), (y, dx), (y, layer.out)))


def test_bad_input():
    layer = fastbp.Tanh()
    for wrong in (np.ones(2, complex), np.ones(2, object), np.array(["1"])):
        with pytest.raises(TypeError, match="x must hold real numbers"):
            layer.forward(wrong)
    layer.forward(np.ones((4, 5)))
    with pytest.raises(ValueError, match=r"dout must have the shape of x, \(4, 5\), got \(5, 4\)"):
        layer.backward(np.ones((5, 4)))


@dtypes
def test_the_same_bits_for_any_number_of_threads(set_threads, dtype):
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 3, 33_000)).astype(dtype)
    answers = []
    for n in (1, 2, 3, 8):
        set_threads(n)
        layer = fastbp.Tanh()
        answers.append((layer.forward(x).tobytes(), layer.backward(dout).tobytes()))
    assert len(set(answers)) == 1
