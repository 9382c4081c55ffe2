"""The objective of L-BFGS: loss and gradient over all samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.basics._row_slices import ROWS_AT_A_TIME
from fastbp.sklearn._network import EstimatorNetwork
from fastbp.sklearn._steps import EstimatorSteps
from fastbp.training._ranks import Alone, Ranks


class Objective:
    """Loss with penalty as a function of all weights in one float64 vector, matrices first, then biases.

    Called with such a vector it returns the loss and its gradient. Samples are taken in blocks, so that activations,
    and sparse samples made dense, stay small beside the data. ``rows`` (N,), if given, are the samples that count, some
    several times and some not at all.
    """

    def __init__(
        self,
        network: EstimatorNetwork,
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
        *,
        alpha: float,
        dtype: np.dtype,
        ranks: Alone,
        rows: np.ndarray | None = None,
    ) -> None:
        n = X.shape[0]
        block = min(n, ROWS_AT_A_TIME)
        steps = self._steps = EstimatorSteps(network, X, y, sample_weight, batch_size=block, alpha=0.0, dtype=dtype)
        weights = np.ones(n) if sample_weight is None else sample_weight.astype(np.float64)
        if rows is not None:
            steps.order, weights = rows, weights[rows]
        sums = np.add.reduceat(weights, np.arange(0, n, block))
        total = sum(ranks.gathered(sums.sum()))
        self._ranks, self._shares, self._decay = ranks, sums / total, alpha / total
        steps.parameters[:] = np.arange(steps.parameters.size)
        matrices, biases = steps.weights()
        self._places = np.concatenate([a.ravel() for a in matrices + biases]).astype(np.intp)
        self._n_weights = sum(W.size for W in matrices)  # the penalty is theirs

    def __call__(self, packed: np.ndarray) -> tuple[float, np.ndarray]:
        steps = self._steps
        steps.parameters[self._places] = packed
        loss, gradient = 0.0, np.zeros_like(packed)
        for batch, share in enumerate(self._shares):
            loss += share * steps.batch_gradient(batch)
            gradient += share * steps.gradients[self._places]
        if isinstance(self._ranks, Ranks):
            together = np.append(gradient, loss)
            self._ranks.add_up(together)
            gradient, loss = together[:-1], float(together[-1])
        weights = packed[: self._n_weights]
        gradient[: self._n_weights] += self._decay * weights
        return loss + 0.5 * self._decay * float(weights @ weights), gradient
