"""``MLPSearchCV`` finds what scikit-learn's searches find over the same estimator, for any number of threads."""

import pickle
import signal
import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from estimator_checks import passes
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastbp.sklearn import MLPClassifier, MLPRegressor, MLPSearchCV
from fastbp.sklearn._steps import EstimatorSteps

X, Y = load_iris(return_X_y=True)
GRID = {"alpha": [1e-4, 1.0], "learning_rate_init": [1e-3, 1e-2], "hidden_layer_sizes": [(8,), (5, 5)]}
LISTS = [{"solver": ["lbfgs"], "alpha": [1e-3, 10.0]}, {"solver": ["sgd"], "momentum": [0.5, 0.9]}]


def classifier(**settings):
    return MLPClassifier(**{"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0} | settings)


def regressor(**settings):
    return MLPRegressor(**{"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0} | settings)


def searched(make, *given, x=X, y=Y, fit=None, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(*given, **settings).fit(x, y, **fit or {})


def assert_same(theirs, ours):
    """All but times is the same, to the bit."""
    assert {*theirs.cv_results_} == {*ours.cv_results_}
    for name, expected in theirs.cv_results_.items():
        found = ours.cv_results_[name]
        assert type(found) is type(expected)
        if "_time" not in name:
            np.testing.assert_array_equal(found, expected, name)
            if name != "params":
                assert found.dtype == expected.dtype
        else:
            assert (found >= 0).all() and found.shape == expected.shape
    for name in ("best_index_", "best_score_", "best_params_", "n_splits_", "multimetric_"):
        assert hasattr(ours, name) == hasattr(theirs, name)
        if hasattr(theirs, name):
            assert getattr(ours, name) == getattr(theirs, name)
    assert hasattr(ours, "best_estimator_") == hasattr(theirs, "best_estimator_")
    if hasattr(theirs, "best_estimator_"):
        a, b = (network_of(search.best_estimator_) for search in (theirs, ours))
        for W, V in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
            np.testing.assert_array_equal(W, V)


def network_of(model):
    return model[-1] if hasattr(model, "steps") else model


@pytest.mark.parametrize("threads", [1, 2, 5, None])
@pytest.mark.parametrize("grid", [GRID, LISTS], ids=["dict", "list of dicts"])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_grid_search_is_scikit_learns(make, grid, threads):
    settings = {"cv": KFold(3, shuffle=True, random_state=0), "return_train_score": True}
    theirs = searched(GridSearchCV, make(), grid, **settings)
    assert_same(theirs, searched(MLPSearchCV, make(), grid, **settings, threads=threads))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_random_search_is_scikit_learns(threads):
    drawn = {"alpha": stats.loguniform(1e-4, 10), "hidden_layer_sizes": [(4,), (9,), (3, 3)]}
    settings = {"n_iter": 7, "random_state": 3, "cv": 3}
    theirs = searched(RandomizedSearchCV, classifier(), drawn, **settings)
    ours = searched(MLPSearchCV, classifier(), param_distributions=drawn, **settings, threads=threads)
    assert_same(theirs, ours)


def both(estimator, grid=None, threads=2, **settings):
    """The searches of scikit-learn and of fastbp."""
    grid = grid or {"alpha": [1e-4, 1.0, 100.0]}
    fit = {name: settings.pop(name) for name in ("x", "y", "fit") if name in settings}
    theirs = searched(GridSearchCV, estimator, grid, **settings, **fit)
    return theirs, searched(MLPSearchCV, estimator, grid, **settings, **fit, threads=threads)


def own_scorer(estimator, x, y):
    return -float(np.mean(estimator.predict(x) != y))


def several_scores(estimator, x, y):
    return {"a": own_scorer(estimator, x, y), "b": float(len(y))}


def least_alpha(results):
    return int(np.argmin([params["alpha"] for params in results["params"]]))


@pytest.mark.parametrize(
    "settings",
    [
        {"scoring": "neg_log_loss"},
        {"scoring": own_scorer},
        {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"},
        {"scoring": ["accuracy", "neg_log_loss"], "refit": False},
        {"scoring": ("accuracy", "f1_macro"), "refit": least_alpha},
        {"scoring": {"a": "accuracy", "r": make_scorer(r2_score)}, "refit": "a", "return_train_score": True},
        {"scoring": several_scores, "refit": "a"},
        {"refit": False},
        {"refit": least_alpha},
    ],
    ids=range(9),
)
def test_scores_and_the_choice_of_the_best_are_scikit_learns(settings):
    assert_same(*both(classifier(), cv=3, **settings))


@pytest.mark.parametrize(
    "cv",
    [
        None,
        4,
        StratifiedKFold(3, shuffle=True, random_state=1),
        RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0),
        ShuffleSplit(3, test_size=0.2, random_state=0),
        [(np.arange(0, 150, 2), np.arange(1, 150, 2)), ([*range(1, 150, 2)], [0, 2, 4])],
        [(np.arange(150) % 3 > 0, np.arange(150) % 3 == 0)],
    ],
    ids=["five", "four", "shuffled", "repeated", "drawn", "pairs of rows", "masks"],
)
def test_folds_are_those_of_any_splitter(cv):
    assert_same(*both(classifier(), cv=cv))


def test_groups_go_to_the_splitter():
    groups = np.arange(150) % 7
    assert_same(*both(classifier(), cv=GroupKFold(3), fit={"groups": groups}))


def test_sample_weights_go_to_fit_and_class_weights_are_parameters():
    weight = np.linspace(0, 2, 150)
    grid = {"class_weight": [None, "balanced", {0: 1, 1: 2, 2: 30}]}
    assert_same(*both(classifier(), grid, cv=3, fit={"sample_weight": weight}, return_train_score=True))


@pytest.mark.parametrize("kind", ["lists", "integers", "float32", "sparse", "frame", "names of classes", "labels"])
def test_samples_and_targets_of_any_kind(kind):
    x, y = X, Y
    if kind == "lists":
        x, y = X.tolist(), Y.tolist()
    elif kind == "frame":
        x = pytest.importorskip("pandas").DataFrame(X, columns=["a", "b", "c", "d"])
    elif kind == "names of classes":
        y = np.array(["x", "y", "z"])[Y]
    elif kind == "labels":
        x, y = make_multilabel_classification(n_samples=90, n_features=5, n_classes=3, random_state=0)
    else:
        x = {"integers": np.rint(X).astype(int), "float32": X.astype("f4"), "sparse": sparse.csc_array(X)}[kind]
    theirs, ours = both(classifier(), cv=3, x=x, y=y)
    assert_same(theirs, ours)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    np.testing.assert_array_equal(ours.predict_proba(x), theirs.predict_proba(x))
    assert ours.score(x, y) == theirs.score(x, y)
    assert getattr(ours, "feature_names_in_", None) is getattr(theirs, "feature_names_in_", None) or kind == "frame"
    if kind == "frame":
        assert list(ours.feature_names_in_) == list(x.columns)


def test_a_pipeline_that_ends_in_one_of_ours():
    pipeline = make_pipeline(StandardScaler(), classifier())
    grid = {"mlpclassifier__alpha": [1e-4, 1.0], "standardscaler__with_mean": [True, False]}
    assert_same(*both(pipeline, grid, cv=3))
    whole = {"mlpclassifier": [classifier(alpha=0.1)], "standardscaler": ["passthrough", StandardScaler()]}
    theirs, ours = both(pipeline, whole, cv=3)
    np.testing.assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def test_ensembles_are_candidates():
    assert_same(*both(classifier(), {"n_estimators": [1, 3], "bootstrap": [False, True]}, cv=3))


@pytest.mark.parametrize("error_score", [np.nan, -7.0])
def test_a_candidate_that_cannot_be_trained_has_the_error_score(error_score):
    grid = {"dropout": [0.0, 0.5], "solver": ["adam", "lbfgs"]}
    for scoring in None, ["accuracy"], several_scores:
        refit = True if scoring is None else "accuracy" if isinstance(scoring, list) else "a"
        settings = {"cv": 3, "error_score": error_score, "scoring": scoring, "refit": refit}
        assert_same(*both(classifier(), grid, **settings))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        MLPSearchCV(classifier(), grid, cv=3, error_score=error_score).fit(X, Y)
    failed = [str(w.message) for w in told if w.category is FitFailedWarning]
    assert len(failed) == 1 and "3 fits failed out of a total of 12" in failed[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_a_candidate_is_raised_where_that_is_asked_for(threads):
    grid = {"dropout": [0.0, 0.5], "solver": ["lbfgs"]}
    with pytest.raises(ValueError, match="dropout needs solver='sgd' or 'adam'"):
        searched(MLPSearchCV, classifier(), grid, cv=3, error_score="raise", threads=threads)
    with pytest.raises(ValueError, match="All the 3 fits failed"):
        searched(MLPSearchCV, classifier(solver="lbfgs"), {"dropout": [0.5]}, cv=3, threads=threads)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState], ids=["none", "generator"])
def test_what_threads_draw_does_not_depend_on_who_comes_first(random_state):
    found = []
    for threads in 1, 2, 3:
        np.random.seed(5)
        given = random_state and random_state(5)
        pipeline = make_pipeline(StandardScaler(), classifier(random_state=given))
        search = searched(MLPSearchCV, pipeline, {"mlpclassifier__alpha": [1e-3, 1.0]}, threads=threads)
        assert pipeline[-1].random_state is given and search.best_estimator_[-1].get_params().keys()
        found.append(np.array([search.cv_results_[f"split{k}_test_score"] for k in range(5)]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_warnings_of_many_fits_are_told_once_on_the_callers_line():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        MLPSearchCV(classifier(), {"alpha": [1e-4, 1.0]}, cv=3).fit(X, Y)
    assert [w.category for w in told] == [ConvergenceWarning]
    assert str(told[0].message).endswith("hasn't converged yet. (This came 7 times.)")  # six, and the best one again
    assert told[0].filename == __file__


def test_copies_by_clone_and_pickle():
    search = searched(MLPSearchCV, classifier(), GRID, cv=3, threads=2)
    copy = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(copy.predict(X), search.predict(X))
    again = clone(search)
    assert (
        not hasattr(again, "cv_results_")
        and again.get_params(deep=False).keys() == search.get_params(deep=False).keys()
    )
    assert_same(search, searched(lambda: again.set_params(estimator__max_iter=15)))


def test_a_fold_is_copied_once_and_not_for_each_candidate():
    x, y = np.random.default_rng(0).random((20_000, 40)), np.arange(20_000) % 2
    peaks = []
    for n in 2, 8:
        tracemalloc.start()
        searched(MLPSearchCV, classifier(max_iter=1), {"alpha": np.linspace(0, 1, n)}, x=x, y=y, threads=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + x.nbytes / 2


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_ends_a_search(monkeypatch, threads, solver):
    run, done = EstimatorSteps._run, []

    def interrupted(self, *arguments):
        done.append(1)
        if len(done) == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return run(self, *arguments)

    monkeypatch.setattr(EstimatorSteps, "_run", interrupted)
    endless = classifier(max_iter=100_000, tol=0.0, n_iter_no_change=np.inf, max_fun=10**9, solver=solver)
    with pytest.raises(KeyboardInterrupt):
        searched(
            MLPSearchCV, endless, {"alpha": [1e-4, 1.0, 2.0]}, x=np.tile(X, (9, 1)), y=np.tile(Y, 9), threads=threads
        )
    assert [thread for thread in threading.enumerate() if thread.name.startswith("fastbp-pool")] == []


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        MLPSearchCV(make(solver="lbfgs", max_iter=200, tol=1e-2), {"alpha": [1e-4, 1e-2]}, cv=2, error_score="raise")
        for make in (classifier, regressor)
    ]
)
def test_estimator_checks(estimator, check):
    passes(check, estimator)
