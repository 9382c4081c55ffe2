"""A network with the way from data to its inputs and from its outputs to answers, and how both are kept in a file."""

import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp.basics._row_slices import row_slices
from fastbp.sequential import Sequential
from fastbp.tables._errors import DataError, Settings
from fastbp.tables._features import ArrayFeatures, Features, inputs_of
from fastbp.tables._targets import Classes, Targets
from fastbp.training.history import TrainingState

KEY = "data"  # of what is saved beside the network
ROOM = 100_000  # bytes that a model file of any size has for it
EVALUATED_AT_A_TIME = 1024  # rows of an evaluation: their floats stay in the cache, and bytes need no float copy of all


@dataclass
class Model:
    """A network with the way from data to its inputs (``features``) and from its outputs to answers (``targets``).

    The network multiplies its inputs by the features' scale.
    """

    net: Sequential
    features: Features
    targets: Targets

    def __post_init__(self) -> None:
        if isinstance(self.features, ArrayFeatures):
            self.net.scale = self.features.scale

    @property
    def dtype(self) -> str:
        return self.net.dtype.name

    def outputs(self, x: Any, rows: np.ndarray, tell: Callable[[str], object]) -> np.ndarray:
        """The network's outputs (N, K) for samples, a table or an array, whose ``rows`` (N,) are what they are called.

        What has to be known of the samples, and is no mistake, is told. DataError where samples do not fit or are too
        large for the network.
        """
        scores = self.scores(inputs_of(self.features, x, self.dtype, tell))
        finite = np.isfinite(scores).all(axis=1)
        if not finite.all():
            row = rows[np.argmin(finite)]
            raise DataError(f"the network's output for sample {row} is not finite: are its numbers far too large?")
        return scores

    def scores(self, x: np.ndarray) -> np.ndarray:
        """The network's outputs (N, K) for inputs as ``inputs_of`` returns them."""
        pieces = []
        for rows in row_slices(len(x), EVALUATED_AT_A_TIME):
            pieces.append(self._scores(x[rows].astype(self.dtype, copy=False)))
        return np.concatenate(pieces)

    def _scores(self, x: np.ndarray) -> np.ndarray:
        """Likewise, of a few rows of the model's dtype."""
        return self.net.predict(x)

    def found(self, scores: np.ndarray) -> np.ndarray:
        """The numbers of the classes that ``scores`` (N, K) say."""
        return self.net.loss_layer.found(scores)

    def shares(self, scores: np.ndarray) -> np.ndarray:
        """The probability of each class (N, number of classes), of a model of classes."""
        shares = self.net.loss_layer.probabilities(scores)
        return np.hstack([1 - shares, shares]) if shares.shape[1] == 1 else shares

    def answers(self, scores: np.ndarray) -> np.ndarray:
        """Scores as classes (N,), or as numbers (N,) or (N, K)."""
        if isinstance(self.targets, Classes):
            return np.array(self.targets.values)[self.found(scores)]
        return self.targets.decode(scores)

    def measured(self, scores: np.ndarray, encoded: np.ndarray) -> dict[str, float]:
        """How well ``scores`` fit encoded targets: the loss, and accuracy of classes or errors of numbers.

        ``rmse`` and ``mae``, root mean squared and mean absolute error, are in the targets' own unit; ``r2`` is the
        share of their variance that is explained.
        """
        measures = {"loss": float(copy.copy(self.net.loss_layer).forward(scores, encoded))}
        if isinstance(self.targets, Classes):
            return measures | {"accuracy": float(np.mean(self.found(scores) == encoded))}
        errors = (scores - encoded) * np.array(self.targets.std)
        spread = ((encoded - encoded.mean(axis=0)) * np.array(self.targets.std)) ** 2
        rmse, mae = float(np.sqrt(np.mean(errors**2))), float(np.mean(np.abs(errors)))
        total = float(spread.sum())
        return measures | {"rmse": rmse, "mae": mae, "r2": 1 - float(np.sum(errors**2)) / total if total else 0.0}

    def evaluated(self, scores: np.ndarray, encoded: np.ndarray) -> dict[str, float]:
        """As ``measured``; DataError where a measure is beyond the largest float."""
        with np.errstate(over="ignore", invalid="ignore"):
            measures = self.measured(scores, encoded)
        if not np.isfinite(list(measures.values())).all():
            raise DataError("the network's outputs are so far from the targets that their distance is no finite number")
        return measures

    def description(self) -> dict[str, Any]:
        """What a file keeps beside the network."""
        return {KEY: {"features": self.features.to_json(), "targets": self.targets.to_json()}}

    def check_room(self) -> None:
        """DataError where ``description`` is too long for a model file."""
        size = len(json.dumps(self.description()))
        if size > ROOM:
            raise DataError(
                f"how the data were prepared takes {size} bytes, and a model file has room for {ROOM}: ",
                Settings(standardize=False),
                ", or ",
                Settings(drop=None),
                " for columns with many categories",
            )

    def save(self, path: str | os.PathLike, state: TrainingState | None = None) -> None:
        self.net.save(path, state=state, extra=self.description())
