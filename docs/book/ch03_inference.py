"""Chapter 3: digits recognised by a network whose weights are given, a batch at a time."""

import numpy as np

from fastbp.book import weights as pickle
from fastbp.book.functions import sigmoid, softmax
from fastbp.book.mnist import load_mnist

weight_file = "sample_weight.pkl"
batch_size = 100

_, (x, t) = load_mnist(normalize=True, flatten=True, one_hot_label=False)
with open(weight_file, "rb") as f:
    network = pickle.load(f)


def predict(network, x):
    z = x
    for n in "12":
        z = sigmoid(np.dot(z, network["W" + n]) + network["b" + n])
    return softmax(np.dot(z, network["W3"]) + network["b3"])


hits = 0
for i in range(0, len(x), batch_size):
    y = predict(network, x[i : i + batch_size])
    hits += np.sum(np.argmax(y, axis=1) == t[i : i + batch_size])
accuracy = float(hits) / len(x)
print("Accuracy:" + str(accuracy))
