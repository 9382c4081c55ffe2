"""What an estimator does with fitted weights: it predicts, and becomes a network of fastbp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from fastbp.basics._progress import told_if
from fastbp.ensemble import Ensemble
from fastbp.sequential import Sequential
from fastbp.sklearn._network import EstimatorNetwork
from fastbp.sklearn._sparse import check_sparse

# The word for a network's loss, by what scikit-learn calls the output activation.
LOSS_OF_OUTPUT = {"softmax": "softmax", "logistic": "sigmoid", "identity": "mse"}


# What a method tells of kernels that it compiles, where the user asked to be told.
told = told_if(lambda estimator, *args, **others: estimator.progress or estimator.verbose)


class Fitted(BaseEstimator):
    """The part of an estimator that reads its weights."""

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    out_activation_: str
    estimators_: list[Any]

    def to_network(self) -> Sequential:
        """Return a ``fastbp.Sequential`` with a copy of the fitted weights: it can be saved, exported, trained further.

        Its scores (N, K) are what the output function of this estimator is applied to. Its loss, and what gives the
        estimator's predictions ``y`` for samples ``x``:

        ========================  ===================  =========================================================
        classifier of             loss of the network  prediction
        ========================  ===================  =========================================================
        three classes or more     SoftmaxWithLoss      ``classes_[net.predict_proba(x).argmax(axis=1)]``
        two classes (K = 1)       SigmoidWithLoss      ``classes_[(net.predict_proba(x)[:, 0] > 0.5).astype(int)]``
        several labels a sample   SigmoidWithLoss      ``net.predict_proba(x) > 0.5``
        ========================  ===================  =========================================================

        That of a regressor is MeanSquaredError; ``net.predict(x)`` is (N, K), also where y is (N,). Dropout, which is
        over when predicting, and the penalty ``alpha`` are not taken along, nor are names of classes and features.

        Raises NotFittedError before ``fit``, ValueError for loss="poisson": its predictions are the exponential
        function of the scores, which no layer is; and for an ensemble, which ``to_ensemble`` is for.
        """
        check_is_fitted(self)
        if hasattr(self, "estimators_"):
            raise ValueError(
                f"an ensemble of {len(self.estimators_)} networks cannot become one network: use to_ensemble(), or "
                "estimators_[k].to_network() for a member"
            )
        if self.out_activation_ not in LOSS_OF_OUTPUT:
            raise ValueError(
                "loss='poisson' cannot become a network: its predictions are exp of the scores, which no layer of "
                "fastbp is"
            )
        network = self._network()
        return network.sequential(0.0, network.dtype, LOSS_OF_OUTPUT[self.out_activation_])

    def to_ensemble(self) -> Ensemble:
        """Return a ``fastbp.Ensemble`` of the networks of ``n_estimators``, or of the one: also for files and exports.

        What it predicts, and how the estimator's predictions follow from that, is as of ``to_network``, and so is what
        raises.
        """
        check_is_fitted(self)
        return Ensemble([member.to_network() for member in getattr(self, "estimators_", [self])])

    def _network(self) -> EstimatorNetwork:
        return self._network_of(self.coefs_, self.intercepts_)

    def _network_of(self, coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray]) -> EstimatorNetwork:
        return EstimatorNetwork(coefs, intercepts, self.activation, self.out_activation_)

    @told
    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> np.ndarray:
        X = check_sparse(X)
        if check_input:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        if not hasattr(self, "estimators_"):
            return self._outputs(X)
        members = iter(self.estimators_)
        total = next(members)._outputs(X)
        for member in members:
            total += member._outputs(X)
        total /= len(self.estimators_)
        return total

    def _outputs(self, X: Any) -> np.ndarray:
        """Those of one network for samples that were looked at."""
        if self.dtype is not None:
            X = X.astype(self.dtype, copy=False)
        return self._network().outputs(X)
