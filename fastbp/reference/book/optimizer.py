"""Optimizers by the book's formulas. ``params`` and ``grads`` are dicts; states are kept by key."""

from collections import defaultdict
from typing import Any

import numpy as np

__all__ = ["SGD", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop", "np"]

EPS = 1e-7


def zeros():
    """Zeros that become arrays when an array is added to them."""
    return defaultdict(float)


class SGD:
    """Gradient descent."""

    def __init__(self, lr=0.01):
        self.lr = lr

    def update(self, params, grads):
        """One step."""
        for key in params:
            params[key] -= self.lr * grads[key]


class Momentum:
    """Gradient descent with a velocity."""

    def __init__(self, lr=0.01, momentum=0.9):
        self.lr, self.momentum = lr, momentum
        self.v: Any = zeros()

    def update(self, params, grads):
        """One step."""
        for key in params:
            self.v[key] = self.momentum * self.v[key] - self.lr * grads[key]
            params[key] += self.v[key]


class Nesterov(Momentum):
    """As the book has it: with the velocity after the gradient."""

    def update(self, params, grads):
        """One step."""
        for key in params:
            self.v[key] = self.momentum * self.v[key] - self.lr * grads[key]
            params[key] += self.momentum**2 * self.v[key] - (1 + self.momentum) * self.lr * grads[key]


class AdaGrad:
    """Steps by the root of the sum of squares."""

    def __init__(self, lr=0.01):
        self.lr = lr
        self.h: Any = zeros()

    def update(self, params, grads):
        """One step."""
        for key in params:
            self.h[key] = self.h[key] + grads[key] ** 2
            params[key] -= self.lr * grads[key] / (np.sqrt(self.h[key]) + EPS)


class RMSprop:
    """Steps by the root of the mean of squares."""

    def __init__(self, lr=0.01, decay_rate=0.99):
        self.lr, self.decay_rate = lr, decay_rate
        self.h: Any = zeros()

    def update(self, params, grads):
        """One step."""
        for key in params:
            self.h[key] = self.decay_rate * self.h[key] + (1 - self.decay_rate) * grads[key] ** 2
            params[key] -= self.lr * grads[key] / (np.sqrt(self.h[key]) + EPS)


class Adam:
    """Adam, corrected in the learning rate."""

    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999):
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.iter = 0
        self.m: Any = zeros()
        self.v: Any = zeros()

    def update(self, params, grads):
        """One step."""
        self.iter += 1
        lr = self.lr * np.sqrt(1 - self.beta2**self.iter) / (1 - self.beta1**self.iter)
        for key in params:
            self.m[key] = self.m[key] + (1 - self.beta1) * (grads[key] - self.m[key])
            self.v[key] = self.v[key] + (1 - self.beta2) * (grads[key] ** 2 - self.v[key])
            params[key] -= lr * self.m[key] / (np.sqrt(self.v[key]) + EPS)
