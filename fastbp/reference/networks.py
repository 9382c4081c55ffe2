"""Networks."""

from collections import OrderedDict
from typing import Any

import numpy as np

from fastbp.basics.gradient import numerical_gradient
from fastbp.reference.activations import Relu
from fastbp.reference.layers import Affine
from fastbp.reference.losses import SoftmaxWithLoss

__all__ = ["TwoLayerNet"]


class TwoLayerNet:
    """Affine, Relu, Affine, and softmax with its loss; the arguments of ``fastbp.TwoLayerNet``.

    Weights are normal with standard deviation ``weight_init_std``, drawn from ``np.random`` where no seed is given.
    """

    def __init__(self, input_size, hidden_size, output_size, weight_init_std=0.01, dtype=np.float64, seed=None):
        rng = np.random if seed is None else np.random.default_rng(seed)

        def weights(inputs, outputs):
            return (weight_init_std * rng.standard_normal((inputs, outputs))).astype(dtype)

        self.params = {
            "W1": weights(input_size, hidden_size),
            "b1": np.zeros(hidden_size, dtype),
            "W2": weights(hidden_size, output_size),
            "b2": np.zeros(output_size, dtype),
        }
        self.layers: OrderedDict[str, Any] = OrderedDict(
            Affine1=Affine(self.params["W1"], self.params["b1"]),
            Relu1=Relu(),
            Affine2=Affine(self.params["W2"], self.params["b2"]),
        )
        self.lastLayer: Any = SoftmaxWithLoss()

    def predict(self, x):
        """Scores (N, K), before the softmax."""
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x, t):
        """The mean loss of the batch, in nats."""
        return self.lastLayer.forward(self.predict(x), t)

    def accuracy(self, x, t):
        """Share of rows whose highest score is at the class ``t``, (N,) or one-hot (N, K)."""
        t = np.asarray(t)
        if t.ndim != 1:
            t = np.argmax(t, axis=1)
        return float(np.mean(np.argmax(self.predict(x), axis=1) == t))

    def numerical_gradient(self, x, t):
        """The gradient of the loss for each of ``params``, by central differences: slow, for checking."""
        return {name: numerical_gradient(lambda _: self.loss(x, t), p) for name, p in self.params.items()}

    def gradient(self, x, t):
        """The gradient of the loss for each of ``params``, by backpropagation."""
        self.loss(x, t)
        dout = self.lastLayer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        first, second = self.layers["Affine1"], self.layers["Affine2"]
        return {"W1": first.dW, "b1": first.db, "W2": second.dW, "b2": second.db}
