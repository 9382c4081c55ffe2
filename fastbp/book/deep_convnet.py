"""The book's ``ch08/deep_convnet.py``."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp.basics._arguments import integer
from fastbp.book._conv_net import POOL, ConvNet, ConvParam, pooled, shape_of_images
from fastbp.book.layers import Affine, Convolution, Dropout, Pooling, Relu

__all__ = ["DeepConvNet"]


def _param(filter_num: int, pad: int = 1) -> dict[str, int]:
    return {"filter_num": filter_num, "filter_size": 3, "pad": pad, "stride": 1}


class DeepConvNet(ConvNet):
    """Thrice two convolutions with ReLU and a pooling, then two affine layers with dropout.

    Weights are drawn from ``np.random``, in the book's order, with the standard deviation ``sqrt(2 / inputs)`` of He.
    (The book has the numbers of inputs that go with its own sizes; here they follow from the sizes.)

    Parameters
    ----------
    input_dim : three ints
        Channels, height and width of an image.
    conv_param_1, ..., conv_param_6 : dict
        ``filter_num``, ``filter_size``, ``pad`` and ``stride`` of each convolution.
    hidden_size, output_size : int
        Units between the affine layers, classes.
    dtype : float64 or float32
        Of the parameters, and so of all that is computed of images of no wider type. The book's is float64.

    Attributes
    ----------
    params : dict of arrays
        ``W1``, ``b1``, ..., ``W8``, ``b8``, which the layers share: writing into these arrays trains.
    layers : list
        The layers; those with weights are 0, 2, 5, 7, 10, 12, 15 and 18.
    last_layer : SoftmaxWithLoss
        The loss.
    """

    def __init__(
        self,
        input_dim: Sequence[int] = (1, 28, 28),
        conv_param_1: Mapping[str, int] = _param(16),
        conv_param_2: Mapping[str, int] = _param(16),
        conv_param_3: Mapping[str, int] = _param(32),
        conv_param_4: Mapping[str, int] = _param(32, pad=2),
        conv_param_5: Mapping[str, int] = _param(64),
        conv_param_6: Mapping[str, int] = _param(64),
        hidden_size: int = 50,
        output_size: int = 10,
        *,
        dtype: DTypeLike = np.float64,
    ) -> None:
        super().__init__(dtype)
        given = conv_param_1, conv_param_2, conv_param_3, conv_param_4, conv_param_5, conv_param_6
        convolutions = [ConvParam.of(f"conv_param_{n}", one) for n, one in enumerate(given, 1)]
        hidden_size, output_size = integer("hidden_size", hidden_size, 1), integer("output_size", output_size, 1)
        image = shape_of_images(input_dim)
        self.layers = []
        for n, conv in enumerate(convolutions, 1):
            filters = self._draw_by_he(n, (image[0], conv.filter_size, conv.filter_size), conv.filter_num)
            self.layers += [Convolution(*filters, conv.stride, conv.pad), Relu()]
            image = conv.filtered(image)
            if n % 2 == 0:
                image = pooled(image)
                self.layers += [Pooling(POOL, POOL, POOL)]
        first = self._draw_by_he(7, (prod(image),), hidden_size)
        second = self._draw_by_he(8, (hidden_size,), output_size)
        self.layers += [Affine(*first), Relu(), Dropout(0.5), Affine(*second), Dropout(0.5)]

    def _draw_by_he(self, n: int, inputs: tuple[int, ...], outputs: int) -> tuple[np.ndarray, np.ndarray]:
        shape = (outputs, *inputs) if len(inputs) > 1 else (*inputs, outputs)
        return self._draw(n, np.sqrt(2.0 / prod(inputs)), shape, outputs)

    def predict(self, x: ArrayLike, train_flg: bool = False) -> np.ndarray:
        """Return the scores (N, K) of images ``x`` (N, C, H, W), before the softmax, of a training pass or not."""
        return self._scores(x, train_flg)

    def loss(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the mean loss of images ``x`` with labels or one-hot rows ``t`` in a training pass, as in the book."""
        loss = self._by_program(x, t, back=False)
        return self.last_layer.forward(self.predict(x, train_flg=True), t) if loss is None else loss
