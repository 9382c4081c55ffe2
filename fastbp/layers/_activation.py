"""What an activation function is: a layer, and what networks, exports and commands ask of it."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check, _team
from fastbp.basics._attributes import left
from fastbp.kernels.elementwise import function_backward, function_forward
from fastbp.kernels.entry import Entry
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering, function_address
from fastbp.programs._operand import Operand


@cache
def entries_of(kernel: Any, kernel_back: Any) -> tuple[Entry, Entry]:
    """The ways from Python to an activation and to its derivative, which kernels call through an address."""
    forward = Entry(function_forward, "... number -> ...", (partial(function_address, kernel),), needs_team=False)
    return forward, Entry(
        function_backward, "... ... number -> ...", (partial(function_address, kernel_back),), needs_team=False
    )


class Activation(Layer):
    """A function of each element, for arrays of any shape; subclasses say which.

    Attributes
    ----------
    out : array of the shape of ``x``, or None
        The result of the last ``forward``; None before the first.
    """

    # By which words ``mlp``, the estimators and the command line know it: each with the arguments that it stands for.
    names: ClassVar[dict[str, dict[str, Any]]]
    gain: ClassVar[float] = 2.0  # the initial weights before it have the variance gain / inputs
    kernel: Any  # of ``kernels.activations``, in a staticmethod: numba would make a method of it that keeps the layer
    kernel_back: Any
    in_registers: ClassVar[bool] = False  # whether products apply it before they store
    of_output: bool = True  # whether the derivative is computed from the output, not from x
    number: float = 1.0  # what the kernels take beside the elements

    elementwise = True
    c: str  # the body of a function of one ``REAL x``, and ``number``

    remembers: ClassVar[tuple[str, ...]] = ("out",)
    out: np.ndarray | None = left(None)

    _entries: Any  # of its two kernels

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if callable(getattr(cls, "kernel", None)):  # no property, nor a class that is to have subclasses only
            cls._entries = entries_of(cls.kernel, cls.kernel_back)

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the function of each element.

        The dtype is that of ``x``, float64 for integers.

        Raises
        ------
        TypeError
            For what is no array of real numbers.
        """
        forward, number = self._entries[0], self.number
        out = forward.call(_team.address, x, number)
        if out is None:
            x, dtype = _check.operand("x", x)
            out = _check.of_type(forward(_team.address, x, float(number)), dtype)
        self._remember(x, out)
        return out

    def _remember(self, x: Any, out: np.ndarray) -> None:
        self.out = out

    def _remembered(self) -> np.ndarray | None:
        """What the derivative is computed from, as the last ``forward``, or the user, left it."""
        return self.out

    def recall(self, x: np.ndarray, y: np.ndarray) -> None:
        self._remember(x, y)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout`` times the derivative.

        Raises
        ------
        ValueError
            Unless ``dout`` has the shape of ``x``.
        RuntimeError
            Before the first ``forward``.
        """
        kept, backward, number = self._remembered(), self._entries[1], self.number
        dx = backward.call(_team.address, dout, kept, number)
        if dx is None:
            if kept is None:
                raise _check.not_before_forward(self)
            dout, kept, dtype = _check.operands(("dout", "out" if self.of_output else "x"), dout, kept)
            dx = _check.of_type(backward(_team.address, dout, kept, float(number)), dtype)
        return dx

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the instructions of this layer; see ``Lowering.activation``."""
        return p.activation(self, x)

    @property
    def word(self) -> str:
        """The word of ``names`` for it."""
        return [word for word, own in self.names.items() if all(getattr(self, name) == own[name] for name in own)][-1]

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        if getattr(module, "beta", 1) != 1:
            raise TypeError(f"{module!r} has a beta, which {cls.__name__} has not")
        return super().from_module(module)


class OfInput(Activation):
    """An activation whose derivative is computed from ``x``, which it keeps by reference."""

    of_output = False
    remembers = ("x", "out")
    x: np.ndarray | None = None

    def _remember(self, x: Any, out: np.ndarray) -> None:
        self.x, self.out = x.view(), out  # whose shape nobody else sets

    def _remembered(self) -> np.ndarray | None:
        return self.x
