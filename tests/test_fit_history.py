"""What a run came to: History, validation data, patience."""

import copy

import numpy as np
from fits import T, X, assert_same_weights, examples, fitted, overfitting, small
from strategies import assert_same_bits

import fastbp
from fastbp.optimizers import SGD, Adam


def test_history_has_an_entry_for_each_epoch():
    _, history = fitted(small(), epochs=4, validation_data=(X, T))
    assert {name: len(values) for name, values in history.lists().items()} == {
        "loss": 4,
        "accuracy": 0,
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
    assert got.loss_layer.loss is None


def test_a_loss_without_classes_has_no_validation_accuracy():
    net = fastbp.mlp([5, 8, 3], loss=fastbp.MeanSquaredError(), seed=0)
    t = np.eye(3)[T]
    got, history = fitted(net, X, t, validation_data=(X, t))
    assert history.val_accuracy == []
    np.testing.assert_allclose(history.val_loss, [got.loss(X, t)], rtol=1e-6)


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
