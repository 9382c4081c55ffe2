"""Training steps in NumPy at its best: every array made beforehand, every operation into one of them."""

import numpy as np

from .networks import ADAM_EPS, BETA1, BETA2, Network, flat
from .row import Work


class Net:
    """A network, its gradients, and the arrays in between; ``train`` does one step on the rows ``x`` and ``t``."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.weights, self.biases = network.parameters()
        batch, sizes = network.batch, network.sizes
        self.outs = [np.empty((0, 0), np.float32), *(np.empty((batch, n), np.float32) for n in sizes[1:])]
        self.douts = [np.empty((batch, n), np.float32) for n in sizes]
        self.slopes = [np.empty((batch, n), np.float32) for n in sizes]
        self.column = np.empty((batch, 1), np.float32)
        self.rows = np.arange(batch)
        self.parameters = [*self.weights, *self.biases]
        self.gradients = [np.empty_like(p) for p in self.parameters]
        self.first, self.second, self.scratch = ([np.zeros_like(p) for p in self.parameters] for _ in range(3))
        self.done = 0

    def train(self, x: np.ndarray, t: np.ndarray) -> None:
        """Take one step."""
        self._forward(x)
        self._loss(t)
        self._backward()
        self.done += 1
        update = {"sgd": self._sgd, "adam": self._adam}[self.network.optimizer]
        update()

    def _forward(self, x: np.ndarray) -> None:
        outs, last = self.outs, len(self.weights) - 1
        outs[0] = x
        for n, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            out = outs[n + 1]
            np.dot(outs[n], W, out=out)
            np.add(out, b, out=out)
            if n < last:
                if self.network.activation == "relu":
                    np.maximum(out, 0, out=out)
                else:
                    np.tanh(out, out=out)

    def _loss(self, t: np.ndarray) -> None:
        """The gradient of the mean loss for the scores."""
        y, d = self.outs[-1], self.douts[-1]
        if self.network.loss == "mse":
            np.subtract(y, t, out=d)
            np.multiply(d, np.float32(2 / d.size), out=d)
            return
        np.max(y, axis=1, keepdims=True, out=self.column)
        np.subtract(y, self.column, out=d)
        np.exp(d, out=d)
        np.sum(d, axis=1, keepdims=True, out=self.column)
        np.multiply(self.column, np.float32(len(d)), out=self.column)
        np.divide(d, self.column, out=d)
        d[self.rows, t] -= np.float32(1 / len(d))

    def _backward(self) -> None:
        count = len(self.weights)
        for n in range(count - 1, -1, -1):
            dout = self.douts[n + 1]
            if n:
                d, slope = self.douts[n], self.slopes[n]
                np.dot(dout, self.weights[n].T, out=d)
                if self.network.activation == "relu":
                    np.greater(self.outs[n], 0, out=slope)
                else:
                    np.multiply(self.outs[n], self.outs[n], out=slope)
                    np.subtract(1, slope, out=slope)
                np.multiply(d, slope, out=d)
            np.dot(self.outs[n].T, dout, out=self.gradients[n])
            np.sum(dout, axis=0, out=self.gradients[n + count])

    def _sgd(self) -> None:
        rate = np.float32(self.network.rate)
        for p, g in zip(self.parameters, self.gradients, strict=True):
            np.multiply(g, rate, out=g)
            np.subtract(p, g, out=p)

    def _adam(self) -> None:
        states = zip(self.parameters, self.gradients, self.first, self.second, self.scratch, strict=True)
        for arrays in states:
            adam(*arrays, self.network.rate, self.done)


def adam(p, g, m, v, scratch, rate: float, step: int) -> None:
    """Adam's step number ``step``, from 1, on parameters ``p`` with gradients ``g`` and states ``m`` and ``v``."""
    np.subtract(g, m, out=scratch)
    np.multiply(scratch, np.float32(1 - BETA1), out=scratch)
    np.add(m, scratch, out=m)
    np.multiply(g, g, out=scratch)
    np.subtract(scratch, v, out=scratch)
    np.multiply(scratch, np.float32(1 - BETA2), out=scratch)
    np.add(v, scratch, out=v)
    np.sqrt(v, out=scratch)
    np.multiply(scratch, np.float32(1 / np.sqrt(1 - BETA2**step)), out=scratch)
    np.add(scratch, np.float32(ADAM_EPS), out=scratch)
    np.divide(m, scratch, out=scratch)
    np.multiply(scratch, np.float32(rate / (1 - BETA1**step)), out=scratch)
    np.subtract(p, scratch, out=p)


def numpy_steps(network: Network) -> Work:
    """Steps in NumPy, written to allocate nothing."""
    net = Net(network)
    x, t = network.data()

    def call() -> None:
        for _ in range(network.steps):
            net.train(x, t)

    return Work(call, lambda: flat(net.weights, net.biases), network.steps)
