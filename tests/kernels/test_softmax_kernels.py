"""Softmax and cross-entropy kernels against float64 or wider, at extremes and for ragged sizes."""

import numpy as np
import pytest
from calls import FLOATS, run_kernel, team_for
from strategies import assert_same_bits, assert_within, eps

from fastbp.kernels.row_losses import first_outside
from fastbp.kernels.softmax import softmax_backward, softmax_forward
from fastbp.kernels.softmax_xent import softmax_xent_backward, softmax_xent_forward

dtypes = pytest.mark.parametrize("dtype", FLOATS)
SHAPES = [(1, 1), (1, 2), (2, 1), (3, 10), (17, 15), (16, 16), (5, 17), (100, 10), (1, 8193), (819, 10), (820, 10)]
SHAPES += [(821, 10), (83, 100), (8193, 1), (300, 1003)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
KINDS = ("labels", "one-hot", "soft")


def wide(x):
    return x.astype(np.longdouble)


def exact_softmax(x):
    e = np.exp(wide(x) - wide(x).max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def scores(shape, dtype, scale=3.0, seed=0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def targets(kind, shape, dtype, seed=1):
    """As the kernels take them, and as rows in any case."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, shape[1], shape[0]).astype(np.intp)
    one_hot = np.eye(shape[1], dtype=dtype)[labels]
    if kind == "labels":
        return labels, one_hot
    if kind == "soft":
        one_hot = rng.dirichlet(np.ones(shape[1]), shape[0]).astype(dtype)
    return one_hot, one_hot


def forward(x):
    y = np.full_like(x, np.nan)
    run_kernel(softmax_forward, x, y)
    return y


def loss_of(x, t, eps):
    y, losses = np.full_like(x, np.nan), np.full(len(x), np.nan)
    loss = softmax_xent_forward(team_for(x.dtype), x, t, np.empty(0, x.dtype), eps, 0.0, y, losses)
    return loss, losses, y


def exact_losses(x, rows, eps):
    with np.errstate(all="ignore"):
        if eps:
            logs = np.log(exact_softmax(x) + np.longdouble(eps))
        else:
            shifted = wide(x) - wide(x).max(axis=1, keepdims=True)
            logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -np.sum(np.where(rows == 0, 0, rows * logs), axis=1)


@shapes
@dtypes
def test_softmax_of_any_shape(dtype, shape):
    x = scores(shape, dtype)
    exact = exact_softmax(x)
    # Subtracting the largest score rounds by half a unit of the difference, which exp turns into a relative error.
    rounding = 1 + np.abs(wide(x) - wide(x).max(axis=1, keepdims=True)) / 2
    assert_within(forward(x), exact, (6 + rounding) * eps(dtype) * exact)


@dtypes
def test_softmax_in_place_has_the_same_bits(dtype):
    x = scores((83, 101), dtype)
    y = x.copy()
    run_kernel(softmax_forward, y, y)
    assert_same_bits(y, forward(x))


@dtypes
def test_softmax_of_scores_of_ten_thousand(dtype):
    x = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4], [-1e4, 0, 1e4 - 1]], dtype)
    expected = np.array([[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0], [0, 0, 1]], dtype)
    assert_same_bits(forward(x), expected)


@dtypes
def test_softmax_of_the_largest_numbers(dtype):
    top = np.finfo(dtype).max
    assert_same_bits(forward(np.array([[top, -top, top, 0]], dtype)), np.array([[0.5, 0, 0.5, 0]], dtype))


@dtypes
def test_softmax_of_minus_infinity_is_0(dtype):
    for n in (2, 10, 33):
        x = np.zeros((1, n), dtype)
        x[0, ::2] = -np.inf
        expected = np.where(np.isinf(x), 0, 1 / (n // 2)).astype(dtype)
        np.testing.assert_allclose(forward(x), expected, rtol=2 * eps(dtype), atol=0)


@dtypes
@pytest.mark.parametrize("bad", [-np.inf, np.inf, np.nan], ids=["all -inf", "one +inf", "one nan"])
def test_softmax_of_a_row_without_an_answer_is_nan_and_spares_the_others(dtype, bad):
    for n in (1, 10, 40):
        x = scores((5, n), dtype)
        good = forward(x)
        if bad == -np.inf:
            x[2] = bad
        else:
            x[2, n // 2] = bad
        got = forward(x)
        assert np.isnan(got[2]).all()
        assert_same_bits(np.delete(got, 2, axis=0), np.delete(good, 2, axis=0))


@shapes
@dtypes
def test_softmax_backward(dtype, shape):
    y, dout = exact_softmax(scores(shape, dtype)).astype(dtype), scores(shape, dtype, 1.0, seed=4)
    dx = np.full_like(y, np.nan)
    run_kernel(softmax_backward, dout, y, dx)
    products = wide(dout) * wide(y)
    exact = wide(y) * (wide(dout) - products.sum(axis=1, keepdims=True))
    bound = wide(y) * (np.abs(wide(dout)) + np.abs(products).sum(axis=1, keepdims=True))
    assert_within(dx, exact, (shape[1] / 2 + 5) * eps(dtype) * bound)


@pytest.mark.parametrize("loss_eps", [0.0, 1e-7])
@pytest.mark.parametrize("kind", KINDS)
@shapes
@dtypes
def test_loss_and_probabilities_of_any_shape(dtype, shape, kind, loss_eps):
    x = scores(shape, dtype)
    t, rows = targets(kind, shape, dtype)
    loss, losses, y = loss_of(x, t, loss_eps)
    exact = exact_losses(x, rows, loss_eps)
    assert_same_bits(y, forward(x))
    bound = (16 + shape[1] ** 0.5) * eps(dtype) * np.maximum(1, np.abs(wide(x)).max(axis=1))
    assert_within(losses, exact, bound)
    assert isinstance(loss, float)
    assert abs(loss - exact.mean()) <= bound.mean()
    assert abs(loss - losses.mean(dtype=np.longdouble)) <= 2 * len(losses) * eps(np.float64) * np.abs(losses).mean()


@dtypes
def test_loss_of_labels_and_one_hot_rows_agree(dtype):
    x = scores((57, 13), dtype)
    labels, one_hot = targets("labels", x.shape, dtype)
    for loss_eps in (0.0, 1e-7):
        by_label, by_row = loss_of(x, labels, loss_eps)[1], loss_of(x, one_hot, loss_eps)[1]
        np.testing.assert_allclose(by_label, by_row, rtol=8 * eps(dtype), atol=8 * eps(dtype))


@pytest.mark.parametrize("kind", ["labels", "one-hot"])
@dtypes
def test_exact_loss_of_scores_of_ten_thousand(dtype, kind):
    x = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4], [0, 0, -np.inf]], dtype)
    labels = np.array([1, 0, 2, 1], np.intp)
    t = labels if kind == "labels" else np.eye(3, dtype=dtype)[labels]
    losses = loss_of(x, t, 0.0)[1]
    np.testing.assert_allclose(losses, [2e4, 0, np.log(3), np.log(2)], rtol=4 * eps(dtype), atol=0)


@pytest.mark.parametrize("kind", ["labels", "one-hot"])
@dtypes
def test_loss_of_an_impossible_class(dtype, kind):
    x = np.array([[0, -np.inf]], dtype)
    t = np.array([1], np.intp) if kind == "labels" else np.array([[0, 1]], dtype)
    assert loss_of(x, t, 0.0)[0] == np.inf
    book = loss_of(x, t, 1e-7)[0]
    assert abs(book + np.log(1e-7)) < 1e-12


@dtypes
def test_a_class_without_weight_counts_nothing(dtype):
    x, t = np.array([[1.0, 1.0, -np.inf]], dtype), np.array([[0.25, 0.75, 0]], dtype)
    assert abs(loss_of(x, t, 0.0)[0] - np.log(2)) <= 4 * eps(dtype)


@pytest.mark.parametrize("loss_eps", [0.0, 1e-7])
@pytest.mark.parametrize("kind", KINDS)
@dtypes
def test_a_row_without_an_answer_makes_the_loss_nan(dtype, kind, loss_eps):
    for bad in (np.nan, np.inf):
        x = scores((9, 12), dtype)
        t, _ = targets(kind, x.shape, dtype)
        x[4, 3] = bad
        loss, losses, _ = loss_of(x, t, loss_eps)
        assert np.isnan(loss)
        assert np.flatnonzero(np.isnan(losses)).tolist() == [4]


@dtypes
def test_loss_keeps_small_probabilities_without_eps(dtype):
    x = np.array([[0, -800]], dtype)
    assert loss_of(x, np.array([1], np.intp), 0.0)[0] == 800


@pytest.mark.parametrize("loss_eps", [0.0, 1e-7])
@pytest.mark.parametrize("kind", KINDS)
@shapes
@dtypes
def test_gradient_of_any_shape(dtype, shape, kind, loss_eps):
    y = exact_softmax(scores(shape, dtype)).astype(dtype)
    t, rows = targets(kind, shape, dtype)
    if kind == "soft":
        t, rows = 3 * t, 3 * rows
    dx = np.full_like(y, np.nan)
    share = dtype(0.7 / shape[0])
    softmax_xent_backward(team_for(dtype), y, t, np.empty(0, dtype), loss_eps, 0.0, share, dx)
    sums = 1 if loss_eps else wide(rows).sum(axis=1, keepdims=True)
    exact = (wide(y) * sums - wide(rows)) * np.longdouble(share)
    bound = 2 * eps(dtype) * np.abs(exact) + 4 * np.finfo(dtype).smallest_subnormal
    if kind == "soft" and not loss_eps:
        bound += (4 + shape[1] ** 0.5) * eps(dtype) * sums * y * share  # of the sum and its product with y
    assert_within(dx, exact, bound)


@pytest.mark.parametrize("kind", KINDS)
@dtypes
def test_gradient_in_place_has_the_same_bits(dtype, kind):
    y = exact_softmax(scores((83, 101), dtype)).astype(dtype)
    t, _ = targets(kind, y.shape, dtype)
    dx = np.empty_like(y)
    for loss_eps in (0.0, 1e-7):
        own = y.copy()
        for out in (dx, own):
            softmax_xent_backward(
                team_for(dtype), out if out is own else y, t, np.empty(0, dtype), loss_eps, 0.0, dtype(1 / 83), out
            )
        assert_same_bits(own, dx)


@pytest.mark.parametrize("kind", KINDS)
@dtypes
def test_inputs_stay_untouched(dtype, kind):
    x = scores((40, 7), dtype)
    t, _ = targets(kind, x.shape, dtype)
    x_before, t_before = x.copy(), t.copy()
    y = loss_of(x, t, 0.0)[2]
    y_before = y.copy()
    softmax_xent_backward(team_for(dtype), y, t, np.empty(0, dtype), 0.0, 0.0, dtype(1 / 40), np.empty_like(y))
    for after, before in ((x, x_before), (t, t_before), (y, y_before)):
        assert_same_bits(after, before)


def test_first_label_that_is_no_class():
    labels = np.array([0, 9, 3, 5], np.intp)
    assert first_outside(labels, 0, 9) == -1
    assert first_outside(labels, 0, 8) == 1
    assert first_outside(np.array([2, -1, 7], np.intp), 0, 2) == 1
    assert first_outside(np.empty(0, np.intp), 0, 2) == -1


@pytest.mark.parametrize("where", [0, 4095, 4096, 9999])
@dtypes
def test_first_number_outside_is_found_in_any_block(dtype, where):
    values = np.linspace(0, 1, 10_000, dtype=dtype)
    values[:where] = np.nan
    assert first_outside(values, 0.0, 1.0) == -1
    for outside in (-1e-30, np.nextafter(dtype(1), dtype(2)), np.inf):
        values[where] = values[-1] = outside
        assert first_outside(values, 0.0, 1.0) == where
