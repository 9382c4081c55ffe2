"""Networks of fully connected layers, from their sizes."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastbp.activations import BY_NAME, Activation, named
from fastbp.basics import _arguments
from fastbp.layers._layer import Layer
from fastbp.layers.affine import Affine
from fastbp.layers.batch_normalization import BatchNormalization
from fastbp.layers.dropout import Dropout
from fastbp.layers.layer_normalization import LayerNormalization
from fastbp.losses import loss_layer
from fastbp.sequential import Sequential

FIRST_GAIN = 2.0  # without a hidden layer


NORMALIZATIONS: dict[str, Callable[[np.ndarray, np.ndarray], Layer]] = {
    "batch": lambda gamma, beta: BatchNormalization(gamma, beta, running_var=np.ones_like(gamma), eps=1e-5),
    "layer": LayerNormalization,
}


def mlp(
    sizes: Sequence[int],
    activation: str | Sequence[str] = "relu",
    *,
    normalization: str | None = None,
    dropout: float | Sequence[float] = 0.0,
    dtype: DTypeLike = np.float32,
    seed: Any = None,
    loss: Any = "softmax",
    scale: float = 1.0,
) -> Sequential:
    """A network of fully connected layers, with an activation after each but the last.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, units of each hidden layer, outputs.
    activation : str or sequence of str
        "relu", "leaky_relu", "gelu", "gelu_tanh", "silu", "elu", "mish" or "softplus", with He's initial weights
        (normal, standard deviation sqrt(2 / inputs): He et al. 2015); "sigmoid", "tanh" or "selu", with Xavier's
        (sqrt(1 / inputs): Glorot & Bengio 2010, as in the book); or a list, one for each hidden layer.
    normalization : {"batch", "layer"} or None
        For a BatchNormalization or LayerNormalization after each Affine but the last, before the activation, as in the
        book; None for none. They begin, and compute, as PyTorch's: running variances with ones, and eps is 1e-5.
    dropout : float in 0..1, or sequence of float
        Probability to drop a hidden unit while training; or one for each hidden layer.
    dtype : float32 or float64
        Of the parameters.
    seed : whatever ``np.random.default_rng`` takes
        Of the initial weights. Biases are 0.
    loss : str or loss layer
        "softmax" for classes, SoftmaxWithLoss(eps=0); "sigmoid" for two classes and one output, or for classes that do
        not exclude each other, SigmoidWithLoss(); "mse", "mae" or "huber" for numbers, MeanSquaredError(),
        MeanAbsoluteError(), Huber(); or a loss layer. ``Sequential`` takes the same words.
    scale : float above 0
        What every element of ``x`` is multiplied by before the first layer, 1 / 255 for bytes.

    Returns
    -------
    net : Sequential

    Raises
    ------
    ValueError, TypeError
        For arguments out of range, or of another kind.

    Examples
    --------
    >>> list(mlp([64, 50, 10], dropout=0.2, seed=0).layers)
    ['Affine1', 'Relu1', 'Dropout1', 'Affine2']
    """
    sizes = _sizes(sizes)
    activations = _activations(activation, len(sizes) - 2)
    dropped = _dropout(dropout, len(sizes) - 2)
    if normalization is not None:
        _arguments.choice("normalization", normalization, NORMALIZATIONS)
    kind = _arguments.float_type("dtype", dtype)
    loss = loss_layer(loss)
    rng = _arguments.generator("seed", seed)
    affines = []
    gains = [layer.gain for layer in activations]
    # The last layer's weights go by the activation before it.
    for (n_inputs, n_outputs), gain in zip(pairwise(sizes), [*gains, *(gains[-1:] or [FIRST_GAIN])], strict=True):
        W = (math.sqrt(gain / n_inputs) * rng.standard_normal((n_inputs, n_outputs))).astype(kind)
        affines.append(Affine(W, np.zeros(n_outputs, kind)))
    layers: list[Any] = affines[:1]
    for layer, p, n_units, affine in zip(activations, dropped, sizes[1:-1], affines[1:], strict=True):
        if normalization is not None:
            layers.append(NORMALIZATIONS[normalization](np.ones(n_units, kind), np.zeros(n_units, kind)))
        layers.append(layer)
        if p:
            layers.append(Dropout(p))  # whose masks follow from the seed of fit or step
        layers.append(affine)
    return Sequential(layers, loss, scale=scale)


def _is_list(value: Any) -> bool:
    """Whether it has an entry for each layer, in an order: sets have none."""
    return not isinstance(value, str) and isinstance(value, Iterable) and not isinstance(value, (Set, Mapping))


def _sizes(sizes: Any) -> list[int]:
    taken = [_arguments.integer(f"sizes[{i}]", n, 1) for i, n in enumerate(sizes)] if _is_list(sizes) else None
    if taken is None or len(taken) < 2:
        expected = f"sizes must be at least two integers of at least 1, got {_arguments.shown(sizes)}"
        raise (TypeError if taken is None else ValueError)(expected)
    return taken


def _activations(activation: Any, n_hidden: int) -> list[Activation]:
    """The activation of each hidden layer."""
    if not _is_list(activation):
        _arguments.choice("activation", activation, BY_NAME)
        return [named(activation) for _ in range(n_hidden)]
    words = [_arguments.choice(f"activation[{i}]", word, BY_NAME) for i, word in enumerate(activation)]
    if len(words) != n_hidden:
        raise ValueError(f"activation must be one name, or one for each of the {n_hidden} hidden layers, got {words}")
    return [named(word) for word in words]


def _dropout(dropout: Any, n_hidden: int) -> list[float]:
    """The probability of each hidden layer."""
    if not _is_list(dropout):
        return [_arguments.real("dropout", dropout, 0, 1)] * n_hidden
    taken = [_arguments.real(f"dropout[{i}]", p, 0, 1) for i, p in enumerate(dropout)]
    if len(taken) != n_hidden:
        raise ValueError(f"dropout must be one number, or one for each of the {n_hidden} hidden layers, got {taken}")
    return taken
