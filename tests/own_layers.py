"""Layers as a user writes them, in NumPy: what tests of training layer by layer share."""

import warnings

import numpy as np

import fastbp

BY_LAYERS = "cannot be compiled"


class Linear(fastbp.Layer):
    """An Affine."""

    parameters = ("W", "b")

    def __init__(self, W, b):
        self.W, self.b = W, b

    @property
    def n_inputs(self):
        return self.W.shape[0]

    def out_shape(self, shape):
        return self.W.shape[1:]

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


class Swish(fastbp.Layer):
    """``x sigmoid(beta x)`` with a trained beta, one number."""

    parameters = ("beta",)

    def __init__(self, beta):
        self.beta = beta

    def forward(self, x):
        self.x, self.s = x, 1 / (1 + np.exp(-self.beta * x))
        return x * self.s

    def backward(self, dout):
        slope = self.s * (1 - self.s)
        self.dbeta = np.sum(dout * self.x**2 * slope)
        return dout * (self.s + self.x * self.beta * slope)


class Centre(fastbp.Layer):
    """Takes away the mean of what it has seen, kept in a buffer that is assigned, not written into."""

    buffers = ("seen",)

    def __init__(self, n):
        self.seen = np.zeros(n)

    def forward(self, x):
        self.seen = 0.9 * self.seen + 0.1 * x.mean(axis=0)
        return x - self.seen

    def predict(self, x):
        return x - self.seen

    def backward(self, dout):
        return dout - 0.1 * dout.mean(axis=0)


def own(net):
    """The same network with every Affine as one of a user's, its arrays copies."""
    layers = [
        Linear(layer.W.copy(), layer.b.copy()) if isinstance(layer, fastbp.Affine) else layer
        for layer in net.layers.values()
    ]
    return fastbp.Sequential(layers, net.loss_layer, scale=net.scale)


def quiet(train, *args, **kwargs):
    """What ``train`` returns, which does not warn that it goes layer by layer."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", BY_LAYERS)
        warnings.filterwarnings("ignore", f".*{BY_LAYERS}")
        return train(*args, **kwargs)
