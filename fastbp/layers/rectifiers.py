"""Rectified linear units: activations that remember where x was positive, in the book's ``mask``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check, _team
from fastbp.basics._attributes import derived, left, setting
from fastbp.kernels import activations as kernels
from fastbp.kernels.entry import Entry
from fastbp.kernels.leaky_relu import leaky_relu_backward, leaky_relu_forward
from fastbp.kernels.relu import relu_backward, relu_forward
from fastbp.layers._activation import Activation

FORWARD = Entry(relu_forward, "... -> ... ...:bool", needs_team=False)
BACKWARD = Entry(relu_backward, "... ...:bool -> ...", needs_team=False)
LEAKY_FORWARD = Entry(leaky_relu_forward, "... number -> ... ...:bool", needs_team=False)
LEAKY_BACKWARD = Entry(leaky_relu_backward, "... ...:bool number -> ...", needs_team=False)


class Relu(Activation):
    """ReLU as a layer, for arrays of any shape: x where it is positive, else 0; NaN stays.

    Attributes
    ----------
    mask : bool array of the shape of ``x``, or None
        True where x <= 0; None before the first ``forward``.
    """

    names: ClassVar = {"relu": {}}
    kernel, kernel_back = staticmethod(kernels.relu), staticmethod(kernels.relu_back)
    in_registers = True
    torch = "ReLU", {}
    c = "return x <= 0 ? 0 : x;"
    numpy = "return np.where(x <= 0, DTYPE(0), x)"

    remembers = ("mask",)
    mask: np.ndarray | None = left(None)
    lower = Activation.lower  # which writes what forward and backward do

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x`` with 0 where x <= 0; NaN stays. The dtype is that of ``x``, integers included.

        Raises
        ------
        TypeError
            For complex, object and other arrays that hold no real numbers.
        """
        made = FORWARD.call(_team.address, x)
        if made is None:
            x = _check.as_real("x", x)
            if x.dtype not in _check.FLOATS:
                self.mask = mask = np.asarray(x <= 0)
                return np.where(mask, x.dtype.type(0), x)
            made = FORWARD(_team.address, _check.ready(x, x.dtype))
        y, self.mask = made
        return y

    def _remember(self, x: np.ndarray, out: np.ndarray) -> None:
        self.mask = out <= 0

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout``, and 0 where ``mask``, even if dout is not finite there.

        Raises
        ------
        ValueError
            Unless ``dout`` has the shape of ``x``.
        RuntimeError
            Before the first ``forward``.
        TypeError
            For a ``mask`` that was set to other than bools.
        """
        dx = BACKWARD.call(_team.address, dout, self.mask)
        if dx is None:
            mask = self.mask
            if mask is None:
                raise _check.not_before_forward(self)
            dout = _check.as_real("dout", dout)
            mask = _check.as_mask(mask, dout)
            if dout.dtype not in _check.FLOATS:
                return np.where(mask, dout.dtype.type(0), dout)
            dx = BACKWARD(_team.address, _check.ready(dout, dout.dtype), mask)
        return dx

    def onnx(self, node: Any, x: str) -> str:
        """ONNX's own operator."""
        return node("Relu", x)


class LeakyRelu(Activation):
    """ReLU that lets a part of what is negative through, as a layer for arrays of any shape.

    Parameters
    ----------
    slope : float
        What ``x`` is multiplied with where x <= 0.

    Attributes
    ----------
    mask : bool array of the shape of ``x``, or None
        True where x <= 0; None before the first ``forward``.
    """

    names: ClassVar = {"leaky_relu": {}}
    kernel, kernel_back = staticmethod(kernels.leaky_relu), staticmethod(kernels.leaky_relu_back)
    torch = "LeakyReLU", {"negative_slope": "slope"}
    c = "return x <= 0 ? number * x : x;"
    numpy = "return np.where(x <= 0, DTYPE(number) * x, x)"

    remembers = ("mask",)
    mask: np.ndarray | None = None
    slope: float = setting(_arguments.real)
    lower = Activation.lower  # which writes what forward and backward do

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    @derived
    def number(self) -> float:
        """What the kernels take beside the elements: ``slope``."""
        return self.slope

    @derived
    def of_output(self) -> bool:
        """Whether the sign of the output is that of ``x``, so that the derivative follows from it."""
        return self.slope >= 0  # then the output has the sign of x

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x``, and ``slope x`` where x <= 0; NaN stays.

        The dtype is that of ``x``, float64 for integers.

        Raises
        ------
        TypeError
            For complex, object and other arrays that hold no real numbers.
        """
        made = LEAKY_FORWARD.call(_team.address, x, self.slope)
        if made is None:
            x, dtype = _check.operand("x", x)
            y, mask = LEAKY_FORWARD(_team.address, x, self.slope)
            made = _check.of_type(y, dtype), mask
        y, self.mask = made
        return y

    def _remember(self, x: np.ndarray, out: np.ndarray) -> None:
        self.mask = (out if self.of_output else x) <= 0

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout``, and ``slope dout`` where ``mask``.

        Raises
        ------
        ValueError
            Unless ``dout`` has the shape of ``x``.
        RuntimeError
            Before the first ``forward``.
        TypeError
            For a ``mask`` that was set to other than bools.
        """
        dx = LEAKY_BACKWARD.call(_team.address, dout, self.mask, self.slope)
        if dx is None:
            mask = self.mask
            if mask is None:
                raise _check.not_before_forward(self)
            dout, dtype = _check.operand("dout", dout)
            mask = _check.as_mask(mask, dout)
            dx = _check.of_type(LEAKY_BACKWARD(_team.address, dout, mask, self.slope), dtype)
        return dx

    def onnx(self, node: Any, x: str) -> str:
        """ONNX's PRelu, whose slope is an array of the type of ``x``."""
        # ONNX's own has its slope in float32, whatever x is of.
        return node("PRelu", x, np.full(1, self.slope))

    def __repr__(self) -> str:
        return f"LeakyRelu(slope={self.slope:g})"
