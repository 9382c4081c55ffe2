"""softmax, sigmoid, relu, cross_entropy_error and numerical_gradient: the book's functions."""

import numpy as np
import pytest
from single_layers import D, N, batch
from strategies import FLOATS, LAYOUTS, assert_same_bits, assert_within, contiguous, eps

import fastbp
from fastbp import reference


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(D,), (N, D)])
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "relu"])
def test_functions_give_what_the_layers_give(name, shape, dtype):
    x = np.random.default_rng(9).standard_normal(shape).astype(dtype)
    out = getattr(fastbp, name)(x)
    assert_same_bits(out, getattr(fastbp, name.capitalize())().forward(x))
    assert_within(out, getattr(reference, name)(x.astype(np.float64)), 16 * eps(dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "relu"])
def test_functions_take_any_layout_and_leave_it_as_it_was(name, layout):
    x = LAYOUTS[layout](np.random.default_rng(15).standard_normal((N, D)))
    before = contiguous(x)
    assert_same_bits(getattr(fastbp, name)(x), getattr(fastbp, name)(before))
    assert_same_bits(x, before)


@pytest.mark.parametrize("name", ["sigmoid", "relu"])
def test_functions_take_python_numbers(name):
    for x in (-1.5, 0.0, 2.0):
        out = getattr(fastbp, name)(x)
        assert np.shape(out) == ()
        assert_within(out, getattr(reference, name)(x), 4 * eps(np.float64))


def test_relu_function_keeps_nan():
    np.testing.assert_array_equal(fastbp.relu(np.array([np.nan, -1.0, 1.0])), [np.nan, 0.0, 1.0])


@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_cross_entropy_error_is_the_books(shape, one_hot):
    y = np.random.default_rng(10).dirichlet(np.ones(4), shape[:-1])
    labels = np.array([2, 0, 3])[: 1 if len(shape) == 1 else 3]
    t = np.eye(4)[labels].reshape(shape) if one_hot else labels
    picked = y.reshape(-1, 4)[np.arange(len(labels)), labels]
    expected = np.mean(-np.log(picked + 1e-7))
    assert_within(fastbp.cross_entropy_error(y, t), expected, 8 * eps(np.float64) * max(1, expected))


def test_cross_entropy_error_of_a_certain_mistake_is_finite():
    expected = -np.log(1e-7)
    assert_within(fastbp.cross_entropy_error(np.array([1.0, 0.0]), np.array([0, 1])), expected, 1e-14)


@pytest.mark.parametrize("x", [np.array([3.0, 4.0]), np.arange(6.0).reshape(2, 3), np.ones((3, 2)).T])
def test_numerical_gradient_perturbs_the_array_in_place_and_restores_it(x):
    before, owner = x.copy(), x
    # As in the book's networks, f ignores its argument and reads the array it closes over.
    gradient = fastbp.numerical_gradient(lambda _: np.sum(owner**2), x)
    assert gradient.shape == x.shape
    # A central difference of a square is exact but for rounding: eps of f over 2h = 2e-4.
    assert_within(gradient, 2 * before, 8 * eps(np.float64) * np.sum(before**2) / 2e-4)
    assert_same_bits(x, before)


def test_functions_go_by_the_books_keyword_names():
    x, t, _ = batch()
    for name in ("softmax", "sigmoid", "relu"):
        assert_same_bits(getattr(fastbp, name)(x=x), getattr(fastbp, name)(x))
    y = fastbp.softmax(x)
    assert fastbp.cross_entropy_error(y=y, t=t) == fastbp.cross_entropy_error(y, t)
    np.testing.assert_allclose(fastbp.numerical_gradient(f=np.sum, x=x), 1, rtol=1e-6)
