"""The book's functions: the forward passes of the layers, without state."""

import numpy as np
from numpy.typing import ArrayLike

from fastbp.activations import Relu, Sigmoid
from fastbp.basics import _check
from fastbp.layers.softmax import Softmax
from fastbp.losses._targets import as_targets


def relu(x: ArrayLike) -> np.ndarray:
    """``x`` with 0 where x <= 0, for an array of any shape; see ``Relu``."""
    return Relu().forward(x)


def sigmoid(x: ArrayLike) -> np.ndarray:
    """1 / (1 + exp(-x)) for an array of any shape; see ``Sigmoid``."""
    return Sigmoid().forward(x)


def softmax(x: ArrayLike) -> np.ndarray:
    """exp(x) / sum(exp(x)) along the last axis; see ``Softmax``."""
    return Softmax().forward(x)


def cross_entropy_error(y: ArrayLike, t: ArrayLike) -> np.floating:
    """Return the mean over the rows of ``-sum(t log(y + 1e-7))`` in nats.

    Parameters
    ----------
    y : (N, K) or (K,) array of real numbers
        Probabilities; (K,) are those of a single sample.
    t : (N,) array of integers, or array of as many elements as ``y``
        Class labels in 0..K-1, or one-hot rows or distributions.

    Returns
    -------
    loss : float

    Raises
    ------
    ValueError
        For shapes that do not fit and labels outside 0..K-1.
    TypeError
        For what is no array of real numbers.
    """
    y = _check.as_real("y", y)
    if y.ndim not in (1, 2) or y.size == 0:
        raise ValueError(f"y must be (N, K) or (K,), of a batch and classes that are not empty, got shape {y.shape}")
    rows = _check.as_rows(y.astype(_check.result_type(y), copy=False))
    targets = as_targets(_check.as_real("t", t), "y", y.shape, rows.dtype)
    if targets.ndim == 1:
        return -np.mean(np.log(rows[np.arange(len(rows)), targets] + rows.dtype.type(1e-7)))
    return -np.mean(np.sum(targets * np.log(rows + rows.dtype.type(1e-7)), axis=1))
