"""What ``fastbp.sklearn`` has beyond scikit-learn: class weights, dropout, float32, losses held out, progress."""

import sys
import tracemalloc
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy import sparse
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

from fastbp.sklearn import MLPClassifier, MLPRegressor
from fastbp.sklearn import _training as training

MAKERS = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
estimators = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
X, Y = load_iris(return_X_y=True)


def fitted(make, *data, x=X, y=Y, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make(**{"random_state": 0, "max_iter": 10, "hidden_layer_sizes": (8,)} | settings).fit(x, y, *data)


def assert_equal_weights(a, b):
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 3, 2: 0.5}], ids=str)
def test_class_weights_multiply_sample_weights(solver, class_weight):
    x, y, weight = X[20:], Y[20:], np.linspace(0.5, 1, 130)
    by_class = compute_sample_weight(class_weight, y)
    a = fitted(MLPClassifier, weight, x=x, y=y, solver=solver, class_weight=class_weight)
    assert_equal_weights(a, fitted(MLPClassifier, weight * by_class, x=x, y=y, solver=solver))
    b = fitted(MLPClassifier, x=x, y=y, solver=solver, class_weight=class_weight)
    assert_equal_weights(b, fitted(MLPClassifier, by_class, x=x, y=y, solver=solver))


def test_class_weights_of_several_labels_a_sample():
    x, y = make_multilabel_classification(n_samples=60, n_classes=2, n_features=4, random_state=0)
    class_weight = [{0: 1, 1: 5}, {0: 2, 1: 1}]
    a = fitted(MLPClassifier, x=x, y=y, class_weight=class_weight)
    assert_equal_weights(a, fitted(MLPClassifier, compute_sample_weight(class_weight, y), x=x, y=y))


def test_balanced_class_weights_find_a_rare_class():
    rng = np.random.default_rng(0)
    y = (rng.random(2000) < 0.03).astype(int)
    x = rng.standard_normal((2000, 2)) + y[:, None]
    found = [
        fitted(MLPClassifier, x=x, y=y, class_weight=w, max_iter=30).predict(x)[y == 1].mean()
        for w in (None, "balanced")
    ]
    assert found[0] < 0.3 < 0.6 < found[1]


def test_partial_fit_takes_class_weights_by_class_but_not_balanced_ones():
    by_class = MLPClassifier(class_weight={1: 4}, random_state=0).partial_fit(X, Y, classes=[0, 1, 2])
    by_sample = MLPClassifier(random_state=0).partial_fit(X, Y, np.where(Y == 1, 4.0, 1.0), classes=[0, 1, 2])
    assert_equal_weights(by_class, by_sample)
    with pytest.raises(ValueError, match="class_weight='balanced' needs to know all samples"):
        MLPClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


@estimators
def test_dropout_is_drawn_from_random_state_and_over_when_predicting(make):
    plain, a, b = (fitted(make, dropout=p) for p in (0.0, 0.5, 0.5))
    assert_equal_weights(a, b)
    assert not np.array_equal(a.coefs_[0], plain.coefs_[0])
    np.testing.assert_array_equal(a.predict(X), a.predict(X))


def test_dropout_trains_each_unit_for_half_of_the_samples():
    # One step of SGD on one sample: a unit that was dropped has no gradient.
    e = fitted(MLPRegressor, x=np.ones((1, 1)), y=[5.0], hidden_layer_sizes=(1000,), activation="identity", alpha=0.0,
               dropout=0.3, solver="sgd", momentum=0.0, max_iter=1)  # fmt: skip
    start = fitted(MLPRegressor, x=np.ones((1, 1)), y=[5.0], hidden_layer_sizes=(1000,), activation="identity",
                   learning_rate_init=1e-300, solver="sgd", max_iter=1)  # fmt: skip
    moved = np.mean(e.coefs_[1] != start.coefs_[1])
    assert abs(moved - 0.7) < 4 * np.sqrt(0.3 * 0.7 / 1000)


def test_calls_of_partial_fit_drop_different_units():
    linear = {"hidden_layer_sizes": (50,), "activation": "identity", "alpha": 0, "solver": "sgd", "momentum": 0}
    x, y, moved = np.ones((1, 1)), [5.0], []
    e = MLPRegressor(dropout=0.5, random_state=0, learning_rate_init=0.01, **linear)
    e.partial_fit(x, y)
    for _ in range(2):
        before = e.coefs_[1].copy()
        moved.append(e.partial_fit(x, y).coefs_[1] != before)
    assert not np.array_equal(*moved)
    assert all(0 < m.mean() < 1 for m in moved)


def test_dropout_is_for_the_stochastic_solvers():
    with pytest.raises(ValueError, match=r"dropout needs solver='sgd' or 'adam', got solver='lbfgs' and dropout=0.5"):
        MLPClassifier(solver="lbfgs", dropout=0.5).fit(X, Y)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32")], ids=repr)
@estimators
def test_float32_by_choice(make, dtype, solver):
    e = fitted(make, dtype=dtype, solver=solver)
    assert {a.dtype for a in e.coefs_ + e.intercepts_} == {np.dtype(np.float32)}
    method = "predict_proba" if make is MLPClassifier else "predict"
    outputs = getattr(e, method)(X)
    assert outputs.dtype == np.float32
    # Both start from the same weights; 10 steps of one batch each keep what float32 rounds, eps 1.2e-7, small.
    np.testing.assert_allclose(outputs, getattr(fitted(make, solver=solver), method)(X), rtol=1e-3, atol=1e-4)


def test_float64_by_choice():
    e = fitted(MLPClassifier, x=X.astype(np.float32), dtype="float64")
    assert e.coefs_[0].dtype == e.predict_proba(X.astype(np.float32)).dtype == np.float64


def test_the_loss_of_what_is_held_out():
    e = fitted(MLPClassifier, early_stopping=True, alpha=100.0, max_iter=6)
    best = int(np.argmax(e.validation_scores_))
    assert len(e.validation_loss_curve_) == e.n_iter_ == 6
    # The split is the first that random_state draws after the weights: there is another way to the same rows.
    drawn = np.random.RandomState(0)
    for n_inputs, n_outputs in ((4, 8), (8, 3)):
        drawn.uniform(size=(n_inputs, n_outputs)), drawn.uniform(size=n_outputs)
    _, x_held, _, y_held = train_test_split(X, Y, random_state=drawn, test_size=0.1)
    assert e.validation_loss_curve_[best] == pytest.approx(log_loss(y_held, e.predict_proba(x_held)), rel=1e-12)
    assert fitted(MLPClassifier).validation_loss_curve_ is None


@estimators
def test_early_stopping_with_partial_fit_returns_to_the_best_weights(make):
    settings = {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.05, "tol": 0.01}
    e = make(hidden_layer_sizes=(8,), random_state=0, **settings)
    classes = {"classes": [0, 1, 2]} if make is MLPClassifier else {}
    weights = []
    for _ in range(300):
        e.partial_fit(X, Y, **classes)
        if e.converged_:
            break
        weights.append(e.coefs_[0].copy())
    assert e.converged_
    scores = e.validation_scores_
    best = int(np.argmax(scores))
    assert len(scores) == len(weights) + 1 == len(e.validation_loss_curve_)
    assert e.best_validation_score_ == scores[best]
    np.testing.assert_array_equal(e.coefs_[0], weights[best])
    e.partial_fit(X, Y)
    assert not e.converged_
    assert not np.array_equal(e.coefs_[0], weights[best])


def test_partial_fit_never_trains_on_what_it_holds_out():
    e = MLPClassifier(early_stopping=True)  # no random_state: whatever is drawn
    held = []
    original = training.train_test_split

    def noted(*arrays, **settings):
        parts = original(*arrays, **settings)
        held.append(parts[1])
        return parts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_test_split", noted)
        for _ in range(3):
            e.partial_fit(X, Y, classes=[0, 1, 2])
    np.testing.assert_array_equal(held[0], held[1])
    np.testing.assert_array_equal(held[0], held[2])


def test_converged_says_why_training_ended():
    assert fitted(MLPClassifier, tol=10, n_iter_no_change=2).converged_ is True
    assert fitted(MLPClassifier, max_iter=2).converged_ is False


@pytest.mark.parametrize("progress", [False, True])
def test_progress_is_shown_on_a_terminal_where_asked_for(monkeypatch, capsys, progress):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fitted(MLPClassifier, progress=progress)
    assert ("epoch" in capsys.readouterr().err) == progress


def test_counts_below_zero_are_an_error():
    with pytest.raises(ValueError, match="y must be at least 0 for loss='poisson', got -1"):
        MLPRegressor(loss="poisson").fit([[0.0], [1.0]], [-1.0, 2.0])


WRONG = {
    "dropout": [1.0, -0.1, np.nan, "half", None],
    "dtype": ["float16", "flaot32", np.float16, np.dtype(">f4"), int, 32],
    "progress": [3, "yes", None],
    "class_weight": [2, "balance", 0.5],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values], ids=str)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_parameters_are_checked_in_scikit_learns_words(method, name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPClassifier must be") as info:
        getattr(MLPClassifier(**{name: value}), method)(X, Y)
    assert type(info.value).__name__ == "InvalidParameterError"
    if name != "class_weight":
        with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPRegressor must be"):
            getattr(MLPRegressor(**{name: value}), method)(X, Y)


@pytest.mark.parametrize("form", ["sparse", "columns first"])
def test_samples_are_converted_once_however_many_slices_a_batch_has(form):
    rng = np.random.default_rng(0)
    x, y = rng.random((30_000, 40)), rng.integers(0, 2, 30_000)
    x = sparse.csr_matrix(x * (x > 0.5)) if form == "sparse" else np.asfortranarray(x)
    model = MLPClassifier((8,), batch_size=10_000, max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[:20_000], y[:20_000])  # compiles
        tracemalloc.start()
        model.fit(x, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    held = 16 * x.nnz if form == "sparse" else x.nbytes  # as the kernels read it
    batch = 8 * 10_000 * (40 + 3 * 8 + 8)
    assert peak < 2.5 * held + 2 * batch
