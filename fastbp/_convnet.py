"""Convolutional networks with initial weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastbp._inputs import as_shape
from fastbp.activations import Relu
from fastbp.basics import _arguments
from fastbp.layers.affine import Affine
from fastbp.layers.convolution import Convolution
from fastbp.layers.dropout import Dropout
from fastbp.layers.pooling import MaxPooling
from fastbp.sequential import Sequential

GAIN = 2.0  # of ReLU: He et al. 2015

# Words of a network: filters of a convolution and their size and pad, "pool", units of a hidden layer, share dropped.
NETWORKS: dict[str, list[Any]] = {
    "simple-conv": [(30, 5, 0), "pool", 100],
    "deep-conv": [
        *((16, 3, 1), (16, 3, 1), "pool", (32, 3, 1), (32, 3, 2), "pool", (64, 3, 1), (64, 3, 1), "pool"),
        *(50, 0.5),
    ],
}


def convnet(
    name: str,
    n_outputs: int,
    in_shape: tuple[int, int, int] = (1, 28, 28),
    *,
    dtype: DTypeLike = np.float32,
    loss: Any = None,
    scale: float = 1.0,
    seed: Any = None,
) -> Sequential:
    """Return one of the convolutional networks of "Deep Learning from Scratch", with ReLU and He's initial weights.

    "simple-conv", of chapter 7, has 30 filters of 5 x 5, a pooling of 2 x 2 and 100 hidden units. "deep-conv", of
    chapter 8, has six convolutions of 3 x 3, 16, 16, 32, 32, 64 and 64 filters, a pooling after every second, and 50
    hidden units with dropout.

    Parameters
    ----------
    name : str
        "simple-conv" or "deep-conv".
    n_outputs : int of at least 1
        Numbers in an output sample, as many as there are classes.
    in_shape : (C, H, W)
        Channels, height and width of the images.
    dtype : dtype
        float32 or float64, of the parameters.
    loss : loss layer, str or None
        As ``mlp`` takes it.
    scale : float above 0
        What every element of ``x`` is multiplied by before the first layer, 1 / 255 for bytes.
    seed : int, None, or what ``np.random.default_rng`` takes
        Of the initial weights, whose standard deviation is the root of 2 over the inputs of a unit; biases are 0.

    Returns
    -------
    net : Sequential

    Raises
    ------
    ValueError, TypeError
        For arguments out of range, or of another kind, and for images that are too small.

    Examples
    --------
    >>> list(convnet("simple-conv", 10, seed=0).layers)
    ['Convolution1', 'Relu1', 'MaxPooling1', 'Affine1', 'Relu2', 'Affine2']
    """
    parts = [*NETWORKS[_arguments.choice("name", name, NETWORKS)], _arguments.integer("n_outputs", n_outputs, 1)]
    kind, rng = _arguments.float_type("dtype", dtype), _arguments.generator("seed", seed)
    whole = shape = as_shape(in_shape)
    if len(shape) != 3:
        raise ValueError(f"in_shape must be (channels, height, width), got {shape}")

    def weights(*size: int, inputs: int) -> np.ndarray:
        return (np.sqrt(GAIN / inputs) * rng.standard_normal(size)).astype(kind)

    layers: list[Any] = []
    for place, part in enumerate(parts):
        if part == "pool":
            made: list[Any] = [MaxPooling(2, 2)]
        elif isinstance(part, tuple):
            n_filters, size, pad = part
            W = weights(n_filters, shape[0], size, size, inputs=shape[0] * size * size)
            made = [Convolution(W, np.zeros(n_filters, kind), pad=pad), Relu()]
        elif isinstance(part, float):
            made = [Dropout(part)]
        else:
            inputs = int(np.prod(shape))
            made = [Affine(weights(inputs, part, inputs=inputs), np.zeros(part, kind))]
            made += [Relu()] if place < len(parts) - 1 else []
        for layer in made:
            shape = layer.out_shape(shape)
        layers += made
    return Sequential(layers, loss, scale=scale, in_shape=whole)
