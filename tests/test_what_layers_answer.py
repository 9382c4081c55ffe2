"""What rooms ask of a layer or a loss in place of its class."""

import copy

import numpy as np
import pytest
from strategies import assert_within, eps

import fastbp
from fastbp import activations, layers, losses

RNG = np.random.default_rng(0)
X, IMAGES = RNG.standard_normal((4, 5)), RNG.standard_normal((4, 2, 6, 5))
FILTERS, MADE = RNG.standard_normal((3, 2, 3, 3)), np.dtype(np.float64)
EXAMPLES = [
    *[(cls.of_width(5, MADE), X) for cls in (*layers.CLASSES, *activations.CLASSES) if not cls.draws],
    (fastbp.LeakyRelu(-0.5), X),
    (fastbp.Gelu("tanh"), X),
    (fastbp.BatchNormalization(np.ones(2), np.ones(2)), IMAGES),
    (fastbp.Convolution(FILTERS, None, stride=2, pad=1), IMAGES),
    (fastbp.MaxPooling(2, 2), IMAGES),
    (fastbp.AveragePooling(2, 2), IMAGES),
]
LOSSES = [cls() for cls in losses.CLASSES]


def named(part):
    return repr(part)


@pytest.mark.parametrize(("layer", "x"), EXAMPLES, ids=[repr(layer) for layer, _ in EXAMPLES])
def test_what_is_recalled_of_a_pass_is_what_it_left(layer, x):
    y = layer.forward(x)
    if layer.elementwise and layer.of_output:
        x = y.copy()  # as a product leaves it that has applied the function at once
    buffers = {name: copy.copy(getattr(layer, name)) for name in layer.buffers}
    other = copy.deepcopy(layer)
    other.forget()
    other.recall(x.copy(), y.copy())
    for name, array in buffers.items():
        np.testing.assert_array_equal(getattr(other, name), array)
    np.testing.assert_array_equal(other.backward(y), layer.backward(y))
    for name in layer.parameters:
        np.testing.assert_array_equal(getattr(other, f"d{name}"), getattr(layer, f"d{name}"))


@pytest.mark.parametrize("loss", LOSSES, ids=named)
def test_what_is_recalled_of_a_loss_is_what_it_left(loss):
    x = RNG.uniform(0.1, 0.9, (4, 5))
    t = RNG.integers(0, 5, 4) if loss.targets == "labels" else RNG.integers(0, 2, (4, 5)).astype(float)
    value = loss.forward(x, t)
    targets, other = loss.as_targets(t, x.shape, x.dtype).copy(), copy.deepcopy(loss)
    t[...] = 0
    other.recall(x, t, targets, value)
    assert other.loss == value and np.shares_memory(other.t, t)
    np.testing.assert_array_equal(other.y, loss.y)
    loss.forward(x, targets)
    np.testing.assert_array_equal(other.backward(), loss.backward())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["Affine", "Convolution"])
def test_scaled_inputs_and_outputs_of_a_layer_with_weights_go_into_these(kind, bias, dtype):
    b = RNG.standard_normal(3).astype(dtype) if bias else None
    layer = fastbp.Affine(RNG.standard_normal((5, 3)).astype(dtype), b)
    x, like = X.astype(dtype), np.s_[:]
    if kind == "Convolution":
        layer, x, like = (
            fastbp.Convolution(FILTERS.astype(dtype), b, stride=2, pad=1),
            IMAGES.astype(dtype),
            np.s_[:, None, None],
        )
    before = layer.W.copy()
    mean, factor, shift = RNG.standard_normal((3, 3))
    scaled, moved = layer.with_scaled_inputs(1 / 255), layer.with_scaled_outputs(mean, factor, shift)
    assert [type(made) for made in (scaled, moved)] == [type(layer)] * 2
    assert {array.dtype for made in (scaled, moved) for array in made.checked() if array is not None} == {
        np.dtype(dtype)
    }
    expected = (layer.forward(x) - mean[like]) * factor[like] + shift[like]
    assert_within(moved.forward(x), expected, 64 * eps(dtype))
    assert_within(scaled.forward(x), layer.forward(x * x.dtype.type(1 / 255)), 64 * eps(dtype))
    np.testing.assert_array_equal(layer.W, before)


def test_a_layer_without_such_weights_takes_no_scale():
    for layer in (fastbp.Tanh(), fastbp.Flatten(), fastbp.Layer(), fastbp.Scale(np.ones(5), np.ones(5))):
        assert layer.with_scaled_inputs(2.0) is None
        assert layer.with_scaled_outputs(*np.ones((3, 5))) is None
    convolution = fastbp.Convolution(FILTERS, None)
    assert convolution.with_scaled_outputs(*np.ones((3, 3 * 4 * 3))) is None  # a number for each pixel


@pytest.mark.parametrize("loss", LOSSES, ids=named)
def test_only_the_books_softmax_has_another_exact_form_and_only_softmax_smooths_labels(loss):
    is_softmax = isinstance(loss, fastbp.SoftmaxWithLoss)
    assert repr(loss.exact()) == ("SoftmaxWithLoss(eps=0, label_smoothing=0)" if is_softmax else repr(loss))
    smoothed = loss.smoothed(0.25)
    assert repr(smoothed) == ("SoftmaxWithLoss(eps=1e-07, label_smoothing=0.25)" if is_softmax else "None")
    assert repr(loss) == repr(type(loss)())  # itself it stays as it is


def dropping(stream):
    """A network with a Dropout of a seed and of that stream."""
    rng = np.random.default_rng(1)
    net = fastbp.Sequential(
        [fastbp.Affine(rng.random((5, 40)), None), fastbp.Dropout(0.5, 3), fastbp.Affine(rng.random((40, 3)), None)]
    )
    net.layers["Dropout1"].stream = stream
    return net


def test_what_is_set_beside_the_constructor_counts_in_a_program():
    def stepped(net):
        net.step(X, [0, 1, 2, 0], seed=0)
        return net.params["W1"]

    own, other, late = dropping(7), dropping(8), dropping(8)
    late.predict(X)
    late.layers["Dropout1"].stream = 7
    assert not np.array_equal(stepped(own), stepped(other))
    np.testing.assert_array_equal(stepped(late), own.params["W1"])


def test_a_mask_that_a_copy_of_a_layer_draws_is_not_drawn_again():
    net = dropping(0)
    for draws, step in ((True, 1), (False, 1), (True, 2)):
        before = net.layers["Dropout1"].step
        copies = net._copies(draws=draws)
        assert (copies[1].step, net.layers["Dropout1"].step) == (before, step)
