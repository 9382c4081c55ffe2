"""The classes that a loss is about: which one scores say, and which one targets name.

A network with one output knows two, 0 and 1; any other has one for each output.
"""

from typing import Any

import numpy as np

from fastbp import _check
from fastbp._loss import RealTargetLoss
from fastbp._targets import as_targets


def has_probabilities(loss: Any) -> bool:
    """Whether ``loss`` makes probabilities of scores, and is about classes therefore."""
    none = RealTargetLoss.probabilities
    return getattr(type(loss), "probabilities", none) is not none


def must_have_classes(loss: Any, what: str) -> None:
    """TypeError where ``loss`` is about numbers, for which there is no ``what``."""
    if not has_probabilities(loss):
        raise TypeError(
            f"{type(loss).__name__} is a loss of numbers, not of classes: its network has no {what} "
            f"(loss(x, t) says how far predict(x) is from t)"
        )


def found(loss: Any, scores: np.ndarray) -> np.ndarray:
    """(N,) the class that each row of ``scores`` (N, K) says: the highest; of one output, 1 above a half."""
    if scores.shape[1] == 1 and not loss.has_classes:
        return (loss.probabilities(scores)[:, 0] > 0.5).astype(np.intp)
    return np.argmax(scores, axis=1)


def labels_in(loss: Any, targets: np.ndarray) -> np.ndarray | None:
    """(N,) the classes that ``targets``, in the form of ``loss.as_targets``, name; None unless it is one a row."""
    if targets.ndim == 1:
        return targets
    if loss.has_classes:
        return np.argmax(targets, axis=1)
    if not has_probabilities(loss):
        return None
    if targets.shape[1] == 1:
        return targets[:, 0].astype(np.intp) if np.isin(targets, (0, 1)).all() else None
    return np.argmax(targets, axis=1) if (_named(targets) == 1).all() else None


def as_labels(loss: Any, t: Any, shape: tuple[int, int]) -> np.ndarray:
    """(N,) the classes that ``t`` names for scores of ``shape`` (N, K): labels (N,) or (N, 1), or rows (N, K).

    Raises ValueError where ``t`` does not fit or does not name one class a row, TypeError for what is no array of real
    numbers.
    """
    t = _check.as_real("t", t)
    binary = shape[1] == 1 and not loss.has_classes
    if binary:
        targets = loss.as_targets(t, shape, _check.FLOAT64)
    else:
        column = t.shape == (shape[0], 1) != shape
        targets = as_targets(t[:, 0] if column else t, "the scores", shape, _check.FLOAT64)
    labels = labels_in(loss, targets)
    if labels is not None:
        return labels
    if binary:
        n = int(np.argmin(np.isin(targets, (0, 1))))
        raise ValueError(f"t[{n}] is {t.reshape(-1)[n]}, neither 0 nor 1")
    n = int(np.argmax(_named(targets) != 1))
    raise ValueError(f"t[{n}] names {_named(targets)[n]} classes, and accuracy is of one class a row")


def _named(targets: np.ndarray) -> np.ndarray:
    """(N,) how many classes each row of (N, K) names."""
    return np.count_nonzero(targets, axis=1)
