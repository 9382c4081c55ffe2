"""What the two normalising layers share: a factor and a term for each column, and the checks of a batch of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp import _arguments, _check
from fastbp._layer import Layer


class Normalization(Layer):
    """A layer with ``gamma`` and ``beta``, (F,); subclasses say over what they normalise."""

    parameters = ("gamma", "beta")

    def __init__(self, gamma: Any, beta: Any, eps: float) -> None:
        self.gamma, self.beta = gamma, beta
        self.eps = _arguments.real("eps", eps, above=0)
        self.dgamma: np.ndarray | None = None
        self.dbeta: np.ndarray | None = None
        self._last: tuple[Any, ...] | None = None  # of the last forward: what backward goes by
        self.checked_parameters()

    def checked_parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """``gamma`` and ``beta`` as they are now; ValueError unless both are (F,), TypeError for other arrays."""
        gamma, beta = _check.as_real("gamma", self.gamma), _check.as_real("beta", self.beta)
        if gamma.ndim != 1 or gamma.size == 0 or beta.shape != gamma.shape:
            raise ValueError(f"gamma and beta must be (F,) of one length, got {gamma.shape} and {beta.shape}")
        return gamma, beta

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        n_columns = len(self.gamma)
        if shape != (n_columns,):
            raise ValueError(f"gamma of shape ({n_columns},) does not fit samples of shape {shape}")
        return shape

    def _rows(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.dtype]:
        """``x`` (N, F), ``gamma`` and ``beta`` ready for a kernel, and the type of the result."""
        x, (gamma, beta) = _check.as_real("x", x), self.checked_parameters()
        if x.ndim != 2 or x.shape[1] != gamma.size:
            raise ValueError(f"x must be (N, {gamma.size}), got shape {x.shape}")
        dtype = _check.result_type(x, gamma, beta)
        kind = _check.computed_in(dtype)
        return _check.ready(x, kind), _check.ready(gamma, kind), _check.ready(beta, kind), dtype

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.gamma)})"
