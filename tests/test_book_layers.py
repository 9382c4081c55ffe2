"""fastbp.book's layers: Dropout and batch normalisation as the book has them, and that the others are fastbp's."""

import copy
import pickle
import re

import numpy as np
import pytest
from strategies import FLOATS, LAYOUTS, assert_same_bits, assert_within, eps

import fastbp
from fastbp.book import layers
from fastbp.reference.book import layers as plain

SHAPES = [(6, 5), (1, 7), (4, 2, 3, 2), (0, 3), (5,)]
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_layers_are_those_of_fastbp():
    for name in ("Affine", "AddLayer", "BatchNormalization", "MulLayer", "Relu", "Sigmoid", "SoftmaxWithLoss"):
        assert getattr(layers, name) is getattr(fastbp, name)
    assert issubclass(layers.Dropout, fastbp.Dropout)


# --- Dropout -----------------------------------------------------------------------------------------------


def both(ratio):
    return layers.Dropout(ratio), plain.Dropout(ratio)


@dtypes
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ratio", [0, 0.15, 0.5, 1])
def test_dropout_has_the_bits_of_the_book_under_its_seed(shape, ratio, dtype):
    x, dout, answers = normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1), []
    for layer in both(ratio):
        np.random.seed(5)
        out = [layer.forward(x), layer.mask, layer.forward(x, train_flg=True), layer.backward(dout)]
        answers.append([*out, layer.forward(x, False), layer.backward(dout), np.random.rand()])
    for got, expected in zip(*answers, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert np.asarray(got).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dropout_of_any_layout(layout):
    x = LAYOUTS[layout](normal(6, 5))
    answers = []
    for layer in both(0.3):
        np.random.seed(1)
        answers.append((layer.forward(x), layer.backward(x), layer.forward(x, False)))
    for got, expected in zip(*answers, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_pass_for_testing_leaves_the_mask():
    layer, x = layers.Dropout(0.4), normal(5, 4)
    assert layer.mask is None
    assert layer.dropout_ratio == 0.4
    layer.forward(x)
    mask = layer.mask
    assert_same_bits(layer.predict(x), layer.forward(x, train_flg=False))
    assert layer.mask is mask
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_same_bits(twin.backward(x), layer.backward(x))


def test_what_dropout_refuses():
    with pytest.raises(ValueError, match=r"p must be a finite number in 0\.\.1, got 1.5"):
        layers.Dropout(1.5)
    layer = layers.Dropout()
    with pytest.raises(RuntimeError, match=r"Dropout.backward was called before forward"):
        layer.backward(np.ones(3))
    layer.forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"dout must have the shape of x, \(2, 3\), got \(3, 2\)"):
        layer.backward(np.ones((3, 2)))
    with pytest.raises(TypeError, match="x must hold real numbers"):
        layer.forward(np.array(["a"]))


def test_integers_become_float64():
    for train_flg in (True, False):
        assert layers.Dropout(0.5).forward(np.arange(4), train_flg).dtype == np.float64


@pytest.mark.filterwarnings("ignore:Dropout")
def test_dropout_stands_in_a_network():
    net = fastbp.mlp([4, 6, 3], seed=0, dtype="float64")
    first, relu, last = net.layers.values()
    net = fastbp.Sequential([first, relu, layers.Dropout(0.5), last])
    x = normal(20, 4)
    hidden = relu.forward(first.forward(x))
    assert_within(net.predict(x), last.forward(hidden * 0.5), 64 * eps(np.float64))


# --- Batch normalisation -----------------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("shape", [(8, 5), (2, 3), (6, 2, 3, 4)])
@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_batch_normalization_with_its_defaults_is_the_books(shape, momentum, dtype):
    k = int(np.prod(shape[1:]))
    gamma, beta = 1 + 0.2 * normal(k, dtype=dtype), normal(k, dtype=dtype, seed=1)
    own = layers.BatchNormalization(gamma, beta, momentum)
    twin = plain.BatchNormalization(gamma.astype(float), beta.astype(float), momentum)
    tolerance = 500 * eps(dtype)
    for seed in range(3):
        x, dout = 2 + normal(*shape, dtype=dtype, seed=seed), normal(*shape, dtype=dtype, seed=seed + 10)
        assert_within(own.forward(x, True), twin.forward(x.astype(float), True), tolerance)
        assert_within(own.backward(dout), twin.backward(dout.astype(float)), tolerance)
        assert_within(own.dgamma, twin.dgamma, 5 * tolerance)
        assert_within(own.dbeta, twin.dbeta, tolerance)
    assert_within(own.running_mean, twin.running_mean, tolerance)
    assert_within(own.running_var, twin.running_var, tolerance)
    assert_within(own.forward(x, False), twin.forward(x.astype(float), False), tolerance)
    assert own.forward(x, False).dtype == dtype


@pytest.mark.parametrize("shape", [(7, 4), (5, 2, 1, 2)])
def test_gradients_agree_with_central_differences(shape):
    x, dout, direction = normal(*shape), normal(*shape, seed=1), normal(*shape, seed=2)
    layer = layers.BatchNormalization(1 + 0.2 * normal(4), normal(4, seed=1))

    def loss(x):
        return np.sum(layer.forward(x) * dout)

    numeric = (loss(x + 1e-5 * direction) - loss(x - 1e-5 * direction)) / 2e-5
    layer.forward(x)
    assert abs(np.sum(layer.backward(dout) * direction) - numeric) < 1e-7


@pytest.mark.parametrize("shape", [(1, 3), (3,), (1, 3, 1, 1)])
def test_one_sample_in_training_is_told_of_and_gives_what_the_book_gives(shape):
    layer = layers.BatchNormalization(np.ones(3), np.arange(3.0))
    expected = re.escape(f"expects at least two samples while training, got x of shape {shape}")
    with pytest.warns(RuntimeWarning, match=expected) as told:
        out = layer.forward(normal(*shape))
    assert told[0].filename == __file__
    assert out.reshape(-1).tolist() == [0, 1, 2]
    layer.forward(normal(*shape), train_flg=False)


def test_running_statistics_of_another_length():
    for name in ("running_mean", "running_var"):
        layer = layers.BatchNormalization(np.ones(3), np.zeros(3), **{name: np.ones(4)})
        for train_flg in (True, False):
            with pytest.raises(ValueError, match=rf"{name} must have the shape of gamma, \(3,\), got \(4,\)"):
                layer.forward(np.ones((2, 3)), train_flg)
