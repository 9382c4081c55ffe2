"""Whole networks to train: what they are, their data and first parameters, and what training should come to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from fastbp import reference

from .row import Expected

RATES = {"sgd": 0.05, "adam": 1e-3}
BETA1, BETA2, ADAM_EPS = 0.9, 0.999, 1e-8
FLOPS_A_CALL, MOST_STEPS = 2e8, 200  # of a call of many steps, in which Python's part does not count

KINK = 16  # rows' worth of gradient; a single unit made up 14 of them in a network 8 layers deep


@dataclass(frozen=True)
class Perceptron:
    """Fully connected layers of ``sizes``, trained on one mini-batch of ``batch`` rows that is chosen already.

    ``activation`` is "relu" or "tanh"; ``loss`` "softmax", of labels, "mse", or "sigmoid", of one score and a class of
    two; ``optimizer`` "sgd" or "adam". All numbers are float32.
    """

    sizes: tuple[int, ...]
    batch: int
    activation: str = "relu"
    loss: str = "softmax"
    optimizer: str = "sgd"
    most_steps: int = MOST_STEPS  # in one call

    @property
    def rate(self) -> float:
        """The learning rate."""
        return RATES[self.optimizer]

    @property
    def flops(self) -> int:
        """Of the matrix products of a step: x W and x.T dout of every layer, dout W.T of all but the first."""
        products = [i * o for i, o in pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(products) - products[0])

    @property
    def predict_flops(self) -> int:
        """Of the matrix products of a prediction."""
        return 2 * self.batch * sum(i * o for i, o in pairwise(self.sizes))

    @property
    def parameter_bytes(self) -> int:
        """Of weights and biases in float32."""
        return 4 * sum((i + 1) * o for i, o in pairwise(self.sizes))

    @property
    def activation_bytes(self) -> int:
        """Of the mini-batch and every layer's output, which the backward pass needs again."""
        return 4 * self.batch * sum(self.sizes)

    @property
    def steps(self) -> int:
        """In one call."""
        return max(1, min(self.most_steps, int(FLOPS_A_CALL / self.flops)))

    @property
    def name(self) -> str:
        """As it stands in labels of rows."""
        usual = (self.activation, self.loss, self.optimizer) == ("relu", "softmax", "sgd")
        more = "" if usual else f" {self.activation} {self.loss} {self.optimizer}"
        return f"{'-'.join(map(str, self.sizes))} batch {self.batch}{more}"

    @property
    def moved_bytes(self) -> int:
        """That a step reads and writes at the least: parameters, states of the optimizer, and the mini-batch."""
        passes = {"sgd": 3, "adam": 7}[self.optimizer]  # weights are read forwards and backwards, and written
        return passes * self.parameter_bytes + 4 * self.batch * self.sizes[0]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """The mini-batch: x (N, I) float32, and t, (N,) labels or (N, K) float32."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.batch, self.sizes[0]), np.float32)
        if self.loss == "sigmoid":
            return x, rng.integers(0, 2, (self.batch, self.sizes[-1])).astype(np.float32)
        if self.loss == "mse":
            return x, rng.standard_normal((self.batch, self.sizes[-1]), np.float32)
        return x, rng.integers(0, self.sizes[-1], self.batch)

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Fresh weights (I, O), He's, and biases (O,), 0; float32."""
        rng = np.random.default_rng(0)
        shapes = list(pairwise(self.sizes))
        weights = [rng.standard_normal((i, o), np.float32) for i, o in shapes]
        for W in weights:
            W *= np.float32(np.sqrt(2 / len(W)))
        return weights, [np.zeros(o, np.float32) for _, o in shapes]


def flat(weights: Sequence[Any], biases: Sequence[Any]) -> list[np.ndarray]:
    """The answer of a provider: all parameters as one vector."""
    return [np.concatenate([np.asarray(p).ravel() for p in (*weights, *biases)])]


def expected_scores(network: Perceptron) -> Expected:
    """The scores by the plain layers in float64; errors in units of the largest."""
    out = network.data()[0].astype(np.float64)
    for layer in _layers(network, *network.parameters()):
        out = layer.forward(out)
    return [(out, np.max(np.abs(out)))]


@lru_cache(maxsize=1)
def expected(network: Perceptron) -> Expected:
    """The parameters after one call's steps by the plain layers in float64; errors in units of the longest way."""
    (start,) = flat(*network.parameters())
    (end,) = flat(*_trained(network))
    return [(end, np.max(np.abs(end - start)))]


def tolerance(network: Perceptron) -> float:
    """Of the answer, in units of eps: 1000 for the gradients, and each step's rounding of the parameters four times.

    Four because what one step rounds away changes the gradients of the next. A unit so near to ReLU's kink that
    rounding decides its side takes one row in or out of a gradient: KINK such cases are allowed for.
    """
    ((end, way),) = expected(network)
    kinks = KINK / (network.batch * network.steps) if network.activation == "relu" else 0.0
    return float(1000 + 4 * network.steps * np.max(np.abs(end)) / way + kinks / np.finfo(np.float32).eps)


def _layers(network: Perceptron, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> list[Any]:
    """The plain layers; their Affines are every second."""
    kind: Any = {"relu": reference.Relu, "tanh": reference.Tanh}[network.activation]
    affines = [reference.Affine(W.astype(np.float64, copy=False), b) for W, b in zip(weights, biases, strict=True)]
    return [layer for affine in affines for layer in (affine, kind())][:-1]


def _trained(network: Perceptron) -> tuple[list[np.ndarray], list[np.ndarray]]:
    weights, biases = ([p.astype(np.float64) for p in part] for part in network.parameters())
    layers = _layers(network, weights, biases)
    affines = layers[::2]
    losses: dict[str, Any] = {
        "softmax": reference.SoftmaxWithLoss(eps=0),
        "mse": reference.MeanSquaredError(),
        "sigmoid": reference.SigmoidWithLoss(),
    }
    loss = losses[network.loss]
    x, t = network.data()
    update = _update(network, [*weights, *biases])
    for _ in range(network.steps):
        out = x.astype(np.float64)
        for layer in layers:
            out = layer.forward(out)
        loss.forward(out, t)
        dout = loss.backward()
        for layer in reversed(layers):
            dout = layer.backward(dout)
        update([*(affine.dW for affine in affines), *(affine.db for affine in affines)])
    return weights, biases


def _update(network: Perceptron, parameters: list[np.ndarray]) -> Callable[[Sequence[Any]], None]:
    """What one step does to ``parameters``, in place, given their gradients."""
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    done = 0

    def sgd(gradients: Sequence[Any]) -> None:
        for p, g in zip(parameters, gradients, strict=True):
            p -= network.rate * g

    def adam(gradients: Sequence[Any]) -> None:
        nonlocal done
        done += 1
        for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            p -= network.rate * (m / (1 - BETA1**done)) / (np.sqrt(v / (1 - BETA2**done)) + ADAM_EPS)

    return {"sgd": sgd, "adam": adam}[network.optimizer]
