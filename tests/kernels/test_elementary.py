"""exp, log, tanh and the logistic function: errors in units in the last place, and exact where they have to be.

The samples take every 997th of all float32 bit patterns, and 400,000 float64 numbers.
"""

import numpy as np
import pytest
from calls import FLOATS, apply, run_kernel, ulps, uncached

from fastbp.kernels import elementary
from fastbp.kernels.softmax import softmax_forward

dtypes = pytest.mark.parametrize("dtype", FLOATS)
WIDE = {np.float32: np.float64, np.float64: np.longdouble}
wide_dtypes = pytest.mark.parametrize(
    "dtype",
    [
        np.float32,
        pytest.param(
            np.float64,
            marks=pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="nothing to compare with"),
        ),
    ],
)

exp, exp_nonpositive, log, logistic, logistic_and_rest, tanh = (
    elementary.exp,
    elementary.exp_nonpositive,
    elementary.log,
    elementary.logistic,
    elementary.logistic_and_rest,
    elementary.tanh,
)


@uncached
def exp_of(x, y):
    for i in range(x.size):
        y[i] = exp(x[i])


@uncached
def exp_nonpositive_of(x, y):
    for i in range(x.size):
        y[i] = exp_nonpositive(x[i])


@uncached
def log_of(x, y):
    for i in range(x.size):
        y[i] = log(x[i])


@uncached
def logistic_of(x, y):
    for i in range(x.size):
        y[i] = logistic(x[i])


@uncached
def rest_of_logistic(x, y):
    for i in range(x.size):
        _, y[i] = logistic_and_rest(x[i])


@uncached
def tanh_of(x, y):
    for i in range(x.size):
        y[i] = tanh(x[i])


def run(function, x):
    y = np.empty_like(x)
    function(x, y)
    return y


def float32_patterns():
    """Every 997th float32, NaN and infinities included."""
    return np.arange(0, 2**32, 997, dtype=np.uint32).view(np.float32)


def float64_sample(low, high):
    """Numbers between the two, a part of them close to 0, and any bit patterns."""
    rng = np.random.default_rng(0)
    tiny = np.ldexp(rng.uniform(-1, 1, 50_000), rng.integers(-60, 6, 50_000))
    patterns = rng.integers(-(2**63), 2**63, 50_000).view(np.float64)
    return np.concatenate([rng.uniform(low, high, 300_000), tiny, patterns])


def sample(dtype, low, high):
    return float32_patterns() if dtype == np.float32 else float64_sample(low, high)


def right(function, x):
    """``function`` of NumPy's in wider precision."""
    with np.errstate(all="ignore"):
        return function(x.astype(WIDE[x.dtype.type]))


def right_logistic(x):
    return 1 / (1 + np.exp(-x))


def values(dtype, *numbers):
    return np.array(numbers, dtype)


@wide_dtypes
def test_exp_within_2_ulp(dtype):
    x = sample(dtype, -750, 712)
    assert ulps(run(exp_of, x), right(np.exp, x)).max() <= 2


@wide_dtypes
def test_exp_nonpositive_within_2_ulp(dtype):
    x = -np.abs(sample(dtype, -750, 712))
    assert ulps(run(exp_nonpositive_of, x), right(np.exp, x)).max() <= 2


@wide_dtypes
@pytest.mark.parametrize("function", [exp_of, exp_nonpositive_of], ids=["exp", "exp_nonpositive"])
def test_subnormal_results_of_exp_within_2_ulp(dtype, function):
    kind = np.finfo(dtype)
    low, high = (np.log(np.longdouble(x)) for x in (kind.smallest_subnormal, kind.smallest_normal))
    x = np.linspace(float(low) - 1, float(high), 100_001).astype(dtype)
    y = run(function, x)
    assert ((y > 0) & (y < kind.smallest_normal)).sum() > 50_000
    assert ulps(y, right(np.exp, x)).max() <= 2


@wide_dtypes
def test_exp_within_2_ulp_where_it_begins_to_overflow(dtype):
    top = np.log(np.finfo(dtype).max)
    x = top + np.arange(-1000, 1000, dtype=dtype) * np.spacing(top)
    assert ulps(run(exp_of, x), right(np.exp, x)).max() <= 2


@dtypes
def test_exp_is_exact_at_0_infinities_and_nan(dtype):
    x = values(dtype, 0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).min)
    np.testing.assert_array_equal(run(exp_of, x), values(dtype, 1, 1, np.inf, 0, np.nan, np.inf, 0))
    assert not np.signbit(run(exp_of, x)[[3, 6]]).any()


@dtypes
def test_exp_nonpositive_is_exact_at_0_infinity_and_nan(dtype):
    x = values(dtype, 0.0, -0.0, -np.inf, np.nan, np.finfo(dtype).min)
    np.testing.assert_array_equal(run(exp_nonpositive_of, x), values(dtype, 1, 1, 0, np.nan, 0))


@dtypes
@pytest.mark.parametrize("function", [exp_of, exp_nonpositive_of], ids=["exp", "exp_nonpositive"])
def test_exp_of_a_subnormal_is_1(dtype, function):
    tiny = np.finfo(dtype).smallest_subnormal
    assert np.array_equal(run(function, values(dtype, -tiny, -5 * tiny)), [1, 1])


@wide_dtypes
def test_log_within_2_ulp(dtype):
    x = float32_patterns()
    if dtype == np.float64:
        rng = np.random.default_rng(1)
        x = np.concatenate([float64_sample(0, 100), 1 + np.ldexp(rng.uniform(-1, 1, 50_000), rng.integers(-50, 0))])
    assert ulps(run(log_of, x), right(np.log, x)).max() <= 2


@wide_dtypes
def test_log_within_2_ulp_around_1(dtype):
    x = dtype(1) + np.arange(-100_000, 100_000).astype(dtype) * np.finfo(dtype).eps
    assert ulps(run(log_of, x), right(np.log, x)).max() <= 2


@wide_dtypes
def test_log_of_subnormals_within_2_ulp(dtype):
    kind = np.finfo(dtype)
    x = np.geomspace(1, 2**kind.nmant, 10_000).astype(dtype) * kind.smallest_subnormal
    assert x[0] == kind.smallest_subnormal and x[-1] == kind.smallest_normal
    assert ulps(run(log_of, x), right(np.log, x)).max() <= 2


@dtypes
def test_log_of_0_1_negative_infinity_and_nan(dtype):
    x = values(dtype, 0.0, -0.0, 1, -1, -np.inf, np.inf, np.nan, -np.finfo(dtype).smallest_subnormal)
    expected = values(dtype, -np.inf, -np.inf, 0, np.nan, np.nan, np.inf, np.nan, np.nan)
    np.testing.assert_array_equal(run(log_of, x), expected)


@wide_dtypes
def test_logistic_within_4_ulp(dtype):
    x = sample(dtype, -750, 60)
    assert ulps(run(logistic_of, x), right(right_logistic, x)).max() <= 4


@wide_dtypes
def test_logistic_within_4_ulp_in_its_far_tails(dtype):
    kind = np.finfo(dtype)
    low = np.log(kind.smallest_subnormal)
    x = np.linspace(low - 1, low / 2, 50_001).astype(dtype)
    y = run(logistic_of, x)
    assert ulps(y, right(right_logistic, x)).max() <= 4
    assert (y > 0)[x > low].all()
    assert np.array_equal(run(logistic_of, -x), np.ones_like(x))


@dtypes
def test_logistic_is_exact_at_0_infinities_and_nan(dtype):
    x = values(dtype, 0.0, -0.0, np.inf, -np.inf, np.nan)
    np.testing.assert_array_equal(run(logistic_of, x), values(dtype, 0.5, 0.5, 1, 0, np.nan))


@wide_dtypes
def test_rest_of_logistic_within_4_ulp(dtype):
    x = sample(dtype, -60, 750)
    assert ulps(run(rest_of_logistic, x), right(lambda x: right_logistic(-x), x)).max() <= 4


@wide_dtypes
def test_tanh_within_4_ulp(dtype):
    x = sample(dtype, -20, 20)
    y = run(tanh_of, x)
    assert ulps(y, right(np.tanh, x)).max() <= 4
    assert np.abs(y[~np.isnan(x)]).max() == 1


@dtypes
def test_tanh_is_exact_at_0_infinities_and_nan(dtype):
    x = values(dtype, 0.0, -0.0, np.inf, -np.inf, np.nan)
    y = run(tanh_of, x)
    np.testing.assert_array_equal(y, values(dtype, 0, 0, 1, -1, np.nan))
    assert list(np.signbit(y[:4])) == [False, True, False, True]


@dtypes
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_an_element_has_the_same_bits_wherever_it_stands(dtype, name):
    x = np.linspace(-9, 9, 300).astype(dtype)
    y = apply(name, x[None])[0]
    for n in (*range(1, 70), 127, 129, 255, 257):
        assert np.array_equal(apply(name, x[None, -n:].copy())[0], y[-n:])
        assert np.array_equal(apply(name, x[None, :n].copy())[0], y[:n])
    in_place = x[None].copy()
    assert np.array_equal(apply(name, in_place, in_place)[0], y)


@wide_dtypes
def test_sigmoid_kernel_within_4_ulp(dtype):
    x = sample(dtype, -750, 60)
    y = apply("sigmoid", x[None])[0]
    assert ulps(y, right(right_logistic, x)).max() <= 4


@wide_dtypes
@pytest.mark.parametrize("n_columns", [2, 50])
def test_softmax_kernel_within_5_ulp_and_those_of_the_sum(dtype, n_columns):
    """The largest score is 0, so that subtracting it is exact: what is left is exp, a sum, a division."""
    x = sample(dtype, -750, 0)
    x = -np.abs(x[np.isfinite(x)])
    x = x[: x.size // n_columns * n_columns].reshape(-1, n_columns)
    if n_columns > 2:
        x = np.random.default_rng(0).permuted(x, axis=1)
    x[:, n_columns // 3] = 0
    y = np.empty_like(x)
    run_kernel(softmax_forward, x, y)
    e = right(np.exp, x)
    assert ulps(y, e / e.sum(axis=1, keepdims=True)).max() <= 5 + n_columns / 4
