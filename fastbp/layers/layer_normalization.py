"""Layer normalisation as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check, _team
from fastbp.basics._attributes import setting
from fastbp.basics._tensor import array_of_tensor
from fastbp.kernels import normalization as of
from fastbp.kernels.normalization import layer_normalization, layer_normalization_back
from fastbp.layers._columns import ColumnLayer
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand


class LayerNormalization(ColumnLayer):
    """Rows of mean 0 and variance 1, times ``gamma``, plus ``beta``.

    ``gamma (x - mean) / sqrt(var + eps) + beta`` (Ba, Kiros & Hinton 2016), with the mean and the mean squared
    deviation of each sample's numbers, as torch.nn.LayerNorm.

    Parameters
    ----------
    gamma, beta : (K,) array of real numbers
        For samples of K numbers; kept by reference.
    eps : float above 0
        Keeps the root from 0 where all numbers of a sample are equal.

    Attributes
    ----------
    dgamma : (K,) array or None
        The gradient of ``gamma`` from the last ``backward``; None before the first.
    dbeta : (K,) array or None
        That of ``beta``.
    """

    parameters = ("gamma", "beta")
    _factor = "gamma"

    eps: float = setting(lambda name, value: _arguments.real(name, value, above=0))

    torch = "LayerNorm", {"weight": "gamma", "bias": "beta"}
    numpy = """\
z = x - x.mean(axis=-1, keepdims=True)
    return z / np.sqrt((z * z).mean(axis=-1, keepdims=True) + eps) * gamma + beta"""
    c = """\
    REAL mean = 0, var = 0;
    for (size_t i = 0; i < n_inputs; i++)
        mean += x[i] / n_inputs;
    for (size_t i = 0; i < n_inputs; i++)
        var += (x[i] - mean) * (x[i] - mean) / n_inputs;
    for (size_t o = 0; o < n_outputs; o++)
        y[o] = (x[o] - mean) / sqrt@f(var + eps) * gamma[o] + beta[o];
"""

    def __init__(self, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5) -> None:
        self.gamma, self.beta, self.eps = gamma, beta, eps
        self.dgamma: np.ndarray | None = None
        self.dbeta: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the normalised rows of ``x``.

        Parameters
        ----------
        x : (N, K), (K,) or (N, C, H, W) array of real numbers
            (K,) is a single sample; (N, C, H, W) has C H W = K, and its rows are flattened.

        Returns
        -------
        out : array of the shape of ``x``
            Of the dtype of NumPy's arithmetic on ``x``, ``gamma`` and ``beta``, float64 for integers.

        Raises
        ------
        ValueError
            Where shapes do not fit.
        TypeError
            For what is no array of real numbers.
        """
        gamma, beta = self._taken("beta")
        x, rows, dtype = self._rows(x, (gamma, beta))
        kind = rows.dtype
        y, z, scales = np.empty_like(rows), np.empty_like(rows), np.empty(len(rows), kind)
        gamma, beta = _check.ready(gamma, kind), _check.ready(beta, kind)
        # All of these are this call's own views or copies, or new: they stay until it returns.
        layer_normalization(_team.current().address, rows, self.eps, gamma, beta, z, scales, y)
        self._last = z, scales, x.shape
        return _check.of_type(y.reshape(x.shape), dtype)

    def _back(self, last: tuple[Any, ...], d: np.ndarray, factor: np.ndarray, *rest: Any) -> None:
        z, scales = (_check.ready(kept, d.dtype) for kept in last[:2])
        layer_normalization_back(_team.current().address, d, z, factor, scales, *rest)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the instructions of this layer."""
        gamma, beta = self._taken("beta")
        columns, at_gamma, scales = x.columns, p.place_of(gamma), p.buffer((self, "scales"), 1)
        y, z = p.buffer((self, "y"), columns), p.buffer((self, "z"), columns)
        shape = p.rows, columns
        p.emit(of.LayerNormalization(x.address, at_gamma, p.place_of(beta), z, scales, y, *shape, self.eps))

        def backward(dy: int, wanted: bool) -> int:
            targets, partial = self._targets(p, gamma, beta), self._partial(p, columns)
            p.emit(
                of.LayerNormalizationGradient(dy, z, at_gamma, scales, *targets, *shape, partial, p.adds, p.fused_step)
            )
            return dy

        p.on_backward(self, backward)
        return Operand(y, x.shape)

    def onnx(self, node: Any, x: str) -> str:
        """The formula, of operators that opset 16 has: its own LayerNormalization came with 17."""
        z = node("Sub", x, node("ReduceMean", x, axes=[-1]))
        var = node("ReduceMean", node("Mul", z, z), axes=[-1])
        z = node("Div", z, node("Sqrt", node("Add", var, self.eps)))
        return node("Add", node("Mul", z, self.gamma), self.beta)

    def to_module(self, nn: Any) -> Any:
        """A LayerNorm over the last dimension."""
        return nn.LayerNorm(len(self.gamma), eps=self.eps, device="meta")

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """From a LayerNorm over one dimension; TypeError for more, and for one without weight or bias."""
        if len(module.normalized_shape) != 1 or module.weight is None or module.bias is None:
            raise TypeError(f"{module!r} must be of one dimension, with weight and bias, to be a LayerNormalization")
        gamma, beta = (np.array(array_of_tensor(name, getattr(module, name))) for name in ("weight", "bias"))
        return cls(gamma, beta, module.eps)

    def __repr__(self) -> str:
        return f"LayerNormalization({np.size(self.gamma)}, eps={self.eps:g})"
