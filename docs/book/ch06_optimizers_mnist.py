"""Chapter 6: the optimizers on MNIST."""

import matplotlib.pyplot as plt

from fastbp.book.mnist import load_mnist
from fastbp.book.multi_layer_net import MultiLayerNet
from fastbp.book.optimizer import *
from fastbp.book.util import smooth_curve

max_iterations = 600
batch_size = 128
hidden_size_list = [100, 100, 100, 100]

(x_train, t_train), _ = load_mnist(normalize=True)

np.random.seed(0)
optimizers = {"SGD": SGD(), "Momentum": Momentum(), "AdaGrad": AdaGrad(), "Adam": Adam()}
networks = {key: MultiLayerNet(784, hidden_size_list, 10) for key in optimizers}
train_loss = {key: [] for key in optimizers}
for i in range(max_iterations):
    batch_mask = np.random.choice(len(x_train), batch_size)
    x_batch, t_batch = x_train[batch_mask], t_train[batch_mask]
    for key, network in networks.items():
        optimizers[key].update(network.params, network.gradient(x_batch, t_batch))
        train_loss[key].append(network.loss(x_batch, t_batch))
for key in optimizers:
    print(key + ":" + str(train_loss[key][-1]))

plt.figure(figsize=(6, 3.5))
for key in optimizers:
    plt.plot(smooth_curve(np.array(train_loss[key])), label=key)
plt.xlabel("iterations")
plt.ylabel("loss")
plt.ylim(0, 1)
plt.legend()
plt.show()
