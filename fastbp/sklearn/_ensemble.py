"""Several networks in one estimator: trained side by side, each from another seed, and asked for their mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from fastbp.basics import _pool
from fastbp.basics._progress import Bar
from fastbp.basics._warn import ToldOnce, warn
from fastbp.sklearn._alone import alone
from fastbp.sklearn._training import Training
from fastbp.training._ranks import ALONE

# What is known of one network, and of several. Whoever becomes the other forgets what it was.
_OF_ONE = (
    "coefs_", "intercepts_", "loss_curve_", "best_loss_", "best_validation_score_", "validation_scores_",
    "validation_loss_curve_", "t_", "_optimizer", "_best_coefs", "_best_intercepts", "_split_seed",
)  # fmt: skip
_OF_SEVERAL = "estimators_", "oob_score_", "oob_decision_function_", "oob_prediction_"
_LEARNED_OF_DATA = "n_features_in_", "feature_names_in_", "classes_", "_label_binarizer"


class Ensemble(Training):
    """An estimator of one network or of several."""

    estimators_: list[Any]
    classes_: Any

    def _fit(self, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False) -> Any:
        several = self.n_estimators > 1 or self.bootstrap
        self._check_ensemble(several, incremental)
        if not several:
            super()._fit(X, y, sample_weight, incremental)
            self._forget(_OF_SEVERAL)
        else:
            with alone(self), ToldOnce():
                self._fit_members(X, y, sample_weight, incremental)
        return self

    def _forget(self, names: tuple[str, ...]) -> None:
        for name in names:
            self.__dict__.pop(name, None)

    def _check_ensemble(self, several: bool, incremental: bool) -> None:
        """ValueError for parameters that exclude each other, and for training that cannot go on."""
        if self.oob_score and not self.bootstrap:
            raise ValueError(
                "oob_score=True needs bootstrap=True: otherwise every network has seen every sample, and none is "
                "left to score it"
            )
        if self.oob_score and incremental:
            raise ValueError("oob_score=True needs to know all samples, which partial_fit does not: use fit")
        if self.oob_score and self.warm_start:
            raise ValueError(
                "oob_score=True needs networks that begin anew, got warm_start=True: what a network leaves out now it "
                "may have seen before"
            )
        if several and self._ranks is not ALONE:
            raise ValueError(
                f"comm is for one network of all samples, got n_estimators={self.n_estimators!r} and "
                f"bootstrap={self.bootstrap!r}"
            )
        if not (incremental or self.warm_start):
            return
        before = None
        if hasattr(self, "estimators_"):
            if not several or len(self.estimators_) != self.n_estimators:
                before = f"an ensemble of {len(self.estimators_)}"
        elif several and hasattr(self, "coefs_"):
            before = "a single network"
        if before:
            raise ValueError(
                f"n_estimators={self.n_estimators!r} with bootstrap={self.bootstrap!r} cannot go on from {before}: fit "
                "without warm_start begins anew"
            )

    def _fit_members(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> None:
        """Train all members, from where they are if training goes on."""
        anew = not (hasattr(self, "estimators_") and (incremental or self.warm_start))
        X, y = checked = self._validate_input(X, y, incremental, reset=anew)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        if anew:
            limit = np.iinfo(np.int32).max
            seeds = check_random_state(self.random_state).randint(limit, size=self.n_estimators)
        else:
            seeds = [member.random_state for member in self.estimators_]
        members = [clone(self) for _ in seeds] if anew else self.estimators_
        own = {"n_estimators": 1, "bootstrap": False, "oob_score": False, "progress": False}
        for member, seed in zip(members, seeds, strict=True):
            member.set_params(**self.get_params(deep=False) | own | {"random_state": int(seed)})
            member._draws_rows = self.bootstrap
            for name in _LEARNED_OF_DATA:
                if hasattr(self, name):
                    setattr(member, name, getattr(self, name))

        def train(k: int) -> tuple[np.ndarray, np.ndarray] | None:
            member = members[k]
            member._checked = checked
            try:
                member._fit(X, y, sample_weight, incremental)
                if not self.oob_score:
                    return None
                rows = np.flatnonzero(member._left_out)
                return rows, member._outputs(X[rows]) if rows.size else np.empty((0, member.n_outputs_))
            finally:
                del member._checked
                member.__dict__.pop("_left_out", None)

        with Bar(len(members), "network", wanted=self.progress) as bar:
            found = _pool.run_all(len(members), train, tell=bar.reach)
        for k, outcome in enumerate(found):
            if isinstance(outcome, Exception):
                raise outcome if len(found) == 1 else _of_member(k, outcome)
        self._take_over(members)
        if self.oob_score:
            self._score_left_out(y, found)

    def _take_over(self, members: list[Any]) -> None:
        self._forget(_OF_ONE)
        self.estimators_ = members
        for name in ("n_layers_", "n_outputs_", "out_activation_"):
            setattr(self, name, getattr(members[0], name))
        self.n_iter_ = max(member.n_iter_ for member in members)
        self.loss_ = float(np.mean([member.loss_ for member in members]))
        if all(hasattr(member, "converged_") for member in members):
            self.converged_ = all(member.converged_ for member in members)

    def _score_left_out(self, y: np.ndarray, found: list[Any]) -> None:
        """Predict samples by the members that have not seen them; ``found`` has each member's rows and outputs."""
        y = y.reshape(len(y), -1)
        total, times = np.zeros(y.shape), np.zeros((len(y), 1))
        for rows, outputs in found:
            total[rows] += outputs
            times[rows] += 1
        known = times[:, 0] > 0
        mean = np.divide(total, times, out=np.full(y.shape, np.nan), where=times > 0)
        if not known.all():
            warn(
                f"{np.sum(~known)} of {len(y)} samples were drawn for every network: nothing is known of them out of "
                "bag, and more n_estimators leave fewer such samples"
            )
        if not is_classifier(self):
            self.oob_prediction_ = mean[:, 0] if y.shape[1] == 1 else mean
            self.oob_score_ = float(r2_score(y[known], mean[known])) if known.sum() > 1 else float("nan")
            return
        right = self._are_right(mean[known], y[known])
        self.oob_decision_function_ = np.hstack([1 - mean, mean]) if y.shape[1] == 1 else mean
        self.oob_score_ = float(right.mean()) if known.any() else float("nan")


def _of_member(k: int, error: Exception) -> Exception:
    """The ``error`` of member ``k``, which says so, of the same class where that takes a text."""
    try:
        named = type(error)(f"network {k} of the ensemble: {error}")
    except Exception:
        return error
    return named.with_traceback(error.__traceback__)
