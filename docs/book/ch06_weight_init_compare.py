"""Chapter 6: how a deep network learns, by its initial weights."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.mnist import load_mnist
from fastbp.book.multi_layer_net import MultiLayerNet
from fastbp.book.optimizer import SGD
from fastbp.book.util import smooth_curve

max_iterations = 600
batch_size = 128
hidden_size_list = [100, 100, 100, 100]

(x_train, t_train), _ = load_mnist(normalize=True)

np.random.seed(0)
scales = {"std=0.01": 0.01, "Xavier": "sigmoid", "He": "relu"}
networks = {key: MultiLayerNet(784, hidden_size_list, 10, weight_init_std=scale) for key, scale in scales.items()}
optimizer = SGD(lr=0.01)
train_loss = {key: [] for key in scales}
for i in range(max_iterations):
    batch_mask = np.random.choice(len(x_train), batch_size)
    x_batch, t_batch = x_train[batch_mask], t_train[batch_mask]
    for key, network in networks.items():
        optimizer.update(network.params, network.gradient(x_batch, t_batch))
        train_loss[key].append(network.loss(x_batch, t_batch))
for key in scales:
    print(key + ":" + str(train_loss[key][-1]))

plt.figure(figsize=(6, 3.5))
for key in scales:
    plt.plot(smooth_curve(np.array(train_loss[key])), label=key)
plt.xlabel("iterations")
plt.ylabel("loss")
plt.ylim(0, 2.5)
plt.legend()
plt.show()
