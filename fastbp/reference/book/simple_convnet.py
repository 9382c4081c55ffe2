"""The network of chapter 7."""

import numpy as np

from fastbp.reference.book._conv_net import SIZES, ConvNet
from fastbp.reference.book.layers import Affine, Convolution, Pooling, Relu
from fastbp.reference.book.util import places

__all__ = ["SimpleConvNet"]

CONV_PARAM = {"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1}


class SimpleConvNet(ConvNet):
    """Convolution, ReLU, pooling, and two affine layers."""

    def __init__(
        self, input_dim=(1, 28, 28), conv_param=CONV_PARAM, hidden_size=100, output_size=10, weight_init_std=0.01
    ):
        super().__init__()
        n, size, pad, stride = (conv_param[name] for name in SIZES)
        channels, *image = input_dim
        pooled = n * np.prod([places(places(pixels, size, stride, pad), 2, 2, 0) for pixels in image])
        shapes = (n, channels, size, size), (pooled, hidden_size), (hidden_size, output_size)
        for i, shape in enumerate(shapes, 1):
            self.params[f"W{i}"] = weight_init_std * np.random.randn(*shape)
            self.params[f"b{i}"] = np.zeros(n if i == 1 else shape[1])
        p = self.params
        self.layers = {
            "Conv1": Convolution(p["W1"], p["b1"], stride, pad),
            "Relu1": Relu(),
            "Pool1": Pooling(2, 2),
            "Affine1": Affine(p["W2"], p["b2"]),
            "Relu2": Relu(),
            "Affine2": Affine(p["W3"], p["b3"]),
        }
