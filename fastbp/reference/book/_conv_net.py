"""What the two networks of convolutions have in common."""

import pickle
from typing import Any

import numpy as np

from fastbp.reference.book.gradient import numerical_gradient
from fastbp.reference.book.layers import SoftmaxWithLoss

SIZES = ("filter_num", "filter_size", "pad", "stride")


class ConvNet:
    """Layers, of which those with weights take theirs from ``params``: W1, b1, W2, ..."""

    def __init__(self):
        self.params: dict[str, np.ndarray] = {}
        self.layers: Any = {}
        self.last_layer = SoftmaxWithLoss()

    def in_order(self):
        """The layers."""
        return list(self.layers.values()) if isinstance(self.layers, dict) else self.layers

    def with_weights(self):
        """The layers that have weights, with their numbers."""
        return enumerate([layer for layer in self.in_order() if hasattr(layer, "W")], 1)

    def predict(self, x, train_flg=False):
        """Scores (N, K)."""
        for layer in self.in_order():
            told = getattr(layer, "takes_train_flg", False)
            x = layer.forward(x, train_flg) if told else layer.forward(x)
        return x

    def loss(self, x, t):
        """The mean loss of a training pass."""
        return self.last_layer.forward(self.predict(x, train_flg=True), t)

    def accuracy(self, x, t, batch_size=100):
        """The share of hits."""
        labels = t if t.ndim == 1 else t.argmax(axis=1)
        hits = 0
        for i in range(0, len(x), batch_size):
            hits += np.sum(self.predict(x[i : i + batch_size]).argmax(axis=1) == labels[i : i + batch_size])
        return hits / len(x)

    def numerical_gradient(self, x, t):
        """By central differences, of the loss with the masks that ``gradient`` would draw now."""
        state = np.random.get_state()

        def loss(_):
            np.random.set_state(state)
            return self.loss(x, t)

        return {name: numerical_gradient(loss, p) for name, p in self.params.items()}

    def gradient(self, x, t):
        """By backpropagation."""
        self.loss(x, t)
        dout = self.last_layer.backward()
        for layer in reversed(self.in_order()):
            dout = layer.backward(dout)
        grads = {}
        for n, layer in self.with_weights():
            grads[f"W{n}"], grads[f"b{n}"] = layer.dW, layer.db
        return grads

    def save_params(self, file_name="params.pkl"):
        """Into a pickle."""
        with open(file_name, "wb") as file:
            pickle.dump(self.params, file)

    def load_params(self, file_name="params.pkl"):
        """From a pickle."""
        with open(file_name, "rb") as file:
            self.params.update(pickle.load(file))
        for n, layer in self.with_weights():
            layer.W, layer.b = self.params[f"W{n}"], self.params[f"b{n}"]
