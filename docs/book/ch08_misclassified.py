"""Chapter 8: the digits that a deep network takes for others."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.deep_convnet import DeepConvNet
from fastbp.book.mnist import load_mnist

test_num = 10000
batch_size = 100
shown = 20
weight_file = "deep_convnet_params.pkl"

_, (x_test, t_test) = load_mnist(flatten=False)
x_test, t_test = x_test[:test_num], t_test[:test_num]
network = DeepConvNet()
network.load_params(weight_file)

found = []
for i in range(0, len(x_test), batch_size):
    found.extend(np.argmax(network.predict(x_test[i : i + batch_size], train_flg=False), axis=1))
found = np.array(found)
wrong = np.flatnonzero(found != t_test)
print("test acc:" + str(1 - len(wrong) / len(x_test)))

plt.figure(figsize=(8, 2.4))
for i, n in enumerate(wrong[:shown]):
    plt.subplot(2, shown // 2, i + 1)
    plt.title("%d, read %d" % (t_test[n], found[n]), fontsize=8)
    plt.imshow(x_test[n, 0], cmap="gray_r", interpolation="nearest")
    plt.xticks([])
    plt.yticks([])
plt.tight_layout()
plt.show()
