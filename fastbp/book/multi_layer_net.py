"""The book's ``common/multi_layer_net.py``."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp.basics._arguments import choice, integer, real, shown
from fastbp.book._network import BookNetwork
from fastbp.book.layers import Affine, Relu, Sigmoid

__all__ = ["MultiLayerNet"]

ACTIVATION_CLASSES = {"sigmoid": Sigmoid, "relu": Relu}
GAINS = {"relu": 2.0, "he": 2.0, "sigmoid": 1.0, "xavier": 1.0}  # variance of the weights times the inputs of a unit


class MultiLayerNet(BookNetwork):
    """Fully connected layers with ReLU or sigmoid between them, and softmax with its loss.

    Parameters
    ----------
    input_size, output_size : int
        Numbers in a sample, classes.
    hidden_size_list : list of int
        Units of each hidden layer.
    activation : 'relu' or 'sigmoid'
        Of the hidden layers.
    weight_init_std : number at least 0, 'relu' or 'he', 'sigmoid' or 'xavier'
        Standard deviation of the initial weights, or a name for ``sqrt(2 / inputs)``, or for ``sqrt(1 / inputs)``. They
        are drawn from ``np.random``, as in the book.
    weight_decay_lambda : float at least 0
        Half of this times the squares of all weights is part of the loss.
    dtype : float64 or float32
        Of the parameters, and so of all that is computed of samples of no wider type. The book's is float64.

    Attributes
    ----------
    params : dict of arrays
        ``W1``, ``b1``, ``W2``, ..., which the layers share: writing into these arrays trains.
    layers : OrderedDict
        ``Affine1``, ``Activation_function1``, ``Affine2``, ...
    last_layer : SoftmaxWithLoss
        The loss.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size_list: Sequence[int],
        output_size: int,
        activation: str = "relu",
        weight_init_std: str | float = "relu",
        weight_decay_lambda: float = 0,
        *,
        dtype: DTypeLike = np.float64,
    ) -> None:
        super().__init__(dtype)
        self.input_size = integer("input_size", input_size, 1)
        if isinstance(hidden_size_list, str) or not isinstance(hidden_size_list, Sequence):
            raise TypeError(f"hidden_size_list must be a list of integers, got {shown(hidden_size_list)}")
        self.hidden_size_list = [integer("hidden_size_list", size, 1) for size in hidden_size_list]
        self.output_size = integer("output_size", output_size, 1)
        self.hidden_layer_num = len(self.hidden_size_list)
        self.weight_decay_lambda = real("weight_decay_lambda", weight_decay_lambda, 0)
        self.activation = choice("activation", activation, ACTIVATION_CLASSES)
        self._draw_all(weight_init_std)
        self.layers: OrderedDict[str, Any] = OrderedDict()
        for n in range(1, self.hidden_layer_num + 2):
            self.layers[f"Affine{n}"] = Affine(self.params[f"W{n}"], self.params[f"b{n}"])
            if n <= self.hidden_layer_num:
                self.layers.update(self._between(n))

    def _draw_all(self, weight_init_std: str | float) -> None:
        sizes = [self.input_size, *self.hidden_size_list, self.output_size]
        for n, (inputs, outputs) in enumerate(pairwise(sizes), 1):
            if isinstance(weight_init_std, str):
                gain = GAINS[choice("weight_init_std", weight_init_std.lower(), GAINS)]
                scale = np.sqrt(gain / inputs)
            else:
                scale = real("weight_init_std", weight_init_std, 0)
            self._draw(n, scale, (inputs, outputs), outputs)

    def _between(self, n: int) -> Iterator[tuple[str, Any]]:
        """The layers after the affine one of hidden layer ``n``, with their names."""
        yield f"Activation_function{n}", ACTIVATION_CLASSES[self.activation]()

    def loss(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the mean loss of samples ``x`` with labels or one-hot rows ``t``, and what weight decay adds to it."""
        return super().loss(x, t) + self._penalty()

    def _penalty(self) -> float:
        if not self.weight_decay_lambda:
            return 0.0
        weights = (self.params[f"W{n}"] for n in range(1, self.hidden_layer_num + 2))
        return sum(self.weight_decay_lambda / 2 * np.sum(W**2) for W in weights)

    def gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the training loss by each of ``params``, by backpropagation."""
        self._propagate(x, t)
        grads = {}
        for n in range(1, self.hidden_layer_num + 2):
            affine = self.layers[f"Affine{n}"]
            decay = self.weight_decay_lambda
            grads[f"W{n}"] = affine.dW + decay * self.params[f"W{n}"] if decay else affine.dW
            grads[f"b{n}"] = affine.db
        return grads
