"""Activation functions as layers: a class for each, which is all that networks, exports and commands know of it.

What a new one needs: its two kernels in ``kernels.activations``, a class here, and its plain twin in ``reference``.
Each keeps what its derivative is computed from: ``out``, the result of the last ``forward``, or ``x``, what was given.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fastbp.basics import _arguments
from fastbp.basics._attributes import derived, setting
from fastbp.kernels import activations as kernels
from fastbp.layers._activation import Activation, OfInput, entries_of
from fastbp.layers.rectifiers import LeakyRelu, Relu

__all__ = ["Elu", "Gelu", "LeakyRelu", "Mish", "Relu", "Selu", "Sigmoid", "Silu", "Softplus", "Tanh"]


class Sigmoid(Activation):
    """1 / (1 + exp(-x)) as a layer, within 4 units in the last place, however small it is."""

    names: ClassVar = {"sigmoid": {}}
    gain = 1.0
    kernel, kernel_back = staticmethod(kernels.sigmoid), staticmethod(kernels.sigmoid_back)
    torch = "Sigmoid", {}
    c = "REAL e = exp@f(-fabs@f(x));\n    return (x < 0 ? e : 1) / (1 + e);"
    numpy = "e = np.exp(-np.abs(x))\n    return np.where(x < 0, e, DTYPE(1)) / (1 + e)"

    def onnx(self, node: Any, x: str) -> str:
        """ONNX's own operator."""
        return node("Sigmoid", x)


class Tanh(Activation):
    """tanh(x) as a layer, within 4 units in the last place, however small it is."""

    names: ClassVar = {"tanh": {}}
    gain = 1.0
    kernel, kernel_back = staticmethod(kernels.tanh), staticmethod(kernels.tanh_back)
    torch = "Tanh", {}
    c = "return tanh@f(x);"
    numpy = "return np.tanh(x)"

    def onnx(self, node: Any, x: str) -> str:
        """ONNX's own operator."""
        return node("Tanh", x)


ROOT_8_OVER_PI = 2 * kernels.ROOT_2_OVER_PI


class Gelu(OfInput):
    """x P(x) as a layer, with P the normal distribution function (Hendrycks & Gimpel 2016).

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "tanh" for x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, as in PyTorch.
    """

    names: ClassVar = {"gelu": {}, "gelu_tanh": {"approximate": "tanh"}}
    torch = "GELU", {"approximate": "approximate"}

    approximate: str = setting(lambda name, value: _arguments.choice(name, value, ("none", "tanh")))

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    @property
    def _is_exact(self) -> bool:
        return self.approximate == "none"

    @property
    def kernel(self) -> Any:
        """The function that ``approximate`` asks for."""
        return kernels.gelu if self._is_exact else kernels.gelu_tanh

    @property
    def kernel_back(self) -> Any:
        """Its derivative."""
        return kernels.gelu_back if self._is_exact else kernels.gelu_tanh_back

    @property
    def _entries(self) -> Any:
        return entries_of(self.kernel, self.kernel_back)

    @derived
    def c(self) -> str:
        """The exact form by ``erfc``, the other by the sigmoid, which is the same as by ``tanh``."""
        if self._is_exact:
            return "return x * (erfc@f(x * (REAL)-0.70710678118654752) / 2);"
        inner = f"(REAL){ROOT_8_OVER_PI!r} * (x + (REAL){kernels.CUBE!r} * x * x * x)"
        return f"return x / (1 + exp@f(-({inner})));"

    @derived
    def numpy(self) -> str:
        """As in C; NumPy has no ``erfc``, so that the exact form asks ``math`` for each element."""
        if self._is_exact:
            erfc = "np.vectorize(math.erfc, otypes=[DTYPE])"
            return f"import math\n    return x * ({erfc}(x * DTYPE(-0.5**0.5)) / 2)"
        with_inner = f"np.exp(-DTYPE({ROOT_8_OVER_PI!r}) * (x + DTYPE({kernels.CUBE!r}) * x * x * x))"
        return f'with np.errstate(over="ignore"):\n        return x / (1 + {with_inner})'

    def onnx(self, node: Any, x: str) -> str:
        """The formula, of operators that opset 16 has: its own Gelu came with 20."""
        if self._is_exact:
            return node("Mul", x, node("Mul", node("Add", node("Erf", node("Mul", x, 0.5**0.5)), 1.0), 0.5))
        cube = node("Mul", node("Mul", node("Mul", x, x), x), kernels.CUBE)
        return node("Mul", x, node("Sigmoid", node("Mul", node("Add", x, cube), ROOT_8_OVER_PI)))

    def __repr__(self) -> str:
        return "Gelu()" if self._is_exact else f"Gelu(approximate={self.approximate!r})"


class Silu(OfInput):
    """x / (1 + exp(-x)) as a layer, also called swish (Elfwing et al. 2018)."""

    names: ClassVar = {"silu": {}}
    kernel, kernel_back = staticmethod(kernels.silu), staticmethod(kernels.silu_back)
    torch = "SiLU", {}
    c = "REAL e = exp@f(-fabs@f(x));\n    return x * ((x < 0 ? e : 1) / (1 + e));"
    numpy = "e = np.exp(-np.abs(x))\n    return x * (np.where(x < 0, e, DTYPE(1)) / (1 + e))"

    def onnx(self, node: Any, x: str) -> str:
        """``x`` times ONNX's Sigmoid."""
        return node("Mul", x, node("Sigmoid", x))


class Elu(Activation):
    """x where it is positive, else alpha (exp(x) - 1), as a layer (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float of at least 0
        What the output tends to, with a minus, for x far below 0.
    """

    names: ClassVar = {"elu": {}}
    kernel, kernel_back = staticmethod(kernels.elu), staticmethod(kernels.elu_back)
    torch = "ELU", {"alpha": "alpha"}
    c = "return x <= 0 ? number * expm1@f(x) : x;"
    numpy = "return np.where(x <= 0, DTYPE(number) * np.expm1(np.minimum(x, DTYPE(0))), x)"

    alpha: float = setting(lambda name, value: _arguments.real(name, value, 0))

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    @derived
    def number(self) -> float:
        """What the kernels take beside the elements: ``alpha``."""
        return self.alpha

    def onnx(self, node: Any, x: str) -> str:
        """The formula, of operators that runtimes have in both types."""
        return _elu_nodes(node, x, 1.0, self.alpha)

    def __repr__(self) -> str:
        return f"Elu(alpha={self.alpha:g})"


def _elu_nodes(node: Any, x: str, scale: float, low_scale: float) -> str:
    """``scale x where positive, else low_scale (exp(x) - 1)``, of operators that runtimes have in both types."""
    low = node("Mul", node("Sub", node("Exp", node("Min", x, 0.0)), 1.0), low_scale)
    return node("Where", node("LessOrEqual", x, 0.0), low, x if scale == 1 else node("Mul", x, scale))


SELU_LOW = kernels.SELU_SCALE * kernels.SELU_ALPHA


class Selu(Activation):
    """ELU scaled so that means and variances tend to 0 and 1, as a layer (Klambauer et al. 2017)."""

    names: ClassVar = {"selu": {}}
    gain = 1.0
    kernel, kernel_back = staticmethod(kernels.selu), staticmethod(kernels.selu_back)
    torch = "SELU", {}
    c = f"return x <= 0 ? (REAL){SELU_LOW!r} * expm1@f(x) : (REAL){kernels.SELU_SCALE!r} * x;"
    numpy = (
        f"low = DTYPE({SELU_LOW!r}) * np.expm1(np.minimum(x, DTYPE(0)))\n"
        f"    return np.where(x <= 0, low, DTYPE({kernels.SELU_SCALE!r}) * x)"
    )

    def onnx(self, node: Any, x: str) -> str:
        """The formula, of operators that runtimes have in both types."""
        return _elu_nodes(node, x, kernels.SELU_SCALE, SELU_LOW)


class Mish(OfInput):
    """x tanh(log(1 + exp(x))) as a layer (Misra 2020)."""

    names: ClassVar = {"mish": {}}
    kernel, kernel_back = staticmethod(kernels.mish), staticmethod(kernels.mish_back)
    torch = "Mish", {}
    c = (
        "REAL e = exp@f(-fabs@f(x));\n    REAL top = x < 0 ? e * (e + 2) : 1 + 2 * e;\n"
        "    return x * (top / (top + (x < 0 ? 2 : 2 * e * e)));"
    )
    numpy = (
        "e = np.exp(-np.abs(x))\n    top = np.where(x < 0, e * (e + 2), 1 + 2 * e)\n"
        "    return x * (top / (top + np.where(x < 0, DTYPE(2), 2 * e * e)))"
    )

    def onnx(self, node: Any, x: str) -> str:
        """The formula, of operators that opset 16 has: its own Mish came with 18."""
        return node("Mul", x, node("Tanh", _softplus_nodes(node, x)))


class Softplus(Activation):
    """log(1 + exp(x)) as a layer."""

    names: ClassVar = {"softplus": {}}
    kernel, kernel_back = staticmethod(kernels.softplus), staticmethod(kernels.softplus_back)
    torch = "Softplus", {}
    c = "return (x < 0 ? 0 : x) + log1p@f(exp@f(-fabs@f(x)));"
    numpy = "return np.maximum(x, DTYPE(0)) + np.log1p(np.exp(-np.abs(x)))"

    def onnx(self, node: Any, x: str) -> str:
        """The formula, in which nothing overflows."""
        return _softplus_nodes(node, x)


def _softplus_nodes(node: Any, x: str) -> str:
    """log(1 + exp(x)) of operators that runtimes have in both types."""
    return node("Add", node("Max", x, 0.0), node("Log", node("Add", node("Exp", node("Neg", node("Abs", x))), 1.0)))


CLASSES: tuple[type[Activation], ...] = (
    Relu,
    LeakyRelu,
    Sigmoid,
    Tanh,
    Gelu,
    Silu,
    Elu,
    Selu,
    Mish,
    Softplus,
)
BY_NAME: dict[str, tuple[type[Activation], dict[str, Any]]] = {
    name: (cls, arguments) for cls in CLASSES for name, arguments in cls.names.items()
}


def named(activation: str) -> Activation:
    """The layer that a word of ``BY_NAME`` stands for."""
    cls, arguments = BY_NAME[_arguments.choice("activation", activation, BY_NAME)]
    return cls(**arguments)
