"""Training: order and batches, callbacks, progress, learning rates."""

import io
import re
import sys
from functools import partial

import numpy as np
import pytest
from fits import (
    PER_EPOCH,
    T,
    X,
    assert_close_weights,
    assert_same_weights,
    fitted,
    small,
    steps_by_hand,
)
from strategies import assert_same_bits

import fastbp
from fastbp.basics import _progress
from fastbp.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop


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
    line = _progress._line_class()
    # Every update is drawn at once, so that none depends on how long the run takes; the first is of one step.
    monkeypatch.setattr(_progress, "_line_class", lambda: partial(line, mininterval=0, miniters=1))
    fitted(small(), epochs=3, progress=progress)
    shown = sys.stderr.getvalue()
    if progress:
        assert re.search(r"\d+/21 .*step/s.*loss=\d\.\d{4}", shown)
    else:
        assert shown == ""


def test_a_run_without_stderr_trains(monkeypatch):
    expected, _ = fitted(small(), epochs=2)
    monkeypatch.setattr(sys, "stderr", None)
    assert_same_weights(fitted(small(), epochs=2, progress=True)[0], expected)


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
    assert net.accuracy(images[:1500], labels[:1500]) > 0.98


def test_dropout_that_drops_everything_trains_the_last_bias_alone():
    net = small(dropout=1.0)
    got, history = fitted(net, epochs=2)
    assert np.isfinite(history.loss).all()
    for name in ("W1", "b1", "W2"):
        assert_same_bits(got.params[name], net.params[name])
    assert not np.array_equal(got.params["b2"], net.params["b2"])
