"""Targets that are shares of classes, of any sum: the loss, and the gradient that belongs to it."""

import numpy as np
import pytest
from strategies import FLOATS, assert_within, eps

import fastbp
from fastbp import reference

ROWS, CLASSES = 40, 5
SMOOTHED = pytest.mark.parametrize("smoothing", [0.0, 0.2])
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])


def batch(dtype=np.float64, classes=CLASSES):
    """Scores, targets that sum to anything between 0 and 2 ``classes``, weights."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, classes)).astype(dtype)
    t = (rng.random((ROWS, classes)) * rng.uniform(0, 2, (ROWS, 1))).astype(dtype)
    t[3] = 0
    return x, t, rng.uniform(0, 2, ROWS).astype(dtype)


def dx_of_layer(x, t, weights, **options):
    layer = fastbp.SoftmaxWithLoss(**options)
    return layer.forward(x, t, weights), layer.backward()


def dx_of_program(x, t, weights, **options):
    """The gradient that one compiled step moves the biases of every row's own output by."""
    net = fastbp.Sequential(
        [fastbp.Affine(np.zeros((len(x), x.shape[1]), x.dtype), None)], fastbp.SoftmaxWithLoss(**options)
    )
    net.params["W1"][...] = x
    history = net.fit(
        np.eye(len(x), dtype=x.dtype), t, batch_size=len(x), epochs=1, optimizer=fastbp.optimizers.SGD(lr=1.0),
        sample_weight=weights, shuffle=False, progress=False,
    )  # fmt: skip
    return history.loss[0], x - net.params["W1"]


HOW = pytest.mark.parametrize("run", [dx_of_layer, dx_of_program])


@HOW
@WEIGHTED
@SMOOTHED
@pytest.mark.parametrize("classes", [CLASSES, 70])
@pytest.mark.parametrize("dtype", FLOATS)
def test_with_eps_0_it_is_torchs(dtype, classes, smoothing, weighted, run):
    torch = pytest.importorskip("torch")
    x, t, weights = batch(dtype, classes)
    loss, dx = run(x, t, weights if weighted else None, eps=0, label_smoothing=smoothing)
    scores = torch.tensor(x.astype(np.float64), requires_grad=True)
    targets = torch.tensor(t.astype(np.float64))
    losses = torch.nn.functional.cross_entropy(scores, targets, reduction="none", label_smoothing=smoothing)
    theirs = (losses * torch.tensor(weights)).mean() if weighted else losses.mean()
    theirs.backward()
    assert abs(loss - theirs.item()) <= 64 * eps(dtype) * theirs.item()
    # The parameters, of which the program's gradient is a difference, are some units large.
    assert_within(dx, scores.grad.numpy(), 64 * eps(dtype))


@HOW
@WEIGHTED
@SMOOTHED
def test_with_eps_0_it_is_the_central_difference(smoothing, weighted, run):
    x, t, weights = batch()
    weights = weights if weighted else None
    options = {"eps": 0, "label_smoothing": smoothing}
    _, dx = run(x, t, weights, **options)
    direction = np.random.default_rng(1).standard_normal(x.shape)
    h = 1e-5
    above, below = (dx_of_layer(x + sign * h * direction, t, weights, **options)[0] for sign in (1, -1))
    assert abs(np.sum(dx * direction) - (above - below) / (2 * h)) < 1e-9


@HOW
@WEIGHTED
@SMOOTHED
def test_with_the_books_eps_it_is_the_books(smoothing, weighted, run):
    x, t, weights = batch()
    _, dx = run(x, t, weights if weighted else None, label_smoothing=smoothing)
    y, scale = reference.softmax(x), weights[:, None] if weighted else 1
    assert_within(dx, scale * (y - ((1 - smoothing) * t + smoothing / CLASSES)) / ROWS, 64 * eps(np.float64))


@pytest.mark.parametrize("loss", [None, fastbp.SoftmaxWithLoss(eps=0, label_smoothing=0.1)])
def test_gradient_and_fit_of_a_network_agree(loss):
    x, t, _ = batch()
    net = fastbp.mlp([CLASSES, 7, CLASSES], dtype=np.float64, loss=loss, seed=0)
    gradient, slow = net.gradient(x, t), net.numerical_gradient(x, t)
    before = {name: p.copy() for name, p in net.params.items()}
    net.fit(x, t, batch_size=ROWS, epochs=1, optimizer=fastbp.optimizers.SGD(lr=1.0), shuffle=False, progress=False)
    for name, p in net.params.items():
        assert_within(gradient[name], slow[name], 1e-7)
        assert_within(before[name] - p, gradient[name], 1e-13)


@pytest.mark.parametrize("dtype", [*FLOATS, np.int8])
def test_negative_targets_are_an_error(dtype):
    x, t = np.zeros((3, 4)), np.zeros((3, 4), dtype)
    t[1, 2] = -1
    message = r"t\[1, 2\] is -1(\.0)?, where a share of a class must not be negative"
    with pytest.raises(ValueError, match=message):
        fastbp.SoftmaxWithLoss().forward(x, t)
    with pytest.raises(ValueError, match=message):
        fastbp.cross_entropy_error(np.full((3, 4), 0.25), t)
    net = fastbp.mlp([4, 4], seed=0)
    for call in (net.loss, net.gradient, net.step, lambda x, t: net.fit(x, t, epochs=1, progress=False)):
        with pytest.raises(ValueError, match=message):
            call(x, t)
    with pytest.raises(ValueError, match=r"t\[0, 2\] is -1"):
        fastbp.SoftmaxWithLoss().forward(x[0], t[1])


def test_targets_that_are_nan_propagate():
    t = np.full((3, 4), 0.25)
    t[1, 2] = np.nan
    layer = fastbp.SoftmaxWithLoss(eps=0)
    assert np.isnan(layer.forward(np.zeros((3, 4)), t))
    assert np.isnan(layer.backward()[1]).any()


@pytest.mark.parametrize("name", ["SigmoidWithLoss", "BinaryCrossEntropy"])
def test_targets_of_probabilities_are_in_0_to_1(name):
    x, loss = np.full((3, 2), 0.5), getattr(fastbp, name)
    for wrong in (2, -1, 1.5, np.inf):
        t = np.array([[0, 1], [1, 0], [wrong, 1]])
        message = rf"t\[2, 0\] is {float(wrong)}, outside 0\.\.1 \(for classes there is SoftmaxWithLoss\)"
        with pytest.raises(ValueError, match=message):
            loss().forward(x, t)
        net = fastbp.Sequential([fastbp.Affine(np.eye(2), np.zeros(2)), fastbp.Sigmoid()], loss())
        for call in (net.loss, net.step, net.fit):
            with pytest.raises(ValueError, match=message):
                call(x, t)
    t = np.array([[0, 1], [1, 0], [0.5, np.nan]])
    assert np.isnan(loss().forward(x, t))
