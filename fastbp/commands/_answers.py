"""What a trained network makes of samples: its outputs, checked, and the probabilities that they stand for."""

import numpy as np

from fastbp.commands import CommandError
from fastbp.commands._data import Samples
from fastbp.commands._features import inputs_of
from fastbp.commands._model import Model


def scores_of(model: Model, samples: Samples) -> np.ndarray:
    """The network's outputs (N, K); CommandError where samples do not fit or are too large for it."""
    scores = model.scores(inputs_of(model.features, samples.x, model.dtype))
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite)) + 1
        raise CommandError(f"the network's output for sample {row} is not finite: are its numbers far too large?")
    return scores


def shares_of(model: Model, scores: np.ndarray) -> np.ndarray:
    """The probability of each class (N, number of classes), of a model of classes."""
    shares = model.net.loss_layer.probabilities(scores)
    return np.hstack([1 - shares, shares]) if shares.shape[1] == 1 else shares
