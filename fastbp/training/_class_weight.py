"""Weights of classes, as weights of samples."""

from collections.abc import Mapping

import numpy as np

from fastbp.basics import _arguments
from fastbp.losses._loss import Loss
from fastbp.training._ranks import Alone


def with_class_weight(
    weights: np.ndarray,
    class_weight: Mapping[int, float] | str,
    loss: Loss,
    targets: np.ndarray,
    n_outputs: int,
    ranks: Alone,
) -> np.ndarray:
    """``weights`` of samples, (N,) or without elements for none, times those of their classes.

    ``targets`` are in the form of ``loss.as_targets``; what is balanced is the samples of all ``ranks``. Raises
    ValueError where they are no class labels.
    """
    n_classes = loss.n_classes(n_outputs)
    labels = None if targets.ndim == 2 and n_classes == n_outputs else loss.labels_in(targets)
    if labels is None:
        raise ValueError(
            "class_weight needs targets that are class labels: (N,) integers, 0 or 1 for a network with one output"
        )
    if isinstance(class_weight, str):
        _arguments.choice("class_weight", class_weight, ["balanced"])
        by_class = balanced(labels, n_classes, ranks)
    elif isinstance(class_weight, Mapping):
        by_class = _given(class_weight, n_classes, float(np.finfo(weights.dtype).max))
    else:
        expected = 'class_weight must be a dict from class label to weight, or "balanced"'
        raise TypeError(f"{expected}, got {_arguments.shown(class_weight)}")
    per_sample = by_class[labels]
    return (per_sample * weights if weights.size else per_sample).astype(weights.dtype)


def balanced(labels: np.ndarray, n_classes: int, ranks: Alone) -> np.ndarray:
    """Weights with which every class that any of the ranks has counts alike, and all samples as many as they are.

    ``labels`` are this rank's, in 0..n_classes-1.
    """
    counts = np.sum(ranks.gathered(np.bincount(labels, minlength=n_classes)), axis=0)
    return counts.sum() / (np.count_nonzero(counts) * np.maximum(1, counts))


def _given(class_weight: Mapping[int, float], n_classes: int, largest: float) -> np.ndarray:
    by_class = np.ones(n_classes)
    for label, weight in class_weight.items():
        label = _arguments.integer("a class of class_weight", label, 0, n_classes - 1)
        by_class[label] = _arguments.real(f"class_weight[{label}]", weight, 0, largest)
    return by_class
