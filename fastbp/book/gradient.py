"""The book's ``common/gradient.py``."""

from collections.abc import Callable

import numpy as np

from fastbp.basics.gradient import numerical_gradient

__all__ = ["np", "numerical_gradient", "numerical_gradient_2d"]


def numerical_gradient_2d(f: Callable[[np.ndarray], float], X: np.ndarray) -> np.ndarray:
    """Return the gradient of ``f`` at each row of ``X``, (N, I), or at ``X`` itself, (I,); see ``numerical_gradient``.

    ``f`` takes one row.

    Raises
    ------
    ValueError
        For an array of more dimensions.
    """
    if np.ndim(X) == 1:
        return numerical_gradient(f, X)
    if np.ndim(X) != 2:
        raise ValueError(f"X must be (N, I), points in rows, or (I,), got shape {np.shape(X)}")
    grad = np.zeros_like(X)
    for n, point in enumerate(X):
        grad[n] = numerical_gradient(f, point)
    return grad
