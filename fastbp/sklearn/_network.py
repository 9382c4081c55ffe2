"""The network of an estimator's weights: for prediction as they are, for training as a program's layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastbp import _team
from fastbp._layer import Operand
from fastbp._loss import as_weights
from fastbp._lowering import Lowering
from fastbp.activations import Relu, Sigmoid, Tanh
from fastbp.affine import Affine
from fastbp.dropout import Dropout
from fastbp.kernels import instructions as of
from fastbp.kernels.deviance import EXP, IDENTITY, LOGISTIC, SOFTMAX, deviance, sum_of_weights
from fastbp.sequential import Sequential
from fastbp.softmax import Softmax

ROWS_AT_A_TIME = 4096  # of a prediction, so that its activations stay small beside the data

ACTIVATIONS: dict[str, tuple[Any, ...]] = {"identity": (), "logistic": (Sigmoid,), "tanh": (Tanh,), "relu": (Relu,)}

OUTPUTS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    "softmax": (SOFTMAX, lambda x: Softmax().forward(x)),
    "logistic": (LOGISTIC, lambda x: Sigmoid().forward(x)),
    "exp": (EXP, np.exp),
    "identity": (IDENTITY, lambda x: x),
}
"""What scikit-learn calls an output activation: its kind in ``fastbp.kernels.deviance``, and the function."""


def dense(X: Any) -> np.ndarray:
    """``X``, an array or a sparse matrix, as an array."""
    return X.toarray() if hasattr(X, "toarray") else X


def by_row(X: Any) -> Any:
    """``X`` in a form of which rows are taken quickly: sparse matrices with compressed rows, arrays as they are."""
    return X.tocsr() if hasattr(X, "tocsr") else X


class Network:
    """Weights of an estimator, and the functions between them.

    Parameters
    ----------
    coefs, intercepts : arrays (I, O) and (O,) of each layer, taken as they are
    activation, output : as scikit-learn calls them
    """

    def __init__(
        self, coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray], activation: str, output: str
    ) -> None:
        self.coefs, self.intercepts, self.activation = coefs, intercepts, activation
        self.kind, self.output = OUTPUTS[output]

    def layers(self, dropout: float = 0.0) -> list[Any]:
        """New layers around the weights; hidden layers' outputs are dropped with probability ``dropout``."""
        after = [*ACTIVATIONS[self.activation], *([lambda: Dropout(dropout)] if dropout else [])]
        layers: list[Any] = []
        for W, b in zip(self.coefs, self.intercepts, strict=True):
            layers += [Affine(W, b), *(make() for make in after)]
        return layers[: len(layers) - len(after)]

    def trainable(self, dropout: float, dtype: np.dtype) -> Sequential:
        """A network whose parameters are a copy of the weights, all of ``dtype`` in one vector."""
        layers = self.layers(dropout)
        for layer in layers:
            if isinstance(layer, Affine):
                layer.W, layer.b = np.asarray(layer.W, dtype), np.asarray(layer.b, dtype)
        return Sequential(layers)

    def scores(self, X: Any) -> np.ndarray:
        """What the output function is applied to (N, K), for samples ``X`` (N, I), an array or a sparse matrix.

        Its dtype is that of NumPy's promotion of ``X`` and the weights.
        """
        X = by_row(X)
        blocks = []
        for begin in range(0, X.shape[0], ROWS_AT_A_TIME):
            x = dense(X[begin : begin + ROWS_AT_A_TIME])
            for layer in self.layers():
                x = layer.forward(x)
            blocks.append(x)
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def outputs(self, X: Any) -> np.ndarray:
        """The outputs (N, K) for samples ``X`` (N, I)."""
        return self.output(self.scores(X))

    def evaluate(self, X: Any, t: np.ndarray, sample_weight: np.ndarray | None) -> tuple[np.ndarray, float]:
        """Outputs for ``X``, and their loss against ``t`` (N, K) without penalty."""
        x = self.scores(X)
        y, dx, partial = np.empty_like(x), np.empty_like(x), np.empty(len(x))
        weights = as_weights(None, len(x), x.dtype) if sample_weight is None else sample_weight.astype(x.dtype)
        targets = np.ascontiguousarray(t, x.dtype)
        total = sum_of_weights(weights, len(x))
        loss = deviance(_team.current().address, self.kind, x, targets, weights, total, y, dx, partial)
        return y, float(loss)

    def lower_loss(self, p: Lowering, x: Operand, t: int, weights: int, total: int) -> int:
        """Write the loss and its gradient, whose address is returned; ``total`` receives the sum of the weights."""
        dx, losses = p.loss_buffers(x.columns)
        y = p.buffer("loss y", x.columns)
        p.emit(of.DevianceLoss(x.address, t, weights, y, dx, p.rows, x.columns, losses, self.kind, total))
        return dx
