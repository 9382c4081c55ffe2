"""The gradient of a function by central differences, to check a backward pass against."""

from collections.abc import Callable

import numpy as np

SHIFT = 1e-4  # the book's h: error about h**2 from the formula, eps / h from rounding


def numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """Return the gradient of ``f`` at ``x``: ``(f(x + h) - f(x - h)) / 2h`` for one entry after another.

    Parameters
    ----------
    f : callable
        Takes ``x`` and returns one number. It may as well ignore its argument and read the array itself,
        as the book's networks do: ``x`` is changed in place, one entry at a time.
    x : array of float32 or float64, any shape, writable
        Where to differentiate. Holds its values again afterwards, to the bit, even if ``f`` raises.

    Returns
    -------
    grad : array of the shape and dtype of ``x``
        With h = 1e-4; in float32 that leaves about two digits, in float64 about eight.

    Raises
    ------
    TypeError
        ``x`` is no array of floats, or ``f`` no function.
    ValueError
        ``x`` is read-only, or ``f`` returned other than one number.

    Examples
    --------
    >>> numerical_gradient(lambda x: np.sum(x**2), np.array([3.0, 4.0])).round(6)
    array([6., 8.])
    """
    _check(f, x)
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        value = x[index]
        try:
            x[index] = float(value) + SHIFT
            above = _one_number(f(x))
            x[index] = float(value) - SHIFT
            below = _one_number(f(x))
        finally:
            x[index] = value
        grad[index] = (above - below) / (2 * SHIFT)
    return grad


def _check(f, x):
    if not callable(f):
        raise TypeError(f"f must be a function of x, got {type(f).__name__}")
    if not isinstance(x, np.ndarray):
        raise TypeError(f"x must be an array of floats, got {type(x).__name__}")
    if x.dtype.kind != "f" or x.dtype.itemsize < 4:
        raise TypeError(f"x must be float32 or float64 to hold x + {SHIFT:g}, got {x.dtype}")
    if not x.flags.writeable:
        raise ValueError("x must be writable, since its entries are varied in place, got a read-only array")


def _one_number(value):
    """Return ``value``, a number or an array of one, as a float."""
    if np.size(value) != 1:
        raise ValueError(f"f(x) must be one number, got shape {np.shape(value)}")
    return float(np.asarray(value).item())
