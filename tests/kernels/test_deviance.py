"""Losses with the gradient y - t, and the L2 penalty beside them."""

import numpy as np
import pytest
from calls import FLOATS, function_address, loss_address, team_for

from fastbp.kernels import activations
from fastbp.kernels import deviance as kernels
from fastbp.kernels.deviance import deviance, sum_of_weights
from fastbp.kernels.gemm import LINEAR, NOTHING
from fastbp.kernels.penalty import l2_penalty
from fastbp.kernels.team import CHUNK

KINDS = {  # the loss, and what makes the outputs
    "softmax": (None, None),
    "logistic": (kernels.binary_choice, activations.sigmoid),
    "exp": (kernels.poisson, kernels.exponential),
    "identity": (kernels.share_of_squares, None),
}
kinds = pytest.mark.parametrize("kind", KINDS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)
SHAPES = [(1, 1), (7, 3), (200, 10), (3000, 5)]  # the last in several parts


def targets(kind, shape, rng):
    if kind == "softmax":
        return np.eye(shape[1])[rng.integers(0, shape[1], shape[0])]
    if kind == "logistic":
        return rng.integers(0, 2, shape).astype(float)
    return rng.poisson(1.0, shape).astype(float) if kind == "exp" else rng.standard_normal(shape)


def plain(kind, x, t, weights, eps):
    """Outputs, loss and gradient by NumPy in the type of ``x``, probabilities in losses kept eps from 0 and 1."""
    share = (weights / weights.sum())[:, None]
    if kind == "softmax":
        y = np.exp(x - x.max(axis=1, keepdims=True))
        y /= y.sum(axis=1, keepdims=True)
        losses = -np.log(np.clip((t * y).sum(axis=1, keepdims=True), eps, 1 - eps))
    elif kind == "logistic":
        y = np.where(x > 0, 1, np.exp(-abs(x))) / (1 + np.exp(-abs(x)))
        losses = -np.log(np.clip(np.where(t == 1, y, 1 - y), eps, 1 - eps)).sum(axis=1, keepdims=True)
    elif kind == "exp":
        y = np.exp(x)
        losses = (np.where(t > 0, t * np.log(np.where(t > 0, t, 1) / y), 0) - t + y).sum(axis=1, keepdims=True)
    else:
        y, losses = x, ((x - t) ** 2).mean(axis=1, keepdims=True) / 2
    return y, float((share * losses).sum()), share * (y - t)


def compiled(kind, x, t, weights):
    y, dx, partial = np.full_like(x, np.nan), np.full_like(x, np.nan), np.full(len(x), np.nan)
    total = sum_of_weights(weights, len(x))
    loss, output = KINDS[kind]
    loss = loss_address(loss, x.dtype) if loss else NOTHING
    output = function_address(output, x.dtype) if output else LINEAR
    loss = deviance(team_for(x.dtype), loss, output, x, t.astype(x.dtype), weights, total, y, dx, partial)
    return y, loss, dx


@kinds
@dtypes
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_loss_and_gradient(kind, dtype, shape):
    rng = np.random.default_rng(0)
    x, t = (3 * rng.standard_normal(shape)).astype(dtype), targets(kind, shape, rng)
    weights = rng.choice([0, 0.5, 2], shape[0]) + 0.25
    eps = float(np.finfo(dtype).eps)
    for given in (weights.astype(dtype), np.empty(0, dtype)):
        used = given.astype(float) if given.size else np.ones(shape[0])
        y, loss, dx = compiled(kind, x, t, given)
        expected = plain(kind, x.astype(float), t, used, eps)
        np.testing.assert_allclose(y, expected[0], rtol=30 * eps)
        assert loss == pytest.approx(expected[1], rel=30 * eps, abs=30 * eps * shape[1])
        np.testing.assert_allclose(dx, expected[2], rtol=30 * eps, atol=30 * eps * abs(y).max() / shape[0])


@kinds
def test_the_gradient_is_that_of_the_loss(kind):
    rng = np.random.default_rng(1)
    x, t, weights = rng.standard_normal((6, 4)), targets(kind, (6, 4), rng), rng.random(6)
    direction, h = rng.standard_normal(x.shape), 1e-5
    change = compiled(kind, x + h * direction, t, weights)[1] - compiled(kind, x - h * direction, t, weights)[1]
    columns = 4 if kind == "identity" else 1  # whose loss is the mean, and whose gradient that of the sum
    assert columns * change / (2 * h) == pytest.approx((compiled(kind, x, t, weights)[2] * direction).sum(), rel=1e-8)


@dtypes
@pytest.mark.parametrize("kind", ["softmax", "logistic"])
def test_a_probability_counts_as_at_least_eps(kind, dtype):
    x, t = np.array([[0, 1000.0]], dtype), np.array([[1.0, 0.0]])
    n = 1 if kind == "softmax" else 2
    expected = -np.log(np.finfo(dtype).eps) if n == 1 else np.log(2) - np.log(np.finfo(dtype).eps)
    assert compiled(kind, x, t, np.empty(0, dtype))[1] == pytest.approx(expected, rel=1e-6)


@kinds
@dtypes
def test_not_a_number_stays_one(kind, dtype):
    x = np.array([[0.5, np.nan], [0.5, 0.5]], dtype)
    y, loss, dx = compiled(kind, x, targets(kind, (2, 2), np.random.default_rng(0)), np.empty(0, dtype))
    assert np.isnan(loss) and np.isnan(y[0, 1]) and np.isnan(dx[0, 1])
    assert np.isfinite(y[1]).all() and np.isfinite(dx[1]).all()


@kinds
def test_weights_that_sum_to_nothing_count_nothing(kind):
    _, loss, dx = compiled(kind, np.ones((2, 2)), np.eye(2), np.zeros(2))
    assert loss == 0 and not dx.any()


@kinds
def test_the_same_bits_for_any_number_of_threads(kind, set_threads):
    rng = np.random.default_rng(2)
    x, t = rng.standard_normal((5000, 7)), targets(kind, (5000, 7), rng)
    results = []
    for n in (1, 2, 3):
        set_threads(n)
        results.append(compiled(kind, x, t, np.linspace(0, 1, 5000)))
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(a, b)


@dtypes
@pytest.mark.parametrize("n", [1, 100, CHUNK + 1, 3 * CHUNK])
def test_the_penalty_and_its_gradient(dtype, n):
    rng = np.random.default_rng(0)
    w, dw = rng.standard_normal(n).astype(dtype), rng.standard_normal(n).astype(dtype)
    expected = dw + dtype(0.3) * w
    eps = np.finfo(dtype).eps
    value = l2_penalty(team_for(dtype), w, dw, 0.3, np.empty(-(-n // CHUNK)))
    assert value == pytest.approx(0.15 * np.sum(w.astype(float) ** 2), rel=1e-11)
    np.testing.assert_allclose(dw, expected, rtol=2 * eps, atol=2 * eps)
