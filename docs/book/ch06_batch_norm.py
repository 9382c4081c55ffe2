"""Chapter 6: batch normalisation, its gradient, and networks with and without it at many scales of the weights."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.mnist import load_mnist
from fastbp.book.multi_layer_net_extend import MultiLayerNetExtend
from fastbp.book.optimizer import SGD

train_num = 1000
max_epochs = 20
batch_size = 100
hidden_size_list = [100, 100, 100, 100, 100]
weight_scale_list = np.logspace(0, -4, num=16)

(x_train, t_train), _ = load_mnist(normalize=True)
x_train, t_train = x_train[:train_num], t_train[:train_num]

np.random.seed(0)
network = MultiLayerNetExtend(784, [2, 3], 10, use_batchnorm=True)
slow, fast = network.numerical_gradient(x_train[:5], t_train[:5]), network.gradient(x_train[:5], t_train[:5])
differences = {key: np.average(np.abs(slow[key] - fast[key])) for key in slow}
for key in differences:
    print(key + ":" + str(differences[key]))


def trained(weight_init_std):
    with_norm = MultiLayerNetExtend(784, hidden_size_list, 10, weight_init_std=weight_init_std, use_batchnorm=True)
    without = MultiLayerNetExtend(784, hidden_size_list, 10, weight_init_std=weight_init_std)
    optimizer = SGD(lr=0.01)
    accuracies = [], []
    for i in range(max_epochs * (len(x_train) // batch_size)):
        batch_mask = np.random.choice(len(x_train), batch_size)
        for network in (with_norm, without):
            grads = network.gradient(x_train[batch_mask], t_train[batch_mask])
            optimizer.update(network.params, grads)
        if i % (len(x_train) // batch_size) == 0:
            for network, accuracy in zip((with_norm, without), accuracies):
                accuracy.append(network.accuracy(x_train, t_train))
    return accuracies


results = {}
plt.figure(figsize=(8, 7))
for i, w in enumerate(weight_scale_list):
    results[w] = trained(w)
    plt.subplot(4, 4, i + 1)
    plt.title("W:%.5f" % w, fontsize=8)
    plt.plot(results[w][0], label="with")
    plt.plot(results[w][1], "--", label="without")
    plt.ylim(0, 1.0)
    if i % 4:
        plt.yticks([])
    if i < 12:
        plt.xticks([])
    if i == 0:
        plt.legend(fontsize=7)
plt.tight_layout()
plt.show()
