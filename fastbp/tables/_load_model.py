"""Models out of files, of one network or of several."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp._load import Checkpoint
from fastbp.ensemble import Ensemble
from fastbp.files import ensemble_file
from fastbp.files.ensemble_file import Kept
from fastbp.files.model_file import ModelFileError
from fastbp.losses._loss import LABELS
from fastbp.sequential import Sequential
from fastbp.tables._description import check_numbers
from fastbp.tables._ensemble_model import EnsembleModel
from fastbp.tables._features import ArrayFeatures, Features, features_from
from fastbp.tables._model import KEY, Model
from fastbp.tables._targets import Classes, Numbers, Targets, targets_from


def load_model(path: str | os.PathLike) -> Model:
    """The model in the file. One that ``net.save`` wrote takes arrays as they are, and its classes are 0, 1, ..."""
    return load_kept(path)[0]


def load_kept(path: str | os.PathLike) -> tuple[Model, Kept[Sequential]]:
    """The model in the file, and what else is in there. ModelFileError where what it says about data is damaged."""
    kept = ensemble_file.read_any(path, Sequential)
    return _made(kept.nets, kept.weights, kept.extra, path), kept


def model_of(checkpoint: Checkpoint, path: str | os.PathLike) -> Model:
    """The model of one network that was read from ``path``; ModelFileError as ``load_kept`` raises it."""
    return _made([checkpoint.net], None, checkpoint.extra, path)


def _made(
    nets: Sequence[Sequential], weights: Sequence[float] | None, extra: dict[str, Any], path: str | os.PathLike
) -> Model:
    net = nets[0]
    ensemble = None
    try:
        if weights is not None:
            ensemble = Ensemble(nets, weights)
            ensemble.weights = np.array(weights)  # to the last bit
    except ValueError as error:
        raise ModelFileError(f"{os.fspath(path)!s}: no ensemble: {error}") from error
    n_inputs, n_outputs = net.n_inputs, net.n_outputs
    if KEY not in extra:
        return _model(ensemble, net, ArrayFeatures(n_inputs, net.scale), _plain_targets(net, n_outputs))
    try:
        parts = extra[KEY]
        check_numbers(parts)
        model = _model(ensemble, net, features_from(parts["features"]), targets_from(parts["targets"]))
        if (model.features.n_inputs, model.targets.n_outputs) != (n_inputs, n_outputs):
            raise ValueError(f"{model.features.n_inputs} inputs and {model.targets.n_outputs} outputs do not fit")
        return model
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{os.fspath(path)!s}: what it says about data is not what fastbp train writes: {error!r}"
        raise ModelFileError(message) from None


def _model(ensemble: Ensemble | None, net: Sequential, features: Features, targets: Targets) -> Model:
    return Model(net, features, targets) if ensemble is None else EnsembleModel(net, features, targets, ensemble)


def _plain_targets(net: Sequential, n_outputs: int) -> Targets:
    n_classes = net.loss_layer.n_classes(n_outputs)
    binary = n_classes > n_outputs
    if binary or net.loss_layer.targets == LABELS:  # else each output is a probability of its own
        return Classes("class", list(range(n_classes)), binary)
    return Numbers("target", [0.0] * n_outputs, [1.0] * n_outputs)
