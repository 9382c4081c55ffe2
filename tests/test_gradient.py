"""numerical_gradient: right, and x as it was afterwards, whatever f does."""

import numpy as np
import pytest

from fastbp.basics.gradient import numerical_gradient


def test_squares():
    x = np.array([[3.0, 4.0], [0.0, -2.0]])
    # For a square the formula is exact, which leaves rounding: eps of f(x) = 29, over 2 h.
    np.testing.assert_allclose(numerical_gradient(lambda x: np.sum(x**2), x), 2 * x, rtol=0, atol=29 * 2.3e-16 / 1e-4)


def test_error_falls_with_h_squared():
    x = np.array([0.3])
    grad = numerical_gradient(lambda x: np.exp(x[0]), x)
    # f'(x) + h**2 / 6 f'''(x) + ...: the second term is told from rounding, eps / h.
    assert grad[0] - np.exp(0.3) == pytest.approx(1e-8 / 6 * np.exp(0.3), abs=1e-11)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 1, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_shape_and_dtype_are_those_of_x(shape, dtype):
    x = np.ones(shape, dtype)
    grad = numerical_gradient(lambda x: 3 * np.sum(x, dtype=np.float64), x)
    assert grad.shape == x.shape
    assert grad.dtype == x.dtype
    np.testing.assert_allclose(grad, 3, rtol=1e-3)  # in float32, 1 + h is off by 6e-8 of 1e-4


def test_strided_arrays_are_varied_where_they_lie():
    whole = np.arange(12.0).reshape(3, 4)
    x = whole[:, ::2].T
    np.testing.assert_allclose(numerical_gradient(lambda _: np.sum(whole**2), x), 2 * x, atol=1e-8)


def test_f_may_read_the_array_itself():
    W = np.array([2.0, -1.0])
    np.testing.assert_allclose(numerical_gradient(lambda _: W[0] * W[1], W), [-1, 2], rtol=1e-10)


def test_x_is_restored_to_the_bit():
    x = np.random.default_rng(0).standard_normal(100) * 1e5
    kept = x.copy()
    numerical_gradient(np.sum, x)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_x_is_restored_when_f_raises(calls):
    x, left = np.array([0.1, 0.2, 0.3]), [calls]

    def f(x):
        left[0] -= 1
        if not left[0]:
            raise ZeroDivisionError("from f")
        return 1.0

    with pytest.raises(ZeroDivisionError, match="from f"):
        numerical_gradient(f, x)
    np.testing.assert_array_equal(x, [0.1, 0.2, 0.3])


@pytest.mark.parametrize("value", [np.float32(2), np.array([2.0]), np.array(2), 2])
def test_f_may_return_any_one_number(value):
    np.testing.assert_array_equal(numerical_gradient(lambda _: value, np.ones(2)), [0, 0])


def test_arguments_that_make_no_sense_are_named():
    f = np.sum
    with pytest.raises(TypeError, match="x must be an array of floats, got list"):
        numerical_gradient(f, [1.0, 2.0])
    with pytest.raises(TypeError, match=r"x must be float32 or float64 to hold x \+ 0.0001, got int64"):
        numerical_gradient(f, np.array([1, 2]))
    with pytest.raises(TypeError, match=r"x must be float32 or float64 to hold x \+ 0.0001, got float16"):
        numerical_gradient(f, np.ones(2, np.float16))
    frozen = np.ones(2)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"x must be writable, .* got a read-only array"):
        numerical_gradient(f, frozen)
    with pytest.raises(TypeError, match="f must be a function of x, got float"):
        numerical_gradient(1.0, np.ones(2))
    x = np.ones(2)
    with pytest.raises(ValueError, match=r"f\(x\) must be one number, got shape \(2,\)"):
        numerical_gradient(lambda x: x, x)
    np.testing.assert_array_equal(x, [1, 1])
