"""Normalisation of each column over the batch, as a layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _arguments, _check, _team
from fastbp._layer import Operand
from fastbp._lowering import Lowering
from fastbp._normalization import Normalization
from fastbp.kernels import instructions as of
from fastbp.kernels.gemm import NOTHING
from fastbp.kernels.normalization import batch_norm_backward, batch_norm_forward, scale_columns


class BatchNormalization(Normalization):
    """``gamma (x - mean) / sqrt(variance + eps) + beta`` as a layer, mean and variance of each column of a batch.

    Ioffe & Szegedy 2015; the book's layer of chapter 6, with PyTorch's momentum and unbiased running variance. When
    predicting, the running statistics take the place of the batch's.

    Parameters
    ----------
    gamma, beta : (F,) arrays of real numbers, kept by reference
    momentum : float in 0..1
        Weight of the newest batch in the running statistics, as in PyTorch. (The book's is 1 minus it.)
    running_mean, running_var : (F,) arrays, kept by reference, changed by each training batch; zeros and ones if None
    eps : float above 0

    Attributes
    ----------
    dgamma, dbeta : (F,), the gradients of ``gamma`` and ``beta`` from the last ``backward``; None before the first
    """

    buffers = ("running_mean", "running_var")
    mixes_rows = True

    def __init__(
        self,
        gamma: np.ndarray,
        beta: np.ndarray,
        momentum: float = 0.1,
        running_mean: np.ndarray | None = None,
        running_var: np.ndarray | None = None,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(gamma, beta, eps)
        self.momentum = _arguments.real("momentum", momentum, 0, 1)
        zeros = np.zeros(np.shape(gamma), _check.computed_in(_check.result_type(*self.checked_parameters())))
        self.running_mean = zeros if running_mean is None else running_mean
        self.running_var = zeros + 1 if running_var is None else running_var
        self._running()

    def _running(self) -> tuple[np.ndarray, np.ndarray]:
        """The running statistics as they are now; ValueError unless both have the shape of ``gamma``."""
        shape, found = np.shape(self.gamma), []
        for name in self.buffers:
            array = _check.as_real(name, getattr(self, name))
            _check.same_shape(name, array, shape, "gamma")
            found.append(array)
        return found[0], found[1]

    def forward(self, x: ArrayLike, train_flg: bool = True) -> np.ndarray:
        """Return the normalised columns of ``x`` (N, F): by the batch's statistics, which the running ones then follow,
        or by those unless ``train_flg``. The dtype is that of NumPy's promotion of ``x`` and the parameters.

        Raises ValueError where shapes do not fit and for a batch without rows, TypeError for what is no array of real
        numbers.
        """
        rows, gamma, beta, dtype = self._rows(x)
        mean, variance = (_check.ready(a, rows.dtype) for a in self._running())
        y, kept = np.empty_like(rows), np.empty((2, gamma.size), rows.dtype)
        team = _team.current().address
        if not train_flg:
            factors, terms = self._folded(gamma, beta, mean, variance)
            scale_columns(team, rows, factors, terms, y)
            return _check.of_type(y, dtype)
        if len(rows) == 0:
            raise ValueError("x must have at least one row to take a mean of, got none")
        own = mean.copy(), variance.copy()
        batch_norm_forward(team, rows, gamma, beta, y, kept, *own, self.eps, self.momentum)
        for name, array in zip(self.buffers, own, strict=True):
            getattr(self, name)[...] = array
        self._last = rows, kept, dtype
        return _check.of_type(y, dtype)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return what ``forward`` returns outside training."""
        return self.forward(x, train_flg=False)

    def _folded(self, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> tuple:
        """Factor and term of each column when predicting, computed in float64."""
        factors = gamma / np.sqrt(variance.astype(np.float64) + self.eps)
        terms = beta - mean * factors
        return factors.astype(gamma.dtype), terms.astype(gamma.dtype)

    def folded(self) -> tuple[np.ndarray, np.ndarray]:
        """Factor and term, (F,), of the ``x factor + term`` that the layer computes when predicting."""
        return self._folded(*self.checked_parameters(), *self._running())

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, and set ``dgamma`` and ``dbeta``.

        It is that of the last ``forward`` in training. Raises ValueError unless ``dout`` has the shape of its ``x``,
        RuntimeError before it.
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
        batch_norm_backward(_team.current().address, dy, rows, gamma, kept, dx, dgamma, dbeta)
        self.dgamma, self.dbeta = _check.of_type(dgamma, dtype), _check.of_type(dbeta, dtype)
        return _check.of_type(dx, dtype)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        gamma, beta, mean, variance = (p.place_of(getattr(self, n)) for n in (*self.parameters, *self.buffers))
        sizes = p.rows, x.columns
        y, kept = p.buffer((self, "y"), x.columns), p.keep(np.zeros((2, x.columns), p.dtype))
        p.emit(of.BatchNorm(x.address, gamma, beta, y, kept, mean, variance, *sizes, self.eps, self.momentum))
        dgamma, dbeta = p.gradient_of(self.gamma), p.gradient_of(self.beta)

        def backward(dy: int, wanted: bool) -> int:
            dx = p.buffer((self, "dx"), x.columns) if wanted else NOTHING
            p.emit(of.BatchNormGradient(dy, x.address, gamma, kept, dx, dgamma, dbeta, *sizes))
            return dx

        p.on_backward(self, backward)
        return Operand(y, x.shape)
