"""``MLPSearchCV(halving=...)``: survivors go on where they stopped, to the scores of a training that never did."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp.sklearn import MLPClassifier, MLPRegressor, MLPSearchCV
from fastbp.sklearn import _training as training
from fastbp.sklearn._halving import best, rounds

X, Y = load_iris(return_X_y=True)
GRID = {"alpha": [1e-4, 1e-2, 1.0], "learning_rate_init": [1e-4, 1e-3, 1e-2]}


def network(make=MLPClassifier, **settings):
    return make(**{"hidden_layer_sizes": (8,), "max_iter": 18, "random_state": 0, "batch_size": 30} | settings)


def searched(estimator, grid=GRID, fit=None, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MLPSearchCV(estimator, grid, **{"cv": 3} | settings).fit(X, Y, **fit or {})


def scores(results, kind="test"):
    return np.stack([results[f"split{k}_{kind}_score"] for k in range(3)], axis=1)


SETTINGS = [
    {},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 2},
    {"early_stopping": True, "n_iter_no_change": 3},
    {"dropout": 0.3},
    {"shuffle": False},
    {"tol": 0.05, "n_iter_no_change": 2},  # some end in the first round
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("make", [MLPClassifier, MLPRegressor])
def test_each_round_has_the_scores_of_training_so_long_at_once(make, settings):
    e = network(make, **settings)
    found = searched(e, halving=3, return_train_score=True, threads=2).cv_results_
    for number, epochs in enumerate([2, 6, 18]):
        whole = searched(network(make, **settings | {"max_iter": epochs}), return_train_score=True)
        rows = found["iter"] == number
        places = [
            whole.cv_results_["params"].index(params) for params, row in zip(found["params"], rows, strict=True) if row
        ]
        for kind in "test", "train":
            np.testing.assert_array_equal(scores(found, kind)[rows], scores(whole.cv_results_, kind)[places])


def test_the_better_third_goes_on_and_the_best_of_the_last_round_wins():
    search = searched(network(), halving=3)
    results = search.cv_results_
    assert search.n_candidates_ == [9, 3, 1] and search.n_resources_ == [2, 6, 18]
    assert list(results["iter"]) == [0] * 9 + [1] * 3 + [2]
    assert list(results["n_resources"]) == [2] * 9 + [6] * 3 + [18]
    for number, n in ((0, 3), (1, 1)):
        rows = results["iter"] == number
        means = results["mean_test_score"][rows]
        params = [p for p, row in zip(results["params"], rows, strict=True) if row]
        order = np.argsort(-means, kind="stable")[:n]
        after = [p for p, row in zip(results["params"], results["iter"] == number + 1, strict=True) if row]
        assert after == [params[k] for k in sorted(order)]
    assert search.best_index_ == 12 and search.best_params_ == results["params"][12]
    assert search.best_score_ == results["mean_test_score"][12]
    assert search.best_estimator_.n_iter_ == 18
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same = network(**search.best_params_).fit(X, Y)
    np.testing.assert_array_equal(search.best_estimator_.coefs_[0], same.coefs_[0])


def test_no_epoch_is_done_twice(monkeypatch):
    epochs = []
    epoch = training.EstimatorSteps.epoch
    monkeypatch.setattr(training.EstimatorSteps, "epoch", lambda self, rates: epochs.append(1) or epoch(self, rates))
    searched(network(), halving=3, refit=False)
    assert len(epochs) == 3 * (9 * 2 + 3 * (6 - 2) + 1 * (18 - 6))


def test_a_pipeline_is_halved():
    grid = {f"mlpclassifier__{name}": values for name, values in GRID.items()}
    found = searched(make_pipeline(StandardScaler(), network()), grid, halving=3).cv_results_
    whole = searched(make_pipeline(StandardScaler(), network()), grid).cv_results_
    last = whole["params"].index(found["params"][-1])
    np.testing.assert_array_equal(scores(found)[-1], scores(whole)[last])


def test_max_iter_of_a_candidate_bounds_its_rounds():
    search = searched(network(), {"max_iter": [3, 18], "alpha": [0.0, 1.0, 10.0]}, halving=2, refit=False)
    assert search.n_resources_ == [4, 9, 18]
    assert search.n_candidates_ == [6, 3, 2]
    whole = searched(network(), {"max_iter": [3, 4], "alpha": [0.0, 1.0, 10.0]}, refit=False).cv_results_
    np.testing.assert_array_equal(np.sort(search.cv_results_["mean_test_score"][:6]), np.sort(whole["mean_test_score"]))


def test_candidates_that_cannot_be_trained_do_not_go_on():
    grid = {"hidden_layer_sizes": [(8,), (0,), (4,), (0, 3)]}
    search = searched(network(), grid, halving=2)
    assert np.isnan(search.cv_results_["mean_test_score"][:4]).tolist() == [False, True, False, True]
    assert np.isfinite(search.cv_results_["mean_test_score"][4:]).all()


def test_several_metrics_are_halved_by_the_one_of_refit():
    settings = {"scoring": ["accuracy", "neg_log_loss"], "halving": 3}
    search = searched(network(), refit="neg_log_loss", **settings)
    rows = search.cv_results_["iter"] == 0
    first = search.cv_results_["params"][int(np.argmax(search.cv_results_["mean_test_neg_log_loss"][rows]))]
    assert first in search.cv_results_["params"][9:12]
    with pytest.raises(ValueError, match="halving with several metrics goes by refit, which must name one of them"):
        searched(network(), refit=False, **settings)
    with pytest.raises(ValueError, match="halving with several metrics goes by refit, which must name one of them"):
        searched(network(), refit=lambda results: 0, **settings)


def test_a_scorer_of_several_metrics_is_halved_by_the_one_of_refit():
    def scorer(estimator, x, y):
        return {"right": estimator.score(x, y), "wrong": 1 - estimator.score(x, y)}

    search = searched(network(), scoring=scorer, refit="right", halving=3)
    plain = searched(network(), halving=3)
    assert search.best_params_ == plain.best_params_ and search.best_score_ == plain.best_score_
    opposite = searched(network(), scoring=scorer, refit="wrong", halving=3).cv_results_
    assert opposite["params"][int(np.argmax(opposite["mean_test_wrong"][:9]))] in opposite["params"][9:12]


def test_a_search_without_halving_has_no_rounds():
    search = searched(network(), halving=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.set_params(halving=None).fit(X, Y)
    assert "iter" not in search.cv_results_ and not hasattr(search, "n_resources_")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"solver": "lbfgs"}, "halving goes on after some epochs, and solver='lbfgs' has none"),
        ({"n_estimators": 3}, "halving is for single networks, got n_estimators=3 and bootstrap=False"),
        ({"bootstrap": True}, "halving is for single networks, got n_estimators=1 and bootstrap=True"),
    ],
)
def test_what_cannot_go_on_is_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        searched(network(**settings), halving=3)
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=message):  # also of a single candidate
        searched(network(), {name: [getattr(network(), name), value]}, halving=3)


@pytest.mark.parametrize("halving", [1, 0.5, 0, -3, "3", float("nan")])
def test_a_factor_that_leaves_nobody_out_is_an_error(halving):
    with pytest.raises(ValueError, match="The 'halving' parameter of MLPSearchCV must be"):
        searched(network(), halving=halving)


def test_rounds_go_up_to_all_epochs():
    assert rounds(9, 3, 18) == [2, 6, 18]
    assert rounds(8, 3, 18) == [6, 18]
    assert rounds(1, 3, 18) == [18]
    assert rounds(1000, 3, 5) == [1, 5]  # not a round without an epoch
    assert rounds(10, 2.5, 100) == [16, 40, 100]
    for n in range(1, 50):
        for factor in 1.3, 2, 3, 10:
            epochs = rounds(n, factor, 40)
            assert epochs[-1] == 40 and min(epochs) >= 1 and epochs == sorted(epochs)


def test_the_best_are_the_first_of_equals_and_never_not_a_number():
    assert best(np.array([1.0, np.nan, 2.0, 2.0, 0.0]), [5, 6, 7, 8, 9], 3) == [7, 8, 5]
    assert best(np.array([np.nan, np.nan, -1.0]), [0, 1, 2], 2) == [2, 0]
