"""Wrong turns with ``MLPSearchCV``: each is named before anything is trained."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold
from sklearn.neural_network import MLPClassifier as TheirMLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp.sklearn import MLPClassifier, MLPRegressor, MLPSearchCV, cross_fit
from fastbp.sklearn._steps import EstimatorSteps

X, Y = load_iris(return_X_y=True)
GRID = {"alpha": [0.1, 1.0]}
HALVES = np.arange(0, 150, 2), np.arange(1, 150, 2)


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch):
    def trained(self, *arguments):
        raise AssertionError("a network was trained")

    monkeypatch.setattr(EstimatorSteps, "_run", trained)


SETTINGS = {
    "nothing to try": ({}, ValueError, "needs either param_grid or param_distributions, got none"),
    "both": (
        {"param_grid": GRID, "param_distributions": GRID},
        ValueError,
        "needs either param_grid or param_distributions, got both",
    ),
    "an empty list": ({"param_grid": []}, ValueError, r"param_grid must name at least one candidate, got \[\]"),
    "no value": ({"param_grid": {"alpha": []}}, ValueError, "Parameter grid for parameter 'alpha' need"),
    "a number": ({"param_grid": {"alpha": 0.1}}, TypeError, "Parameter grid for parameter 'alpha' needs to be a list"),
    "an unknown name": (
        {"param_grid": {"alpha": [1], "hidden": [(8,)]}},
        ValueError,
        "Invalid parameter 'hidden' for estimator MLPClassifier",
    ),
    "none drawn": ({"param_distributions": GRID, "n_iter": 0}, ValueError, "'n_iter' parameter of MLPSearchCV must be"),
    "threads": ({"param_grid": GRID, "threads": 0}, ValueError, "The 'threads' parameter of MLPSearchCV must be"),
    "error_score": ({"param_grid": GRID, "error_score": "nan"}, ValueError, "The 'error_score' parameter"),
    "scoring": ({"param_grid": GRID, "scoring": "acuracy"}, ValueError, "The 'scoring' parameter of MLPSearchCV"),
    "metrics": (
        {"param_grid": GRID, "scoring": ["accuracy", "f1_macro"]},
        ValueError,
        "For multi-metric scoring, the parameter refit must be set",
    ),
    "one fold": ({"param_grid": GRID, "cv": 1}, ValueError, "The 'cv' parameter of MLPSearchCV must be an int"),
    "no folds": ({"param_grid": GRID, "cv": []}, ValueError, "cv gives no folds"),
    "no groups": ({"param_grid": GRID, "cv": GroupKFold(3)}, ValueError, "'groups' parameter should not be None"),
    "no training": (
        {"param_grid": GRID, "cv": [HALVES, ([], HALVES[1])]},
        ValueError,
        "fold 1 of cv has no samples to train on",
    ),
    "no test": ({"param_grid": GRID, "cv": [(HALVES[0], [])]}, ValueError, "fold 0 of cv has no samples to test on"),
    "overlap": (
        {"param_grid": GRID, "cv": [HALVES, (HALVES[0], [3, 4, 6])]},
        ValueError,
        "fold 1 of cv tests on 2 of the samples that it trains on, sample 4 among them",
    ),
    "out of range": (
        {"param_grid": GRID, "cv": [(HALVES[0], [151])]},
        ValueError,
        "the test rows of fold 0 of cv must be numbers of the 150 samples: index 151 is out of bounds",
    ),
    "a mask of other length": (
        {"param_grid": GRID, "cv": [(np.ones(149, bool), [149])]},
        ValueError,
        "the train rows of fold 0 of cv must be numbers of the 150 samples: boolean index did not match",
    ),
    "fractions": (
        {"param_grid": GRID, "cv": [(HALVES[0] + 0.5, [1])]},
        ValueError,
        "the train rows of fold 0 of cv must be numbers of the 150 samples",
    ),
    "rows in rows": (
        {"param_grid": GRID, "cv": [([HALVES[0]], [1])]},
        ValueError,
        r"the train rows of fold 0 of cv must be one-dimensional, got shape \(1, 75\)",
    ),
    "a class apart": (
        {"param_grid": GRID, "cv": KFold(3)},
        ValueError,
        "fold 0 of cv trains on no sample of class 0: a splitter such as StratifiedKFold gives",
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_mistakes_in_settings(case):
    settings, kind, message = SETTINGS[case]
    with pytest.raises(kind, match=message):
        MLPSearchCV(MLPClassifier(), **settings).fit(X, Y)


DATA = {
    "not a number": (np.full_like(X, np.nan), Y, "Input X contains NaN"),
    "words": ([["a", "b"]] * 150, Y, "could not convert string to float"),
    "one axis": (X[:, 0], Y, "Expected 2D array, got 1D array instead"),
    "lengths": (X, Y[1:], "Found input variables with inconsistent numbers of samples"),
    "no targets": (X, None, "y must be the targets of the samples, got None"),
}


@pytest.mark.parametrize("case", DATA)
def test_mistakes_in_data(case):
    x, y, message = DATA[case]
    with pytest.raises(ValueError, match=message):
        MLPSearchCV(MLPClassifier(), GRID).fit(x, y)


def test_a_broken_sparse_matrix():
    x = sparse.csr_array(X)
    x.indices[5] = 10**8
    with pytest.raises(ValueError, match="X is no valid sparse matrix of format csr"):
        MLPSearchCV(MLPClassifier(), GRID).fit(x, Y)


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), TheirMLPClassifier(), make_pipeline(StandardScaler()), MLPSearchCV(MLPClassifier(), GRID)],
    ids=lambda e: type(e).__name__,
)
def test_estimators_that_are_not_fastbps(estimator):
    with pytest.raises(TypeError, match="estimator must be MLPClassifier or MLPRegressor of fastbp"):
        MLPSearchCV(estimator, GRID).fit(X, Y)


def test_a_candidate_that_puts_another_estimator_in_place():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier())
    with pytest.raises(TypeError, match="got LogisticRegression at the end of a Pipeline"):
        MLPSearchCV(pipeline, {"mlpclassifier": [MLPClassifier(), LogisticRegression()]}).fit(X, Y)
    with pytest.raises(ValueError, match="Invalid parameter 'hidden' for estimator MLPClassifier"):
        MLPSearchCV(pipeline, {"mlpclassifier__hidden": [3]}).fit(X, Y)


def test_ranks_do_not_search_together():
    for step, estimator in (("", MLPClassifier()), ("mlp__", Pipeline([("mlp", MLPClassifier())]))):
        said = f"^{step}comm is for the fit of one estimator, .*fit_many"
        with pytest.raises(ValueError, match=said):
            MLPSearchCV(estimator, {f"{step}alpha": [0.1]}).fit(X, Y, **{f"{step}comm": object()})
        with pytest.raises(ValueError, match=said):
            cross_fit(estimator, X, Y, params={f"{step}comm": object()})


def test_numbers_need_no_classes_in_each_fold():
    with pytest.raises(AssertionError, match="a network was trained"):
        MLPSearchCV(MLPRegressor(), GRID, cv=KFold(3), error_score="raise").fit(X, Y)


def test_callbacks_are_not_called_and_it_says_so():
    search = MLPSearchCV(MLPClassifier(), GRID)
    if hasattr(search, "set_callbacks"):
        from sklearn.callback import ScoringMonitor

        search.set_callbacks(ScoringMonitor(scoring="accuracy"))
        with pytest.raises(ValueError, match="MLPSearchCV has no callbacks"):
            search.fit(X, Y)


def test_before_fit_there_is_nothing_to_predict_by():
    with pytest.raises(NotFittedError):
        MLPSearchCV(MLPClassifier(), GRID).predict(X)
    with pytest.raises(AttributeError, match="This 'MLPSearchCV' has no attribute 'predict'"):
        MLPSearchCV(MLPClassifier(), GRID, refit=False).predict(X)
