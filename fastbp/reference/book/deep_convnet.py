"""The network of chapter 8."""

import numpy as np

from fastbp.reference.book._conv_net import SIZES, ConvNet
from fastbp.reference.book.layers import Affine, Convolution, Dropout, Pooling, Relu
from fastbp.reference.book.util import places

__all__ = ["DeepConvNet"]

CONV_PARAMS = [
    {"filter_num": n, "filter_size": 3, "pad": pad, "stride": 1}
    for n, pad in ((16, 1), (16, 1), (32, 1), (32, 2), (64, 1), (64, 1))
]


class DeepConvNet(ConvNet):
    """Thrice two convolutions with ReLU and a pooling, then two affine layers with dropout; He's initial weights."""

    def __init__(
        self,
        input_dim=(1, 28, 28),
        conv_param_1=CONV_PARAMS[0],
        conv_param_2=CONV_PARAMS[1],
        conv_param_3=CONV_PARAMS[2],
        conv_param_4=CONV_PARAMS[3],
        conv_param_5=CONV_PARAMS[4],
        conv_param_6=CONV_PARAMS[5],
        hidden_size=50,
        output_size=10,
    ):
        super().__init__()
        self.layers = []
        convolutions = (conv_param_1, conv_param_2, conv_param_3, conv_param_4, conv_param_5, conv_param_6)
        channels, *image = input_dim
        for n, conv_param in enumerate(convolutions, 1):
            n_filters, size, pad, stride = (conv_param[name] for name in SIZES)
            W, b = self.weights(n, (n_filters, channels, size, size), channels * size * size, n_filters)
            self.layers += [Convolution(W, b, stride, pad), Relu()]
            channels, image = n_filters, [places(pixels, size, stride, pad) for pixels in image]
            if n % 2 == 0:
                self.layers.append(Pooling(2, 2))
                image = [places(pixels, 2, 2, 0) for pixels in image]
        inputs = channels * int(np.prod(image))
        self.layers += [Affine(*self.weights(7, (inputs, hidden_size), inputs, hidden_size)), Relu(), Dropout(0.5)]
        self.layers += [Affine(*self.weights(8, (hidden_size, output_size), hidden_size, output_size)), Dropout(0.5)]

    def weights(self, n, shape, inputs, outputs):
        """The parameters of layer ``n``, drawn by He's rule."""
        self.params[f"W{n}"] = np.sqrt(2 / inputs) * np.random.randn(*shape)
        self.params[f"b{n}"] = np.zeros(outputs)
        return self.params[f"W{n}"], self.params[f"b{n}"]
