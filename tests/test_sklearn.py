"""``fastbp.sklearn`` against scikit-learn's estimators: the same parameters, numbers, stops, warnings and errors."""

import inspect
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn import __version__
from sklearn import neural_network as theirs
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning

from fastbp import sklearn as ours

PAIRS = {name: (getattr(theirs, name), getattr(ours, name)) for name in ("MLPClassifier", "MLPRegressor")}
OWN = {
    "MLPClassifier": ["class_weight", "dropout", "dtype", "progress", "n_estimators", "bootstrap", "oob_score"],
    "MLPRegressor": ["dropout", "dtype", "progress", "n_estimators", "bootstrap", "oob_score"],
}
# Rounding differs in the order of sums and the last place of exp; 20 epochs of a smooth loss make little of it.
CLOSE = 1e-9

estimators = pytest.mark.parametrize("name", PAIRS)


def problem(kind):
    """Samples, targets and the name of the estimator, and parameters that go with them."""
    rng = np.random.default_rng(0)
    if kind == "multilabel":
        x, y = make_multilabel_classification(n_samples=130, n_features=7, n_classes=3, random_state=0)
        return x / 10, y, "MLPClassifier", {}
    if kind == "two outputs":
        x, y = make_regression(n_samples=130, n_features=7, n_targets=2, random_state=0)
        return x, y / 100, "MLPRegressor", {}
    x = rng.standard_normal((130, 7))
    score = x @ rng.standard_normal(7)
    if kind == "poisson":
        return x, rng.poisson(np.exp(score / 4)).astype(float), "MLPRegressor", {"loss": "poisson"}
    if kind == "one output":
        return x, np.sin(score), "MLPRegressor", {}
    bins = [0] if kind == "two classes" else [-1, 1]
    return x, np.array(["a", "b", "c"])[np.digitize(score, bins)], "MLPClassifier", {}


KINDS = ["two classes", "three classes", "multilabel", "one output", "two outputs", "poisson"]
kinds = pytest.mark.parametrize("kind", KINDS)


def both(name, *data, method="fit", **settings):
    """scikit-learn's estimator and ours, fitted to the same data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [getattr(make(random_state=3, **settings), method)(*data) for make in PAIRS[name]]


def assert_same(a, b, rtol=CLOSE):
    """Weights, losses and what was counted are the same."""
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(y, x, rtol=rtol, atol=rtol)
    for counted in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(b, counted) == getattr(a, counted)
    np.testing.assert_allclose(b.loss_, a.loss_, rtol=rtol)
    if a.solver == "lbfgs":
        return
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=rtol)
    for known in ("best_loss_", "validation_scores_", "best_validation_score_"):
        expected, got = getattr(a, known), getattr(b, known)
        assert (got is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(got, expected, rtol=rtol)


@estimators
def test_parameters_and_defaults_are_theirs_and_then_our_own(name):
    their, our = (list(inspect.signature(make).parameters.values()) for make in PAIRS[name])
    assert [(p.name, p.default, p.kind) for p in our[: len(their)]] == [(p.name, p.default, p.kind) for p in their]
    assert [p.name for p in our[len(their) :]] == OWN[name]
    assert issubclass(*PAIRS[name][::-1])


@estimators
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_methods_and_fitted_attributes_are_theirs(name, solver):
    x, y = load_iris(return_X_y=True)
    a, b = both(name, x, y, solver=solver, max_iter=5)
    methods = [{n for n in dir(type(e)) if not n.startswith("_")} for e in (a, b)]
    assert methods[0] <= methods[1]
    assert {n for n in vars(a) if n.endswith("_")} <= {n for n in vars(b) if n.endswith("_")}
    for known in ("coefs_", "loss_curve_", "n_iter_", "loss_", "t_"):
        if hasattr(a, known):
            assert isinstance(getattr(a, known), type(getattr(b, known)))  # np.float64 is a float


@kinds
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_twenty_epochs_are_those_of_scikit_learn(kind, solver, activation):
    x, y, name, own = problem(kind)
    settings = {"solver": solver, "activation": activation, "alpha": 0.1, "learning_rate_init": 0.01}
    # 130 samples in batches of 40: the last of an epoch has 10.
    a, b = both(name, x, y, hidden_layer_sizes=(9, 5), batch_size=40, max_iter=20, **settings, **own)
    assert_same(a, b)
    assert abs(np.subtract(a.loss_curve_, b.loss_curve_)).max() < 1e-4
    np.testing.assert_array_equal(b.predict(x).shape, a.predict(x).shape)
    if name == "MLPClassifier":
        np.testing.assert_array_equal(b.predict(x), a.predict(x))
        np.testing.assert_allclose(b.predict_proba(x), a.predict_proba(x), rtol=1e-7)
        np.testing.assert_allclose(b.predict_log_proba(x), a.predict_log_proba(x), rtol=1e-7, atol=1e-9)
    else:
        np.testing.assert_allclose(b.predict(x), a.predict(x), rtol=1e-7, atol=1e-9)
    assert b.score(x, y) == pytest.approx(a.score(x, y), rel=1e-7)


def test_default_settings_on_digits_follow_their_loss_curve_and_stop_with_it(digits):
    x, y = digits
    a, b = both("MLPClassifier", x[:600].astype(float), y[:600])
    assert b.n_iter_ == a.n_iter_ < 200
    np.testing.assert_allclose(b.loss_curve_[:20], a.loss_curve_[:20], rtol=0, atol=1e-4)
    assert b.score(x[600:], y[600:]) == pytest.approx(a.score(x[600:], y[600:]), abs=2 / 1197)


@kinds
def test_lbfgs_finds_their_weights(kind):
    x, y, name, own = problem(kind)
    a, b = both(name, x, y, hidden_layer_sizes=(5,), activation="tanh", solver="lbfgs", alpha=0.1, max_iter=15, **own)
    assert_same(a, b, rtol=1e-6)  # a line search makes more of rounding than a fixed step


def test_lbfgs_takes_samples_in_blocks(monkeypatch):
    from fastbp.sklearn import _lbfgs

    x, y, name, _ = problem("three classes")
    weight = np.linspace(0, 2, len(x))
    monkeypatch.setattr(_lbfgs, "ROWS_AT_A_TIME", 40)
    a, b = both(name, x, y, weight, activation="tanh", solver="lbfgs", max_iter=10)
    assert_same(a, b, rtol=1e-6)


@kinds
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sample_weights_count_as_theirs(kind, solver):
    x, y, name, own = problem(kind)
    weight = np.random.default_rng(1).choice([0.0, 0.5, 3.0], len(x))
    a, b = both(name, x, y, weight, solver=solver, activation="tanh", batch_size=40, alpha=0.5, max_iter=10, **own)
    assert_same(a, b, rtol=1e-6 if solver == "lbfgs" else CLOSE)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": "invscaling", "power_t": 0.3},
        {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2},
        {"nesterovs_momentum": False},
        {"momentum": 0.0},
        {"momentum": 1.0, "learning_rate_init": 1e-4},
        {"learning_rate": "invscaling", "nesterovs_momentum": False},
    ],
    ids=str,
)
def test_sgd_settings(settings):
    x, y, name, _ = problem("three classes")
    settings = {"learning_rate_init": 0.1, **settings}
    assert_same(*both(name, x, y, solver="sgd", activation="tanh", batch_size=40, max_iter=40, **settings))


@pytest.mark.parametrize(
    "settings",
    [
        {"beta_1": 0.0},
        {"beta_1": 0.5, "beta_2": 0.9},
        {"epsilon": 0.1},
        {"shuffle": False},
        {"alpha": 0},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 6},
        {"random_state": np.random.RandomState},
    ],
    ids=str,
)
def test_other_settings(settings):
    x, y, name, _ = problem("three classes")
    given = {"random_state": 3, "activation": "tanh", "batch_size": 40, "max_iter": 20} | settings
    if given["random_state"] == np.random.RandomState:
        fitted = [make(**given | {"random_state": np.random.RandomState(8)}) for make in PAIRS[name]]
    else:
        fitted = [make(**given) for make in PAIRS[name]]
    with pytest.warns(ConvergenceWarning):
        assert_same(*(e.fit(x, y) for e in fitted))


@kinds
def test_early_stopping_scores_and_stops_as_theirs(kind):
    x, y, name, own = problem(kind)
    if y.dtype.kind == "U" and tuple(map(int, __version__.split(".")[:2])) < (1, 9):
        pytest.skip("scikit-learn's own looks whether classes are NaN, which text cannot be")
    settings = {"learning_rate_init": 0.02, "n_iter_no_change": 5, "activation": "tanh", "early_stopping": True}
    for data in ((x, y), (x, y, np.linspace(0.1, 1, len(x)))):
        assert_same(*both(name, *data, batch_size=40, validation_fraction=0.2, **settings, **own))


@estimators
def test_partial_fit_goes_on_as_theirs(name):
    x, y = load_iris(return_X_y=True)
    for solver in ("adam", "sgd"):
        pair = [make(random_state=3, solver=solver, learning_rate="invscaling", batch_size=40) for make in PAIRS[name]]
        for rows in (slice(0, 150), slice(0, 130), slice(50, 150), slice(0, 70)):  # 4, 4, 3 and 2 steps
            for e in pair:
                classes = {"classes": [0, 1, 2]} if name == "MLPClassifier" else {}
                e.partial_fit(x[rows], y[rows], **classes)
        assert_same(*pair)


@estimators
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_warm_start_goes_on_as_theirs(name, solver):
    x, y = load_iris(return_X_y=True)
    a, b = both(name, x, y, solver=solver, max_iter=3, warm_start=True, activation="tanh")
    with pytest.warns(ConvergenceWarning):
        assert_same(a.fit(x, y), b.fit(x, y), rtol=1e-6 if solver == "lbfgs" else CLOSE)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float16])
def test_types_of_samples_and_results_are_theirs(dtype):
    x, y = load_iris(return_X_y=True)
    for name in PAIRS:
        a, b = both(name, x.astype(dtype), y, max_iter=3)
        assert [W.dtype for W in b.coefs_ + b.intercepts_] == [W.dtype for W in a.coefs_ + a.intercepts_]
        for samples in (x, x.astype(dtype)):
            method = "predict_proba" if name == "MLPClassifier" else "predict"
            assert getattr(b, method)(samples).dtype == getattr(a, method)(samples).dtype


def told(capsys, estimator, *data):
    """What fitting prints, and the warnings it gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(*data)
    return capsys.readouterr().out.splitlines(), [(w.category, str(w.message)) for w in caught]


@pytest.mark.parametrize(
    "settings",
    [
        {"max_iter": 3},
        {"max_iter": 3, "batch_size": 1000},
        {"max_iter": 40, "tol": 1.0, "n_iter_no_change": 2},
        {"max_iter": 60, "tol": 1.0, "n_iter_no_change": 1, "solver": "sgd", "learning_rate": "adaptive"},
        {"max_iter": 40, "early_stopping": True, "n_iter_no_change": 2},
        {"max_iter": 3, "solver": "lbfgs", "verbose": False},
    ],
    ids=str,
)
@estimators
def test_they_say_and_warn_the_same(capsys, name, settings):
    x, y = load_iris(return_X_y=True)
    settings = {"verbose": True, "random_state": 0, "activation": "tanh", **settings}
    a, b = (told(capsys, make(**settings), x, y) for make in PAIRS[name])
    assert b == a
    assert b[0] or b[1]


def test_warnings_point_at_the_callers_line():
    x, y = load_iris(return_X_y=True)
    for call in ("fit", "partial_fit"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            getattr(ours.MLPRegressor(batch_size=1000, max_iter=2), call)(x, y)
        assert caught and {w.filename for w in caught} == {__file__}


ERRORS = {
    "a parameter out of range": lambda make, x, y: make(alpha=-1).fit(x, y),
    "an unknown solver": lambda make, x, y: make(solver="newton").fit(x, y),
    "no units": lambda make, x, y: make(hidden_layer_sizes=(5, 0)).fit(x, y),
    "not a number": lambda make, x, y: make().fit(np.full_like(x, np.nan), y),
    "lengths that differ": lambda make, x, y: make().fit(x[1:], y),
    "other features": lambda make, x, y: make(solver="lbfgs", tol=0.1).fit(x, y).predict(x[:, 1:]),
    "not fitted": lambda make, x, y: make().predict(x),
    "too little to hold out": lambda make, x, y: make(early_stopping=True, validation_fraction=0.007).fit(x, y),
}


@estimators
@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_theirs(name, case):
    x, y = load_iris(return_X_y=True)
    if case == "too little to hold out":
        x, y = x[:100], y[:100]
    raised = []
    for make in PAIRS[name]:
        with pytest.raises(Exception) as info:
            ERRORS[case](make, x, y)
        raised.append((type(info.value), str(info.value)))
    assert raised[1] == raised[0]


def test_partial_fit_is_no_method_of_lbfgs():
    for make in PAIRS["MLPClassifier"]:
        assert not hasattr(make(solver="lbfgs"), "partial_fit")


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_numbers_out_of_hand_end_as_theirs(solver):
    x = np.random.default_rng(0).random((20, 3))
    y = np.full(20, np.finfo(float).max / 10)
    ends = []
    for make in PAIRS["MLPRegressor"]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                ends.append(make(solver=solver, max_iter=10, random_state=0).fit(x, y).coefs_[0])
            except ValueError as error:
                ends.append(str(error))
    np.testing.assert_equal(ends[1], ends[0])
    assert (solver == "lbfgs") != isinstance(ends[1], str)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of scikit-learn's r2_score, and of its estimator
def test_a_run_that_diverges_keeps_the_weights_that_scored_best():
    x, y = make_regression(n_samples=100, n_features=3, random_state=0)
    e = ours.MLPRegressor(solver="sgd", learning_rate_init=0.1, early_stopping=True, random_state=0)
    with pytest.warns(ConvergenceWarning, match="The best weights are kept"):
        e.fit(x, y)
    assert not np.isfinite(e.validation_scores_[-1]) and not np.isfinite(e.loss_curve_[-1])
    a, b = both("MLPRegressor", x, y, solver="sgd", learning_rate_init=0.1, early_stopping=True)
    assert b.best_validation_score_ == pytest.approx(a.best_validation_score_, rel=CLOSE)
    for theirs_, ours_ in zip(a.coefs_, b.coefs_, strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=CLOSE, atol=CLOSE)


def test_ctrl_c_ends_training_with_a_warning_and_the_weights_so_far(monkeypatch):
    from fastbp.sklearn._steps import EstimatorSteps

    epoch, done = EstimatorSteps.epoch, []

    def interrupted(self, rates):
        done.append(epoch(self, rates))
        if len(done) == 3:
            raise KeyboardInterrupt
        return done[-1]

    monkeypatch.setattr(EstimatorSteps, "epoch", interrupted)
    x, y = load_iris(return_X_y=True)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        e = ours.MLPClassifier(random_state=0).fit(x, y)
    assert e.loss_curve_ == done[:2]
    assert e.n_iter_ == 2
    assert e.predict(x).shape == y.shape
