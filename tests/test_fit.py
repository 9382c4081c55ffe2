"""Training: the same bits for any threads and after any stop, what is read, history, callbacks, Ctrl-C, divergence."""

import copy
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from strategies import FLOATS, LAYOUTS, assert_same_bits, eps

import fastbp
from fastbp import _run
from fastbp.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop

OPTIMIZERS = {
    "SGD": SGD(lr=0.1),
    "SGD with weight decay": SGD(lr=0.1, weight_decay=0.01),
    "Momentum": Momentum(lr=0.05),
    "Nesterov": Nesterov(lr=0.05),
    "AdaGrad": AdaGrad(lr=0.05),
    "RMSprop": RMSprop(lr=0.005),
    "Adam": Adam(lr=0.005),
    "AdamW": AdamW(lr=0.005),
}


def network(*sizes, dropout=0.0, dtype=np.float32, seed=0):
    """Affine, Relu, Dropout, ..., Affine with softmax cross-entropy."""
    net = fastbp.mlp(sizes, dtype=dtype, seed=seed)
    layers = []
    for layer in net.layers.values():
        layers.append(layer)
        if dropout and isinstance(layer, fastbp.Relu):
            layers.append(fastbp.Dropout(dropout))
    return fastbp.Sequential(layers)


def examples(n_samples, n_inputs, n_classes, dtype=np.float32):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n_samples, n_inputs)).astype(dtype)
    return x, rng.integers(0, n_classes, n_samples)


def small(dtype=np.float32, **options):
    return network(5, 8, 3, dtype=dtype, **options)


X, T = examples(50, 5, 3)


def fitted(net, x=X, t=T, **options):
    """A copy of ``net`` after training, and its history."""
    net = copy.deepcopy(net)
    return net, net.fit(x, t, **{"seed": 7, "batch_size": 8, "progress": False} | options)


def assert_same_weights(net, other):
    assert list(net.params) == list(other.params)
    for name, p in net.params.items():
        assert_same_bits(p, other.params[name])


def weights_differ(net, other):
    return all(not np.array_equal(p, other.params[name]) for name, p in net.params.items())


# ---- The same bits for any number of threads ----


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize(
    ("sizes", "n_samples", "batch_size"),
    [((300, 256, 256, 10), 450, 200), ((5, 8, 3), 50, 8)],
    ids=["large", "small"],
)
def test_weights_are_the_same_bits_for_any_number_of_threads(sizes, n_samples, batch_size, optimizer):
    net = network(*sizes, dropout=0.3)
    x, t = examples(n_samples, sizes[0], sizes[-1])
    one, history = fitted(net, x, t, epochs=2, batch_size=batch_size, optimizer=optimizer, threads=1)
    assert weights_differ(one, net)
    for threads in (2, 3, 8):
        other, theirs = fitted(net, x, t, epochs=2, batch_size=batch_size, optimizer=optimizer, threads=threads)
        assert_same_weights(other, one)
        np.testing.assert_allclose(theirs.loss, history.loss, rtol=1e-13)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", [fastbp.SigmoidWithLoss, fastbp.MeanSquaredError])
def test_weights_with_clipping_and_a_loss_of_real_targets_are_the_same_bits_for_any_number_of_threads(loss, dtype):
    layers = fastbp.mlp([300, 256, 64], "tanh", dtype=dtype, seed=0).layers.values()
    net = fastbp.Sequential([*layers, fastbp.LeakyRelu(), fastbp.Dropout(0.2)], loss())
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((450, 300)), rng.random((450, 64))
    options = {"batch_size": 200, "optimizer": Adam(), "clip_norm": 0.01, "sample_weight": rng.random(450)}
    one, _ = fitted(net, x, t, threads=1, **options)
    for threads in (2, 3, 8):
        assert_same_weights(fitted(net, x, t, threads=threads, **options)[0], one)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    net = small(dropout=0.3)
    first, again, other = (fitted(net, epochs=2, seed=seed)[0] for seed in (3, 3, 4))
    assert_same_weights(first, again)
    assert weights_differ(first, other)
    assert weights_differ(fitted(net, seed=None)[0], fitted(net, seed=None)[0])


def test_threads_of_a_fit_are_given_back():
    before = fastbp.get_num_threads()
    inside = []
    fitted(small(), threads=before + 2, callbacks=[lambda _: inside.append(fastbp.get_num_threads())])
    assert inside == [before + 2]
    assert fastbp.get_num_threads() == before


@pytest.mark.parametrize("seed", [None, 0])
def test_the_state_of_np_random_is_untouched(seed):
    before = np.random.get_state()
    fitted(small(dropout=0.3), seed=seed)
    after = np.random.get_state()
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


# ---- Stopping and going on ----

PER_EPOCH = 7  # 50 samples, 8 a step


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("optimizer", [Adam(lr=0.01), Momentum(lr=0.05), SGD(lr=0.1)], ids=repr)
@pytest.mark.parametrize("stop", [0, 1, 6, 7, 8, 14, 17, 20, 21])
def test_a_run_resumed_at_any_step_ends_in_the_same_bits(stop, optimizer, shuffle):
    net = small(dropout=0.3)
    options = {"epochs": 3, "optimizer": optimizer, "shuffle": shuffle}
    whole, history = fitted(net, **options)
    _, first = fitted(net, max_steps=stop, **options)
    assert first.state.step == stop
    assert len(first.loss) == stop // PER_EPOCH
    # Another seed and other weights to begin with: all that counts is in the state.
    resumed, second = fitted(small(dropout=0.3, seed=9), resume=first.state, **options | {"seed": 1})
    assert_same_weights(resumed, whole)
    np.testing.assert_allclose(second.loss, history.loss, rtol=1e-13)
    assert len(second.seconds) == 3
    assert second.state.step == history.state.step == 21
    for name in ("parameters", "first", "second"):
        assert_same_bits(getattr(second.state, name), getattr(history.state, name))


def test_a_run_stopped_again_and_again_ends_in_the_same_bits():
    net = small(dropout=0.3)
    whole, history = fitted(net, epochs=3, optimizer=Adam())
    state, parts = None, copy.deepcopy(net)
    for stop in range(1, 22):
        state = parts.fit(
            X, T, epochs=3, batch_size=8, optimizer=Adam(), seed=7, progress=False, max_steps=stop, resume=state
        ).state
    assert_same_weights(parts, whole)
    np.testing.assert_allclose(state.history["loss"], history.loss, rtol=1e-13)


def test_a_state_is_a_copy():
    net = small()
    net, history = fitted(net, max_steps=3, epochs=2, optimizer=Adam())
    kept = copy.deepcopy(history.state)
    net.fit(X, T, batch_size=8, resume=history.state, epochs=2, optimizer=Adam(), progress=False)
    for name in ("parameters", "first", "second"):
        assert_same_bits(getattr(history.state, name), getattr(kept, name))
    assert history.state.history == kept.history


def test_more_epochs_after_the_last_are_those_of_a_longer_run():
    net = small(dropout=0.3)
    whole, _ = fitted(net, epochs=3, optimizer=Adam())
    parts, first = fitted(net, epochs=1, optimizer=Adam())
    parts, second = fitted(parts, epochs=3, optimizer=Adam(), resume=first.state)
    assert_same_weights(parts, whole)
    assert second.loss[:1] == first.loss


def test_validation_goes_on_after_a_stop():
    options = {"epochs": 3, "validation_data": (X, T), "optimizer": Adam()}
    _, history = fitted(small(), **options)
    net, first = fitted(small(), max_steps=10, **options)
    assert len(first.val_loss) == 1
    _, second = fitted(net, resume=first.state, **options)
    assert second.val_loss == history.val_loss
    assert second.val_accuracy == history.val_accuracy


@pytest.mark.parametrize("stop", [10, 28, 31, 42])
def test_a_run_with_patience_resumed_at_any_step_ends_in_the_same_bits(stop):
    net, validation = overfitting()
    options = {"epochs": 40, "validation_data": validation, "patience": 5, "optimizer": Adam(lr=0.003)}
    whole, history = fitted(net, **options)
    assert 42 < history.state.step < 40 * PER_EPOCH, "patience is to end the run, and after the stop"
    half, first = fitted(net, max_steps=stop, **options)
    resumed, second = fitted(half, resume=first.state, **options)
    np.testing.assert_allclose(second.val_loss, history.val_loss, rtol=0)
    assert_same_weights(resumed, whole)


def test_a_run_with_patience_resumed_without_it_ends_with_its_last_weights():
    net, validation = overfitting()
    options = {"epochs": 12, "validation_data": validation, "optimizer": Adam(lr=0.003)}
    whole, history = fitted(net, **options)
    assert history.val_loss[-1] > min(history.val_loss)
    half, first = fitted(net, patience=2, **options)
    assert len(first.val_loss) < 12
    assert_same_weights(fitted(half, resume=first.state, **options)[0], whole)


# ---- Order and batches ----


def steps_by_hand(net, batches, lr=0.1):
    """A copy of ``net`` after a step of gradient descent on each of the batches, and the mean of their losses."""
    net, total, n = copy.deepcopy(net), 0.0, 0
    for rows in batches:
        total, n = total + len(rows) * float(net.loss(X[rows], T[rows])), n + len(rows)
        for name, g in net.gradient(X[rows], T[rows]).items():
            net.params[name] -= lr * g
    return net, total / n


def assert_close_weights(net, other, tolerance=64):
    for name, p in net.params.items():
        atol = tolerance * eps(p.dtype) * max(1, np.abs(p).max())
        np.testing.assert_allclose(p, other.params[name], rtol=0, atol=atol)


def test_without_shuffle_samples_are_taken_in_their_order_and_the_last_batch_is_what_is_left():
    net = small(np.float64)
    got, history = fitted(net, epochs=1, shuffle=False, optimizer=SGD(lr=0.1))
    expected, loss = steps_by_hand(net, [np.arange(i, min(50, i + 8)) for i in range(0, 50, 8)])
    assert_close_weights(got, expected)
    np.testing.assert_allclose(history.loss, [loss], rtol=1e-12)


def test_an_epoch_takes_every_sample_once():
    # Samples are unit vectors and the loss is of zero outputs: a row of W moves by its sample's step alone, once.
    n = 101
    net = fastbp.Sequential([fastbp.Affine(np.zeros((n, 1)), None)], fastbp.MeanSquaredError())
    for _ in range(2):
        net.params["W1"] = np.zeros((n, 1))
        net.fit(np.eye(n), np.ones(n), batch_size=10, optimizer=SGD(lr=0.25), progress=False)
        sizes, counts = np.unique(np.round(0.5 / net.params["W1"]).astype(int), return_counts=True)
        assert dict(zip(sizes.tolist(), counts.tolist(), strict=True)) == {1: 1, 10: 100}


def test_each_epoch_has_an_order_of_its_own():
    n, orders = 20, []
    net = fastbp.Sequential([fastbp.Affine(np.zeros((n, 1)), None)], fastbp.MeanSquaredError())
    # The learning rate tells the steps apart.
    optimizer = SGD(lr=lambda step, epoch: 1.0 + step % n)

    def look(_):
        orders.append(np.argsort(net.params["W1"][:, 0]).tolist())
        net.params["W1"] = np.zeros((n, 1))

    net.fit(np.eye(n), np.ones(n), epochs=5, batch_size=1, optimizer=optimizer, callbacks=[look], progress=False)
    assert all(sorted(order) == list(range(n)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5


def test_a_batch_larger_than_the_data_is_all_of_it():
    net = small(np.float64)
    got, history = fitted(net, epochs=2, batch_size=2**50, optimizer=SGD(lr=0.1))
    assert history.state.step == 2
    expected, _ = steps_by_hand(net, [np.arange(50)] * 2)
    assert_close_weights(got, expected)


def test_no_epochs_change_nothing():
    net, history = fitted(small(), epochs=0)
    assert_same_weights(net, small())
    assert history.arrays() == {}
    assert history.state.step == 0


# ---- What is read ----


def assert_trained_as_on(x, same, **options):
    """A network trained on ``x`` ends with the bits of one trained on ``same``, and ``x`` stays as it was."""
    kept = np.array(x)
    expected, _ = fitted(small(), same)
    assert_same_weights(fitted(small(), x, **options)[0], expected)
    assert_same_bits(x, kept)


@pytest.mark.parametrize(
    "dtype",
    [bool, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float16, np.float64],
)
def test_numbers_of_any_type_train_like_float32(dtype):
    x = np.random.default_rng(0).integers(0, 2 if dtype is bool else 50, (50, 5)).astype(dtype)
    assert_trained_as_on(x, x.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_in_any_layout_train_like_a_contiguous_copy(layout, dtype):
    values = (10 * X).astype(dtype) if dtype != np.uint8 else (10 * np.abs(X)).astype(dtype)
    x = LAYOUTS[layout](values)
    assert_trained_as_on(x, np.array(x, dtype=np.float32, order="C"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_targets_in_any_layout_train_like_a_contiguous_copy(layout):
    expected, _ = fitted(small(), X, T)
    if layout != "zero stride":
        assert_same_weights(fitted(small(), X, LAYOUTS[layout](T))[0], expected)
        assert_same_weights(
            fitted(small(), X, LAYOUTS[layout](np.eye(3, dtype=np.float32)[T]))[0], fitted(small(), X, np.eye(3)[T])[0]
        )
        assert_same_weights(fitted(small(), X, LAYOUTS[layout](T.astype(np.float32)))[0], expected)


def test_lists_train_like_arrays():
    assert_same_weights(fitted(small(), X.tolist(), T.tolist())[0], fitted(small())[0])


def test_images_are_flattened():
    x = X[:, :4].reshape(50, 1, 2, 2)
    net = network(4, 8, 3)
    assert_same_weights(fitted(net, x)[0], fitted(net, x.reshape(50, 4))[0])


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("dtype", FLOATS)
def test_scale_multiplies_what_is_read(dtype, kind):
    x = np.random.default_rng(0).integers(0, 100, (50, 5)).astype(kind)
    got, history = fitted(small(dtype), x, epochs=2, scale=1 / 255)
    expected, theirs = fitted(small(dtype), x.astype(np.float64) / 255, epochs=2)
    assert_close_weights(got, expected)
    np.testing.assert_allclose(history.loss, theirs.loss, rtol=64 * eps(dtype))
    assert weights_differ(got, fitted(small(dtype), x, epochs=2)[0])


def test_scale_counts_for_validation_data_too():
    x = (10 * np.abs(X)).astype(np.uint8)
    net, history = fitted(small(), x, scale=0.1, validation_data=(x, T))
    np.testing.assert_allclose(history.val_loss, [net.loss(x * np.float32(0.1), T)], rtol=1e-6)


def test_a_memory_mapped_file_of_bytes_is_read_where_it_lies(tmp_path):
    shape = (250_000, 800)  # 200 MB, of which the file holds only what is written
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=shape)
    x[-1] = 255
    x.flush()
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = network(800, 8, 3)
    t = np.zeros(shape[0], np.int64)
    tracemalloc.start()
    try:
        history = net.fit(x, t, batch_size=32, max_steps=5, scale=1 / 255, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert history.state.step == 5
    assert peak < 12 * 2**20, "more than the order of the samples, their labels, and a few batches"


def test_a_read_only_memory_mapped_file_trains_as_the_array_and_stays_as_it_is(tmp_path):
    file = tmp_path / "x.npy"
    np.save(file, (10 * np.abs(X)).astype(np.uint8))
    before = file.read_bytes()
    x = np.load(file, mmap_mode="r")
    expected, _ = fitted(small(), np.array(x), scale=0.1)
    assert_same_weights(fitted(small(), x, scale=0.1)[0], expected)
    del x
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.float32])
def test_labels_of_any_type_train_like_intp(kind):
    assert_same_weights(fitted(small(), X, T.astype(kind))[0], fitted(small())[0])


def test_one_hot_targets_train_like_labels():
    assert_close_weights(fitted(small(np.float64), X, np.eye(3)[T])[0], fitted(small(np.float64))[0])


def test_targets_and_weights_are_not_written_to():
    t, weights = np.eye(3, dtype=np.float32)[T], np.linspace(0, 1, 50, dtype=np.float32)
    kept = t.copy(), weights.copy()
    fitted(small(), X, t, sample_weight=weights)
    assert_same_bits(t, kept[0])
    assert_same_bits(weights, kept[1])


# ---- Weights of samples and classes ----


def test_a_sample_of_weight_zero_does_not_count():
    x, weights = X.copy(), np.ones(50)
    x[3], weights[3] = 1e3, 0
    same = X.copy()
    same[3] = -5
    assert_same_weights(*(fitted(small(), a, sample_weight=weights)[0] for a in (x, same)))


def test_class_weight_is_a_weight_of_each_sample_of_the_class():
    by_class = np.array([0.5, 1, 3])  # classes that are not named count 1
    got, history = fitted(small(), class_weight={0: 0.5, 2: 3})
    expected, theirs = fitted(small(), sample_weight=by_class[T])
    assert_same_weights(got, expected)
    assert weights_differ(got, fitted(small())[0])
    np.testing.assert_allclose(history.loss, theirs.loss, rtol=1e-13)


def test_class_weight_and_sample_weight_are_multiplied():
    weights = np.linspace(0.5, 2, 50)
    got, _ = fitted(small(np.float64), class_weight={1: 4}, sample_weight=weights)
    expected, _ = fitted(small(np.float64), sample_weight=weights * np.where(T == 1, 4, 1))
    assert_close_weights(got, expected)


# ---- History ----


def test_history_has_an_entry_for_each_epoch():
    _, history = fitted(small(), epochs=4, validation_data=(X, T))
    assert {name: len(values) for name, values in history.lists().items()} == {
        "loss": 4,
        "val_loss": 4,
        "val_accuracy": 4,
        "seconds": 4,
    }
    assert all(s > 0 for s in history.seconds)
    assert fitted(small(), epochs=4)[1].val_loss == []


def test_loss_of_an_epoch_is_the_mean_of_its_steps_losses_by_samples():
    net, losses = small(np.float64), []
    order = np.arange(50)
    for rows in np.split(order, range(8, 50, 8)):
        losses.append((len(rows), float(net.loss(X[rows], T[rows]))))
        for name, g in net.gradient(X[rows], T[rows]).items():
            net.params[name] -= 0.1 * g
    _, history = fitted(small(np.float64), shuffle=False, optimizer=SGD(lr=0.1))
    np.testing.assert_allclose(history.loss, [sum(n * loss for n, loss in losses) / 50], rtol=1e-12)


def test_losses_do_not_depend_on_where_the_run_is_looked_at():
    _, history = fitted(small(), epochs=30)
    _, looked_at = fitted(small(), epochs=30, callbacks=[lambda _: None])
    np.testing.assert_allclose(history.loss, looked_at.loss, rtol=1e-13)
    assert len(history.seconds) == 30


def test_arrays_hold_the_lists_that_have_entries():
    _, history = fitted(small(), epochs=3)
    arrays = history.arrays()
    assert list(arrays) == ["loss", "seconds"]
    assert all(isinstance(a, np.ndarray) and a.dtype == np.float64 and a.shape == (3,) for a in arrays.values())
    assert arrays["loss"].tolist() == history.loss


def test_the_repr_of_a_history_leaves_the_state_out():
    assert "state" not in repr(fitted(small())[1])


# ---- Validation and patience ----


def test_validation_after_each_epoch_is_the_loss_and_accuracy_of_the_weights_then():
    x, t = examples(20, 5, 3, np.float64)
    net, seen = small(np.float64, dropout=0.3), []
    history = net.fit(
        X,
        T,
        epochs=4,
        validation_data=(x, t),
        callbacks=[lambda _: seen.append((float(net.loss(x, t)), net.accuracy(x, t)))],
        progress=False,
    )
    np.testing.assert_allclose(history.val_loss, [loss for loss, _ in seen], rtol=1e-13)
    assert history.val_accuracy == [accuracy for _, accuracy in seen]
    assert len(set(history.val_loss)) == 4


def test_validation_of_more_rows_than_are_evaluated_at_a_time_is_their_mean():
    x, t = examples(10_001, 5, 3, np.float64)
    net, history = fitted(small(np.float64), validation_data=(x, np.eye(3)[t]))
    np.testing.assert_allclose(history.val_loss, [net.loss(x, t)], rtol=1e-12)
    np.testing.assert_allclose(history.val_accuracy, [net.accuracy(x, t)], rtol=1e-12)


def test_validation_changes_neither_weights_nor_the_last_loss_of_the_network():
    net = small(dropout=0.3)
    expected, _ = fitted(net, epochs=3)
    got, _ = fitted(net, epochs=3, validation_data=(X, T))
    assert_same_weights(got, expected)
    assert got.lastLayer.loss is None


def test_a_loss_without_classes_has_no_validation_accuracy():
    net = fastbp.mlp([5, 8, 3], loss=fastbp.MeanSquaredError(), seed=0)
    t = np.eye(3)[T]
    got, history = fitted(net, X, t, validation_data=(X, t))
    assert history.val_accuracy == []
    np.testing.assert_allclose(history.val_loss, [got.loss(X, t)], rtol=1e-6)


def overfitting():
    """A network, and validation data on which it soon becomes worse: their labels have nothing to do with X's."""
    rng = np.random.default_rng(5)
    return network(5, 40, 3), (rng.standard_normal((40, 5)).astype(np.float32), rng.integers(0, 3, 40))


def test_patience_stops_the_run_and_restores_the_best_weights():
    net, validation = overfitting()
    kept = []
    got = copy.deepcopy(net)
    history = got.fit(
        X,
        T,
        epochs=100,
        batch_size=8,
        optimizer=Adam(lr=0.003),
        seed=7,
        validation_data=validation,
        patience=3,
        callbacks=[lambda _: kept.append({name: p.copy() for name, p in got.params.items()})],
        progress=False,
    )
    best = int(np.argmin(history.val_loss))
    assert len(history.val_loss) == best + 1 + 3 < 100
    assert min(history.val_loss) < history.val_loss[-1]
    for name, p in got.params.items():
        assert_same_bits(p, kept[best][name])
    np.testing.assert_allclose(got.loss(*validation), history.val_loss[best], rtol=1e-6)


def test_best_weights_are_restored_at_the_end_of_the_epochs_too():
    net, validation = overfitting()
    got, history = fitted(net, epochs=10, validation_data=validation, patience=100, optimizer=Adam(lr=0.003))
    assert len(history.val_loss) == 10
    assert min(history.val_loss) < history.val_loss[-1]
    np.testing.assert_allclose(got.loss(*validation), min(history.val_loss), rtol=1e-6)


# ---- Callbacks, progress, learning rates ----


def test_callbacks_are_called_after_each_epoch_with_the_history():
    lengths, histories = [], []

    def look(history):
        lengths.append((len(history.loss), len(history.seconds), len(history.val_loss)))
        histories.append(history)

    _, history = fitted(small(), epochs=4, callbacks=[look], validation_data=(X, T))
    assert lengths == [(n, n, n) for n in (1, 2, 3, 4)]
    assert all(h is history for h in histories)


def test_a_callback_that_returns_true_ends_the_run_after_all_callbacks():
    calls = []
    stop_at_two = lambda history: len(history.loss) == 2  # noqa: E731
    got, history = fitted(small(), epochs=9, callbacks=[stop_at_two, lambda h: calls.append(len(h.loss))])
    assert calls == [1, 2]
    assert len(history.loss) == 2
    assert history.state.step == 2 * PER_EPOCH
    assert_same_weights(got, fitted(small(), epochs=2)[0])


def test_what_a_callback_writes_into_params_trains_on():
    net = small()

    def reset(_):
        net.params["W1"] = small().params["W1"]
        net.params["b1"] = np.zeros(8)
        net.params["W2"] = small().params["W2"]
        net.params["b2"] = np.zeros(3)

    net.fit(X, T, epochs=3, batch_size=8, shuffle=False, callbacks=[reset], progress=False)
    assert_same_weights(net, small())


def test_an_error_in_a_callback_leaves_the_weights_of_the_epoch():
    def fail(_):
        raise RuntimeError("enough")

    net = small()
    before = fastbp.get_num_threads()
    with pytest.raises(RuntimeError, match="enough"):
        net.fit(X, T, epochs=3, batch_size=8, seed=7, callbacks=[fail], threads=before + 1, progress=False)
    assert fastbp.get_num_threads() == before
    assert_same_weights(net, fitted(small(), epochs=1)[0])


@pytest.mark.parametrize("progress", [True, False])
def test_nothing_is_printed_where_there_is_no_terminal(progress, capfd):
    fitted(small(), epochs=5, progress=progress, validation_data=(X, T))
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("progress", [True, False])
def test_a_terminal_sees_the_loss_and_the_rate_unless_told_otherwise(progress, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    x, t = examples(2000, 50, 3)
    fitted(network(50, 200, 3), x, t, epochs=300, progress=progress, max_steps=20_000)
    shown = sys.stderr.getvalue()
    if progress:
        assert re.search(r"\d+/20000 .*step/s.*loss=\d\.\d{4}", shown)
    else:
        assert shown == ""


def test_a_learning_rate_is_asked_for_each_step_with_its_step_and_epoch():
    asked = []

    def rate(step, epoch):
        asked.append((step, epoch))
        return 0.1

    got, _ = fitted(small(), epochs=3, optimizer=SGD(lr=rate))
    assert asked == [(step, step // PER_EPOCH) for step in range(3 * PER_EPOCH)]
    assert_same_weights(got, fitted(small(), epochs=3, optimizer=SGD(lr=0.1))[0])


def test_each_step_has_its_own_learning_rate():
    net = small(np.float64)
    got, _ = fitted(net, shuffle=False, optimizer=SGD(lr=lambda step, _: 0.1 if step == 2 else 0))
    assert_close_weights(got, steps_by_hand(net, [np.arange(16, 24)])[0])


@pytest.mark.parametrize("bad", [float("nan"), -0.1, float("inf"), "0.1"])
def test_a_schedule_that_returns_no_rate_is_an_error_before_its_step(bad):
    net = small()
    optimizer = SGD(lr=lambda step, _: bad if step == 7 else 0.1)
    with pytest.raises((ValueError, TypeError), match="lr at step 7, epoch 1"):
        net.fit(X, T, epochs=3, batch_size=8, seed=7, optimizer=optimizer, callbacks=[lambda _: None], progress=False)
    assert_same_weights(net, fitted(small(), optimizer=SGD(lr=0.1))[0])


@pytest.mark.parametrize("name", ["sgd", "Adam", "ADAMW", "momentum", "nesterov", "adagrad", "rmsprop"])
def test_an_optimizer_is_named_in_any_case(name):
    kinds = {kind.__name__.lower(): kind for kind in (SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam, AdamW)}
    assert_same_weights(fitted(small(), optimizer=name)[0], fitted(small(), optimizer=kinds[name.lower()]())[0])


def test_an_optimizer_keeps_nothing_of_a_fit():
    optimizer = Adam(lr=0.01)
    first, _ = fitted(small(), optimizer=optimizer)
    assert_same_weights(fitted(small(), optimizer=optimizer)[0], first)


def test_clipping_bounds_the_step_by_norm_and_leaves_smaller_gradients_alone():
    net = small(np.float64)
    got, _ = fitted(net, max_steps=1, optimizer=SGD(lr=1), clip_norm=0.01)
    moved = np.sqrt(sum(np.sum((got.params[name] - p) ** 2) for name, p in net.params.items()))
    assert 0.00999 < moved <= 0.01
    free, _ = fitted(net, max_steps=1, optimizer=SGD(lr=1))
    assert_close_weights(fitted(net, max_steps=1, optimizer=SGD(lr=1), clip_norm=1e3)[0], free)


def test_fit_learns_digits(digits):
    images, labels = digits
    net = fastbp.mlp([64, 50, 10], seed=0)
    history = net.fit(
        images[:1500],
        labels[:1500],
        epochs=30,
        optimizer=Adam(),
        scale=1 / 16,
        seed=0,
        validation_data=(images[1500:], labels[1500:]),
        progress=False,
    )
    assert history.loss[-1] < 0.1
    assert history.val_accuracy[-1] > 0.9
    assert net.accuracy(images[:1500] / 16, labels[:1500]) > 0.98


def test_dropout_that_drops_everything_trains_the_last_bias_alone():
    net = small(dropout=1.0)
    got, history = fitted(net, epochs=2)
    assert np.isfinite(history.loss).all()
    for name in ("W1", "b1", "W2"):
        assert_same_bits(got.params[name], net.params[name])
    assert not np.array_equal(got.params["b2"], net.params["b2"])


# ---- Divergence ----

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


# ---- Ctrl-C ----


def run(code):
    """Start ``code`` in a Python of its own that imports the same fastbp."""
    path = os.pathsep.join([str(Path(fastbp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
    )


INTERRUPTED = """
import signal, sys, time
import numpy as np
import fastbp

signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
x, t = rng.standard_normal((4000, 100), np.float32), rng.integers(0, 5, 4000)
net, twin = (fastbp.mlp([100, 200, 5], seed=0) for _ in range(2))
chunks = []  # their first steps

def rate(step, epoch):
    now = net.params["W1"].tobytes()
    if not chunks or now != chunks[-1][1]:
        chunks.append((step, now))
    if step == 200:
        print("training", flush=True)
    return 1e-3

options = {"batch_size": 100, "optimizer": fastbp.optimizers.Adam(lr=rate), "seed": 0, "progress": False}
try:
    net.fit(x, t, epochs=10**6, **options)
except KeyboardInterrupt:
    stopped = time.monotonic()
print(stopped, np.isfinite(net.params["W1"]).all())
steps = chunks[-1][0]
now = {name: p.copy() for name, p in net.params.items()}
options["optimizer"] = fastbp.optimizers.Adam(lr=1e-3)
state, same = None, False
for stop in range(steps, steps + 5000):
    state = twin.fit(x, t, epochs=10**6, max_steps=stop, resume=state, **options).state
    same = all(np.array_equal(p, now[name]) for name, p in twin.params.items())
    if same:
        break
print(same)
net.fit(x, t, epochs=1, **options)
print(not np.array_equal(net.params["W1"], now["W1"]), np.isfinite(net.predict(x)).all())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_ctrl_c_ends_a_run_within_a_second_and_leaves_the_network_whole():
    child = run(INTERRUPTED)
    try:
        assert child.stdout.readline() == "training\n"
        time.sleep(0.7)  # into compiled code, far from the beginning
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        printed, _ = child.communicate(timeout=120)
    finally:
        child.kill()
    stopped, finite, same, *usable = printed.split()
    assert child.returncode == 0
    # 0.2 s on a quiet machine.
    assert float(stopped) - sent < 1
    assert finite == "True"
    assert same == "True", "the weights are not those of any finished step"
    assert usable == ["True", "True"]


# ---- Threads and processes ----


@pytest.mark.parametrize("threads", [None, 2])
def test_two_python_threads_train_two_networks_at_once(threads):
    nets = [network(60, 90, 10, dropout=0.3), network(60, 40, 30, 10, dtype=np.float64, seed=1)]
    x, t = examples(700, 60, 10)
    options = {"epochs": 10, "batch_size": 64, "optimizer": Adam(), "threads": threads}
    expected = [fitted(net, x, t, **options)[0] for net in nets]
    results, barrier = {}, threading.Barrier(2)

    def work(i):
        barrier.wait()
        for _ in range(3):
            results[i] = fitted(nets[i], x, t, **options)[0]

    workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i in range(2):
        assert_same_weights(results[i], expected[i])


FORKED = """
import os, warnings
import numpy as np
import fastbp

warnings.simplefilter("ignore")  # Python's, of forking beside threads
x = np.random.default_rng(0).standard_normal((300, 200))
t = np.arange(300) % 10

def train():
    net = fastbp.mlp([200, 300, 10], seed=0)
    net.fit(x, t, epochs=2, batch_size=100, threads=2, seed=0, progress=False)
    return net.params["W1"].tobytes()

expected = train()
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if train() == expected else 1)
    ok = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 0
    os._exit(0 if ok and train() == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), train() == expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fit_works_in_a_forked_child_and_in_its_child():
    child = run(FORKED)
    try:
        printed, _ = child.communicate(timeout=120)
    finally:
        child.kill()
    assert printed.split() == ["0", "True"]


def test_the_history_is_the_same_bits_however_the_steps_were_cut_into_chunks(monkeypatch):
    losses = []
    for most in (1, 3, 1000):
        monkeypatch.setattr(_run, "MOST_STEPS", most)
        losses.append(fitted(network(5, 8, 3), epochs=4)[1].loss)
    assert losses[0] == losses[1] == losses[2]
