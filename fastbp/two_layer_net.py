"""The book's network of two layers."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastbp.activations import Relu
from fastbp.basics._arguments import float_type, integer, real
from fastbp.layers.affine import Affine
from fastbp.losses.softmax_with_loss import SoftmaxWithLoss
from fastbp.sequential import Sequential


class TwoLayerNet(Sequential):
    """Affine, Relu, Affine and softmax with its loss, as in "Deep Learning from Scratch"; a Sequential.

    Parameters
    ----------
    input_size, hidden_size, output_size : int
        I, H and K: inputs, units of the hidden layer, classes.
    weight_init_std : float
        Standard deviation of the initial weights, which are normal; the initial biases are 0.
    dtype : float32 or float64
        Of the parameters.
    seed : whatever ``np.random.default_rng`` takes
        Of the initial weights. Without one they are drawn as in the book, ``weight_init_std * np.random.randn(I, H)``
        and then ``(H, K)``, so that a script that begins with ``np.random.seed`` gets the numbers that it gets there;
        with one, ``np.random``'s own state is neither used nor changed.

    Attributes
    ----------
    params : dict of arrays
        ``W1`` (I, H), ``b1`` (H,), ``W2`` (H, K), ``b2`` (K,), shared with the layers: writing into these arrays
        trains.
    layers : OrderedDict
        ``Affine1``, ``Relu1``, ``Affine2``.
    loss_layer : SoftmaxWithLoss
        By its name in all networks; ``lastLayer`` is its name in the book.
    """

    _predict_is_kept = True  # scripts go back through the layers after it

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        weight_init_std: float = 0.01,
        dtype: DTypeLike = np.float64,
        seed: Any = None,
    ) -> None:
        input_size = integer("input_size", input_size, 1)
        hidden_size = integer("hidden_size", hidden_size, 1)
        output_size = integer("output_size", output_size, 1)
        weight_init_std, dtype = real("weight_init_std", weight_init_std, 0), float_type("dtype", dtype)
        rng = np.random if seed is None else np.random.default_rng(seed)

        def weights(n_inputs: int, n_outputs: int) -> np.ndarray:
            return (weight_init_std * rng.standard_normal((n_inputs, n_outputs))).astype(dtype)

        super().__init__(
            [
                Affine(weights(input_size, hidden_size), np.zeros(hidden_size, dtype)),
                Relu(),
                Affine(weights(hidden_size, output_size), np.zeros(output_size, dtype)),
            ],
            SoftmaxWithLoss(),
        )

    @property
    def lastLayer(self) -> Any:
        """The book's name for ``loss_layer``."""
        return self.loss_layer

    @lastLayer.setter
    def lastLayer(self, loss: Any) -> None:
        self.loss_layer = loss
