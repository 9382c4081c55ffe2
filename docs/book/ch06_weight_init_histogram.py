"""Chapter 6: what five layers make of their input, by the scale of their weights."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.functions import relu, sigmoid

node_num = 100
sample_num = 1000
experiments = {
    "sigmoid, 1": (sigmoid, 1.0),
    "sigmoid, 0.01": (sigmoid, 0.01),
    "sigmoid, Xavier": (sigmoid, np.sqrt(1.0 / node_num)),
    "ReLU, He": (relu, np.sqrt(2.0 / node_num)),
}

np.random.seed(0)
input_data = np.random.randn(sample_num, node_num)
activations = {}
plt.figure(figsize=(8, 6))
for row, (name, (activation, scale)) in enumerate(experiments.items()):
    x, activations[name] = input_data, []
    for i in range(5):
        x = activation(np.dot(x, scale * np.random.randn(node_num, node_num)))
        activations[name].append(x)
        plt.subplot(len(experiments), 5, 5 * row + i + 1)
        plt.hist(x.flatten(), 30, range=(0, 1), histtype="stepfilled")
        plt.ylim(0, 0.08 * x.size)
        plt.yticks([])
        plt.xticks([0, 1])
        if row == 0:
            plt.title(str(i + 1) + "-layer")
        if i == 0:
            plt.ylabel(name, fontsize=8)
plt.tight_layout()
plt.show()
