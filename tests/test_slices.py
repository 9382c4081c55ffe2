"""Batches of small networks, computed in slices or halves: the same numbers as without."""

import numpy as np
import pytest
from strategies import assert_same_bits

import fastbp
from fastbp.kernels.machine import FIXED
from fastbp.programs import _program
from fastbp.programs._slices import LEAST_SLICES, rows_of_slice

LOSSES = {
    "softmax of labels": fastbp.SoftmaxWithLoss(eps=0),
    "softmax with eps": fastbp.SoftmaxWithLoss(eps=1e-7),
    "softmax of rows": fastbp.SoftmaxWithLoss(eps=0, label_smoothing=0.1),
    "sigmoid": fastbp.SigmoidWithLoss(),
    "mse": fastbp.MeanSquaredError(),
}
ROWS = rows_of_slice(fastbp.mlp([6, 20, 3], dtype=np.float64)._binding(), 10**6)


def examples(n, name):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((n, 6))
    if name.startswith("softmax"):
        labels = rng.integers(0, 3, n)
        return x, np.eye(3)[labels] if name.endswith("rows") else labels
    return x, rng.random((n, 3))


def trained(name, n, *, dtype=np.float64, activation="tanh", **options):
    net = fastbp.mlp([6, 20, 3], activation=activation, dtype=dtype, seed=1, loss=LOSSES[name])
    x, t = examples(n, name)
    history = net.fit(x, t, **{"batch_size": n, "seed": 2, "progress": False} | options)
    return net, history


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("n", [LEAST_SLICES * ROWS, LEAST_SLICES * ROWS + 1, 9 * ROWS - 1])
def test_a_step_in_slices_is_that_of_the_layers(name, n):
    net, history = trained(name, n, epochs=1, optimizer=fastbp.optimizers.SGD(lr=0.5))
    assert rows_of_slice(net._binding(), n) == ROWS
    layers = fastbp.mlp([6, 20, 3], activation="tanh", dtype=np.float64, seed=1, loss=LOSSES[name])
    x, t = examples(n, name)
    assert history.loss[0] == pytest.approx(layers.loss(x, t), rel=1e-12)
    for key, gradient in layers.gradient(x, t).items():
        np.testing.assert_allclose(net.params[key], layers.params[key] - 0.5 * gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", ["softmax of labels", "mse"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slices_give_the_same_bits_for_any_number_of_threads(dtype, name, optimizer):
    n = 13 * ROWS + 5
    options = {"dtype": dtype, "optimizer": optimizer, "epochs": 3, "batch_size": 9 * ROWS, "clip_norm": 0.1}
    one, history = trained(name, n, threads=1, sample_weight=np.linspace(0, 2, n), **options)
    for threads in (2, 3, 8):
        other, theirs = trained(name, n, threads=threads, sample_weight=np.linspace(0, 2, n), **options)
        assert theirs.loss == history.loss
        for key, p in one.params.items():
            assert_same_bits(other.params[key], p)


def test_slices_and_whole_batches_train_alike(monkeypatch):
    sliced, history = trained("mse", 20 * ROWS + 7, epochs=5, optimizer="adam", batch_size=7 * ROWS)
    monkeypatch.setattr(_program, "rows_of_slice", lambda binding, n_rows: 0)
    whole, expected = trained("mse", 20 * ROWS + 7, epochs=5, optimizer="adam", batch_size=7 * ROWS)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-11)
    for key, p in whole.params.items():
        np.testing.assert_allclose(sliced.params[key], p, rtol=1e-8, atol=1e-10)


def test_a_loss_that_is_not_finite_in_one_slice_stops_the_run():
    net = fastbp.mlp([6, 20, 3], dtype=np.float64, seed=1)
    x, t = examples(9 * ROWS, "softmax of labels")
    x[5 * ROWS] = np.inf
    before = {key: p.copy() for key, p in net.params.items()}
    with pytest.raises(FloatingPointError, match="epoch 1, batch 1"):
        net.fit(x, t, batch_size=len(x), shuffle=False, progress=False)
    for key, p in net.params.items():
        assert_same_bits(p, before[key])


HALVED = [40, 100, 10], 200  # layers and rows of a batch that is cut in two


def halved(dtype, threads, **options):
    layers, n = HALVED
    rng = np.random.default_rng(4)
    x, t = rng.standard_normal((3 * n + 7, layers[0])), rng.integers(0, layers[-1], 3 * n + 7)
    net = fastbp.mlp(layers, dtype=dtype, seed=1)
    history = net.fit(x, t, batch_size=n, epochs=3, seed=2, threads=threads, progress=False, **options)
    return net, history


def test_a_batch_of_some_work_and_few_parameters_is_cut_in_two():
    layers, n = HALVED
    for dtype in (np.float32, np.float64):
        net = fastbp.mlp(layers, dtype=dtype)
        assert rows_of_slice(net._binding(), n) == n // 2
        assert rows_of_slice(net._binding(), n + 1) == n // 2 + 1
        assert rows_of_slice(net._binding(), n // 2) == 0, "too little work"
    wide = fastbp.mlp([200, 100, 10])
    assert wide._binding().vector.size > FIXED.half_parameters
    assert rows_of_slice(wide._binding(), n) == 0, "gradients too large"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_halves_give_the_same_bits_for_any_number_of_threads(dtype, optimizer):
    one, history = halved(dtype, 1, optimizer=optimizer)
    for threads in (2, 3, 8):
        other, theirs = halved(dtype, threads, optimizer=optimizer)
        assert theirs.loss == history.loss
        for key, p in one.params.items():
            assert_same_bits(other.params[key], p)


def test_halves_and_whole_batches_train_alike(monkeypatch):
    cut, history = halved(np.float64, 2, optimizer="sgd")
    monkeypatch.setattr(_program, "rows_of_slice", lambda binding, n_rows: 0)
    whole, expected = halved(np.float64, 2, optimizer="sgd")
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-12)
    for key, p in whole.params.items():
        np.testing.assert_allclose(cut.params[key], p, rtol=1e-9, atol=1e-13)


def test_dropout_and_large_networks_are_not_sliced():
    dropout = fastbp.Sequential([fastbp.Affine(np.zeros((6, 3)), np.zeros(3)), fastbp.Dropout(0.5)])
    assert rows_of_slice(dropout._binding(), 10**6) == 0
    assert rows_of_slice(fastbp.mlp([784, 512, 10])._binding(), 10**6) == 0
    assert rows_of_slice(fastbp.mlp([6, 20, 3])._binding(), 100) == 0
