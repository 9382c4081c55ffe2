"""Activation functions as layers: a class for each, which is all that networks, exports and commands know of it.

What a new one needs: its two kernels in ``kernels.activations``, a class here, and its plain twin in ``reference``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _arguments, _check, _team
from fastbp._attributes import setting
from fastbp._layer import Layer, Operand
from fastbp._lowering import Lowering, function_address
from fastbp.kernels import activations as kernels
from fastbp.kernels.elementwise import function_backward, function_forward
from fastbp.kernels.leaky_relu import leaky_relu_backward, leaky_relu_forward
from fastbp.kernels.relu import relu_backward, relu_forward

__all__ = ["Elu", "Gelu", "LeakyRelu", "Mish", "Relu", "Selu", "Sigmoid", "Silu", "Softplus", "Tanh"]


class Activation(Layer):
    """A function of each element, for arrays of any shape; subclasses say which.

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    # By which words ``mlp``, the estimators and the command line know it: each with the arguments that it stands for.
    names: ClassVar[dict[str, dict[str, Any]]]
    gain: ClassVar[float] = 2.0  # the initial weights before it have the variance gain / inputs
    kernel: Any  # of ``kernels.activations``, in a staticmethod: numba would make a method of it that keeps the layer
    kernel_back: Any
    in_registers: ClassVar[bool] = False  # whether products apply it before they store
    of_output: bool = True  # whether the derivative is computed from the output, not from x
    number: float = 1.0  # what the kernels take beside the elements

    # How other software says it: a class of torch.nn with the names of its arguments and of ours; the bodies of a C
    # function of ``REAL x`` and of a Python function of an array ``x`` of DTYPE, where ``number`` is the number. In C,
    # ``@f`` ends the names of mathematical functions.
    torch: ClassVar[tuple[str, dict[str, str]]]
    c: str
    numpy: str

    def __init__(self) -> None:
        self.out: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the function of each element.

        The dtype is that of ``x``, float64 for integers. Raises TypeError for what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        out = np.empty(x.shape, x.dtype)
        function, number = function_address(self.kernel, x.dtype, 2), x.dtype.type(self.number)
        # x is this call's own view or copy, out is new: both stay until it returns.
        function_forward(_team.current().address, function, _check.as_rows(x), _check.as_rows(out), number)
        self._remember(x, result := _check.of_type(out, dtype))
        return result

    def _remember(self, x: np.ndarray, out: np.ndarray) -> None:
        self.out = out

    def _remembered(self) -> np.ndarray | None:
        """What the derivative is computed from, as the last ``forward``, or the user, left it."""
        return self.out

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout`` times the derivative.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``.
        """
        kept = self._remembered()
        if kept is None:
            raise _check.not_before_forward(self)
        dout, kept, dtype = _check.operands(("dout", "out" if self.of_output else "x"), dout, kept)
        dx = np.empty(kept.shape, kept.dtype)
        function, number = function_address(self.kernel_back, kept.dtype, 3), kept.dtype.type(self.number)
        rows = _check.as_rows(dout), _check.as_rows(kept), _check.as_rows(dx)
        # dout and what was kept are this call's own views or copies, dx is new: all stay until it returns.
        function_backward(_team.current().address, function, *rows, number)
        return _check.of_type(dx, dtype)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the instructions of this layer; see ``Lowering.activation``."""
        return p.activation(self, x)

    @property
    def word(self) -> str:
        """The word of ``names`` for it."""
        return [word for word, own in self.names.items() if all(getattr(self, name) == own[name] for name in own)][-1]

    def onnx(self, node: Any, x: str) -> str:
        """Add the function of ``x`` to an ONNX graph by ``node(operator, *inputs)``; returns the name of the result.

        An input that is a number becomes a constant of the network's dtype.
        """
        raise NotImplementedError


class OfInput(Activation):
    """An activation whose derivative is computed from ``x``, which it keeps by reference."""

    of_output = False

    def __init__(self) -> None:
        super().__init__()
        self.x: np.ndarray | None = None

    def _remember(self, x: np.ndarray, out: np.ndarray) -> None:
        self.x, self.out = x, out

    def _remembered(self) -> np.ndarray | None:
        return self.x


class Relu(Activation):
    """ReLU as a layer, for arrays of any shape: x where it is positive, else 0; NaN stays.

    Attributes
    ----------
    mask : bool array of the shape of ``x``, True where x <= 0; None before the first ``forward``
    """

    names: ClassVar = {"relu": {}}
    kernel, kernel_back = staticmethod(kernels.relu), staticmethod(kernels.relu_back)
    in_registers = True
    torch = "ReLU", {}
    c = "return x <= 0 ? 0 : x;"
    numpy = "return np.where(x <= 0, DTYPE(0), x)"

    def __init__(self) -> None:
        self.mask: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x`` with 0 where x <= 0; NaN stays. The dtype is that of ``x``, integers included.

        Raises TypeError for complex, object and other arrays that hold no real numbers.
        """
        x = _check.as_real("x", x)
        if x.dtype not in _check.FLOATS:
            self.mask = mask = np.asarray(x <= 0)
            return np.where(mask, x.dtype.type(0), x)
        x = _check.ready(x, x.dtype)
        y, mask = np.empty(x.shape, x.dtype), np.empty(x.shape, _check.BOOL)
        arrays = (x, y, mask) if x.ndim == 2 else map(_check.as_rows, (x, y, mask))
        # x is this call's own view or copy, y and mask are new: all stay until it returns.
        relu_forward(_team.current().address, *arrays)
        self.mask = mask
        return y

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout``, and 0 where ``mask``, even if dout is not finite there.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``, TypeError
        for a ``mask`` that was set to other than bools.
        """
        mask = self.mask
        if mask is None:
            raise _check.not_before_forward(self)
        dout = _check.as_real("dout", dout)
        mask = _check.as_mask(mask, dout)
        if dout.dtype not in _check.FLOATS:
            return np.where(mask, dout.dtype.type(0), dout)
        dout = _check.ready(dout, dout.dtype)
        dx = np.empty(dout.shape, dout.dtype)
        # dout and mask are this call's own views or copies, dx is new: all stay until it returns.
        relu_backward(_team.current().address, _check.as_rows(dout), _check.as_rows(mask), _check.as_rows(dx))
        return dx

    def onnx(self, node: Any, x: str) -> str:
        return node("Relu", x)


class LeakyRelu(Activation):
    """ReLU that lets a part of what is negative through, as a layer for arrays of any shape.

    Parameters
    ----------
    slope : float
        What ``x`` is multiplied with where x <= 0.

    Attributes
    ----------
    mask : bool array of the shape of ``x``, True where x <= 0; None before the first ``forward``
    """

    names: ClassVar = {"leaky_relu": {}}
    kernel, kernel_back = staticmethod(kernels.leaky_relu), staticmethod(kernels.leaky_relu_back)
    torch = "LeakyReLU", {"negative_slope": "slope"}
    c = "return x <= 0 ? number * x : x;"
    numpy = "return np.where(x <= 0, DTYPE(number) * x, x)"

    slope: float = setting(_arguments.real)

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope
        self.mask: np.ndarray | None = None

    @property
    def number(self) -> float:  # type: ignore[override]
        return self.slope

    @property
    def of_output(self) -> bool:  # type: ignore[override]
        return self.slope >= 0  # then the output has the sign of x

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x``, and ``slope x`` where x <= 0; NaN stays.

        The dtype is that of ``x``, float64 for integers. Raises TypeError for what is no array of real numbers.
        """
        x, dtype = _check.operand("x", x)
        y, mask = np.empty(x.shape, x.dtype), np.empty(x.shape, _check.BOOL)
        slope = x.dtype.type(self.slope)
        # x is this call's own view or copy, y and mask are new: all stay until it returns.
        leaky_relu_forward(_team.current().address, _check.as_rows(x), slope, _check.as_rows(y), _check.as_rows(mask))
        self.mask = mask
        return _check.of_type(y, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: ``dout``, and ``slope dout`` where ``mask``.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``, TypeError
        for a ``mask`` that was set to other than bools.
        """
        mask = self.mask
        if mask is None:
            raise _check.not_before_forward(self)
        dout, dtype = _check.operand("dout", dout)
        mask = _check.as_mask(mask, dout)
        slope = dout.dtype.type(self.slope)
        dx = np.empty(dout.shape, dout.dtype)
        # dout and mask are this call's own views or copies, dx is new: all stay until it returns.
        leaky_relu_backward(
            _team.current().address, _check.as_rows(dout), _check.as_rows(mask), slope, _check.as_rows(dx)
        )
        return _check.of_type(dx, dtype)

    def onnx(self, node: Any, x: str) -> str:
        # ONNX's own has its slope in float32, whatever x is of.
        return node("PRelu", x, np.full(1, self.slope))

    def __repr__(self) -> str:
        return f"LeakyRelu(slope={self.slope:g})"


class Sigmoid(Activation):
    """1 / (1 + exp(-x)) as a layer, within 4 units in the last place, however small it is.

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    names: ClassVar = {"sigmoid": {}}
    gain = 1.0
    kernel, kernel_back = staticmethod(kernels.sigmoid), staticmethod(kernels.sigmoid_back)
    torch = "Sigmoid", {}
    c = "REAL e = exp@f(-fabs@f(x));\n    return (x < 0 ? e : 1) / (1 + e);"
    numpy = "e = np.exp(-np.abs(x))\n    return np.where(x < 0, e, DTYPE(1)) / (1 + e)"

    def onnx(self, node: Any, x: str) -> str:
        return node("Sigmoid", x)


class Tanh(Activation):
    """tanh(x) as a layer, within 4 units in the last place, however small it is.

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    names: ClassVar = {"tanh": {}}
    gain = 1.0
    kernel, kernel_back = staticmethod(kernels.tanh), staticmethod(kernels.tanh_back)
    torch = "Tanh", {}
    c = "return tanh@f(x);"
    numpy = "return np.tanh(x)"

    def onnx(self, node: Any, x: str) -> str:
        return node("Tanh", x)


ROOT_8_OVER_PI = 1.5957691216057308  # 2 sqrt(2 / pi)


class Gelu(OfInput):
    """x P(x) as a layer, with P the normal distribution function (Hendrycks & Gimpel 2016).

    Parameters
    ----------
    approximate : "none", or "tanh" for x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, as in PyTorch

    Attributes
    ----------
    x, out : what the last ``forward`` was given and returned; None before the first
    """

    names: ClassVar = {"gelu": {}, "gelu_tanh": {"approximate": "tanh"}}
    torch = "GELU", {"approximate": "approximate"}

    approximate: str = setting(lambda name, value: _arguments.choice(name, value, ("none", "tanh")))

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    @property
    def _is_exact(self) -> bool:
        return self.approximate == "none"

    @property
    def kernel(self) -> Any:
        return kernels.gelu if self._is_exact else kernels.gelu_tanh

    @property
    def kernel_back(self) -> Any:
        return kernels.gelu_back if self._is_exact else kernels.gelu_tanh_back

    @property
    def c(self) -> str:  # type: ignore[override]
        if self._is_exact:
            return "return x * (erfc@f(x * (REAL)-0.70710678118654752) / 2);"
        inner = f"(REAL){ROOT_8_OVER_PI!r} * (x + (REAL)0.044715 * x * x * x)"
        return f"return x / (1 + exp@f(-({inner})));"

    @property
    def numpy(self) -> str:  # type: ignore[override]
        if self._is_exact:
            erfc = "np.vectorize(math.erfc, otypes=[DTYPE])"
            return f"import math\n    return x * ({erfc}(x * DTYPE(-0.5**0.5)) / 2)"
        with_inner = f"np.exp(-DTYPE({ROOT_8_OVER_PI!r}) * (x + DTYPE(0.044715) * x * x * x))"
        return f'with np.errstate(over="ignore"):\n        return x / (1 + {with_inner})'

    def onnx(self, node: Any, x: str) -> str:
        if self._is_exact:
            return node("Mul", x, node("Mul", node("Add", node("Erf", node("Mul", x, 0.5**0.5)), 1.0), 0.5))
        cube = node("Mul", node("Mul", node("Mul", x, x), x), 0.044715)
        return node("Mul", x, node("Sigmoid", node("Mul", node("Add", x, cube), ROOT_8_OVER_PI)))

    def __repr__(self) -> str:
        return "Gelu()" if self._is_exact else f"Gelu(approximate={self.approximate!r})"


class Silu(OfInput):
    """x / (1 + exp(-x)) as a layer, also called swish (Elfwing et al. 2018).

    Attributes
    ----------
    x, out : what the last ``forward`` was given and returned; None before the first
    """

    names: ClassVar = {"silu": {}}
    kernel, kernel_back = staticmethod(kernels.silu), staticmethod(kernels.silu_back)
    torch = "SiLU", {}
    c = "REAL e = exp@f(-fabs@f(x));\n    return x * ((x < 0 ? e : 1) / (1 + e));"
    numpy = "e = np.exp(-np.abs(x))\n    return x * (np.where(x < 0, e, DTYPE(1)) / (1 + e))"

    def onnx(self, node: Any, x: str) -> str:
        return node("Mul", x, node("Sigmoid", x))


class Elu(Activation):
    """x where it is positive, else alpha (exp(x) - 1), as a layer (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float of at least 0

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    names: ClassVar = {"elu": {}}
    kernel, kernel_back = staticmethod(kernels.elu), staticmethod(kernels.elu_back)
    torch = "ELU", {"alpha": "alpha"}
    c = "return x <= 0 ? number * expm1@f(x) : x;"
    numpy = "return np.where(x <= 0, DTYPE(number) * np.expm1(np.minimum(x, DTYPE(0))), x)"

    alpha: float = setting(lambda name, value: _arguments.real(name, value, 0))

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    @property
    def number(self) -> float:  # type: ignore[override]
        return self.alpha

    def onnx(self, node: Any, x: str) -> str:
        return _elu_nodes(node, x, 1.0, self.alpha)

    def __repr__(self) -> str:
        return f"Elu(alpha={self.alpha:g})"


def _elu_nodes(node: Any, x: str, scale: float, low_scale: float) -> str:
    """``scale x where positive, else low_scale (exp(x) - 1)``, of operators that runtimes have in both types."""
    low = node("Mul", node("Sub", node("Exp", node("Min", x, 0.0)), 1.0), low_scale)
    return node("Where", node("LessOrEqual", x, 0.0), low, x if scale == 1 else node("Mul", x, scale))


SELU_LOW = kernels.SELU_SCALE * kernels.SELU_ALPHA


class Selu(Activation):
    """ELU scaled so that means and variances tend to 0 and 1, as a layer (Klambauer et al. 2017).

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

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
        return _elu_nodes(node, x, kernels.SELU_SCALE, SELU_LOW)


class Mish(OfInput):
    """x tanh(log(1 + exp(x))) as a layer (Misra 2020).

    Attributes
    ----------
    x, out : what the last ``forward`` was given and returned; None before the first
    """

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
        return node("Mul", x, node("Tanh", _softplus_nodes(node, x)))


class Softplus(Activation):
    """log(1 + exp(x)) as a layer.

    Attributes
    ----------
    out : array of the shape of ``x``, the result of the last ``forward``; None before the first
    """

    names: ClassVar = {"softplus": {}}
    kernel, kernel_back = staticmethod(kernels.softplus), staticmethod(kernels.softplus_back)
    torch = "Softplus", {}
    c = "return (x < 0 ? 0 : x) + log1p@f(exp@f(-fabs@f(x)));"
    numpy = "return np.maximum(x, DTYPE(0)) + np.log1p(np.exp(-np.abs(x)))"

    def onnx(self, node: Any, x: str) -> str:
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
