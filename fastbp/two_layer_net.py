"""The book's network of two layers."""

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp.affine import Affine
from fastbp.gradient import numerical_gradient
from fastbp.relu import Relu
from fastbp.softmax_with_loss import SoftmaxWithLoss


class TwoLayerNet:
    """Affine, Relu, Affine and softmax with its loss, as in "Deep Learning from Scratch".

    Parameters
    ----------
    input_size, hidden_size, output_size : int
        I, H and K: inputs, units of the hidden layer, classes.
    weight_init_std : float
        Standard deviation of the initial weights, which are normal; the initial biases are 0.
    dtype : float32 or float64, of the parameters
    seed : whatever ``np.random.default_rng`` takes
        Of the initial weights. ``np.random``'s own state is neither used nor changed.

    Attributes
    ----------
    params : dict of ``W1`` (I, H), ``b1`` (H,), ``W2`` (H, K), ``b2`` (K,), shared with the layers: writing into
        these arrays trains
    layers : OrderedDict of ``Affine1``, ``Relu1``, ``Affine2``
    lastLayer : the SoftmaxWithLoss
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        weight_init_std: float = 0.01,
        dtype: DTypeLike = np.float64,
        seed: Any = None,
    ) -> None:
        rng = np.random.default_rng(seed)

        def weights(n_inputs: int, n_outputs: int) -> np.ndarray:
            return (weight_init_std * rng.standard_normal((n_inputs, n_outputs))).astype(dtype)

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
        self.lastLayer = SoftmaxWithLoss()

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return the scores (N, K) of ``x`` (N, I), before the softmax."""
        for layer in self.layers.values():
            x = layer.forward(x)
        return np.asarray(x)

    def loss(self, x: ArrayLike, t: ArrayLike) -> Any:
        """Return the mean loss in nats of ``x`` (N, I) against ``t``, labels (N,) or rows (N, K)."""
        return self.lastLayer.forward(self.predict(x), t)

    def accuracy(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the share of rows whose highest score is that of their class; ``t`` as for ``loss``."""
        t = np.asarray(t)
        labels = t if t.ndim == 1 else np.argmax(t, axis=1)
        return float(np.mean(np.argmax(self.predict(x), axis=1) == labels))

    def numerical_gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the loss for each of ``params`` by central differences: slow, for checking."""
        return {name: numerical_gradient(lambda _: self.loss(x, t), p) for name, p in self.params.items()}

    def gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradient of the loss for each of ``params`` by backpropagation."""
        self.loss(x, t)
        dout = self.lastLayer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        first, second = self.layers["Affine1"], self.layers["Affine2"]
        return {"W1": first.dW, "b1": first.db, "W2": second.dW, "b2": second.db}
