"""Label smoothing of SoftmaxWithLoss, and the sample weights of every loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_runs import all_names, assert_near, batch, dtypes, run, torch_or_skip, weights_for, wide
from strategies import FLOAT_DTYPES, SOME, assert_same_bits, assert_within, eps

import fastbp
from fastbp import reference


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("form", ["labels", "one-hot", "soft"])
@dtypes
def test_label_smoothing_agrees_with_torch(dtype, form, smoothing):
    torch = torch_or_skip()
    x, labels = batch("SoftmaxWithLoss", (33, 10), dtype)
    t = {"labels": labels, "one-hot": np.eye(10)[labels], "soft": np.random.default_rng(1).dirichlet(np.ones(10), 33)}
    xt, weights = torch.tensor(x.astype(np.float64), requires_grad=True), weights_for(33)
    target = torch.tensor(t[form])
    losses = torch.nn.functional.cross_entropy(xt, target, reduction="none", label_smoothing=smoothing)
    loss = (losses * torch.tensor(weights)).mean()
    loss.backward()
    got = run("SoftmaxWithLoss", x, t[form], weights, eps=0, label_smoothing=smoothing)
    assert_near(got, (loss.item(), xt.grad.numpy()), dtype, 64)


@given(
    SOME.filter(lambda n: n > 1),
    SOME,
    FLOAT_DTYPES,
    st.sampled_from([0, 1e-7, 1e-3]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from(["labels", "one-hot", "soft"]),
    st.booleans(),
)
def test_smoothing_and_weights_agree_with_the_reference(classes, rows, dtype, offset, smoothing, form, weighted):
    x, t = batch("SoftmaxWithLoss", (rows, classes), dtype)
    if form != "labels":
        soft = np.random.default_rng(1).dirichlet(np.ones(classes), rows)
        t = (np.eye(classes)[t] if form == "one-hot" else soft).astype(dtype)
    weights = weights_for(rows).astype(dtype) if weighted else None
    options = {"eps": offset, "label_smoothing": smoothing}
    got = run("SoftmaxWithLoss", x, t, weights, **options)
    exact_t = t if form == "labels" else t.astype(np.float64)
    expected = run("SoftmaxWithLoss", *wide(x), exact_t, *wide(weights), library=reference, **options)
    assert_near(got, expected, dtype, 64)


def test_labels_and_their_one_hot_rows_are_smoothed_alike():
    x, t = batch("SoftmaxWithLoss")
    for offset in (0, 1e-7):
        a = run("SoftmaxWithLoss", x, t, eps=offset, label_smoothing=0.2)
        b = run("SoftmaxWithLoss", x, np.eye(5)[t], eps=offset, label_smoothing=0.2)
        assert_near(a, b, np.float64)


def test_no_smoothing_and_weights_of_1_change_no_bit():
    x, t = batch("SoftmaxWithLoss")
    expected = run("SoftmaxWithLoss", x, t)
    for got in (run("SoftmaxWithLoss", x, t, np.ones(6)), run("SoftmaxWithLoss", x, t, label_smoothing=0)):
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b)


def test_smoothing_stays_exact_for_scores_of_1e4():
    loss, dx, _ = run("SoftmaxWithLoss", np.array([[1e4, -1e4]]), [0], eps=0, label_smoothing=0.1)
    assert_within(loss, 0.05 * 2e4, 1e-11)
    assert_within(dx, np.array([[0.05, -0.05]]), 4 * eps(np.float64))


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, np.nan])
def test_a_smoothing_outside_0_to_1(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must be a finite number in 0\.\.1"):
        fastbp.SoftmaxWithLoss(label_smoothing=smoothing)


# --- Weights -----------------------------------------------------------------------------------------------


@all_names
def test_weights_multiply_each_samples_loss_and_the_divisor_stays_N(name):
    x, t = batch(name)
    weights = weights_for(6)
    losses = [run(name, x[n : n + 1], t[n : n + 1])[0] for n in range(6)]
    loss, dx, _ = run(name, x, t, weights)
    assert_within(loss, np.sum(weights * losses) / 6, 32 * eps(np.float64) * loss)
    assert_within(dx, weights[:, None] * run(name, x, t)[1], 8 * eps(np.float64) * np.abs(dx).max())
    assert not dx[3].any()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1, -1, 1, 1, 1], r"sample_weight\[2\] is -1"),
        ([1, 1, 1, 1, 1, np.nan], r"sample_weight\[5\] is nan"),
        ([np.inf, 1, 1, 1, 1, 1], r"sample_weight\[0\] is inf"),
        (np.ones(5), r"sample_weight must hold one number for each of the 6 samples, got shape \(5,\)"),
        (np.ones((6, 1)), r"got shape \(6, 1\)"),
        (1.0, r"got shape \(\)"),
    ],
)
@all_names
def test_weights_that_do_not_fit(name, weights, message):
    x, t = batch(name)
    layer = getattr(fastbp, name)()
    with pytest.raises(ValueError, match=message):
        layer.forward(x, t, sample_weight=weights)
    assert layer.loss is layer.y is layer.t is None


@all_names
def test_weights_of_a_wrong_kind_or_too_large_for_the_dtype(name):
    x, t = batch(name)
    with pytest.raises(TypeError, match="sample_weight must hold real numbers"):
        getattr(fastbp, name)().forward(x, t, sample_weight=np.ones(6, complex))
    with pytest.raises(ValueError, match=r"sample_weight\[0\] is 1e\+300"):
        getattr(fastbp, name)().forward(x.astype(np.float32), t, sample_weight=np.full(6, 1e300))


@all_names
def test_integer_and_boolean_weights(name):
    x, t = batch(name)
    for weights in ([0, 1, 2, 3, 4, 5], np.array([True, False] * 3), np.arange(6, dtype=np.uint8)):
        assert_same_bits(run(name, x, t, weights)[1], run(name, x, t, np.asarray(weights, np.float64))[1])
