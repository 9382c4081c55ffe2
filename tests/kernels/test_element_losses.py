"""Losses that are a mean over elements: loss and gradient in one go are what they are one after the other."""

import numpy as np
import pytest
from calls import FLOATS, function_address, loss_address, run_kernel, team_for
from numba import types

from fastbp.kernels import activations, element_losses
from fastbp.kernels.element_losses import element_loss, element_loss_backward, element_loss_forward
from fastbp.kernels.gemm import LINEAR, NOTHING

KINDS = ("squared", "binary", "binary_of_scores", "absolute", "huber")
DELTA = 0.75  # Huber's
kinds = pytest.mark.parametrize("kind", KINDS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)
SHAPES = [(1, 1), (7, 3), (64, 16), (33, 65), (3000, 5), (2, 9000)]  # the last two in several parts


def address(name, dtype):
    return loss_address(getattr(element_losses, name), dtype)


def operands(kind, dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random(shape) if kind == "binary" else 3 * rng.standard_normal(shape)
    t = rng.standard_normal(shape) if kind == "squared" else rng.random(shape)
    weights = rng.choice([0, 0.5, 2], shape[0]) + 0.25
    return [a.astype(dtype) for a in (x, t, weights, weights[:0])]


def in_one_go(kind, x, t, weights):
    dx = np.full_like(x, np.nan)
    both = loss_address(element_losses.squared_in_one_go, x.dtype, types.float64) if kind == "squared" else NOTHING
    kernels = address(kind, x.dtype), address(f"{kind}_slope", x.dtype), both
    share = x.dtype.type(1 / len(x))
    return element_loss(team_for(x.dtype), *kernels, x, t, weights, share, DELTA, np.full(len(x), np.nan), dx), dx


def one_after_the_other(kind, x, t, weights):
    y, dx, loss = np.full_like(x, np.nan), np.full_like(x, np.nan), np.zeros(())
    function, slope, output = address(kind, x.dtype), f"{kind}_slope", LINEAR
    if kind == "binary_of_scores":
        slope, output = f"{slope}_of_output", function_address(activations.sigmoid, x.dtype)
    used = weights if weights.size else None
    partial = np.full(len(x), np.nan)
    assert run_kernel(element_loss_forward, x, t, used, DELTA, y, partial, loss, extras=(function, output))
    slope = address(slope, x.dtype)
    assert run_kernel(element_loss_backward, y, t, used, 1 / len(x), DELTA, dx, extras=(slope,))
    return float(loss), dx


@kinds
@dtypes
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_in_one_go_and_one_after_the_other(kind, dtype, shape, weighted):
    x, t, weights, none = operands(kind, dtype, shape)
    given = [a.copy() for a in (x, t)]
    used = weights if weighted else none
    loss, dx = in_one_go(kind, x, t, used)
    expected_loss, expected = one_after_the_other(kind, x, t, used)
    assert loss == pytest.approx(expected_loss, rel=4 * float(np.finfo(dtype).eps))
    np.testing.assert_array_equal(dx, expected)
    for a, b in zip(given, (x, t), strict=True):
        np.testing.assert_array_equal(a, b)


@dtypes
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["absolute", "huber"])
def test_absolute_and_huber_losses_are_those_of_torch(kind, dtype, weighted):
    torch = pytest.importorskip("torch")
    x, t, weights, none = operands(kind, dtype, (33, 65))
    t[0, :3] = x[0, :3]  # where the absolute value has a corner
    of = torch.nn.functional
    tensor, target = torch.tensor(x, requires_grad=True), torch.tensor(t)
    if kind == "absolute":
        losses = of.l1_loss(tensor, target, reduction="none")
    else:
        losses = of.huber_loss(tensor, target, reduction="none", delta=DELTA)
    expected = (losses * torch.tensor(weights)[:, None] if weighted else losses).mean()
    expected.backward()
    loss, dx = in_one_go(kind, x, t, weights if weighted else none)
    eps = float(np.finfo(dtype).eps)
    assert loss == pytest.approx(expected.item(), rel=50 * eps)
    np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=8 * eps, atol=eps / x.size)


@dtypes
def test_squares_of_any_number_of_elements(dtype):
    rng = np.random.default_rng(1)
    kernels = (
        NOTHING,
        NOTHING,
        loss_address(element_losses.squared_in_one_go, dtype, types.float64),
    )  # the others are not called
    for n in range(1, 140):
        frame = np.full((n + 40, 1), np.nan, dtype)
        x, t = rng.integers(-9, 10, (2, n, 1)).astype(dtype)
        dx = frame[20 : 20 + n]
        none = np.empty(0, dtype)
        loss = element_loss(team_for(dtype), *kernels, x, t, none, dtype(0.5), 0.0, np.empty(n), dx)
        assert loss == pytest.approx(np.mean((x - t) ** 2), rel=1e-14)
        np.testing.assert_array_equal(dx, x - t)
        assert np.isnan(frame[:20]).all() and np.isnan(frame[20 + n :]).all(), "nothing beside dx is written"


@kinds
def test_the_same_bits_for_any_number_of_threads(kind, set_threads):
    x, t, weights, none = operands(kind, np.float32, (5000, 7))
    for used in (weights, none):
        results = []
        for n in (1, 2, 3):
            set_threads(n)
            loss, dx = in_one_go(kind, x, t, used)
            results.append((loss, dx.tobytes()))
        assert results[1:] == results[:1] * 2


@kinds
@dtypes
def test_not_a_number_stays_one(kind, dtype):
    x, t, _, none = operands(kind, dtype, (4, 3))
    x[2, 1] = np.nan
    loss, dx = in_one_go(kind, x, t, none)
    assert np.isnan(loss) and np.isnan(dx[2, 1])
    assert np.isnan(dx).sum() == 1
