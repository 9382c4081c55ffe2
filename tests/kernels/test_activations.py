"""Activation functions and their derivatives: against their formulas in wider precision, and against torch."""

import math

import numpy as np
import pytest
from calls import FLOATS, apply, apply_back, ulps
from numpy import longdouble

WIDE = {np.float32: np.float64, np.float64: np.longdouble}
erf = np.vectorize(math.erf, otypes=[np.float64])


def logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def normal(x):
    """The normal distribution function; in float64 by the C library, in longdouble by a series near 0 alone."""
    return np.vectorize(lambda u: 0.5 * math.erfc(-u / math.sqrt(2)), otypes=[np.float64])(x.astype(np.float64))


def density(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def cubic(x):
    return 2 * np.sqrt(2 / longdouble(np.pi)) * (x + longdouble("0.044715") * x**3)


SELU = longdouble("1.0507009873554804934193349852946"), longdouble("1.6732632423543772848170429916717")


def selu(x):
    scale, alpha = SELU
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def mish_factor(x):
    return np.tanh(np.logaddexp(0, x))


SLOPE = 0.25

# The function, its derivative by x, and whether its kernel takes y for that.
FUNCTIONS = {
    "relu": (lambda x: np.where(x <= 0, 0, x), lambda x: np.where(x <= 0, 0, 1), True),
    "leaky_relu": (lambda x: np.where(x <= 0, SLOPE * x, x), lambda x: np.where(x <= 0, SLOPE, 1), True),
    "sigmoid": (logistic, lambda x: logistic(x) * logistic(-x), True),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2, True),
    "gelu": (lambda x: x * normal(x), lambda x: normal(x) + x * density(x), False),
    "gelu_tanh": (
        lambda x: x * logistic(cubic(x)),
        lambda x: (
            logistic(cubic(x))
            + x * logistic(cubic(x)) * logistic(-cubic(x)) * 2 * np.sqrt(2 / longdouble(np.pi)) * (1 + 0.134145 * x * x)
        ),
        False,
    ),
    "silu": (lambda x: x * logistic(x), lambda x: logistic(x) * (1 + x * logistic(-x)), False),
    "elu": (
        lambda x: np.where(x > 0, x, SLOPE * np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, SLOPE * np.exp(np.minimum(x, 0))),
        True,
    ),
    "selu": (selu, lambda x: SELU[0] * np.where(x > 0, 1, SELU[1] * np.exp(np.minimum(x, 0))), True),
    "mish": (
        lambda x: x * mish_factor(x),
        lambda x: mish_factor(x) + x * (1 - mish_factor(x) ** 2) * logistic(x),
        False,
    ),
    "softplus": (lambda x: np.logaddexp(0, x), logistic, True),
}
functions = pytest.mark.parametrize("name", FUNCTIONS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def value(name, x):
    """What the kernel makes of ``x``, a contiguous array, out of place."""
    return apply(name, x[None], number=SLOPE)[0]


def gradient(name, d, kept):
    """What the kernel makes of the gradient ``d``."""
    return apply_back(name, d[None], kept[None], SLOPE)[0]


def sample(dtype, least=-30, most=30):
    rng = np.random.default_rng(0)
    near = np.ldexp(rng.uniform(-1, 1, 2000), rng.integers(-20, 3, 2000))
    return np.concatenate([rng.uniform(least, most, 4000), near, [0.0]]).astype(dtype)


def wide(function, x):
    with np.errstate(all="ignore"):
        return function(x.astype(WIDE[x.dtype.type]))


@functions
@dtypes
def test_a_function_is_its_formula(name, dtype):
    x = sample(dtype)
    expected = wide(FUNCTIONS[name][0], x)
    eps = np.finfo(dtype).eps
    # GELU's far lower tail is as inexact as the square of x is.
    least = 8 * eps if name.startswith("gelu") else np.finfo(dtype).smallest_normal
    np.testing.assert_allclose(value(name, x), expected, rtol=8 * eps, atol=least)


@functions
@dtypes
def test_a_derivative_is_its_formula(name, dtype):
    x = sample(dtype)
    kept = value(name, x) if FUNCTIONS[name][2] else x
    expected = wide(FUNCTIONS[name][1], x)
    eps = np.finfo(dtype).eps
    d = np.full_like(x, 3)
    np.testing.assert_allclose(gradient(name, d, kept), 3 * expected, rtol=8 * eps, atol=16 * eps)


@functions
@dtypes
def test_the_same_bits_in_place_out_of_place_alone_and_among_others(name, dtype):
    x = sample(dtype)
    together = value(name, x)
    alone = np.concatenate([value(name, x[i : i + 1].copy()) for i in range(200)])
    assert np.array_equal(together[:200], alone)
    apply(name, x[None], x[None], SLOPE)
    assert np.array_equal(x, together)


@functions
@dtypes
def test_nan_stays(name, dtype):
    x = np.array([np.nan, 1.0, -1.0], dtype)
    y = value(name, x)
    assert np.isnan(y).tolist() == [True, False, False]
    d = gradient(name, np.array([np.nan] * 3, dtype), np.array([1.0] * 3, dtype))
    assert np.isnan(d).all()


@functions
@dtypes
def test_large_numbers_overflow_nowhere_between(name, dtype):
    x = np.array([1e30, -1e30, 3e38, -3e38], dtype)
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name][0](x.astype(np.longdouble)).astype(dtype)
    y = value(name, x)
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps, atol=0)
    slopes = gradient(name, np.ones_like(x), y if FUNCTIONS[name][2] else x)
    assert np.isfinite(slopes).all()


@dtypes
def test_elus_keep_what_is_small(dtype):
    x = -np.ldexp(np.random.default_rng(0).uniform(0.5, 1, 3000), np.arange(3000) % 30 - 28).astype(dtype)
    assert ulps(value("elu", x), wide(FUNCTIONS["elu"][0], x)).max() <= 4


@functions
@dtypes
def test_functions_and_derivatives_are_those_of_torch(name, dtype):
    torch = pytest.importorskip("torch")
    of = torch.nn.functional
    theirs = {
        "leaky_relu": lambda x: of.leaky_relu(x, SLOPE),
        "gelu_tanh": lambda x: of.gelu(x, approximate="tanh"),
        "elu": lambda x: of.elu(x, SLOPE),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
    }.get(name) or getattr(of, name)
    x = sample(dtype, -8, 8)
    # A first call by several threads can give one of them numbers right to 1e-4 only (pytorch/pytorch#188792), so the
    # first is of one element, which one thread computes.
    theirs(torch.tensor(x[:1]))
    tensor = torch.tensor(x, requires_grad=True)
    y = theirs(tensor)
    d = np.random.default_rng(1).standard_normal(x.size).astype(dtype)
    y.backward(torch.tensor(d))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(value(name, x), y.detach().numpy(), rtol=16 * eps, atol=16 * eps)
    kept = value(name, x) if FUNCTIONS[name][2] else x
    np.testing.assert_allclose(gradient(name, d, kept), tensor.grad.numpy(), rtol=16 * eps, atol=32 * eps)
