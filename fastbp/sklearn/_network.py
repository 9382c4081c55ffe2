"""The network of an estimator's weights: for prediction as they are, for training as a program's layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastbp.activations import BY_NAME, Sigmoid, named
from fastbp.basics import _check, _team
from fastbp.basics._arguments import choice
from fastbp.basics._row_slices import row_slices
from fastbp.kernels import activations as functions
from fastbp.kernels import deviance as losses
from fastbp.kernels import instructions as of
from fastbp.kernels.gemm import LINEAR, NOTHING
from fastbp.layers.affine import Affine
from fastbp.layers.dropout import Dropout
from fastbp.layers.softmax import Softmax
from fastbp.losses._loss import as_weights
from fastbp.programs._lowering import Lowering, function_address, loss_address
from fastbp.programs._operand import Operand
from fastbp.sequential import Sequential

LOGISTIC_ACTIVATION, NO_ACTIVATION = "logistic", "identity"  # scikit-learn's own words
ACTIVATIONS = (NO_ACTIVATION, LOGISTIC_ACTIVATION, *BY_NAME)


def activation_layers(word: str) -> list[Any]:
    """The layer of an activation, of scikit-learn's words or ours; none for the identity."""
    if word == NO_ACTIVATION:
        return []
    return [Sigmoid() if word == LOGISTIC_ACTIVATION else named(word)]


class Output(NamedTuple):
    """An output activation: the function, its kernel, and that of the loss with which its gradient is ``y - t``.

    See ``fastbp.kernels.deviance``; without a kernel, the function is the identity, and the loss that of softmax.
    """

    of: Callable[[np.ndarray], np.ndarray]
    function: Any
    loss: Any

    def addresses(self, dtype: np.dtype) -> tuple[int, int]:
        """Of the loss and of the function, compiled for ``dtype``."""
        loss = loss_address(self.loss, dtype) if self.loss else NOTHING
        return loss, function_address(self.function, dtype) if self.function else LINEAR


OUTPUTS = {
    "softmax": Output(lambda x: Softmax().forward(x), None, None),
    "logistic": Output(lambda x: Sigmoid().forward(x), functions.sigmoid, losses.binary_choice),
    "exp": Output(np.exp, losses.exponential, losses.poisson),
    "identity": Output(lambda x: x, None, losses.share_of_squares),
}
"""By what scikit-learn calls them."""


def dense(X: Any) -> np.ndarray:
    """``X``, an array or a sparse matrix, as an array."""
    return X.toarray() if hasattr(X, "toarray") else X


def by_row(X: Any) -> Any:
    """``X`` in a form of which rows are taken quickly: sparse matrices with compressed rows, arrays as they are."""
    return X.tocsr() if hasattr(X, "tocsr") else X


def export(array: np.ndarray) -> Any:
    """What keeps the memory behind ``array`` from being closed, as shared memory and memory-mapped files can be.

    NumPy keeps the owner of the memory alive, but takes no export of its buffer.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    try:
        return memoryview(owner)
    except (BufferError, TypeError, ValueError):  # of another library, which has no way to close it
        return owner


class EstimatorNetwork:
    """Weights of an estimator, and the functions between them.

    Parameters
    ----------
    coefs, intercepts : real numbers (I, O) and (O,) of each layer, or what broadcasts to (O,)
    activation, output : as scikit-learn calls them; other activations as ``mlp`` does, also one for each hidden layer

    Attributes
    ----------
    coefs, intercepts : arrays of those shapes, each layer's outputs the inputs of the next. They are views, so that
        whoever assigns to the lists or to an array's shape does not change the network.
    units : inputs, units of each hidden layer, outputs
    dtype : that the weights are computed in together

    Raises ValueError for weights that do not fit together, TypeError for what is no array of real numbers.
    """

    def __init__(
        self, coefs: Sequence[Any], intercepts: Sequence[Any], activation: str | Sequence[str], output: str
    ) -> None:
        self.coefs, self.intercepts = _weights(tuple(coefs), tuple(intercepts))
        n_hidden = len(self.coefs) - 1
        self.activations = [activation] * n_hidden if isinstance(activation, str) else list(activation)
        if len(self.activations) != n_hidden:
            raise ValueError(
                f"activation must be one name, or one for each of the {n_hidden} hidden layers, got {activation!r}"
            )
        for word in self.activations:
            choice("activation", word, ACTIVATIONS)
        self.output = OUTPUTS[output]
        self.units = [self.coefs[0].shape[0], *(W.shape[1] for W in self.coefs)]
        self.dtype = _check.computed_in(_check.result_type(*self.coefs, *self.intercepts))

    def layers(self, dropout: float = 0.0, dtype: np.dtype | None = None) -> list[Any]:
        """New layers around the weights, which are of ``dtype``, or of their own.

        Hidden layers' outputs are dropped with probability ``dropout``.
        """
        pairs = zip(self.coefs, self.intercepts, strict=True)
        *hidden, last = [Affine(np.asarray(W, dtype), np.asarray(b, dtype)) for W, b in pairs]
        layers: list[Any] = []
        for affine, word in zip(hidden, self.activations, strict=True):
            layers += [affine, *activation_layers(word), *([Dropout(dropout)] if dropout else [])]
        return [*layers, last]

    def check(self, X: Any, y: np.ndarray) -> None:
        """ValueError unless the network takes samples ``X`` (N, I) and has outputs for targets ``y`` (N, K)."""
        if X.shape[1] != self.units[0]:
            raise ValueError(
                f"coefs_[0] of shape {self.coefs[0].shape} does not fit X, which has {X.shape[1]} features"
            )
        if y.shape != (X.shape[0], self.units[-1]):
            raise ValueError(f"y has {y.shape[1]} outputs a sample, the network of coefs_ has {self.units[-1]}")

    def sequential(self, dropout: float, dtype: np.dtype, loss: Any = None) -> Sequential:
        """A network whose parameters are a copy of the weights, all of ``dtype`` in one vector."""
        return Sequential(self.layers(dropout, dtype), loss)

    def scores(self, X: Any) -> np.ndarray:
        """What the output function is applied to (N, K), for samples ``X`` (N, I), an array or a sparse matrix.

        Its dtype is that of NumPy's promotion of ``X`` and the weights.
        """
        X = by_row(X)
        held = [export(a) for a in (X, *self.coefs, *self.intercepts)]
        pieces = []
        for rows in row_slices(X.shape[0]):
            x = dense(X[rows])
            for layer in self.layers():
                x = layer.forward(x)
            pieces.append(x)
        del held
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def outputs(self, X: Any) -> np.ndarray:
        """The outputs (N, K) for samples ``X`` (N, I)."""
        return self.output.of(self.scores(X))

    def evaluate(self, X: Any, t: np.ndarray, sample_weight: np.ndarray | None) -> tuple[np.ndarray, float]:
        """Outputs for ``X``, and their loss against ``t`` (N, K) without penalty."""
        x = self.scores(X)
        y, dx, partial = np.empty_like(x), np.empty_like(x), np.empty(len(x))
        weights = as_weights(None, len(x), x.dtype) if sample_weight is None else sample_weight.astype(x.dtype)
        targets = np.ascontiguousarray(t, x.dtype)
        total, kernels = losses.sum_of_weights(weights, len(x)), self.output.addresses(x.dtype)
        loss = losses.deviance(_team.current().address, *kernels, x, targets, weights, total, y, dx, partial)
        return y, float(loss)

    def lower_loss(self, p: Lowering, x: Operand, t: int, weights: int, total: int) -> int:
        """Write the loss and its gradient, whose address is returned; ``total`` receives the sum of the weights."""
        dx, partial = p.loss_buffers(x.columns)
        y, kernels = p.buffer("loss y", x.columns), self.output.addresses(p.dtype)
        p.emit(of.DevianceLoss(x.address, t, weights, y, dx, p.rows, x.columns, partial, *kernels, total))
        return dx


def _weights(coefs: tuple[Any, ...], intercepts: tuple[Any, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Matrices and biases as arrays that fit together; raises as ``EstimatorNetwork`` says."""
    if not coefs or len(coefs) != len(intercepts):
        raise ValueError(
            f"coefs_ and intercepts_ must hold one array for each layer, got {len(coefs)} and {len(intercepts)}"
        )
    matrices: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    for n, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        W, b = (_check.as_real(f"{name}[{n}]", a)[...] for name, a in (("coefs_", W), ("intercepts_", b)))
        if W.ndim != 2 or W.size == 0:
            raise ValueError(f"coefs_[{n}] must be of shape (inputs, outputs), at least one each, got {W.shape}")
        if matrices and W.shape[0] != matrices[-1].shape[1]:
            before = matrices[-1].shape[1]
            raise ValueError(f"coefs_[{n}] of shape {W.shape} does not fit coefs_[{n - 1}], which has {before} outputs")
        try:
            biases.append(b if b.shape == W.shape[1:] else np.broadcast_to(b, (1, W.shape[1]))[0])
        except ValueError:
            raise ValueError(
                f"intercepts_[{n}] must be of shape ({W.shape[1]},) for coefs_[{n}] of shape {W.shape}, got {b.shape}"
            ) from None
        matrices.append(W)
    return matrices, biases
