"""Random small networks around each layer, activation and loss that fastbp lists, and batches for them."""

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

import fastbp
from fastbp import activations, layers, losses
from fastbp.losses._loss import LABELS, PROBABILITIES

LAYERS = {cls.__name__: cls.of_width for cls in layers.CLASSES}
LAYERS |= {word: lambda n, dtype, word=word: activations.named(word) for word in activations.BY_NAME}
LOSSES = {cls.__name__: cls for cls in losses.CLASSES}
# Of those a gradient is exact only where no output falls below their eps, 1e-7.
LOSSES |= {"SoftmaxWithLoss": partial(fastbp.SoftmaxWithLoss, eps=0)}
LOSSES |= {"with smoothing": partial(fastbp.SoftmaxWithLoss, eps=0, label_smoothing=0.1)}


@dataclass
class Problem:
    """A network, samples, targets, and perhaps a weight for each sample."""

    net: fastbp.Sequential
    x: np.ndarray
    t: np.ndarray
    weights: np.ndarray | None

    @property
    def batch(self):
        return self.x, self.t, self.weights


def filled(rng, make, n, dtype):
    """A layer for ``n`` numbers whose parameters are random, and settings too."""
    layer = make(n, dtype)
    for name in layer.parameters:
        shape = np.shape(getattr(layer, name))
        scale = 1 / math.sqrt(shape[0]) if len(shape) > 1 else 0.3
        setattr(layer, name, ((name == "gamma") + scale * rng.standard_normal(shape)).astype(dtype))
    if hasattr(layer, "eps"):
        layer.eps = 10 ** rng.uniform(-2, 0)  # less makes of a rounding error one that shows in a difference
    if isinstance(layer, fastbp.Dropout):
        layer.p = rng.choice([0.0, 0.3, 0.7])
    return layer


def affine(rng, n_inputs, n_outputs, dtype):
    W = (rng.standard_normal((n_inputs, n_outputs)) / math.sqrt(n_inputs)).astype(dtype)
    return fastbp.Affine(W, (0.3 * rng.standard_normal(n_outputs)).astype(dtype) if rng.random() < 0.7 else None)


def targets(rng, loss, n_rows, n_outputs, dtype):
    """Labels or shares of classes, probabilities or numbers, as the loss has them."""
    if loss.targets == LABELS:
        labels = rng.integers(0, n_outputs, n_rows)
        rows = (np.eye(n_outputs)[labels], rng.dirichlet(np.ones(n_outputs), n_rows))
        return labels if (kind := rng.integers(3)) == 0 else rows[kind - 1].astype(dtype)
    if loss.targets == PROBABILITIES:
        hard = rng.random() < 0.5
        return (rng.integers(0, 2, (n_rows, n_outputs)) if hard else rng.random((n_rows, n_outputs))).astype(dtype)
    return rng.standard_normal((n_rows, n_outputs)).astype(dtype)


def random_problem(rng, subject, dtype=np.float64, widest=5, most_rows=6):
    """A network with ``subject`` in it, of ``LAYERS`` or ``LOSSES``, the rest by chance, and a batch for it."""
    widths = rng.integers(1, widest + 1, rng.integers(2, 5)).tolist()
    chain = []
    for n_inputs, n_outputs in pairwise(widths):
        chain.append(affine(rng, n_inputs, n_outputs, dtype))
        if rng.random() < 0.7:
            chain.append(filled(rng, LAYERS[rng.choice([*LAYERS])], n_outputs, dtype))
    if subject in LAYERS:
        at = rng.integers(len(chain) + 1)
        width = next((layer.n_inputs for layer in chain[at:] if layer.n_inputs), widths[-1])
        chain.insert(at, filled(rng, LAYERS[subject], width, dtype))
    loss = LOSSES[subject if subject in LOSSES else rng.choice([*LOSSES])]()
    if loss.targets == PROBABILITIES and loss.link is None:
        chain.append(fastbp.Sigmoid())
    least = 1 + any(layer.mixes_rows for layer in chain)  # BatchNormalization warns of a single sample
    n_rows = int(rng.integers(least, most_rows + 1))
    x = rng.standard_normal((n_rows, widths[0])).astype(dtype)
    weights = rng.uniform(0, 2, n_rows).astype(dtype) if rng.random() < 0.5 else None
    return Problem(fastbp.Sequential(chain, loss), x, targets(rng, loss, n_rows, widths[-1], dtype), weights)
