"""A search for parameters whose candidates and folds are trained side by side."""

from __future__ import annotations

import time
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import _fit_context, clone, is_classifier
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _insert_error_scores, _warn_or_raise_about_fit_failures
from sklearn.utils import check_array, indexable
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_method_params

from fastbp.basics._warn import ToldOnce
from fastbp.sklearn._folds import FoldData, checked_splits
from fastbp.sklearn._halving import halved
from fastbp.sklearn._sparse import check_sparse
from fastbp.sklearn._trials import Result, Trials, check_params, network_of

_THEIRS = "estimator", "scoring", "refit", "cv", "error_score", "return_train_score"


class MLPSearchCV(BaseSearchCV):
    """``GridSearchCV`` and ``RandomizedSearchCV`` for fastbp's estimators: all networks side by side in one process.

    Parameters, attributes and methods that both have are theirs, and with a number as ``random_state`` so are all
    scores; see there. Every candidate on every fold is a network that trains on one of ``threads`` threads. They read
    the same samples: of a fold there is one copy.

    Warnings, such as of networks that have not converged, come at the end, each once and with how often it came.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
        One of fastbp's, or a ``Pipeline`` that ends in one.
    param_grid : dict or list of dict
        From names of parameters to the values to try, in all combinations. This or ``param_distributions``.
    param_distributions : dict or list of dict
        From names to values or distributions of SciPy's, of which ``n_iter`` candidates are drawn.
    n_iter : int
        How many are drawn.
    random_state : int, RandomState or None
        By which they are drawn.
    scoring, refit, cv, error_score, return_train_score
        As of ``GridSearchCV``. A scorer is called from several threads. The folds may neither overlap nor be empty, and
        each has to train on every class.
    halving : float > 1 or None
        Successive halving with this factor: all candidates train for a few epochs, one in so many of them goes on where
        it stopped, for so many times the epochs, and the last ones train to their ``max_iter``. As that of
        ``HalvingGridSearchCV``, ``cv_results_`` has a line for each candidate of each round, with the columns "iter"
        and "n_resources", the epochs; the best is one of the last round. For single networks by "adam" or "sgd".
    threads : int or None
        How many to use, ``fastbp.get_num_threads()`` if None. Scores are the same for any number.
    progress : bool
        Whether to show a progress bar on a terminal or in a notebook.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, multimetric_
        As of ``GridSearchCV``.
    n_candidates_, n_resources_ : list of int
        Of each round of ``halving``: how many candidates there were, and up to which epoch they trained.

    Examples
    --------
    >>> from fastbp.sklearn import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> search = MLPSearchCV(MLPClassifier(solver="lbfgs", random_state=0), {"alpha": [0.01, 100.0]}, cv=3).fit(x, y)
    >>> search.best_params_
    {'alpha': 0.01}
    """

    _parameter_constraints: ClassVar[dict] = {
        **{name: BaseSearchCV._parameter_constraints[name] for name in _THEIRS},
        "param_grid": [dict, list, None],
        "param_distributions": [dict, list, None],
        "n_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "halving": [Interval(Real, 1, None, closed="neither"), None],
        "threads": [Interval(Integral, 1, None, closed="left"), None],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: Any = None,
        *,
        param_distributions: Any = None,
        n_iter: int = 10,
        random_state: Any = None,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        halving: float | None = None,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.random_state = random_state
        self.scoring = scoring
        self.refit = refit
        self.cv = cv
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.halving = halving
        self.threads = threads
        self.progress = progress

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Try all candidates, and fit the best one to all samples, as ``GridSearchCV.fit`` does.

        Parameters
        ----------
        X : array, sparse matrix or frame
            (N, I) samples; a pipeline's may be anything that has rows.
        y : array
            (N,) or (N, K) targets.
        **params
            What goes to ``fit`` of the estimator, such as ``sample_weight``, of which each fold has its part, and
            ``groups`` for the splitter.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            For an estimator that is not fastbp's.
        ValueError
            For parameters that exclude each other or are not the estimator's, an empty grid, and folds that are empty,
            overlap, or train without a class.
        """
        with ToldOnce():
            self._search(X, y, params)
        return self

    def _search(self, X: Any, y: Any, params: dict[str, Any]) -> None:
        if getattr(self, "_skl_callbacks", None):
            raise ValueError("MLPSearchCV has no callbacks: set_callbacks is of scikit-learn's searches")
        candidates = self._candidates()
        models = self._models(candidates)
        scorers, metric = self._get_scorers()
        if y is None:
            raise ValueError("y must be the targets of the samples, got None")
        X, y = indexable(self._looked_at(X), y)
        check_params(params)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        data = FoldData(X, y, routed.estimator.fit, routed.scorer.score)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = checked_splits(cv.split(X, y, **routed.splitter.split), X, y, self.estimator)
        self.n_splits_ = len(splits)
        trials = Trials(
            models,
            data,
            splits,
            scorer=scorers,
            error_score=self.error_score,
            train_scores=self.return_train_score,
            threads=self.threads,
            progress=self.progress,
            keeps=self.halving is not None,
        )
        columns: dict[str, list[int]] = {}
        for name in ("n_candidates_", "n_resources_"):
            self.__dict__.pop(name, None)
        if self.halving is None:
            found = trials.round([*range(len(models))])
        else:
            tried, found, columns = halved(trials, models, self.halving, self._score_of)
            candidates = [candidates[k] for k in tried]
            self.n_candidates_ = np.bincount(columns["iter"]).tolist()
            self.n_resources_ = [*dict(zip(columns["iter"], columns["n_resources"], strict=True)).values()]
        _warn_or_raise_about_fit_failures(found, self.error_score)
        if callable(self.scoring):
            _insert_error_scores(found, self.error_score)
        results = self._format_results(candidates, self.n_splits_, found, columns)
        self._choose(results, found[0]["test_scores"], scorers, metric)
        if self.refit:
            self._fit_best(data)
        self.cv_results_ = results

    def _candidates(self) -> list[dict[str, Any]]:
        """What to try; ValueError if that is nothing."""
        if (self.param_grid is None) == (self.param_distributions is None):
            raise ValueError(
                "MLPSearchCV needs either param_grid or param_distributions, got "
                f"{'none' if self.param_grid is None else 'both'}"
            )
        if self.param_grid is not None:
            name, found = "param_grid", [*ParameterGrid(self.param_grid)]
        else:
            name = "param_distributions"
            found = [*ParameterSampler(self.param_distributions, self.n_iter, random_state=self.random_state)]
        if not found:
            raise ValueError(f"{name} must name at least one candidate, got {getattr(self, name)!r}")
        return found

    def _models(self, candidates: list[dict[str, Any]]) -> list[Any]:
        """An estimator that is not fitted for each candidate; raises as ``fit`` says."""
        network_of(self.estimator)
        models = []
        for params in candidates:
            model = clone(self.estimator).set_params(**clone(params, safe=False))
            network = network_of(model)
            if self.halving is not None:
                self._check_halving(network)
            models.append(model)
        return models

    def _check_halving(self, network: Any) -> None:
        if network.solver == "lbfgs":
            raise ValueError("halving goes on after some epochs, and solver='lbfgs' has none: use 'adam' or 'sgd'")
        if network.n_estimators != 1 or network.bootstrap:
            raise ValueError(
                f"halving is for single networks, got n_estimators={network.n_estimators!r} and "
                f"bootstrap={network.bootstrap!r}"
            )

    def _looked_at(self, X: Any) -> Any:
        """Samples that candidates need not convert: arrays of numbers are checked and made floats here, for all."""
        X = check_sparse(X)
        if network_of(self.estimator) is not self.estimator or hasattr(X, "columns"):
            return X  # a pipeline knows what its samples are; a frame's names are the scorers' too
        return check_array(
            X, accept_sparse="csr", dtype=(np.float64, np.float32), estimator=self.estimator, input_name="X"
        )

    def _score_of(self, result: Result) -> float:
        """By which ``halving`` chooses."""
        scores = result["test_scores"]
        if not isinstance(scores, dict):
            return scores
        if self.refit not in scores:
            raise ValueError(
                f"halving with several metrics goes by refit, which must name one of them, got {self.refit!r}"
            )
        return scores[self.refit]

    def _choose(self, results: dict[str, Any], first: Any, scorers: Any, metric: Any) -> None:
        """Set what is known of the best candidate, as ``BaseSearchCV.fit`` does."""
        self.multimetric_ = isinstance(first, dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(first)
            metric = self.refit
        self.scorer_ = scorers._scorers if isinstance(scorers, _MultimetricScorer) else scorers
        if not self.refit and self.multimetric_:
            return
        if self.halving is None or callable(self.refit):
            self.best_index_ = self._select_best_index(self.refit, metric, results)
        else:
            last = np.flatnonzero(results["iter"] == results["iter"].max())
            self.best_index_ = last[results[f"rank_test_{metric}"][last].argmin()]
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _fit_best(self, data: FoldData) -> None:
        best = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        begin = time.perf_counter()
        best.fit(data.X, data.y, **data.fit)
        self.refit_time_ = time.perf_counter() - begin
        self.best_estimator_ = best
        if hasattr(best, "feature_names_in_"):
            self.feature_names_in_ = best.feature_names_in_
