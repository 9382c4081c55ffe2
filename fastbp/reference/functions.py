"""The book's functions."""

import numpy as np

__all__ = ["cross_entropy_error", "cross_entropy_of_scores", "relu", "sigmoid", "softmax"]


def relu(x):
    """``max(x, 0)``; nan stays nan."""
    return np.maximum(x, 0)


def sigmoid(x):
    """``1 / (1 + exp(-x))``, 0 where ``exp(-x)`` overflows."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-floats(x)))


def softmax(x):
    """``exp(x) / sum(exp(x))`` along the last axis, shifted by the maximum so that nothing overflows."""
    x = floats(x)
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def cross_entropy_error(y, t, eps=1e-7):
    """Return ``mean_n(-log(y[n, t[n]] + eps))`` in nats.

    Parameters
    ----------
    y : (N, K) or (K,)
        Probabilities; one dimension is one sample.
    t : as many entries as ``y``, or (N,) integers
        One-hot rows or distributions, or classes in 0..K-1.
    eps : float
        Keeps the logarithm finite; the book's 1e-7.
    """
    y, t = np.asarray(y), np.asarray(t)
    if y.ndim == 1:
        y, t = y.reshape(1, y.size), t.reshape(1, t.size)
    n = y.shape[0]
    if t.size == y.size:
        return -np.sum(t * np.log(y + eps)) / n
    return -np.sum(np.log(y[np.arange(n), t] + eps)) / n


def cross_entropy_of_scores(x, t):
    """Return ``mean_n(-sum_k t[n, k] log softmax(x)[n, k])`` in nats, exact however small the probability.

    ``x`` is (N, K) or (K,); ``t`` holds as many entries, rows of shares, or (N,) classes in 0..K-1.
    """
    x = floats(x)
    x = x.reshape(-1, x.shape[-1])
    shifted = x - np.max(x, axis=1, keepdims=True)
    log_y = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    n = x.shape[0]
    if t.size == x.size:
        t = t.reshape(x.shape)
        return -np.sum(t * np.where(t == 0, 0, log_y)) / n  # a class of weight 0 counts 0, also at log_y = -inf
    return -np.sum(log_y[np.arange(n), t]) / n


def floats(x):
    """Return ``x`` as an array, integers and booleans as float64: small ones would wrap or go to float16."""
    x = np.asarray(x)
    return x.astype(np.float64) if x.dtype.kind in "biu" else x
