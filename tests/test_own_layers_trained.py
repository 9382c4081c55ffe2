"""A network with layers of a user's own is trained layer by layer: as compiled, but for rounding."""

import copy
import pickle

import numpy as np
import pytest
from fits import T, X, assert_same_weights, network
from own_layers import Centre, Linear, own, quiet

import fastbp
from fastbp.optimizers import SGD, Adam, Momentum
from fastbp.schedules import cosine

X64 = X.astype(np.float64)
IMAGES = np.random.default_rng(2).integers(0, 256, (50, 5), np.uint8)
WEIGHTS = np.linspace(0, 2, len(T))
# Sums of 50 products at most, each step's rounding grown by some tens of steps of moderate length.
CLOSE = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-11}


def assert_alike(net, other):
    for name, p in net.params.items():
        np.testing.assert_allclose(other.params[name], p, rtol=0, atol=CLOSE[p.dtype], err_msg=name)


def both(net, x, t, **options):
    """The network trained compiled, the same with layers of one's own, and their histories."""
    options = {"seed": 7, "batch_size": 8, "epochs": 4, "progress": False} | options
    other = own(copy.deepcopy(net))
    return net, other, net.fit(x, t, **options), quiet(other.fit, x, t, **options)


def with_norm(**options):
    first, *rest = network(5, 8, 3, **options).layers.values()
    dtype = first.W.dtype
    return fastbp.Sequential([first, fastbp.BatchNormalization(np.ones(8, dtype), np.zeros(8, dtype)), *rest])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": Adam(lr=0.01)},
        {"optimizer": Momentum(lr=cosine(0.1, steps=28)), "clip_norm": 0.1},
        {"shuffle": False, "sample_weight": WEIGHTS, "class_weight": "balanced"},
        {"validation_split": 0.3, "patience": 1, "optimizer": Adam(lr=0.3), "epochs": 20},
        {"max_steps": 11, "accuracy": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_is_that_of_compiled_layers(dtype, options):
    net, other, history, theirs = both(network(5, 8, 3, dropout=0.3, dtype=dtype), X64, T, **options)
    assert_alike(net, other)
    np.testing.assert_allclose(theirs.loss, history.loss, rtol=CLOSE[np.dtype(dtype)])
    assert theirs.best_epoch == history.best_epoch and theirs.accuracy == history.accuracy


def test_samples_of_bytes_are_scaled_as_they_are_read():
    net, other, *_ = both(network(5, 8, 3, dtype=np.float64), IMAGES, T, scale=1 / 255, optimizer="adam")
    assert_alike(net, other)
    assert other.scale == 1 / 255


def test_running_statistics_move_as_in_compiled_training():
    net, other, *_ = both(with_norm(dtype=np.float64), X64, T)
    assert_alike(net, other)
    for name, buffer in net.buffers.items():
        np.testing.assert_allclose(other.buffers[name], buffer, rtol=1e-11, atol=1e-12)


def test_step_is_that_of_compiled_layers():
    net = network(5, 8, 3, dropout=0.3, dtype=np.float64)
    other, optimizer = own(copy.deepcopy(net)), Adam(lr=0.01)
    for n, options in [(8, {}), (8, {}), (5, {"sample_weight": WEIGHTS[:5]}), (8, {"clip_norm": 0.1}), (50, {})]:
        loss = net.step(X64[:n], T[:n], optimizer, seed=3, **options)
        assert quiet(other.step, X64[:n], T[:n], optimizer, seed=3, **options) == pytest.approx(loss, rel=1e-12)
    assert other._stepper.steps == 5
    assert_alike(net, other)


def centred(dtype=np.float64):
    first, *rest = own(network(5, 8, 3, dtype=dtype)).layers.values()
    return fastbp.Sequential([first, Centre(8), fastbp.Dropout(0.2), *rest])


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=str)
def test_resume_goes_on_to_the_same_bits(optimizer):
    options = {"seed": 7, "batch_size": 8, "epochs": 4, "progress": False, "optimizer": optimizer}
    whole, stopped = centred(), centred()
    history = quiet(whole.fit, X64, T, **options)
    state = quiet(stopped.fit, X64, T, max_steps=10, **options).state
    again = centred()
    assert quiet(again.fit, X64, T, resume=state, **options).loss == history.loss
    assert_same_weights(again, whole)
    np.testing.assert_array_equal(again.buffers["seen1"], whole.buffers["seen1"])


def test_buffers_that_a_layer_assigns_are_the_networks():
    net = centred()
    layer = net.layers["Centre1"]
    quiet(net.fit, X64, T, epochs=2, progress=False)
    assert layer.seen is net.buffers["seen1"] and layer.seen.any()
    before = layer.seen.copy()
    quiet(net.step, X64, T)
    assert layer.seen is net.buffers["seen1"] and not np.array_equal(layer.seen, before)


def test_early_stopping_brings_back_buffers_too():
    net, seen = centred(), []
    history = quiet(
        net.fit,
        *(X64, T),
        optimizer=Adam(lr=0.3),
        epochs=30,
        patience=2,
        validation_split=0.4,
        progress=False,
        callbacks=[lambda _: seen.append(net.buffers["seen1"].copy())],
    )
    assert history.best_epoch < len(history.loss) - 1
    np.testing.assert_array_equal(net.buffers["seen1"], seen[history.best_epoch])


def test_a_layer_goes_on_from_step_to_step_and_follows_what_is_set():
    class Counting(Linear):
        n, factor = 0, 1.0

        def backward(self, dout):
            self.n += 1
            return super().backward(self.factor * dout)

    def freeze(_):
        layer.factor = 0.0

    first, *rest = network(5, 8, 3, dtype=np.float64).layers.values()
    layer = Counting(first.W, first.b)
    net = fastbp.Sequential([layer, *rest])
    kept = []
    quiet(
        net.fit,
        *(X64, T),
        epochs=3,
        batch_size=10,
        callbacks=[freeze, lambda _: kept.append(layer.W.copy())],
        progress=False,
    )
    assert layer.n == 15
    np.testing.assert_array_equal(kept[0], kept[2])


def test_a_callback_may_replace_arrays():
    def replace(history):
        if len(history.loss) == 1:
            net.layers["Linear1"].W = np.zeros((5, 8))

    net = own(network(5, 8, 3, dtype=np.float64))
    quiet(net.fit, X64, T, epochs=1, callbacks=[replace], progress=False)
    np.testing.assert_array_equal(net.params["W1"], 0)
    quiet(net.fit, X64, T, epochs=2, callbacks=[replace], progress=False)
    assert net.layers["Linear1"].W is net.params["W1"] and net.params["W1"].any()


def test_copies_and_pickles_train_alike():
    net = centred()
    others = [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    for one in (net, *others):
        quiet(one.fit, X64, T, seed=1, epochs=2, progress=False)
        assert_same_weights(one, net)
