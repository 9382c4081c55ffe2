"""Candidates of a search, tried on folds: each pair is trained and scored on a thread of the pool."""

from __future__ import annotations

import time
from collections.abc import Callable
from traceback import format_exc
from typing import Any

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection._validation import _score
from sklearn.pipeline import Pipeline

from fastbp.basics import _pool
from fastbp.basics._progress import Bar
from fastbp.sklearn._folds import Fold, FoldData
from fastbp.sklearn._training import Training

Result = dict[str, Any]
"""Of one trial, with the names that scikit-learn's searches use."""


def network_of(model: Any) -> Training:
    """The estimator of fastbp that ``model`` is, or that ends this pipeline; TypeError if there is none."""
    last = model
    while isinstance(last, Pipeline):
        last = last[-1]
    if not isinstance(last, Training):
        raise TypeError(
            "estimator must be MLPClassifier or MLPRegressor of fastbp.sklearn, or a Pipeline that ends in one, got "
            f"{type(last).__name__}{' at the end of a Pipeline' if last is not model else ''}"
        )
    return last


def without_seed(model: Any) -> list[str]:
    """Every ``random_state`` of ``model`` and its parts that is None."""
    names = [name for name, value in model.get_params().items() if value is None]
    return sorted(name for name in names if name.rpartition("__")[2] == "random_state")


def check_params(params: dict[str, Any]) -> None:
    """ValueError where what goes to ``fit`` has ranks train together: threads here are at several fits at once."""
    for name, value in params.items():
        if name.rpartition("__")[2] == "comm" and value is not None:
            raise ValueError(
                f"{name} is for the fit of one estimator, whose samples lie on several ranks: candidates and folds are "
                "trained by the threads of one process; fastbp.fit_many(comm=...) deals networks out to ranks"
            )


def run(n: int, work: Callable[[int], Any], threads: int | None, progress: bool, unit: str) -> list[Any]:
    """Do ``work(k)`` of each k of 0..n-1 on the pool, under the calling thread's settings of scikit-learn.

    Returns the results; raises the first Exception. None of what has not begun is done then.
    """
    settings = get_config()
    failed: list[int] = []

    def under_settings(k: int) -> Any:
        if failed:
            return None
        try:
            with config_context(**settings):
                return work(k)
        except Exception:
            failed.append(k)
            raise

    with Bar(n, unit, wanted=progress) as bar:
        outcomes = _pool.run_all(n, under_settings, threads, tell=bar.reach)
    if failed:
        raise outcomes[min(failed)]
    return outcomes


class Trials:
    """Models of several candidates on the folds of one data set.

    Parameters
    ----------
    models : an estimator that is not fitted for each candidate
    splits : rows to train on and to test on, of each fold
    scorer, error_score, train_scores : as scikit-learn's searches have them
    keeps : whether training goes on in later rounds

    A ``random_state`` that is None becomes a number that NumPy's global generator draws here, for each candidate and
    fold: what threads draw of that generator would depend on who comes first.
    """

    def __init__(
        self,
        models: list[Any],
        data: FoldData,
        splits: list[tuple[np.ndarray, np.ndarray]],
        *,
        scorer: Any,
        error_score: Any,
        train_scores: bool,
        threads: int | None,
        progress: bool,
        keeps: bool,
    ) -> None:
        self._n_folds = len(splits)
        self._fresh = models
        self._seeds = [
            [{name: np.random.randint(2**31 - 1) for name in names} for _ in splits]
            for names in map(without_seed, models)
        ]
        self._kept: dict[tuple[int, int], Any] = {}
        self._folds = [Fold(data, *split, users=0 if keeps else len(models)) for split in splits]
        self._scorer, self._error_score, self._train_scores = scorer, error_score, train_scores
        self._threads, self._progress, self._keeps = threads, progress, keeps
        self._failed: dict[tuple[int, int], str] = {}

    def round(self, candidates: list[int], epochs: int | None = None) -> list[Result]:
        """Train and score the ``candidates``; those of all folds of the first come first.

        With ``epochs``, training goes on up to so many.
        """
        # Fold by fold, so that only those being read have copies.
        pairs = [(candidate, fold) for fold in range(self._n_folds) for candidate in candidates]
        results = run(len(pairs), lambda k: self._try(pairs[k], epochs), self._threads, self._progress, "fit")
        found = dict(zip(pairs, results, strict=True))
        return [found[candidate, fold] for candidate in candidates for fold in range(self._n_folds)]

    def forget(self, candidates: list[int]) -> None:
        """Free the models of candidates that are not trained on."""
        for candidate in candidates:
            for fold in range(self._n_folds):
                self._kept.pop((candidate, fold), None)

    def _try(self, pair: tuple[int, int], epochs: int | None) -> Result:
        model = self._kept.get(pair) or self._new(*pair)
        if self._keeps:
            self._kept[pair] = model
        with self._folds[pair[1]] as (train, test):
            begin = time.perf_counter()
            if pair not in self._failed:
                try:
                    _train(model, train, epochs)
                except Exception:
                    if self._error_score == "raise":
                        raise
                    self._failed[pair] = format_exc()
            trained = time.perf_counter()
            parts = {"test_scores": test} | ({"train_scores": train} if self._train_scores else {})
            result: Result = {"fit_error": self._failed.get(pair), "fit_time": trained - begin}
            for n, (name, part) in enumerate(parts.items()):
                result[name] = self._failure() if pair in self._failed else self._scores(model, part)
                if n == 0:
                    result["score_time"] = 0.0 if pair in self._failed else time.perf_counter() - trained
            return result

    def _new(self, candidate: int, fold: int) -> Any:
        model = clone(self._fresh[candidate]).set_params(**self._seeds[candidate][fold])
        network_of(model).progress = False
        return model

    def _scores(self, model: Any, part: FoldData) -> Any:
        return _score(model, part.X, part.y, self._scorer, part.score, self._error_score)

    def _failure(self) -> Any:
        if isinstance(self._scorer, _MultimetricScorer):
            return dict.fromkeys(self._scorer._scorers, self._error_score)
        return self._error_score


def _train(model: Any, part: FoldData, epochs: int | None) -> None:
    """Fit ``model``; with ``epochs`` only up to so many, or go on to them where it has been fitted before."""
    network = network_of(model)
    if epochs is not None and network._pause_at is not None:
        network._go_on(epochs)
        return
    network._pause_at = epochs
    model.fit(part.X, part.y, **part.fit)
