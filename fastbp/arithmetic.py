"""Addition and multiplication as layers: the nodes of the book's computational graphs."""

from typing import Any

import numpy as np

from fastbp import _check


class AddLayer:
    """``x + y``, and the gradient handed on to both.

    >>> layer = AddLayer()
    >>> layer.forward(200, 450)
    650
    >>> layer.backward(1.1)
    (1.1, 1.1)

    Attributes
    ----------
    x, y : numbers or arrays
        What the last ``forward`` was given; None before it.
    """

    def __init__(self) -> None:
        self.x: Any = None
        self.y: Any = None

    def forward(self, x, y):
        """Return ``x + y``: numbers, or arrays whose shapes broadcast. The dtype is NumPy's promotion."""
        x, y = _operands(x, y)
        self.x, self.y = x, y
        return x + y

    def backward(self, dout):
        """Return ``(dx, dy)``, each ``dout``, as fresh arrays where ``dout`` is one.

        As in the book, nothing is summed over axes that ``forward`` broadcast.
        """
        dout = _gradient(dout, self.x, self.y)
        return dout * 1, dout * 1


class MulLayer:
    """``x * y``, and the gradient handed on to each, times the other.

    >>> apples = MulLayer()
    >>> apples.forward(100, 2)
    200
    >>> apples.backward(1.5)
    (3.0, 150.0)

    Attributes
    ----------
    x, y : numbers or arrays
        What the last ``forward`` was given, by reference; None before it.
    """

    def __init__(self) -> None:
        self.x: Any = None
        self.y: Any = None

    def forward(self, x, y):
        """Return ``x * y``: numbers, or arrays whose shapes broadcast. The dtype is NumPy's promotion."""
        x, y = _operands(x, y)
        self.x, self.y = x, y
        return x * y

    def backward(self, dout):
        """Return ``(dout * y, dout * x)``; RuntimeError before the first ``forward``.

        As in the book, nothing is summed over axes that ``forward`` broadcast.
        """
        if self.x is None:
            raise RuntimeError("MulLayer.backward needs x and y: call forward first")
        dout = _gradient(dout, self.x, self.y)
        return dout * self.y, dout * self.x


def _number(name, value):
    """Return ``value`` if it is a real number or array; a list or tuple as an array. TypeError otherwise."""
    if not isinstance(value, int | float | np.ndarray | np.generic):
        value = _check.as_array(name, value)
    if np.result_type(value).kind not in "biuf":
        raise TypeError(f"{name} must be a real number or an array of them, got {np.result_type(value)}")
    return value


def _operands(x, y):
    """Return ``x`` and ``y`` as numbers or arrays that broadcast; ValueError naming both shapes otherwise."""
    x, y = _number("x", x), _number("y", y)
    try:
        np.broadcast_shapes(np.shape(x), np.shape(y))
    except ValueError:
        raise ValueError(f"x and y must broadcast, got shapes {np.shape(x)} and {np.shape(y)}") from None
    return x, y


def _gradient(dout, x, y):
    """Return ``dout`` as a number or array that broadcasts to the output of ``x`` and ``y``."""
    dout = _number("dout", dout)
    out = np.broadcast_shapes(np.shape(x), np.shape(y))
    if x is not None and np.shape(dout) not in (out, ()):  # AddLayer needs no forward, as in the book
        raise ValueError(f"dout must have the output's shape {out}, got {np.shape(dout)}")
    return dout
