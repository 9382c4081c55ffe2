"""A run that was stopped goes on to the same bits."""

import copy

import numpy as np
import pytest
from fits import PER_EPOCH, T, X, assert_same_weights, fitted, overfitting, small
from strategies import assert_same_bits

from fastbp.optimizers import SGD, Adam, Momentum


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
