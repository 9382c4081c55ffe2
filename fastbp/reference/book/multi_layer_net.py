"""Fully connected networks of any depth."""

from typing import Any

import numpy as np

from fastbp.reference.book.gradient import numerical_gradient
from fastbp.reference.book.layers import Affine, BatchNormalization, Dropout, Relu, Sigmoid, SoftmaxWithLoss

__all__ = ["MultiLayerNet"]


class MultiLayerNet:
    """Both of the book's networks: without its last three options, MultiLayerNet."""

    def __init__(
        self,
        input_size,
        hidden_size_list,
        output_size,
        activation="relu",
        weight_init_std="relu",
        weight_decay_lambda=0,
        use_dropout=False,
        dropout_ration=0.5,
        use_batchnorm=False,
    ):
        self.weight_decay_lambda = weight_decay_lambda
        self.params: dict[str, np.ndarray] = {}
        self.layers: dict[str, Any] = {}
        self.last_layer = SoftmaxWithLoss()
        sizes = [input_size, *hidden_size_list, output_size]
        self.depth = len(sizes) - 1
        for n in range(1, self.depth + 1):
            inputs, outputs = sizes[n - 1], sizes[n]
            named = {"relu": 2, "he": 2, "sigmoid": 1, "xavier": 1}
            std = np.sqrt(named[weight_init_std] / inputs) if weight_init_std in named else weight_init_std
            self.params[f"W{n}"] = std * np.random.randn(inputs, outputs)
            self.params[f"b{n}"] = np.zeros(outputs)
        for n in range(1, self.depth + 1):
            self.layers[f"Affine{n}"] = Affine(self.params[f"W{n}"], self.params[f"b{n}"])
            if n == self.depth:
                break
            if use_batchnorm:
                self.params[f"gamma{n}"], self.params[f"beta{n}"] = np.ones(sizes[n]), np.zeros(sizes[n])
                self.layers[f"BatchNorm{n}"] = BatchNormalization(self.params[f"gamma{n}"], self.params[f"beta{n}"])
            self.layers[f"Activation_function{n}"] = Relu() if activation == "relu" else Sigmoid()
            if use_dropout:
                self.layers[f"Dropout{n}"] = Dropout(dropout_ration)

    def predict(self, x, train_flg=False):
        """Scores (N, K)."""
        for layer in self.layers.values():
            told = getattr(layer, "takes_train_flg", False)
            x = layer.forward(x, train_flg) if told else layer.forward(x)
        return x

    def loss(self, x, t, train_flg=False):
        """The mean loss and the penalty."""
        squares = sum(np.sum(self.params[f"W{n}"] ** 2) for n in range(1, self.depth + 1))
        return self.last_layer.forward(self.predict(x, train_flg), t) + self.weight_decay_lambda * squares / 2

    def accuracy(self, x, t):
        """The share of hits."""
        labels = t if t.ndim == 1 else t.argmax(axis=1)
        return np.mean(self.predict(x).argmax(axis=1) == labels)

    def numerical_gradient(self, x, t):
        """By central differences."""
        return {name: numerical_gradient(lambda _: self.loss(x, t, True), p) for name, p in self.params.items()}

    def gradient(self, x, t):
        """By backpropagation."""
        self.loss(x, t, True)
        dout = self.last_layer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grads = {}
        for name, layer in self.layers.items():
            if name.startswith("Affine"):
                n = name.removeprefix("Affine")
                grads[f"W{n}"] = layer.dW + self.weight_decay_lambda * self.params[f"W{n}"]
                grads[f"b{n}"] = layer.db
            elif name.startswith("BatchNorm"):
                n = name.removeprefix("BatchNorm")
                grads[f"gamma{n}"], grads[f"beta{n}"] = layer.dgamma, layer.dbeta
        return grads
