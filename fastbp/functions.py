"""The book's functions: the forward passes of the layers, without state."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.activations import Relu, Sigmoid
from fastbp.basics import _check, _team
from fastbp.kernels.entry import Entry
from fastbp.kernels.softmax_xent import cross_entropy_of_labels, cross_entropy_of_rows
from fastbp.layers.softmax import Softmax
from fastbp.losses._targets import as_targets

EPS = 1e-7  # the book's
OF_LABELS = Entry(cross_entropy_of_labels, "NK N:labels number -> N:labels N:double number")
OF_ROWS = Entry(cross_entropy_of_rows, "NK NK number -> N:double number")


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
    given: Any = y  # an array, where an entry takes it
    for entry in (OF_LABELS, OF_ROWS):
        if made := entry.call(_team.address, given, t, EPS):
            return given.dtype.type(made[-1])
    y = _check.as_real("y", y)
    if y.ndim not in (1, 2) or y.size == 0:
        raise ValueError(f"y must be (N, K) or (K,), of a batch and classes that are not empty, got shape {y.shape}")
    dtype = _check.result_type(y)
    rows = _check.as_rows(_check.ready(y, _check.computed_in(dtype)))
    targets = as_targets(_check.as_real("t", t), "y", y.shape, rows.dtype)
    entry = OF_LABELS if targets.ndim == 1 else OF_ROWS
    return dtype.type(entry(_team.address, rows, targets, EPS)[-1])
