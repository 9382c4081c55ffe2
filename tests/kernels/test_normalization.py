"""Normalisation of batches and rows and its gradients: against torch and the formulas, bit-equal for any threads."""

import numpy as np
import pytest
from calls import FLOATS, team_for

from fastbp.kernels import normalization as kernels

dtypes = pytest.mark.parametrize("dtype", FLOATS)
SHAPES = [(1, 1), (2, 3), (7, 64), (33, 65), (100, 50), (500, 200)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
EPS, MOMENTUM = 1e-5, 0.1


def arrays(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(3, 2, shape), rng.standard_normal(shape)
    gamma, beta = rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
    return [a.astype(dtype) for a in (x, dy, gamma, beta)]


def empty(*shapes, dtype):
    return [np.full(shape, np.nan, dtype) for shape in shapes]


def batch(x, dy, gamma, beta, wanted=True):
    """y, running mean and variance, dx, dgamma, dbeta of one batch."""
    n, f = x.shape
    y, kept, dx, dgamma, dbeta = empty(x.shape, (2, f), (n if wanted else 0, f), f, f, dtype=x.dtype)
    mean, variance = np.zeros(f, x.dtype), np.ones(f, x.dtype)
    team = team_for(x.dtype)
    kernels.batch_norm_forward(team, x, gamma, beta, y, kept, mean, variance, EPS, MOMENTUM)
    kernels.batch_norm_backward(team, dy, x, gamma, kept, dx, dgamma, dbeta)
    return y, mean, variance, dx, dgamma, dbeta


def rows(x, dy, gamma, beta, adds=False):
    """y, dx, dgamma, dbeta."""
    n, f = x.shape
    y, kept, dx = empty(x.shape, (n, 2), x.shape, dtype=x.dtype)
    dgamma, dbeta = np.ones(f, x.dtype), np.ones(f, x.dtype)
    team = team_for(x.dtype)
    kernels.layer_norm_forward(team, x, gamma, beta, y, kept, EPS)
    kernels.layer_norm_backward(team, dy, x, gamma, kept, dx, dgamma, dbeta, adds)
    return y, dx, dgamma, dbeta


def of_torch(module, x, dy, gamma, beta):
    import torch

    module = module.to(torch.tensor(x).dtype)
    with torch.no_grad():
        module.weight[:], module.bias[:] = torch.tensor(gamma), torch.tensor(beta)
    tensor = torch.tensor(x, requires_grad=True)
    y = module(tensor)
    y.backward(torch.tensor(dy))
    return y.detach().numpy(), tensor.grad.numpy(), module.weight.grad.numpy(), module.bias.grad.numpy()


def assert_close(got, expected, dtype, scale=1.0):
    np.testing.assert_allclose(got, expected, rtol=100 * np.finfo(dtype).eps, atol=200 * scale * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
@dtypes
def test_a_batch_is_normalised_as_by_torch(shape, dtype):
    torch = pytest.importorskip("torch")
    given = arrays(shape, dtype)
    module = torch.nn.BatchNorm1d(shape[1], eps=EPS, momentum=MOMENTUM)
    expected = of_torch(module, *given)
    y, mean, variance, dx, dgamma, dbeta = batch(*given)
    for got, right in zip((y, dx, dgamma, dbeta), expected, strict=True):
        assert_close(got, right, dtype, shape[0] ** 0.5)
    assert_close(mean, module.running_mean.numpy(), dtype)
    assert_close(variance, module.running_var.numpy(), dtype)


@shapes
@dtypes
def test_rows_are_normalised_as_by_torch(shape, dtype):
    torch = pytest.importorskip("torch")
    given = arrays(shape, dtype)
    expected = of_torch(torch.nn.LayerNorm(shape[1], eps=EPS), *given)
    # A row of two elements has a variance that may be next to nothing: its gradient is as inexact.
    for got, right in zip(rows(*given), expected, strict=True):
        assert_close(got, right, dtype, shape[0] ** 0.5 if shape[1] > 1 else 1000)


@dtypes
def test_a_batch_of_one_row_is_beta_and_has_no_gradient(dtype):
    x, dy, gamma, beta = arrays((1, 5), dtype)
    y, mean, _, dx, dgamma, dbeta = batch(x, dy, gamma, beta)
    assert np.array_equal(y, beta[None])
    assert not dx.any() and not dgamma.any()
    assert np.array_equal(dbeta, dy[0])
    assert np.isfinite(mean).all()


@dtypes
def test_a_large_mean_costs_no_digits_of_the_spread(dtype):
    x, dy, gamma, beta = arrays((200, 3), dtype)
    x = (x + dtype(1000)).astype(dtype)
    wide = x.astype(np.longdouble)
    expected = (wide - wide.mean(axis=0)) / np.sqrt(wide.var(axis=0) + EPS) * gamma + beta
    np.testing.assert_allclose(batch(x, dy, gamma, beta)[0], expected, rtol=0, atol=2000 * np.finfo(dtype).eps)


@dtypes
def test_dx_can_be_left_out(dtype):
    given = arrays((9, 70), dtype)
    assert all(np.array_equal(a, b) for a, b in zip(batch(*given)[4:], batch(*given, wanted=False)[4:], strict=True))


@dtypes
def test_gradients_of_rows_can_be_added_up(dtype):
    given = arrays((9, 70), dtype)
    for added, alone in zip(rows(*given, adds=True)[2:], rows(*given)[2:], strict=True):
        assert np.array_equal(added, alone + dtype(1))


@pytest.mark.parametrize("function", [batch, rows])
@dtypes
def test_the_same_bits_for_any_number_of_threads(set_threads, function, dtype):
    given = arrays((500, 300), dtype)
    results = []
    for threads in (1, 2, 3, 8):
        set_threads(threads)
        results.append(function(*given))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@dtypes
def test_columns_are_scaled_and_shifted(dtype):
    x, dy, factors, terms = arrays((40, 130), dtype)
    team, y = team_for(dtype), np.empty_like(x)
    kernels.scale_columns(team, x, factors, terms, y)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y, x.astype(np.longdouble) * factors + terms, rtol=4 * eps, atol=8 * eps)
    dx, dfactors, dterms = empty(x.shape, 130, 130, dtype=dtype)
    kernels.scale_columns_backward(team, dy, x, factors, dx, dfactors, dterms, False)
    assert np.array_equal(dx, dy * factors)
    np.testing.assert_allclose(dfactors, (dy.astype(np.float64) * x).sum(axis=0), rtol=4 * eps, atol=100 * eps)
    np.testing.assert_allclose(dterms, dy.astype(np.float64).sum(axis=0), rtol=4 * eps, atol=100 * eps)
