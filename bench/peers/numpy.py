"""NumPy at its best: every array made beforehand, every operation into one of them."""

from collections.abc import Callable
from itertools import count

import numpy as np

from .. import mnist
from ..bench_adam import RATE, parameters_and_gradients
from ..bench_book import BATCH, NETWORK, batches, work
from ..bench_gemm import factors
from ..elementwise import arrays, sample
from ..losses import scores_and_targets
from ..mapped_rows import BATCH as ROWS_OF_BATCH
from ..mapped_rows import NETWORK as OF_ROWS
from ..mapped_rows import accuracy, open_rows
from ..networks import ADAM_EPS, BETA1, BETA2, Perceptron, flat
from ..row import Work
from ._peer import Peer

FIRST_STEP = """
h = np.maximum(x @ W1 + b1, 0)
y = h @ W2 + b2
d = np.exp(y - y.max(axis=1, keepdims=True))
d /= d.sum(axis=1, keepdims=True)
d[np.arange(100), t] -= 1
d /= 100
dh = d @ W2.T * (h > 0)
W1, b1 = W1 - 0.1 * x.T @ dh, b1 - 0.1 * dh.sum(axis=0)
W2, b2 = W2 - 0.1 * h.T @ d, b2 - 0.1 * d.sum(axis=0)
print(np.abs(W2).sum())
"""

PEER = Peer("numpy", module="numpy", package="numpy", imports="import numpy", first_step=FIRST_STEP, is_own=True)
OUT = PEER.form("numpy", "#0072B2", "s")


class Net:
    """A network, its gradients, and the arrays in between; ``train`` does one step on the rows ``x`` and ``t``."""

    def __init__(self, network: Perceptron) -> None:
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
        self.forward(x)
        self._loss(t)
        self._backward()
        self.done += 1
        update = {"sgd": self._sgd, "adam": self._adam}[self.network.optimizer]
        update()

    def forward(self, x: np.ndarray) -> None:
        """Leave the scores in the last of ``outs``."""
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
        if self.network.loss == "sigmoid":
            np.negative(y, out=d)
            np.exp(d, out=d)
            np.add(d, 1, out=d)
            np.reciprocal(d, out=d)
            np.subtract(d, t, out=d)
            np.multiply(d, np.float32(1 / d.size), out=d)
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
        for of_one in states:
            adam_step(*of_one, self.network.rate, self.done)


def adam_step(p, g, m, v, scratch, rate: float, step: int) -> None:
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


@OUT.does("step", "growth")
def steps(network: Perceptron) -> Work:
    """Steps in NumPy, written to allocate nothing."""
    net = Net(network)
    x, t = network.data()

    def call() -> None:
        for _ in range(network.steps):
            net.train(x, t)

    return Work(call, lambda: flat(net.weights, net.biases), network.steps)


@OUT.does("book")
def book(steps: int) -> Work:
    images = mnist.images()
    x_train, t_train = mnist.x_train(), images.t_train
    nets: list = []

    def train() -> None:
        net = Net(NETWORK)
        nets[:] = [net]
        x, t = np.empty((BATCH, 784), np.float32), np.empty(BATCH, np.intp)
        for mask in batches(steps):
            np.take(x_train, mask, axis=0, out=x)
            np.take(t_train, mask, out=t)
            net.train(x, t)

    def scores(x: np.ndarray) -> np.ndarray:
        (W1, W2), (b1, b2) = nets[0].weights, nets[0].biases
        return np.maximum(x @ W1 + b1, 0) @ W2 + b2

    return work(train, scores)


@OUT.does("growth by rows")
def epoch(n: int) -> Work:
    x, t = open_rows(n)
    net, rng = Net(OF_ROWS), np.random.default_rng(0)

    def epoch() -> None:
        order = rng.permutation(n)
        for begin in range(0, n, ROWS_OF_BATCH):
            mask = order[begin : begin + ROWS_OF_BATCH]
            net.train(x[mask], t[mask])

    def answer() -> list[np.ndarray]:
        (W1, W2), (b1, b2) = net.weights, net.biases
        return [accuracy((W1, b1, W2, b2), x, t)]

    return Work(epoch, answer, n)


@OUT.does("gemm")
def product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    a, b = factors(form, shape, dtype)
    c = np.empty((a.shape[0], b.shape[1]), dtype)
    return Work(lambda: np.dot(a, b, out=c), lambda: [c])


@OUT.does("adam")
def adam(n: int) -> Work:
    p, g = parameters_and_gradients(n)
    m, v, scratch = (np.zeros_like(p) for _ in range(3))
    steps = count(1)
    return Work(lambda: adam_step(p, g, m, v, scratch, RATE, next(steps)), lambda: [p])


@OUT.does("relu", "sigmoid", "tanh")
def activation(layer: str, direction: str, n: int) -> Work:
    inputs = arrays(layer, direction, n)
    out = np.empty_like(inputs[0])
    functions: dict[tuple[str, str], Callable[..., object]] = {
        ("Relu", "forward"): lambda x, out: np.maximum(x, 0, out=out),
        ("Relu", "backward"): _relu_back,
        ("Sigmoid", "forward"): _sigmoid,
        ("Sigmoid", "backward"): _sigmoid_back,
        ("Tanh", "forward"): lambda x, out: np.tanh(x, out=out),
        ("Tanh", "backward"): _tanh_back,
    }
    run = functions[layer, direction]
    return Work(lambda: run(*inputs, out), lambda: [sample(out)])


def _relu_back(dout, y, out):
    np.greater(y, 0, out=out)
    np.multiply(out, dout, out=out)


def _sigmoid(x, out):
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)


def _sigmoid_back(dout, y, out):
    np.subtract(1, y, out=out)
    np.multiply(out, y, out=out)
    np.multiply(out, dout, out=out)


def _tanh_back(dout, y, out):
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, dout, out=out)


@OUT.does("softmax loss")
def softmax_loss(loss, shape):
    x, t = scores_and_targets(loss, shape)
    d, column, value = np.empty_like(x), np.empty((len(x), 1), np.float32), np.zeros(())
    rows = np.arange(len(x))

    def call():
        np.max(x, axis=1, keepdims=True, out=column)
        np.subtract(x, column, out=d)
        picked = d[rows, t]
        np.exp(d, out=d)
        np.sum(d, axis=1, keepdims=True, out=column)
        value[...] = np.mean(np.log(column[:, 0]) - picked, dtype=np.float64)
        np.divide(d, column, out=d)
        d[rows, t] -= 1
        np.multiply(d, np.float32(1 / len(x)), out=d)

    return Work(call, lambda: [value, d])


@OUT.does("squared error")
def squared_error(loss, shape):
    x, t = scores_and_targets(loss, shape)
    d, value, scale = np.empty_like(x), np.zeros(()), np.float32(2 / x.size)

    def call():
        np.subtract(x, t, out=d)
        value[...] = np.dot(d.ravel(), d.ravel()) / np.float32(x.size)
        np.multiply(d, scale, out=d)

    return Work(call, lambda: [value, d])


@OUT.does("predict")
def predict(network: Perceptron) -> Work:
    """Into arrays made beforehand."""
    net, (x, _) = Net(network), network.data()
    return Work(lambda: net.forward(x), lambda: [net.outs[-1]])
