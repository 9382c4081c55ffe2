"""A network with the way from data to its inputs and from its outputs to answers, and how both are kept in a file."""

import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp._load import Checkpoint, load_checkpoint
from fastbp.files.model_file import ModelFileError
from fastbp.losses._loss import LABELS
from fastbp.sequential import Sequential
from fastbp.tables._description import check_numbers
from fastbp.tables._errors import DataError, Settings
from fastbp.tables._features import ArrayFeatures, Features, features_from, inputs_of
from fastbp.tables._targets import Classes, Numbers, Targets, targets_from
from fastbp.training.history import TrainingState

KEY = "data"  # of what is saved beside the network
ROOM = 100_000  # bytes that a model file of any size has for it
ROWS_AT_A_TIME = 1024  # of an evaluation: their floats stay in the cache, and bytes need no float copy of all


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
        for begin in range(0, len(x), ROWS_AT_A_TIME):
            rows = x[begin : begin + ROWS_AT_A_TIME]
            pieces.append(self.net.predict(rows.astype(self.dtype, copy=False)))
        return np.concatenate(pieces)

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


def load_model(path: str | os.PathLike) -> Model:
    """The model in the file. One that ``net.save`` wrote takes arrays as they are, and its classes are 0, 1, ..."""
    return model_of(load_checkpoint(path), path)


def model_of(checkpoint: Checkpoint, path: str | os.PathLike) -> Model:
    """The model that was read from ``path``; ModelFileError where what it says about data is damaged."""
    net, extra = checkpoint.net, checkpoint.extra
    n_inputs, n_outputs = net.n_inputs, net.n_outputs
    if KEY not in extra:
        return Model(net, ArrayFeatures(n_inputs, net.scale), _plain_targets(net, n_outputs))
    try:
        parts = extra[KEY]
        check_numbers(parts)
        model = Model(net, features_from(parts["features"]), targets_from(parts["targets"]))
        if (model.features.n_inputs, model.targets.n_outputs) != (n_inputs, n_outputs):
            raise ValueError(f"{model.features.n_inputs} inputs and {model.targets.n_outputs} outputs do not fit")
        return model
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{os.fspath(path)!s}: what it says about data is not what fastbp train writes: {error!r}"
        raise ModelFileError(message) from None


def _plain_targets(net: Sequential, n_outputs: int) -> Targets:
    n_classes = net.loss_layer.n_classes(n_outputs)
    binary = n_classes > n_outputs
    if binary or net.loss_layer.targets == LABELS:  # else each output is a probability of its own
        return Classes("class", list(range(n_classes)), binary)
    return Numbers("target", [0.0] * n_outputs, [1.0] * n_outputs)
