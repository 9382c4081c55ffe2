"""Runs whose loss or parameters are no longer finite."""

import copy
import re

import numpy as np
import pytest
from fits import PER_EPOCH, T, X, assert_same_weights, examples, fitted, network, small
from strategies import FLOATS

import fastbp
from fastbp.optimizers import SGD, Adam, Momentum

FUSED_AND_NOT = pytest.mark.parametrize("optimizer", [SGD(lr=0.1), Adam(lr=0.01)], ids=["fused", "Adam"])


def named_place(error):
    """The step, from 0, that a FloatingPointError names."""
    epoch, batch = map(int, re.search(r"epoch (\d+), batch (\d+)", str(error.value)).groups())
    assert batch <= PER_EPOCH
    return (epoch - 1) * PER_EPOCH + batch - 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    "optimizer",
    [SGD(lr=1e25), SGD(lr=1e38), SGD(lr=1e200), SGD(lr=1e308), Momentum(lr=1e200), Adam(lr=1e308)],
    ids=repr,
)
def test_a_run_that_diverges_stops_with_the_last_finite_weights(optimizer, shuffle, dtype):
    net = small(dtype, dropout=0.3)
    options = {"optimizer": optimizer, "epochs": 50, "shuffle": shuffle}
    got = copy.deepcopy(net)
    with pytest.raises(
        FloatingPointError,
        match=r"(the loss is .*|the parameters are no longer finite) in epoch \d+, batch \d+; .*smaller learning rate",
    ) as error:
        got.fit(X, T, batch_size=8, seed=7, progress=False, **options)
    assert all(np.isfinite(p).all() for p in got.params.values())
    step = named_place(error)
    assert_same_weights(got, fitted(net, max_steps=step, **options)[0])
    with pytest.raises(FloatingPointError):
        fitted(net, max_steps=step + 1, **options)


def test_a_step_that_overflows_after_a_good_one_is_undone_alone():
    W = np.full((1, 1), 1e-10, np.float32)
    net = fastbp.Sequential([fastbp.Affine(W, None)], fastbp.MeanSquaredError())
    x, t = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    with pytest.raises(FloatingPointError, match=r"the parameters are no longer finite in epoch 1, batch 2"):
        net.fit(x, t, batch_size=1, epochs=1, optimizer=SGD(lr=1e25), progress=False)
    np.testing.assert_allclose(net.params["W1"], -2e15, rtol=1e-6)


@FUSED_AND_NOT
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 9, 33, 49])
def test_a_sample_that_is_not_finite_stops_the_run_before_its_step(row, bad, optimizer):
    x = X.copy()
    x[row, 2] = bad
    step = row // 8
    net = small()
    with pytest.raises(FloatingPointError, match=f"epoch 1, batch {step + 1};"):
        net.fit(x, T, epochs=3, batch_size=8, shuffle=False, optimizer=optimizer, progress=False)
    assert_same_weights(net, fitted(small(), max_steps=step, shuffle=False, optimizer=optimizer)[0])


@FUSED_AND_NOT
def test_a_loss_that_is_not_finite_late_in_a_long_run_keeps_the_weights_of_the_steps_before(optimizer):
    x, t = examples(20_001, 5, 3)
    x[-1] = np.nan
    net = small(dropout=0.2)
    options = {"shuffle": False, "optimizer": optimizer, "batch_size": 4, "seed": 7, "progress": False}
    with pytest.raises(FloatingPointError, match="loss is nan in epoch 1, batch 5001;"):
        net.fit(x, t, **options)
    assert_same_weights(net, fitted(small(dropout=0.2), x, t, max_steps=5000, **options)[0])


def test_a_target_that_is_not_finite_stops_the_run_before_its_step():
    t = np.eye(3)[T]
    t[20] = np.nan
    net = fastbp.mlp([5, 8, 3], loss=fastbp.MeanSquaredError(), seed=0)
    start = copy.deepcopy(net)
    with pytest.raises(FloatingPointError, match="epoch 1, batch 3;"):
        net.fit(X, t, batch_size=8, shuffle=False, progress=False)
    assert_same_weights(net, fitted(start, X, np.eye(3)[T], max_steps=2, shuffle=False)[0])


def test_weights_that_are_not_finite_to_begin_with_are_an_error_that_changes_nothing():
    net = small()
    net.params["W1"][0, 0] = np.nan
    start = copy.deepcopy(net)
    with pytest.raises(FloatingPointError, match="epoch 1, batch 1;"):
        net.fit(X, T, progress=False)
    assert_same_weights(net, start)


# ---- What is to blame ----

BAD = pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
WAY_OUT = "fill it in, or leave the row out"


@FUSED_AND_NOT
@BAD
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_sample_that_is_not_finite_is_named_and_the_learning_rate_is_not(shuffle, bad, optimizer):
    x = X.copy()
    x[33, 2] = bad
    with pytest.raises(FloatingPointError, match=rf"batch \d+; x\[33, 2\] is {bad}: {WAY_OUT}$"):
        fitted(small(), x, optimizer=optimizer, epochs=2, shuffle=shuffle)


def test_a_number_that_the_networks_type_cannot_hold_is_named():
    x = X.astype(np.float64)
    x[9, 1] = 1e300
    with pytest.raises(FloatingPointError, match=rf"x\[9, 1\] is 1e\+300, too large for float32: {WAY_OUT}$"):
        fitted(small(), x)
    assert np.isfinite(fitted(small(np.float64), X, scale=1.0)[1].loss[0])


def test_a_number_that_its_scale_makes_too_large_is_named():
    with pytest.raises(FloatingPointError, match=r"x\[\d+, \d+\] is 200, too large for float32: "):
        fitted(small(), np.full((50, 5), 200, np.uint8), scale=1e38)


def test_an_element_of_an_image_is_named_by_its_place_in_the_image():
    x = np.zeros((50, 1, 2, 2), np.float32)
    x[7, 0, 1, 0] = np.nan
    with pytest.raises(FloatingPointError, match=r"x\[7, 0, 1, 0\] is nan"):
        fitted(network(4, 8, 3), x)


@BAD
def test_a_target_that_is_not_finite_is_named(bad):
    t = np.eye(3)[T]
    t[20, 1] = bad
    net = fastbp.mlp([5, 8, 3], loss="mse", seed=0)
    with pytest.raises(FloatingPointError, match=rf"t\[20, 1\] is {bad}: {WAY_OUT}$"):
        net.fit(X, t, batch_size=8, progress=False)


def test_a_parameter_that_was_not_finite_is_named():
    net = small()
    net.params["b2"][1] = np.inf
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch 1; b2\[1\] is inf before this step$"):
        net.fit(X, T, batch_size=8, progress=False)


@BAD
def test_validation_data_that_are_not_finite_are_named(bad):
    net = small()
    x, t = examples(5000, 5, 3)
    x[4500, 3] = bad
    expected = r"the validation loss is nan after epoch 1; in the validation data, x\[4500, 3\] is " + str(bad)
    with pytest.raises(FloatingPointError, match=expected):
        net.fit(X, T, epochs=3, batch_size=8, seed=7, validation_data=(x, t), progress=False)
    assert_same_weights(net, fitted(small())[0])


@FUSED_AND_NOT
@BAD
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_step_names_what_is_not_finite(kind, bad, optimizer):
    net, x = small(), X.astype(kind)
    x[33, 2] = bad
    with pytest.raises(FloatingPointError, match=rf"in step 1; x\[33, 2\] is {bad}; nothing was updated"):
        net.step(x, T, optimizer)
    assert_same_weights(net, small())
    with pytest.raises(FloatingPointError, match=r"^the loss is nan in step 1; t\[3, 0\] is nan; nothing was updated"):
        net = fastbp.mlp([5, 8, 1], loss="mse", seed=0)
        net.step(X, np.where(np.arange(50) == 3, np.nan, 1.0), optimizer)
