"""A model of the command line: a network, and how data become its inputs and its outputs answers."""

import argparse
import copy
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp import Sequential
from fastbp._loss import LABELS
from fastbp.commands import CommandError
from fastbp.commands._description import check_numbers
from fastbp.commands._features import ArrayFeatures, Features, features_from
from fastbp.commands._targets import Classes, Numbers, Targets, targets_from
from fastbp.history import TrainingState
from fastbp.model_file import Checkpoint, ModelFileError, load_checkpoint

KEY = "data"  # of what is saved beside the network
ROOM = 100_000  # bytes that a model file of any size has for it
ROWS_AT_A_TIME = 1024  # of an evaluation: their floats stay in the cache, and bytes need no float copy of all


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file that fastbp train --save or net.save has written")


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

    def scores(self, x: np.ndarray) -> np.ndarray:
        """The network's outputs (N, K) for inputs as ``inputs_of`` returns them."""
        pieces = []
        for begin in range(0, len(x), ROWS_AT_A_TIME):
            rows = x[begin : begin + ROWS_AT_A_TIME]
            pieces.append(self.net.predict(rows.astype(self.dtype, copy=False)))
        return np.concatenate(pieces)

    def found(self, scores: np.ndarray) -> np.ndarray:
        """The numbers of the classes that ``scores`` (N, K) say."""
        return self.net.lastLayer.found(scores)

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
        measures = {"loss": float(copy.copy(self.net.lastLayer).forward(scores, encoded))}
        if isinstance(self.targets, Classes):
            return measures | {"accuracy": float(np.mean(self.found(scores) == encoded))}
        errors = (scores - encoded) * np.array(self.targets.std)
        spread = ((encoded - encoded.mean(axis=0)) * np.array(self.targets.std)) ** 2
        rmse, mae = float(np.sqrt(np.mean(errors**2))), float(np.mean(np.abs(errors)))
        total = float(spread.sum())
        return measures | {"rmse": rmse, "mae": mae, "r2": 1 - float(np.sum(errors**2)) / total if total else 0.0}

    def description(self) -> dict[str, Any]:
        """What a file keeps beside the network."""
        return {KEY: {"features": self.features.to_json(), "targets": self.targets.to_json()}}

    def check_room(self) -> None:
        """CommandError where ``description`` is too long for a model file."""
        size = len(json.dumps(self.description()))
        if size > ROOM:
            raise CommandError(
                f"how the data were prepared takes {size} bytes, and a model file has room for {ROOM}: "
                f"--no-standardize, or --drop for columns with many categories"
            )

    def save(self, path: str, state: TrainingState | None = None) -> None:
        self.net.save(path, state=state, extra=self.description())


def load_checked(path: str) -> Checkpoint:
    """The checkpoint in the file; CommandError where it is none."""
    try:
        return load_checkpoint(path)
    except ModelFileError as error:
        raise CommandError(str(error)) from None


def load_model(path: str) -> Model:
    """The model in the file. One that ``net.save`` wrote takes arrays as they are, and its classes are 0, 1, ..."""
    return model_of(load_checked(path), path)


def model_of(checkpoint: Checkpoint, path: str) -> Model:
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
        raise CommandError(f"{path}: what it says about data is not what fastbp train writes: {error!r}") from None


def _plain_targets(net: Sequential, n_outputs: int) -> Targets:
    n_classes = net.lastLayer.n_classes(n_outputs)
    binary = n_classes > n_outputs
    if binary or net.lastLayer.targets == LABELS:  # else each output is a probability of its own
        return Classes("class", list(range(n_classes)), binary)
    return Numbers("target", [0.0] * n_outputs, [1.0] * n_outputs)
