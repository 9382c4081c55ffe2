"""Targets of a classification: class labels, or rows of probabilities."""

import numpy as np

from fastbp.basics import _check
from fastbp.kernels.row_losses import first_outside


def as_targets(
    t: np.ndarray, name: str, shape: tuple[int, ...], dtype: np.dtype, *, any_shares: bool = False
) -> np.ndarray:
    """``t`` in the form that kernels take beside scores ``name`` of ``shape`` (N, K), or (K,) of a single sample.

    What has the shape of the scores holds one-hot rows or distributions and becomes (N, K) of ``dtype``; N elements
    are class labels and become (N,) intp, in an array that nobody else has: kernels index by labels, which must be
    those that were looked at here. Raises ValueError for any other shape, for a label outside 0..K-1, and, unless
    ``any_shares`` will do, for a negative element of a row.
    """
    n_classes = shape[-1]
    n_rows = shape[0] if len(shape) == 2 else 1
    if t.shape == shape or (len(shape) == 1 and t.size == n_classes):
        rows = _check.ready(t.reshape(n_rows, n_classes), dtype)
        if not any_shares:
            _check.within("t", rows, 0.0, np.inf, "where a share of a class must not be negative")
        return rows
    if t.size != n_rows or not (t.ndim == 1 or n_rows == 1):
        raise ValueError(
            f"t of shape {t.shape} does not fit {name} of shape {shape}: "
            f"t must hold a class label for each row of {name}, or have the shape of {name}"
        )
    return _as_labels(t.reshape(n_rows), n_classes)


def _as_labels(t: np.ndarray, n_classes: int) -> np.ndarray:
    if t.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # NaN and infinity become some integer, which then differs
            labels = t.astype(np.intp, order="C")
        if not np.array_equal(labels, t):
            n = int(np.argmax(labels != t))
            raise ValueError(f"t[{n}] is {t[n]}, no class label: an integer in 0..{n_classes - 1}")
    else:
        labels = t.astype(np.intp, order="C")
    # A copy, so that these are the labels that kernels meet.
    n = first_outside(labels, 0, n_classes - 1)
    if n >= 0:
        raise ValueError(f"t[{n}] is {t[n]}, outside 0..{n_classes - 1}")
    return labels
