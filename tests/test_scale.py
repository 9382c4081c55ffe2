"""What a network multiplies its inputs by: ``fit``, ``step`` and the command line go by it as ``predict`` does."""

import copy

import numpy as np
import pytest
from fits import assert_same_weights, fitted
from strategies import FLOATS, assert_same_bits, eps

import fastbp
from fastbp.optimizers import Adam
from fastbp.tables._features import ArrayFeatures
from fastbp.tables._load_model import load_model
from fastbp.tables._model import Model
from fastbp.tables._targets import Classes

SCALE = 1 / 255
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 5), np.uint8)
LABELS = np.random.default_rng(1).integers(0, 3, 50)
OPTIMIZERS = pytest.mark.parametrize("optimizer", ["sgd", Adam(lr=0.01)], ids=["fused", "Adam"])


def network(dtype=np.float32, scale=1.0):
    return fastbp.Sequential(fastbp.mlp([5, 8, 3], dtype=dtype, seed=0).layers.values(), scale=scale)


@OPTIMIZERS
@pytest.mark.parametrize("dtype", FLOATS)
def test_fit_with_a_scale_trains_as_on_the_fractions_and_predicts_from_bytes(dtype, optimizer):
    fractions = IMAGES * dtype(SCALE)
    options = {"epochs": 2, "optimizer": optimizer}
    expected, theirs = fitted(network(dtype), fractions, LABELS, validation_data=(fractions, LABELS), **options)
    for start, scale in ((network(dtype), SCALE), (network(dtype, SCALE), None)):
        got, history = fitted(start, IMAGES, LABELS, scale=scale, validation_data=(IMAGES, LABELS), **options)
        assert got.scale == SCALE
        assert_same_weights(got, expected)
        assert (history.loss, history.val_loss) == (theirs.loss, theirs.val_loss)
        assert_same_bits(got.predict(IMAGES), expected.predict(fractions))
        assert got.accuracy(IMAGES, LABELS) == expected.accuracy(fractions, LABELS)


def test_fit_without_a_scale_keeps_that_of_an_earlier_fit():
    net = network()
    net.fit(IMAGES, LABELS, scale=SCALE, progress=False)
    net.fit(IMAGES, LABELS, progress=False)
    assert net.scale == SCALE
    net.fit(IMAGES, LABELS, scale=1, progress=False)
    assert net.scale == 1


def test_a_fit_that_is_refused_leaves_the_scale():
    net = network(scale=0.5)
    with pytest.raises(ValueError, match=r"outside 0\.\.2"):
        net.fit(IMAGES, LABELS + 1, scale=SCALE, progress=False)
    assert net.scale == 0.5


@OPTIMIZERS
@pytest.mark.parametrize("dtype", FLOATS)
def test_steps_take_the_scale_to_the_same_bits_as_fit(dtype, optimizer):
    net, other = network(dtype, SCALE), network(dtype, SCALE)
    losses = [net.step(IMAGES[i : i + 10], LABELS[i : i + 10], optimizer) for i in range(0, 50, 10)]
    history = other.fit(IMAGES, LABELS, batch_size=10, shuffle=False, optimizer=optimizer, progress=False)
    assert_same_weights(net, other)
    np.testing.assert_allclose(history.loss, [np.mean(losses)], rtol=1e-12)


def test_a_step_follows_a_scale_that_is_set_later_and_leaves_its_batch_alone():
    x = IMAGES.astype(np.float32)
    kept, net = x.copy(), network()
    twin = copy.deepcopy(net)
    net.step(x, LABELS)
    net.scale = SCALE
    net.step(x, LABELS)
    twin.step(x, LABELS)
    twin.step(x * np.float32(SCALE), LABELS)
    assert_same_weights(net, twin)
    assert_same_bits(x, kept)


def test_the_gradient_is_that_of_a_step():
    net = network(np.float64, SCALE)
    gradients, before = net.gradient(IMAGES, LABELS), copy.deepcopy(dict(net.params))
    net.step(IMAGES, LABELS, fastbp.optimizers.SGD(lr=1.0))
    for name, p in net.params.items():
        np.testing.assert_allclose(before[name] - p, gradients[name], rtol=0, atol=64 * eps(np.float64))


@pytest.mark.parametrize(
    ("scale", "error"), [(0, ValueError), (np.nan, ValueError), ("1", TypeError), (None, TypeError)]
)
def test_a_scale_that_is_set_is_a_number_above_0(scale, error):
    net = network(scale=0.5)
    with pytest.raises(error, match=r"^scale must be a finite number above 0, got "):
        net.scale = scale
    assert net.scale == 0.5


# ---- The command line: its features' scale is the network's ----


def test_a_model_scales_once_whether_its_file_has_the_networks_scale_or_not(tmp_path):
    plain, scaled = network(), network(scale=SCALE)
    features, targets = ArrayFeatures(5, SCALE), Classes("digit", [0, 1, 2])
    expected = scaled.predict(IMAGES)
    assert not np.array_equal(expected, plain.predict(IMAGES))
    for net in (plain, scaled):
        model = Model(copy.deepcopy(net), features, targets)
        assert_same_bits(model.scores(IMAGES), expected)
        net.save(tmp_path / "net.safetensors", extra=model.description())
        assert_same_bits(load_model(str(tmp_path / "net.safetensors")).scores(IMAGES), expected)
