"""Addition and multiplication as layers: the nodes of the book's computational graphs."""

from typing import Any

import numpy as np

from fastbp.basics import _check, _team
from fastbp.basics._attributes import remembered
from fastbp.kernels import arithmetic as kernels
from fastbp.kernels.entry import Entry

NUMBERS = frozenset({int, float, np.float32, np.float64})
ADD = Entry(kernels.add, "... ... -> ...", needs_team=False)
ADD_BACKWARD = Entry(kernels.add_backward, "... ... ... -> ... ...", needs_team=False)
MULTIPLY = Entry(kernels.multiply, "... ... -> ...", needs_team=False)
MULTIPLY_BACKWARD = Entry(kernels.multiply_backward, "... ... ... -> ... ...", needs_team=False)


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
        if type(x) in NUMBERS and type(y) in NUMBERS:
            self._last = x, y
            return x + y
        out = ADD.call(_team.address, x, y)
        if out is None:
            x, y = self._last = _operands(x, y)
            _learn(ADD, x)
            return x + y
        self._last = x, y
        return out if out.ndim else out[()]

    def backward(self, dout):
        """Return ``(dx, dy)``, each ``dout``, as fresh arrays where ``dout`` is one.

        As in the book, nothing is summed over axes that ``forward`` broadcast.
        """
        x, y = self._last
        if type(dout) in NUMBERS and type(x) in NUMBERS and type(y) in NUMBERS:
            return dout * 1, dout * 1
        both = ADD_BACKWARD.call(_team.address, dout, x, y)
        if both is None or not both[0].ndim:
            # Needs no forward, as in the book.
            dout = _number("dout", dout) if x is None or y is None else _gradient(dout, *_operands(x, y))
            _learn(ADD_BACKWARD, dout)
            return dout * 1, dout * 1
        return both


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
        if type(x) in NUMBERS and type(y) in NUMBERS:
            self._last = x, y
            return x * y
        out = MULTIPLY.call(_team.address, x, y)
        if out is None:
            x, y = self._last = _operands(x, y)
            _learn(MULTIPLY, x)
            return x * y
        self._last = x, y
        return out if out.ndim else out[()]

    def backward(self, dout):
        """Return ``(dout * y, dout * x)``; RuntimeError before the first ``forward``.

        As in the book, nothing is summed over axes that ``forward`` broadcast.
        """
        x, y = self._last
        if type(dout) in NUMBERS and type(x) in NUMBERS and type(y) in NUMBERS:
            return dout * y, dout * x
        both = MULTIPLY_BACKWARD.call(_team.address, dout, x, y)
        if both is None or not both[0].ndim:
            if x is None or y is None:
                raise RuntimeError("MulLayer.backward needs x and y: call forward first")
            x, y = _operands(x, y)
            dout = _gradient(dout, x, y)
            _learn(MULTIPLY_BACKWARD, dout)
            return dout * y, dout * x
        return both


def _learn(entry: Entry, x: Any) -> None:
    """Have the next call like this one, of arrays of one type and shape, compiled."""
    if type(x) is np.ndarray and x.ndim and x.dtype in _check.FLOATS:
        entry.learn(x.dtype)


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
