"""Chapter 4: a network of functions, trained by the numerical gradient of its loss. Images are of 7x7 means."""

import matplotlib.pyplot as plt

from fastbp.book.functions import *
from fastbp.book.gradient import numerical_gradient
from fastbp.book.mnist import load_mnist

hidden_size = 10
iters_num = 150
batch_size = 50
learning_rate = 1.0


class TwoLayerNet:
    def __init__(self, input_size, hidden_size, output_size, weight_init_std=0.1):
        self.params = {
            "W1": weight_init_std * np.random.randn(input_size, hidden_size),
            "b1": np.zeros(hidden_size),
            "W2": weight_init_std * np.random.randn(hidden_size, output_size),
            "b2": np.zeros(output_size),
        }

    def predict(self, x):
        z = sigmoid(np.dot(x, self.params["W1"]) + self.params["b1"])
        return softmax(np.dot(z, self.params["W2"]) + self.params["b2"])

    def loss(self, x, t):
        return cross_entropy_error(self.predict(x), t)

    def accuracy(self, x, t):
        return np.mean(np.argmax(self.predict(x), axis=1) == np.argmax(t, axis=1))

    def numerical_gradient(self, x, t):
        return {key: numerical_gradient(lambda W: self.loss(x, t), p) for key, p in self.params.items()}

    def gradient(self, x, t):
        W2 = self.params["W2"]
        a = np.dot(x, self.params["W1"]) + self.params["b1"]
        z = sigmoid(a)
        dy = (softmax(np.dot(z, W2) + self.params["b2"]) - t) / len(x)
        da = sigmoid_grad(a) * np.dot(dy, W2.T)
        return {"W1": np.dot(x.T, da), "b1": np.sum(da, axis=0), "W2": np.dot(z.T, dy), "b2": np.sum(dy, axis=0)}


def small(x):
    return x.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49)


(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True, one_hot_label=True)
x_train, x_test = small(x_train), small(x_test)

np.random.seed(0)
network = TwoLayerNet(49, hidden_size, 10)
train_loss_list = []
for i in range(iters_num):
    batch_mask = np.random.choice(len(x_train), batch_size)
    x_batch, t_batch = x_train[batch_mask], t_train[batch_mask]
    grads = network.numerical_gradient(x_batch, t_batch)
    for key in network.params:
        network.params[key] -= learning_rate * grads[key]
    train_loss_list.append(network.loss(x_batch, t_batch))

grads, exact = network.numerical_gradient(x_batch, t_batch), network.gradient(x_batch, t_batch)
difference = max(np.max(np.abs(grads[key] - exact[key])) for key in grads)
print("gradients differ by " + str(difference))
print("test acc:" + str(network.accuracy(x_test, t_test)))

plt.figure(figsize=(6, 3))
plt.plot(train_loss_list)
plt.xlabel("iterations")
plt.ylabel("loss")
plt.show()
