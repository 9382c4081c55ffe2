"""Addition and multiplication as layers: the nodes of the book's computational graphs."""

from typing import Any

import numpy as np

from fastbp.basics import _check
from fastbp.basics._attributes import remembered


class AddLayer:
    """``x + y``, and the gradient handed on to both.

    Attributes
    ----------
    x : number, array or None
        What the last ``forward`` was given first; None before it.
    y : number, array or None
        What it was given second.

    Examples
    --------
    >>> layer = AddLayer()
    >>> layer.forward(200, 450)
    650
    >>> layer.backward(1.1)
    (1.1, 1.1)
    """

    x: Any = remembered(0)
    y: Any = remembered(1)
    _last: tuple[Any, Any] = (None, None)

    def forward(self, x, y):
        """Return ``x + y``: numbers, or arrays whose shapes broadcast. The dtype is NumPy's promotion."""
        x, y = self._last = _operands(x, y)
        return x + y

    def backward(self, dout):
        """Return ``(dx, dy)``, each ``dout``, as fresh arrays where ``dout`` is one.

        As in the book, nothing is summed over axes that ``forward`` broadcast.
        """
        x, y = self._last
        # Needs no forward, as in the book.
        dout = _number("dout", dout) if x is None or y is None else _gradient(dout, *_operands(x, y))
        return dout * 1, dout * 1


class MulLayer:
    """``x * y``, and the gradient handed on to each, times the other.

    Attributes
    ----------
    x : number, array or None
        What the last ``forward`` was given first, by reference; None before it.
    y : number, array or None
        What it was given second.

    Examples
    --------
    >>> apples = MulLayer()
    >>> apples.forward(100, 2)
    200
    >>> apples.backward(1.5)
    (3.0, 150.0)
    """

    x: Any = remembered(0)
    y: Any = remembered(1)
    _last: tuple[Any, Any] = (None, None)

    def forward(self, x, y):
        """Return ``x * y``: numbers, or arrays whose shapes broadcast. The dtype is NumPy's promotion."""
        x, y = self._last = _operands(x, y)
        return x * y

    def backward(self, dout):
        """Return ``(dout * y, dout * x)``; RuntimeError before the first ``forward``.

        As in the book, nothing is summed over axes that ``forward`` broadcast.
        """
        x, y = self._last
        if x is None or y is None:
            raise RuntimeError("MulLayer.backward needs x and y: call forward first")
        x, y = _operands(x, y)
        dout = _gradient(dout, x, y)
        return dout * y, dout * x


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
    if np.shape(dout) not in (out, ()):
        raise ValueError(f"dout must have the output's shape {out}, got {np.shape(dout)}")
    return dout
