"""Normalisation of each sample over its columns, as a layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check, _team
from fastbp._layer import Operand
from fastbp._lowering import Lowering
from fastbp._normalization import Normalization
from fastbp.kernels import instructions as of
from fastbp.kernels.gemm import NOTHING
from fastbp.kernels.normalization import layer_norm_backward, layer_norm_forward


class LayerNormalization(Normalization):
    """``gamma (x - mean) / sqrt(variance + eps) + beta`` as a layer, mean and variance of each row (Ba et al. 2016).

    Parameters
    ----------
    gamma, beta : (F,) arrays of real numbers, kept by reference
    eps : float above 0

    Attributes
    ----------
    dgamma, dbeta : (F,), their gradients from the last ``backward``; None before the first
    """

    def __init__(self, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5) -> None:
        super().__init__(gamma, beta, eps)

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the normalised rows of ``x`` (N, F), in the dtype of NumPy's promotion of ``x`` and the parameters.

        Raises ValueError where shapes do not fit, TypeError for what is no array of real numbers.
        """
        rows, gamma, beta, dtype = self._rows(x)
        y, kept = np.empty_like(rows), np.empty((len(rows), 2), rows.dtype)
        layer_norm_forward(_team.current().address, rows, gamma, beta, y, kept, self.eps)
        self._last = rows, kept, dtype
        return _check.of_type(y, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, and set ``dgamma`` and ``dbeta``.

        Raises ValueError unless ``dout`` has the shape of ``x``, RuntimeError before the first ``forward``.
        """
        if self._last is None:
            raise _check.not_before_forward(self)
        rows, kept, dtype = self._last
        gamma, _ = self.checked_parameters()
        dy = _check.as_real("dout", dout)
        _check.same_shape("dout", dy, rows.shape, "x")
        _check.same_shape("gamma", gamma, rows.shape[1:], "a row of x")
        dy, gamma = _check.ready(dy, rows.dtype), _check.ready(gamma, rows.dtype)
        dx, dgamma, dbeta = np.empty_like(rows), np.empty_like(gamma), np.empty_like(gamma)
        layer_norm_backward(_team.current().address, dy, rows, gamma, kept, dx, dgamma, dbeta, False)
        self.dgamma, self.dbeta = _check.of_type(dgamma, dtype), _check.of_type(dbeta, dtype)
        return _check.of_type(dx, dtype)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        gamma, beta = p.place_of(self.gamma), p.place_of(self.beta)
        sizes = p.rows, x.columns
        y, kept = p.buffer((self, "y"), x.columns), p.buffer((self, "kept"), 2)
        p.emit(of.LayerNorm(x.address, gamma, beta, y, kept, *sizes, self.eps))
        dgamma, dbeta = p.gradient_of(self.gamma), p.gradient_of(self.beta)

        def backward(dy: int, wanted: bool) -> int:
            dx = p.buffer((self, "dx"), x.columns) if wanted else NOTHING
            p.emit(of.LayerNormGradient(dy, x.address, gamma, kept, dx, dgamma, dbeta, *sizes, p.adds))
            return dx

        p.on_backward(self, backward)
        return Operand(y, x.shape)
