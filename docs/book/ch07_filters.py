"""Chapter 7: the filters of the first layer, before and after it has learned, and what they make of a digit."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.layers import Convolution
from fastbp.book.mnist import load_mnist
from fastbp.book.simple_convnet import SimpleConvNet

weight_file = "params.pkl"
shown = 10

_, (x_test, t_test) = load_mnist(flatten=False)
np.random.seed(0)
network = SimpleConvNet()
before = network.params["W1"].copy()
network.load_params(weight_file)
after = network.params["W1"]
edges = Convolution(after, network.params["b1"]).forward(x_test[:1])[0]

plt.figure(figsize=(8, 2.6))
for row, images in enumerate((before[:, 0], after[:, 0], edges)):
    for i in range(shown):
        plt.subplot(3, shown, row * shown + i + 1)
        plt.imshow(images[i], cmap="gray_r", interpolation="nearest")
        plt.xticks([])
        plt.yticks([])
        if i == 0:
            plt.ylabel(("before", "after", "edges")[row])
plt.tight_layout()
plt.show()
