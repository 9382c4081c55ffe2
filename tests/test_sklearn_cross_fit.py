"""``cross_fit`` predicts what scikit-learn's ``cross_val_predict`` does over the same estimator, on any threads."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy import sparse
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp.sklearn import MLPClassifier, MLPRegressor, cross_fit

X, Y = load_iris(return_X_y=True)
LABELS = make_multilabel_classification(n_samples=90, n_features=5, n_classes=3, random_state=0)
SETTINGS = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0}
KINDS = {
    "classes": (MLPClassifier(**SETTINGS), X, Y),
    "names": (MLPClassifier(**SETTINGS), X, np.array(["x", "b", "c"])[Y]),
    "two classes": (MLPClassifier(**SETTINGS), X, Y > 0),
    "several labels": (MLPClassifier(**SETTINGS), *LABELS),
    "ensemble": (MLPClassifier(**SETTINGS, n_estimators=3, bootstrap=True), X, Y),
    "numbers": (MLPRegressor(**SETTINGS), X, Y),
    "two numbers": (MLPRegressor(**SETTINGS), X, X[:, :2]),
    "sparse": (MLPClassifier(**SETTINGS), sparse.csr_array(X), Y),
    "pipeline": (make_pipeline(StandardScaler(), MLPClassifier(**SETTINGS)), X, Y),
}


def quietly(function, *args, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **settings)


@pytest.mark.parametrize("threads", [1, 2, None])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_scikit_learns(kind, method, threads):
    model, x, y = KINDS[kind]
    if not hasattr(model, method):
        with pytest.raises(ValueError, match=f"method='{method}' is none of MLPRegressor's"):
            cross_fit(model, x, y, method=method)
        return
    theirs = quietly(cross_val_predict, model, x, y, cv=4, method=method)
    ours = quietly(cross_fit, model, x, y, cv=4, method=method, threads=threads)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype
    assert not hasattr(model, "n_features_in_")


def test_weights_and_groups_go_where_scikit_learn_sends_them():
    model, weight, groups = KINDS["classes"][0], np.linspace(0, 3, 150), np.arange(150) % 6
    settings = {"cv": GroupKFold(3), "groups": groups, "params": {"sample_weight": weight}}
    np.testing.assert_array_equal(
        quietly(cross_fit, model, X, Y, **settings), quietly(cross_val_predict, model, X, Y, **settings)
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_a_seed_that_is_not_given_is_drawn_before_threads_start(threads):
    found = []
    for n in 1, threads:
        np.random.seed(3)
        model = MLPClassifier(hidden_layer_sizes=(8,), max_iter=5)
        found.append(quietly(cross_fit, model, X, Y, method="predict_proba", threads=n))
    np.testing.assert_array_equal(*found)


def test_warnings_are_told_once_on_the_callers_line():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        cross_fit(MLPClassifier(**SETTINGS), X, Y, cv=4)
    assert len(told) == 1 and str(told[0].message).endswith("(This came 4 times.)") and told[0].filename == __file__


WRONG = {
    "other estimator": ((LogisticRegression(), X, Y), {}, TypeError, "estimator must be MLPClassifier or MLPRegressor"),
    "no targets": ((KINDS["classes"][0], X, None), {}, ValueError, "y must be the targets"),
    "method": (KINDS["classes"], {"method": "predict_prob"}, ValueError, "did you mean 'predict_proba'"),
    "drawn folds": (
        KINDS["classes"],
        {"cv": ShuffleSplit(3, random_state=0)},
        ValueError,
        "tested on in one fold of cv",
    ),
    "no folds": (KINDS["classes"], {"cv": []}, ValueError, "cv gives no folds"),
    "a class apart": (KINDS["classes"], {"cv": KFold(3)}, ValueError, "fold 0 of cv trains on no sample of class 0"),
    "no groups": (KINDS["classes"], {"cv": GroupKFold(3)}, ValueError, "'groups' parameter should not be None"),
    "threads": (KINDS["classes"], {"threads": 0}, ValueError, "threads must be an integer of at least 1, got 0"),
    "lengths": ((KINDS["classes"][0], X, Y[1:]), {}, ValueError, "inconsistent numbers of samples"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_named(case):
    args, settings, kind, message = WRONG[case]
    with pytest.raises(kind, match=message):
        cross_fit(*args, **settings)
