"""Chapter 5: apples and oranges, gradients checked, and a network of layers trained by them."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.layers import *
from fastbp.book.mnist import load_mnist
from fastbp.book.two_layer_net import TwoLayerNet

iters_num = 3000
batch_size = 100
learning_rate = 0.1

# Two apples at 100, three oranges at 150, and a tax of 10 percent.
apples, oranges, fruit, tax = MulLayer(), MulLayer(), AddLayer(), MulLayer()
price = tax.forward(fruit.forward(apples.forward(100, 2), oranges.forward(150, 3)), 1.1)
dfruit, dtax = tax.backward(1)
dapples, doranges = fruit.backward(dfruit)
dapple, dapple_num = apples.backward(dapples)
print("price:" + str(price) + ", of an apple more:" + str(dapple_num))

(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True, one_hot_label=True)

np.random.seed(0)
network = TwoLayerNet(input_size=784, hidden_size=2, output_size=10)
slow, fast = network.numerical_gradient(x_train[:3], t_train[:3]), network.gradient(x_train[:3], t_train[:3])
for key in slow:
    print(key + ":" + str(np.average(np.abs(slow[key] - fast[key]))))

network = TwoLayerNet(input_size=784, hidden_size=50, output_size=10)
train_size = len(x_train)
iter_per_epoch = max(train_size // batch_size, 1)
train_loss_list, train_acc_list, test_acc_list = [], [], []
for i in range(iters_num):
    batch_mask = np.random.choice(train_size, batch_size)
    x_batch, t_batch = x_train[batch_mask], t_train[batch_mask]
    grad = network.gradient(x_batch, t_batch)
    for key in ("W1", "b1", "W2", "b2"):
        network.params[key] -= learning_rate * grad[key]
    train_loss_list.append(network.loss(x_batch, t_batch))
    if i % iter_per_epoch == 0:
        train_acc_list.append(network.accuracy(x_train, t_train))
        test_acc_list.append(network.accuracy(x_test, t_test))
        print(train_acc_list[-1], test_acc_list[-1])

plt.figure(figsize=(6, 3))
plt.plot(train_acc_list, "o-", label="train")
plt.plot(test_acc_list, "s--", label="test")
plt.xlabel("epochs")
plt.ylabel("accuracy")
plt.legend()
plt.show()
