"""Activations, element by element."""

import math
from typing import Any

import numpy as np

from fastbp.reference.functions import floats, sigmoid

__all__ = ["Elu", "Gelu", "LeakyRelu", "Mish", "OfInput", "Relu", "Selu", "Sigmoid", "Silu", "Softplus", "Tanh"]


class Relu:
    """``x`` where it is positive or nan, else 0."""

    def __init__(self):
        self.mask = None

    def forward(self, x):
        """Leaves ``mask``, True where x <= 0."""
        out = np.array(x)
        self.mask = out <= 0
        out[self.mask] = 0
        return out

    def backward(self, dout):
        """``dout``, and 0 where ``mask``."""
        dx = np.array(dout)
        dx[self.mask] = 0
        return dx


class LeakyRelu:
    """``x`` where it is positive or nan, else ``slope x``."""

    def __init__(self, slope=0.01):
        self.slope = slope
        self.mask: Any = None

    def forward(self, x):
        """Leaves ``mask``, True where x <= 0."""
        x = floats(x)
        self.mask = x <= 0
        return np.where(self.mask, x.dtype.type(self.slope) * x, x)

    def backward(self, dout):
        """``dout``, and ``slope dout`` where ``mask``."""
        dout = floats(dout)
        return np.where(self.mask, dout.dtype.type(self.slope) * dout, dout)


class Sigmoid:
    """``1 / (1 + exp(-x))``."""

    def __init__(self):
        self.out: Any = None

    def forward(self, x):
        """Leaves ``out``, the result."""
        self.out = sigmoid(x)
        return self.out

    def backward(self, dout):
        """``dout (1 - out) out``."""
        return dout * (1 - self.out) * self.out


class Tanh:
    """The hyperbolic tangent."""

    def __init__(self):
        self.out: Any = None

    def forward(self, x):
        """Leaves ``out``, the result."""
        self.out = np.tanh(floats(x))
        return self.out

    def backward(self, dout):
        """``dout (1 - out^2)``."""
        return dout * (1 - self.out * self.out)


class OfInput:
    """A function of each element with its derivative, both of ``x``; subclasses say which."""

    def __init__(self):
        self.x: Any = None

    def forward(self, x):
        """Leaves ``x``."""
        self.x = floats(x)
        return self.value(self.x)

    def backward(self, dout):
        """``dout`` times the derivative at the last ``x``."""
        return dout * self.slope(self.x)

    def value(self, x):
        """The function of each element."""
        raise NotImplementedError

    def slope(self, x):
        """Its derivative at each element."""
        raise NotImplementedError


class Gelu(OfInput):
    """``x P(x)`` with P the normal distribution function; or its approximation by tanh."""

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def value(self, x):
        """``x P(x)``."""
        return x * self._below(x)[0]

    def slope(self, x):
        """``P(x) + x P'(x)``."""
        below, density = self._below(x)
        return below + x * density

    def _below(self, x):
        """What ``x`` is multiplied with, and the derivative of that."""
        if self.approximate == "none":
            below = np.vectorize(lambda u: math.erfc(-u / math.sqrt(2)) / 2, otypes=[np.float64])(x)
            return below.astype(x.dtype), np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        root = np.sqrt(2 / np.pi)
        below = (1 + np.tanh(root * (x + 0.044715 * x**3))) / 2
        return below, 2 * below * (1 - below) * root * (1 + 3 * 0.044715 * x * x)


class Silu(OfInput):
    """``x sigmoid(x)``."""

    def value(self, x):
        """``x s`` with ``s = sigmoid(x)``."""
        return x * sigmoid(x)

    def slope(self, x):
        """``s (1 + x (1 - s))``."""
        return sigmoid(x) * (1 + x * sigmoid(-x))


class Elu(OfInput):
    """``x`` where it is positive, else ``alpha (exp(x) - 1)``."""

    def __init__(self, alpha=1.0):
        super().__init__()
        self.alpha = alpha

    def value(self, x):
        """By expm1, which keeps the digits of a small ``x``."""
        return np.where(x <= 0, self.alpha * np.expm1(np.minimum(x, 0)), x)

    def slope(self, x):
        """1 where ``x`` is positive, else ``alpha exp(x)``."""
        return np.where(x <= 0, self.alpha * np.exp(np.minimum(x, 0)), 1)


class Selu(OfInput):
    """``Elu`` times a scale."""

    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

    def value(self, x):
        """``scale`` times what Elu has."""
        return self.scale * np.where(x <= 0, self.alpha * np.expm1(np.minimum(x, 0)), x)

    def slope(self, x):
        """``scale`` times what Elu has."""
        return self.scale * np.where(x <= 0, self.alpha * np.exp(np.minimum(x, 0)), 1)


class Mish(OfInput):
    """``x tanh(log(1 + exp(x)))``."""

    def value(self, x):
        """``x w`` with ``w = tanh(log(1 + exp(x)))``."""
        return x * np.tanh(np.logaddexp(0, x))

    def slope(self, x):
        """``w + x (1 - w^2) sigmoid(x)``."""
        w = np.tanh(np.logaddexp(0, x))
        return w + x * (1 - w * w) * sigmoid(x)


class Softplus(OfInput):
    """``log(1 + exp(x))``."""

    def value(self, x):
        """By logaddexp, which does not overflow."""
        return np.logaddexp(0, x)

    def slope(self, x):
        """The sigmoid."""
        return sigmoid(x)
