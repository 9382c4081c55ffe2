"""A model of several networks, whose mean it answers with."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp.ensemble import Ensemble
from fastbp.files import ensemble_file
from fastbp.tables._errors import DataError
from fastbp.tables._model import Model
from fastbp.training.history import TrainingState


@dataclass
class EnsembleModel(Model):
    """Several networks with the same way from data and to answers; ``net`` is the first of them.

    Its scores are those of which the loss makes the mean of the members' probabilities, or the mean of their outputs
    where it makes none. All that a model does with scores is therefore right for them.
    """

    ensemble: Ensemble

    @property
    def dtype(self) -> str:
        return np.result_type(*{net.dtype for net in self.ensemble}).name

    @property
    def members(self) -> list[Model]:
        """A model of each network."""
        return [Model(net, self.features, self.targets) for net in self._nets]

    def _scores(self, x: np.ndarray) -> np.ndarray:
        link = self.net.loss_layer.link
        if link is None:
            return self.ensemble.predict(x)
        binary = link.elementwise
        total = np.array(-np.inf)  # the logarithm of nothing
        with np.errstate(divide="ignore", invalid="ignore"):  # a weight of 0; scores that are not finite
            for net, weight in zip(self.ensemble, self.ensemble.weights, strict=True):
                total = np.logaddexp(total, np.log(weight) + _logarithms(net.predict(x), binary))
            return total[0] - total[1] if binary else total

    def shares(self, scores: np.ndarray) -> np.ndarray:
        return super().shares(scores).astype(self.dtype, copy=False)

    def check_room(self) -> None:
        super().check_room()
        try:
            ensemble_file.check_room(self.ensemble.nets, self._weights, self.description())
        except ValueError as error:
            raise DataError(f"{len(self.ensemble)} networks are too many for a model file: {error}") from None

    def save(self, path: str | os.PathLike, state: TrainingState | None = None) -> None:
        if state is not None:
            raise ValueError("state is of one network, and these are several")
        ensemble_file.save(self.ensemble.nets, self._weights, path, self.description())

    @property
    def _nets(self) -> tuple[Any, ...]:
        return self.ensemble.nets

    @property
    def _weights(self) -> list[float]:
        return self.ensemble.weights.tolist()


def _logarithms(scores: np.ndarray, binary: bool) -> np.ndarray:
    """Of the probabilities (N, K) that scores (N, K) say, in float64; of two classes (2, N, 1): that of 1, and of 0.

    As logarithms, what is almost impossible has its digits, too, and the loss of a mean is as right as that of one.
    """
    scores = scores.astype(np.float64)
    if binary:
        return -np.logaddexp(0, np.stack([-scores, scores]))
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
