"""The book's ``ch07/simple_convnet.py``."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastbp.basics._arguments import integer, real
from fastbp.book._conv_net import POOL, ConvNet, ConvParam, pooled, shape_of_images
from fastbp.book.layers import Affine, Convolution, Pooling, Relu

__all__ = ["SimpleConvNet"]

CONV_PARAM = {"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1}


class SimpleConvNet(ConvNet):
    """A convolution, ReLU, pooling, an affine layer, ReLU and another affine layer.

    Parameters
    ----------
    input_dim : three ints
        Channels, height and width of an image. (The book's are squares.)
    conv_param : dict
        ``filter_num``, ``filter_size``, ``pad`` and ``stride`` of the convolution.
    hidden_size, output_size : int
        Units between the affine layers, classes.
    weight_init_std : float at least 0
        Standard deviation of the initial weights, which are drawn from ``np.random``, as in the book.
    dtype : float64 or float32
        Of the parameters, and so of all that is computed of images of no wider type. The book's is float64.

    Attributes
    ----------
    params : dict of arrays
        ``W1``, ``b1``, ..., ``W3``, ``b3``, which the layers share: writing into these arrays trains.
    layers : OrderedDict
        ``Conv1``, ``Relu1``, ``Pool1``, ``Affine1``, ``Relu2``, ``Affine2``.
    last_layer : SoftmaxWithLoss
        The loss.
    """

    def __init__(
        self,
        input_dim: Sequence[int] = (1, 28, 28),
        conv_param: Mapping[str, int] = CONV_PARAM,
        hidden_size: int = 100,
        output_size: int = 10,
        weight_init_std: float = 0.01,
        *,
        dtype: DTypeLike = np.float64,
    ) -> None:
        super().__init__(dtype)
        image, conv = shape_of_images(input_dim), ConvParam.of("conv_param", conv_param)
        hidden_size, output_size = integer("hidden_size", hidden_size, 1), integer("output_size", output_size, 1)
        std = real("weight_init_std", weight_init_std, 0)
        inputs = prod(pooled(conv.filtered(image)))
        filters = self._draw(1, std, (conv.filter_num, image[0], conv.filter_size, conv.filter_size), conv.filter_num)
        first = self._draw(2, std, (inputs, hidden_size), hidden_size)
        second = self._draw(3, std, (hidden_size, output_size), output_size)
        self.layers: OrderedDict[str, Any] = OrderedDict(
            Conv1=Convolution(*filters, conv.stride, conv.pad),
            Relu1=Relu(),
            Pool1=Pooling(POOL, POOL, POOL),
            Affine1=Affine(*first),
            Relu2=Relu(),
            Affine2=Affine(*second),
        )
