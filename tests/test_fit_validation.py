"""The part that a run is validated on, by split or given; the best epoch; accuracies; weights of classes."""

import numpy as np
import pytest
from fits import T, X, assert_close_weights, assert_same_weights, fitted, overfitting, small, weights_differ
from sklearn.utils.class_weight import compute_sample_weight
from strategies import assert_same_bits

import fastbp
from fastbp.optimizers import Adam

# ---- validation_split ----


@pytest.mark.parametrize(("share", "kept"), [(0.2, 40), (0.5, 25), (0.01, 49)])
def test_a_split_takes_the_last_samples_in_their_order(share, kept):
    weights = np.linspace(0.5, 2, 50)
    got, history = fitted(small(), validation_split=share, sample_weight=weights, epochs=2)
    data = {"validation_data": (X[kept:], T[kept:]), "sample_weight": weights[:kept]}
    expected, theirs = fitted(small(), X[:kept], T[:kept], epochs=2, **data)
    assert_same_weights(got, expected)
    assert history.loss == theirs.loss
    assert history.val_loss == theirs.val_loss
    assert history.val_accuracy == theirs.val_accuracy


@pytest.mark.parametrize("t", [T.tolist(), np.eye(3)[T].tolist()], ids=["labels", "rows"])
def test_lists_are_split_like_arrays(t):
    expected = fitted(small(), X, np.array(t), validation_split=0.2)[1]
    assert fitted(small(), X.tolist(), t, validation_split=0.2)[1].val_loss == expected.val_loss


def test_a_run_with_a_split_goes_on_after_a_stop():
    options = {"epochs": 4, "validation_split": 0.3, "patience": 2, "optimizer": Adam()}
    whole, history = fitted(small(), **options)
    half, first = fitted(small(), max_steps=7, **options)
    resumed, second = fitted(half, resume=first.state, **options)
    assert_same_weights(resumed, whole)
    assert second.val_loss == history.val_loss
    assert second.best_epoch == history.best_epoch


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int64])
def test_validation_data_of_any_type_count_as_in_the_networks_type(dtype):
    x = (10 * np.abs(X)).astype(dtype)
    net, history = fitted(small(), validation_data=(x, T))
    np.testing.assert_allclose(history.val_loss, [net.loss(x.astype(np.float32), T)], rtol=1e-6)


# ---- The best epoch ----


def test_the_best_epoch_is_the_one_restored():
    net, validation = overfitting()
    got, history = fitted(net, epochs=60, validation_data=validation, patience=3, optimizer=Adam(lr=0.003))
    assert history.best_epoch == int(np.argmin(history.val_loss)) == len(history.val_loss) - 4
    again, _ = fitted(net, epochs=history.best_epoch + 1, validation_data=validation, optimizer=Adam(lr=0.003))
    assert_same_weights(got, again)


def test_callbacks_see_the_best_epoch_so_far():
    net, validation = overfitting()
    seen = []
    options = {"validation_data": validation, "patience": 3, "optimizer": Adam(lr=0.003)}
    _, history = fitted(net, epochs=60, callbacks=[lambda h: seen.append(h.best_epoch)], **options)
    assert seen == [int(np.argmin(history.val_loss[: n + 1])) for n in range(len(history.val_loss))]


@pytest.mark.parametrize("stop", [10, 28, 42])
def test_a_resumed_run_has_the_best_epoch_of_one_without_a_stop(stop):
    net, validation = overfitting()
    options = {"epochs": 40, "validation_data": validation, "patience": 5, "optimizer": Adam(lr=0.003)}
    _, history = fitted(net, **options)
    half, first = fitted(net, max_steps=stop, **options)
    assert fitted(half, resume=first.state, **options)[1].best_epoch == history.best_epoch
    without = options | {"patience": None}
    assert fitted(half, resume=first.state, **without)[1].best_epoch is None


def test_without_patience_there_is_no_best_epoch():
    assert fitted(small(), epochs=3, validation_data=(X, T))[1].best_epoch is None


# ---- Accuracies ----


def binary(loss="sigmoid"):
    return fastbp.mlp([5, 8, 1], loss=loss, seed=0)


@pytest.mark.parametrize(
    ("net", "t"),
    [
        (small(dropout=0.3), T),
        (small(), np.eye(3)[T]),
        (binary(), T == 0),
        (binary(), (T == 0).reshape(50, 1)),
        (fastbp.mlp([5, 8, 3], loss="sigmoid", seed=0), np.eye(3)[T]),
    ],
    ids=["labels", "rows", "0 and 1", "a column of 0 and 1", "rows of the sigmoid loss"],
)
def test_the_accuracy_of_an_epoch_is_that_of_the_weights_at_its_end(net, t):
    seen = []
    options = {"validation_data": (X[:20], t[:20]), "batch_size": 8, "epochs": 4, "progress": False}

    def look(_):
        seen.append((net.accuracy(X, t), net.accuracy(X[:20], t[:20])))

    history = net.fit(X, t, accuracy=True, callbacks=[look], **options)
    assert list(zip(history.accuracy, history.val_accuracy, strict=True)) == seen
    assert net.fit(X, t, **options).accuracy == []


def test_asking_for_the_accuracy_changes_no_weights():
    net = small(dropout=0.3)
    got, history = fitted(net, epochs=3, accuracy=True)
    expected, theirs = fitted(net, epochs=3)
    assert_same_weights(got, expected)
    np.testing.assert_allclose(history.loss, theirs.loss, rtol=1e-13)


def test_accuracies_go_on_after_a_stop():
    options = {"epochs": 3, "accuracy": True}
    _, history = fitted(small(), **options)
    net, first = fitted(small(), max_steps=10, **options)
    assert fitted(net, resume=first.state, **options)[1].accuracy == history.accuracy


def test_a_network_of_numbers_has_no_accuracy_to_record():
    net = binary("mse")
    with pytest.raises(TypeError, match=r"MeanSquaredError is a loss of numbers.* no accuracy"):
        net.fit(X, T, accuracy=True, progress=False)


def test_targets_that_name_no_single_class_have_no_accuracy():
    several = np.eye(3)[T] + np.eye(3)[0]
    for net, t in ((binary(), np.linspace(0, 1, 50)), (fastbp.mlp([5, 3], loss="sigmoid", seed=0), several / 2)):
        assert fitted(net, X, t, validation_data=(X, t))[1].val_accuracy == []
        with pytest.raises(ValueError, match=r"^accuracy needs targets that name one class a sample$"):
            net.fit(X, t, accuracy=True, progress=False)


# ---- Weights of classes ----

UNEVEN = np.where(np.arange(50) < 5, 0, np.where(np.arange(50) < 20, 1, 2))


def test_balanced_classes_weigh_as_scikit_learn_has_them():
    got, history = fitted(small(), X, UNEVEN, class_weight="balanced")
    weights = compute_sample_weight("balanced", UNEVEN)
    expected, theirs = fitted(small(), X, UNEVEN, sample_weight=weights)
    assert_same_weights(got, expected)
    assert history.loss == theirs.loss
    assert weights_differ(got, fitted(small(), X, UNEVEN)[0])


def test_a_class_that_is_not_there_does_not_change_the_balance():
    t = np.minimum(UNEVEN, 1)
    expected, _ = fitted(small(), X, t, sample_weight=compute_sample_weight("balanced", t))
    assert_same_weights(fitted(small(), X, t, class_weight="balanced")[0], expected)


@pytest.mark.parametrize("shape", [(50,), (50, 1)])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool])
def test_classes_of_one_output_have_weights_too(shape, dtype):
    labels = (UNEVEN == 0).astype(int)
    t = labels.astype(dtype).reshape(shape)
    for class_weight in ("balanced", {1: 4.0}, {0: 0.5, 1: 2}):
        by_class = class_weight if class_weight == "balanced" else {0: 1, 1: 1} | class_weight
        expected, _ = fitted(binary(), X, t, sample_weight=compute_sample_weight(by_class, labels))
        assert_same_weights(fitted(binary(), X, t, class_weight=class_weight)[0], expected)


def test_balanced_classes_and_sample_weights_are_multiplied():
    weights = np.linspace(0.5, 2, 50)
    got, _ = fitted(small(np.float64), X, UNEVEN, class_weight="balanced", sample_weight=weights)
    both = weights * compute_sample_weight("balanced", UNEVEN)
    assert_close_weights(got, fitted(small(np.float64), X, UNEVEN, sample_weight=both)[0])


@pytest.mark.parametrize(("loss", "t"), [("mse", T), ("sigmoid", T / 2)])
def test_targets_that_are_no_labels_have_no_classes_to_weigh(loss, t):
    with pytest.raises(ValueError, match="class_weight needs targets that are class labels"):
        binary(loss).fit(X, t, class_weight="balanced", progress=False)


@pytest.mark.parametrize("label", [2, -1])
def test_one_output_has_the_classes_0_and_1(label):
    with pytest.raises(ValueError, match=rf"a class of class_weight must be an integer in 0\.\.1, got {label}"):
        binary().fit(X, T == 0, class_weight={label: 2.0}, progress=False)


def test_samples_that_are_split_off_are_not_weighed_or_counted():
    got, _ = fitted(small(), X, UNEVEN, class_weight="balanced", validation_split=0.2)
    expected, _ = fitted(small(), X[:40], UNEVEN[:40], class_weight="balanced")
    for name, p in got.params.items():
        assert_same_bits(p, expected.params[name])
