"""The book's ``dataset/mnist.py``."""

import numpy as np

from fastbp import datasets

__all__ = ["load_mnist"]

Part = tuple[np.ndarray, np.ndarray]


def load_mnist(normalize: bool = True, flatten: bool = True, one_hot_label: bool = False) -> tuple[Part, Part]:
    """Return ``(x_train, t_train), (x_test, t_test)``, read as ``fastbp.datasets.mnist`` does.

    That is from the folder in the environment variable FASTBP_DATA_DIR, or else downloaded once and checked.

    Parameters
    ----------
    normalize : bool
        Whether pixels are float32 in 0..1; else they are uint8 in 0..255.
    flatten : bool
        Whether an image is a row of 784 pixels; else it is (1, 28, 28).
    one_hot_label : bool
        Whether targets are rows (10,) of float64, 1 at the digit; else they are digits, uint8.
    """
    data = datasets.mnist()
    parts = []
    for x, t in ((data.x_train, data.t_train), (data.x_test, data.t_test)):
        if normalize:
            x = x.astype(np.float32) / np.float32(255)
        if not flatten:
            x = x.reshape(-1, 1, 28, 28)
        parts.append((x, np.eye(10)[t] if one_hot_label else t.astype(np.uint8)))
    train, test = parts
    return train, test
