"""The layers of the book's chapter 5 as plainly as it has them: its operations on arrays, and not a check more."""

import numpy as np

from fastbp import reference


def softmax(x):
    """Of rows (N, K)."""
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def sigmoid(x):
    """Of each element."""
    return 1 / (1 + np.exp(-x))


class Affine:
    """Samples are flattened before they are multiplied."""

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.original_x_shape = x.shape
        self.x = x.reshape(x.shape[0], -1)
        return np.dot(self.x, self.W) + self.b

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return dx.reshape(*self.original_x_shape)


class Relu:
    """What is masked is written over in a copy, and on the way back in the gradient itself."""

    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class Sigmoid:
    """Keeps its output."""

    def forward(self, x):
        self.out = sigmoid(x)
        return self.out

    def backward(self, dout):
        return dout * (1.0 - self.out) * self.out


class SoftmaxWithLoss:
    """Of labels (N,) or one-hot rows (N, K)."""

    def forward(self, x, t):
        self.t, self.y = t, softmax(x)
        labels = t.argmax(axis=1) if t.size == self.y.size and t.ndim == 2 else t
        n = len(self.y)
        return -np.sum(np.log(self.y[np.arange(n), labels] + 1e-7)) / n

    def backward(self, dout=1):
        n = len(self.t)
        if self.t.size == self.y.size and self.t.ndim == 2:
            return (self.y - self.t) / n
        dx = self.y.copy()
        dx[np.arange(n), self.t] -= 1
        return dx / n


class TwoLayerNet(reference.TwoLayerNet):
    """The network of these layers."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        W1, b1, W2, b2 = self.params.values()
        self.layers.update(Affine1=Affine(W1, b1), Relu1=Relu(), Affine2=Affine(W2, b2))
        self.lastLayer = SoftmaxWithLoss()
