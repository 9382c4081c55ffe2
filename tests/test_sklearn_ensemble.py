"""``n_estimators`` and ``bootstrap`` of ``fastbp.sklearn``: members that are single estimators, and their mean."""

import pickle
import runpy
import signal
import sys
import threading
import tracemalloc
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn")
from estimator_checks import passes
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastbp
from fastbp.sklearn import MLPClassifier, MLPRegressor
from fastbp.sklearn._steps import EstimatorSteps

X, Y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0}
SEEDS = [int(seed) for seed in np.random.RandomState(0).randint(2**31 - 1, size=4)]  # of four members
MAKERS = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
estimators = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
solvers = pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])


def fitted(make, *weights, x=X, y=Y, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(**SMALL | settings).fit(x, y, *weights)


def ensemble(make, *weights, **settings):
    return fitted(make, *weights, **{"n_estimators": 4} | settings)


def assert_equal_weights(a, b):
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(x, y)


def drawn_rows(seed, n=150):
    """The rows that a member of 4 inputs, 8 units and 3 outputs draws: after its weights."""
    random = np.random.RandomState(seed)
    for n_inputs, n_outputs in ((4, 8), (8, 3)):
        random.uniform(size=(n_inputs, n_outputs)), random.uniform(size=n_outputs)
    return np.sort(random.randint(n, size=n))


@solvers
@estimators
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_member_is_a_single_estimator_to_the_bit(make, solver, threads):
    before = fastbp.get_num_threads()
    fastbp.set_num_threads(threads)
    e = ensemble(make, solver=solver, early_stopping=True)
    fastbp.set_num_threads(before)
    assert [member.random_state for member in e.estimators_] == SEEDS
    for seed, member in zip(SEEDS, e.estimators_, strict=True):
        assert_equal_weights(member, fitted(make, solver=solver, early_stopping=True, random_state=seed))
        assert type(member) is make and member.n_estimators == 1
    assert e.n_iter_ == max(member.n_iter_ for member in e.estimators_)
    assert e.loss_ == pytest.approx(np.mean([member.loss_ for member in e.estimators_]))
    assert not hasattr(e, "coefs_") and not hasattr(e, "loss_curve_")


def test_one_network_is_what_it_was():
    e = fitted(MLPClassifier)
    assert not hasattr(e, "estimators_")
    assert_equal_weights(e, fitted(MLPClassifier, n_estimators=1, bootstrap=False))


KINDS = {
    "two classes": (MLPClassifier, X, Y > 0, {}),
    "three classes": (MLPClassifier, X, np.array(["a", "b", "c"])[Y], {}),
    "several labels": (MLPClassifier, *make_multilabel_classification(n_classes=3, random_state=0), {}),
    "one output": (MLPRegressor, X, X[:, 0], {}),
    "two outputs": (MLPRegressor, X, X[:, :2], {"dtype": "float32"}),
    "counts": (MLPRegressor, X, Y, {"loss": "poisson"}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_predictions_are_by_the_mean_of_the_members(kind, form):
    make, x, y, settings = KINDS[kind]
    x = form(x)
    e = ensemble(make, x=x, y=y, **settings)
    if make is MLPRegressor:
        mean = np.mean([member.predict(x) for member in e.estimators_], axis=0)
        np.testing.assert_allclose(e.predict(x), mean, rtol=1e-6)
        assert e.predict(x).dtype == mean.dtype and e.predict(x).shape == np.shape(y)
        return
    mean = np.mean([member.predict_proba(x) for member in e.estimators_], axis=0)
    np.testing.assert_allclose(e.predict_proba(x), mean, rtol=1e-12)
    np.testing.assert_allclose(e.predict_log_proba(x), np.log(mean), rtol=1e-9, atol=1e-12)
    expected = mean > 0.5 if kind == "several labels" else e.classes_[mean.argmax(axis=1)]
    np.testing.assert_array_equal(e.predict(x), expected)
    assert e.score(x, y) == (np.asarray(e.predict(x)) == y).reshape(len(y), -1).all(axis=1).mean()


@solvers
def test_a_bootstrapped_member_is_one_of_the_rows_that_it_draws(solver):
    e = ensemble(MLPClassifier, solver=solver, bootstrap=True, shuffle=False, batch_size=40)
    for seed, member in zip(SEEDS, e.estimators_, strict=True):
        rows = drawn_rows(seed)
        same = fitted(
            MLPClassifier, x=X[rows], y=Y[rows], solver=solver, random_state=seed, shuffle=False, batch_size=40
        )
        assert_equal_weights(member, same)
    assert not hasattr(e.estimators_[0], "_left_out")


@solvers
def test_out_of_bag_predictions_are_of_the_members_that_have_not_seen_a_sample(solver):
    e = ensemble(MLPClassifier, solver=solver, bootstrap=True, oob_score=True, y=Y)
    total, times = np.zeros((150, 3)), np.zeros(150)
    for seed, member in zip(SEEDS, e.estimators_, strict=True):
        out = np.setdiff1d(np.arange(150), drawn_rows(seed))
        total[out] += member.predict_proba(X[out])
        times[out] += 1
    known = times > 0
    np.testing.assert_allclose(e.oob_decision_function_[known], total[known] / times[known, None], rtol=1e-12)
    assert np.isnan(e.oob_decision_function_[~known]).all() and not known.all()
    assert e.oob_score_ == (total.argmax(axis=1) == Y)[known].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_out_of_bag_predictions_have_the_shape_of_predictions(kind):
    make, x, y, settings = KINDS[kind]
    e = ensemble(make, x=x, y=y, bootstrap=True, oob_score=True, n_estimators=25, **settings)
    if make is MLPClassifier:
        assert e.oob_decision_function_.shape == e.predict_proba(x).shape
        assert 0 <= e.oob_score_ <= 1
        return
    assert e.oob_prediction_.shape == e.predict(x).shape
    assert e.oob_score_ == pytest.approx(r2_score(y, e.oob_prediction_))


def test_samples_that_every_member_has_seen_are_told_and_have_no_prediction():
    with pytest.warns(UserWarning, match=r"\d+ of 150 samples were drawn for every network") as told:
        MLPClassifier(solver="lbfgs", random_state=0, bootstrap=True, oob_score=True, tol=0.1).fit(X, Y)
    assert {w.filename for w in told} == {__file__}


def test_what_is_held_out_for_early_stopping_is_neither_drawn_nor_out_of_bag(monkeypatch):
    drawn = []
    original = MLPClassifier._drawn

    def noted(self, places, n_given):
        rows = original(self, places, n_given)
        drawn.append((places, places[rows], self._left_out))
        return rows

    monkeypatch.setattr(MLPClassifier, "_drawn", noted)
    ensemble(MLPClassifier, bootstrap=True, oob_score=True, early_stopping=True)
    for places, seen, left_out in drawn:
        assert len(places) == 135 and len(seen) == 135
        np.testing.assert_array_equal(np.flatnonzero(left_out), np.setdiff1d(places, seen))
    random = np.random.RandomState(SEEDS[0])
    for n_inputs, n_outputs in ((4, 8), (8, 3)):
        random.uniform(size=(n_inputs, n_outputs)), random.uniform(size=n_outputs)
    kept = train_test_split(np.arange(150), random_state=random, test_size=0.1)[0]
    assert any(np.array_equal(places, kept) for places, *_ in drawn)


@pytest.mark.parametrize("make, bootstrap", [(MLPClassifier, False), (MLPClassifier, True), (MLPRegressor, False)])
def test_sample_weights_reach_each_member(make, bootstrap):
    weight = np.linspace(0, 2, 150)
    e = ensemble(make, weight, bootstrap=bootstrap, shuffle=False)
    for seed, member in zip(SEEDS, e.estimators_, strict=True):
        rows = drawn_rows(seed) if bootstrap else slice(None)
        same = fitted(make, weight[rows], x=X[rows], y=Y[rows], random_state=seed, shuffle=False)
        assert_equal_weights(member, same)


def test_class_weights_are_of_all_samples():
    e = ensemble(MLPClassifier, y=Y > 0, class_weight="balanced", bootstrap=True)
    by_hand = ensemble(MLPClassifier, np.where(Y > 0, 0.75, 1.5), y=Y > 0, bootstrap=True)
    for a, b in zip(e.estimators_, by_hand.estimators_, strict=True):
        assert_equal_weights(a, b)


def test_a_class_that_a_member_does_not_draw_is_a_class_of_the_ensemble():
    y = np.where(np.arange(150) == 7, 9, Y)  # in the sample of about two members of three
    e = ensemble(MLPClassifier, y=y, bootstrap=True, class_weight={0: 1, 1: 1, 2: 1, 9: 20})
    assert list(e.classes_) == [0, 1, 2, 9]
    assert {member.predict_proba(X).shape for member in e.estimators_} == {(150, 4)}


@pytest.mark.parametrize("bootstrap", [False, True])
@estimators
def test_partial_fit_and_warm_start_go_on_with_each_member(make, bootstrap):
    classes = {"classes": [0, 1, 2]} if make is MLPClassifier else {}
    one = [make(**SMALL | {"random_state": seed}) for seed in SEEDS]
    e = make(**SMALL, n_estimators=4, bootstrap=bootstrap)
    for rows in slice(0, 100), slice(30, 150):
        e.partial_fit(X[rows], Y[rows], **classes)
        for member in one:
            member.partial_fit(X[rows], Y[rows], **classes)
    if not bootstrap:
        for a, b in zip(e.estimators_, one, strict=True):
            assert_equal_weights(a, b)
    e = ensemble(make, warm_start=True, bootstrap=bootstrap)
    before, members = e.estimators_[0].coefs_[0].copy(), e.estimators_
    with pytest.warns(ConvergenceWarning):
        e.set_params(learning_rate_init=0.01).fit(X, Y)
    assert e.estimators_ is members and e.estimators_[0].learning_rate_init == 0.01
    assert not np.array_equal(before, e.estimators_[0].coefs_[0])


def test_a_network_becomes_an_ensemble_and_one_again():
    e = fitted(MLPClassifier)
    expected = e.predict_proba(X)
    with pytest.warns(ConvergenceWarning):
        e.set_params(n_estimators=3).fit(X, Y)
    assert len(e.estimators_) == 3 and not hasattr(e, "coefs_")
    with pytest.warns(ConvergenceWarning):
        e.set_params(n_estimators=1).fit(X, Y)
    assert not hasattr(e, "estimators_")
    np.testing.assert_array_equal(e.predict_proba(X), expected)


def test_warnings_of_many_members_are_told_once():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        MLPClassifier(**SMALL, n_estimators=5, batch_size=1000).fit(X, Y)
    assert len(told) == 2
    assert all(str(w.message).endswith("(This came 5 times.)") and w.filename == __file__ for w in told)
    assert {w.category for w in told} == {UserWarning, ConvergenceWarning}


WRONG = {
    "none": ({"n_estimators": 0}, "The 'n_estimators' parameter of MLPClassifier must be an int in the range"),
    "a fraction": ({"n_estimators": 2.5}, "The 'n_estimators' parameter of MLPClassifier must be an int"),
    "a word": ({"bootstrap": "yes"}, "The 'bootstrap' parameter of MLPClassifier must be"),
    "nothing out of bag": ({"oob_score": True, "n_estimators": 3}, "oob_score=True needs bootstrap=True"),
    "out of bag again": (
        {"oob_score": True, "bootstrap": True, "warm_start": True},
        "oob_score=True needs networks that begin anew, got warm_start=True",
    ),
    "of a member": (
        {"n_estimators": 3, "solver": "lbfgs", "dropout": 0.5},
        "network 0 of the ensemble: dropout needs solver='sgd' or 'adam'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_named(case):
    settings, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**settings).fit(X, Y)


@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_training_goes_on_with_as_many_networks_or_not_at_all(how):
    for before, then, said in ((1, 3, "a single network"), (3, 1, "an ensemble of 3"), (3, 4, "an ensemble of 3")):
        e = fitted(MLPClassifier, n_estimators=before, warm_start=how == "warm_start")
        expected = e.predict_proba(X)
        e.set_params(n_estimators=then)
        with pytest.raises(ValueError, match=f"n_estimators={then} with bootstrap=False cannot go on from {said}: fit"):
            e.fit(X, Y) if how == "warm_start" else e.partial_fit(X, Y)
        np.testing.assert_array_equal(e.predict_proba(X), expected)


def test_partial_fit_scores_nothing_out_of_bag():
    with pytest.raises(ValueError, match="oob_score=True needs to know all samples, which partial_fit does not"):
        MLPClassifier(bootstrap=True, oob_score=True).partial_fit(X, Y, classes=[0, 1, 2])


def test_ranks_train_one_network(monkeypatch):
    monkeypatch.setattr(MLPClassifier, "_ranks", object())  # as fit(comm=...) sets it
    with pytest.raises(ValueError, match="comm is for one network of all samples, got n_estimators=2"):
        MLPClassifier(**SMALL, n_estimators=2)._fit(X, Y)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "counts"])
def test_an_ensemble_becomes_one_of_fastbps_for_files_and_exports(kind, tmp_path):
    make, x, y, settings = KINDS[kind]
    e = ensemble(make, x=x, y=y, **settings)
    with pytest.raises(ValueError, match=r"an ensemble of 4 networks cannot become one network: use to_ensemble\(\)"):
        e.to_network()
    nets = e.to_ensemble()
    nets.save(tmp_path / "nets")
    nets.to_numpy(tmp_path / "nets.py")
    module = SimpleNamespace(**runpy.run_path(str(tmp_path / "nets.py")))
    x = x.astype(e.estimators_[0].coefs_[0].dtype)
    for other in nets, fastbp.Ensemble.load(tmp_path / "nets"), module:
        expected = e.predict(x).reshape(len(y), -1) if make is MLPRegressor else e.predict_proba(x)
        expected = expected[:, 1:] if kind == "two classes" else expected
        np.testing.assert_allclose(other.predict(x), expected, rtol=1e-5, atol=1e-6)
    assert len(e.estimators_[2].to_ensemble()) == 1


def test_counts_become_no_ensemble():
    with pytest.raises(ValueError, match="loss='poisson' cannot become a network"):
        ensemble(MLPRegressor, loss="poisson").to_ensemble()
    with pytest.raises(NotFittedError):
        MLPClassifier(n_estimators=3).to_ensemble()


@estimators
def test_copies_by_pickle_and_clone_predict_and_train_the_same(make):
    e = ensemble(make, bootstrap=True)
    copy = pickle.loads(pickle.dumps(e))
    np.testing.assert_array_equal(copy.predict(X), e.predict(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(clone(e).fit(X, Y).predict(X), e.predict(X))
    np.testing.assert_array_equal(copy.partial_fit(X, Y).predict(X), e.partial_fit(X, Y).predict(X))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_leaves_an_ensemble_as_it_was(monkeypatch, threads):
    e = ensemble(MLPClassifier)
    expected, epoch, done = e.predict_proba(X), EstimatorSteps.epoch, []

    def interrupted(self, rates):
        done.append(1)
        if len(done) == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return epoch(self, rates)

    monkeypatch.setattr(EstimatorSteps, "epoch", interrupted)
    before = fastbp.get_num_threads()
    fastbp.set_num_threads(threads)
    with pytest.raises(KeyboardInterrupt):
        e.set_params(max_iter=100_000, tol=0.0, n_iter_no_change=np.inf).fit(X, Y)
    fastbp.set_num_threads(before)
    assert [t for t in threading.enumerate() if t.name.startswith("fastbp-pool")] == []
    np.testing.assert_array_equal(e.predict_proba(X), expected)


def test_no_sample_is_copied_for_a_member():
    x, y = np.random.default_rng(0).random((20_000, 40)), np.arange(20_000) % 2
    peaks = []
    for settings in {"n_estimators": 2}, {"n_estimators": 8, "bootstrap": True}:
        tracemalloc.start()
        fitted(MLPClassifier, x=x, y=y, max_iter=1, **settings)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + x.nbytes / 2


WHY = "a sample given twice is drawn twice as often, not with twice the weight"
UNLIKE = {f"check_sample_weight_equivalence_on_{kind}_data": WHY for kind in ("dense", "sparse")}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [make(n_estimators=3, bootstrap=bootstrap) for make in MAKERS.values() for bootstrap in (False, True)],
    expected_failed_checks=lambda e: UNLIKE if e.bootstrap else {},
)
def test_estimator_checks(estimator, check):
    passes(check, estimator)
