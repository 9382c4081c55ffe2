"""Chapter 8: images and weights rounded to 16 bits are read as well."""

import numpy as np

from fastbp.book.deep_convnet import DeepConvNet
from fastbp.book.mnist import load_mnist

test_num = 10000
weight_file = "deep_convnet_params.pkl"

_, (x_test, t_test) = load_mnist(flatten=False)
x_test, t_test = x_test[:test_num], t_test[:test_num]
network = DeepConvNet()
network.load_params(weight_file)

accuracy = network.accuracy(x_test, t_test)
print("64 bits:" + str(accuracy))

x_test = x_test.astype(np.float16)
for param in network.params.values():
    param[...] = param.astype(np.float16)
half_accuracy = network.accuracy(x_test, t_test)
print("16 bits:" + str(half_accuracy))
