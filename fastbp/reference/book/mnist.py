"""MNIST in the book's forms."""

import numpy as np

from fastbp import datasets

__all__ = ["load_mnist"]


def load_mnist(normalize=True, flatten=True, one_hot_label=False):
    """``(x_train, t_train), (x_test, t_test)``."""
    data = datasets.mnist()

    def part(x, t):
        x = (x / np.float32(255)).astype(np.float32) if normalize else x
        rows = np.zeros((len(t), 10))
        rows[np.arange(len(t)), t] = 1
        return x if flatten else x.reshape(-1, 1, 28, 28), rows if one_hot_label else t.astype(np.uint8)

    return part(data.x_train, data.t_train), part(data.x_test, data.t_test)
