"""Chapter 7: the gradients of a small convolutional network, checked."""

import numpy as np

from fastbp.book.simple_convnet import SimpleConvNet

np.random.seed(0)
conv_param = {"filter_num": 10, "filter_size": 3, "pad": 0, "stride": 1}
network = SimpleConvNet((1, 10, 10), conv_param, hidden_size=10, output_size=10, weight_init_std=0.01)
x, t = np.random.rand(100).reshape(1, 1, 10, 10), np.array([1])

slow, fast = network.numerical_gradient(x, t), network.gradient(x, t)
for key in slow:
    print(key + ":" + str(np.mean(np.abs(slow[key] - fast[key]))))
