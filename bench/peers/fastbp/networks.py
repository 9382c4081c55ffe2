"""Networks by many steps a call, as ``fit`` does them; by ``fit``, ``step`` and ``predict``; layer by layer."""

from typing import Any

import numpy as np

import fastbp
from fastbp.programs._feed import Feed, Given, Rows
from fastbp.programs._program import Program, Update
from fastbp.programs._slices import rows_of_slice
from fastbp.training._dense_rows import DenseRows

from ... import mnist
from ...bench_book import BATCH, NETWORK, book_loop, work
from ...bench_book import RATE as BOOK_RATE
from ...mapped_rows import BATCH as ROWS_OF_BATCH
from ...mapped_rows import NETWORK as OF_ROWS
from ...mapped_rows import accuracy, open_rows
from ...networks import Perceptron, flat
from ...row import Work
from .forms import COMPILED, LAYERS, PROGRAM


def net_of(network: Perceptron) -> fastbp.Sequential:
    """The network with its first parameters."""
    kind = {"relu": fastbp.Relu, "tanh": fastbp.Tanh}[network.activation]
    layers = [layer for W, b in zip(*network.parameters(), strict=True) for layer in (fastbp.Affine(W, b), kind())]
    return fastbp.Sequential(layers[:-1], network.loss)


def program_of(network: Perceptron, *, as_fit: bool = False) -> tuple[Program, fastbp.Sequential]:
    """A program of steps on one mini-batch, copied from a data set, ``as_fit`` has it, or there."""
    net = net_of(network)
    x, t = network.data()
    chain, optimizer, n_rows = net._binding(), fastbp.optimizers.get_optimizer(network.optimizer), len(x)
    no_weights = np.zeros(0, x.dtype)
    feed: Feed = Given(x, t, no_weights)
    if as_fit or rows_of_slice(chain, n_rows):  # slices are copied from the data set one after the other
        feed = Rows(DenseRows("x", x, 1.0), t, no_weights)
    update = Update(optimizer, *optimizer.new_states(chain.vector.size, x.dtype))
    return Program(chain, feed, chain.loss, update, n_rows), net


@COMPILED.does("step", "growth")
def steps(network: Perceptron) -> Work:
    """Steps of a Sequential, many in one call of compiled code."""
    return _runs(network, as_fit=False)


def _runs(network: Perceptron, *, as_fit: bool) -> Work:
    program, net = program_of(network, as_fit=as_fit)
    n_rows = network.batch
    order, rates, losses = np.arange(n_rows), np.full(network.steps, network.rate), np.zeros(network.steps)
    done = 0

    def call() -> None:
        nonlocal done
        program.run(order, done, rates, losses)
        done += network.steps

    return Work(call, lambda: _parameters(net), network.steps)


def _parameters(net: fastbp.Sequential) -> list[np.ndarray]:
    parameters = [*net.params.values()]
    return flat(parameters[::2], parameters[1::2])


def _fits(network: Perceptron, *, writes: bool) -> Work:
    """Calls of ``fit``; each of them ``writes`` its program, or goes on with that of the call before."""
    net, (x, t) = net_of(network), network.data()
    optimizer = fastbp.optimizers.get_optimizer(network.optimizer, lr=network.rate)
    options: Any = {"epochs": network.steps, "batch_size": network.batch, "optimizer": optimizer, "progress": False}

    def call() -> None:
        if writes:
            net._binding().programs.clear()
        net.fit(x, t, shuffle=False, **options)

    return Work(call, lambda: _parameters(net), network.steps)


@COMPILED.does("fit", "fit of one step")
def fit(network: Perceptron) -> Work:
    return _fits(network, writes=False)


@COMPILED.does("first fit of one step")
def first_fit(network: Perceptron) -> Work:
    return _fits(network, writes=True)


def _calls_of_step(network: Perceptron) -> Work:
    net, (x, t) = net_of(network), network.data()
    optimizer = fastbp.optimizers.get_optimizer(network.optimizer, lr=network.rate)

    def call() -> None:
        for _ in range(network.steps):
            net.step(x, t, optimizer)

    return Work(call, lambda: _parameters(net), network.steps)


@PROGRAM.does("fit")
def steps_of_fit(network: Perceptron) -> Work:
    """What ``fit`` is held against: its steps, one run of the program that it writes."""
    return _runs(network, as_fit=True)


@COMPILED.does("net.step")
def net_step(network: Perceptron) -> Work:
    return _calls_of_step(network)


@COMPILED.does("predict")
def predict(network: Perceptron) -> Work:
    """``Sequential.predict``."""
    net, (x, _) = net_of(network), network.data()
    return Work(lambda: net.predict(x), lambda: [net.predict(x)])


@COMPILED.does("book")
def book(steps: int) -> Work:
    images = mnist.images()
    nets: list = []

    def train() -> None:
        (W1, W2), (b1, b2) = NETWORK.parameters()
        net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
        nets[:] = [net]
        sgd = fastbp.optimizers.SGD(lr=BOOK_RATE)
        epochs = -(-steps * BATCH // mnist.TRAIN)
        net.fit(
            images.x_train,
            images.t_train,
            scale=mnist.SCALE,
            epochs=epochs,
            batch_size=BATCH,
            optimizer=sgd,
            max_steps=steps,
            seed=0,
            progress=False,
        )

    return work(train, lambda _: nets[0].predict(images.x_test))


@LAYERS.does("book")
def book_by_layers(steps: int) -> Work:
    return book_loop(fastbp, "float64", steps)


@COMPILED.does("growth by rows")
def epoch(n: int) -> Work:
    x, t = open_rows(n)
    (W1, W2), (b1, b2) = OF_ROWS.parameters()
    net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
    sgd = fastbp.optimizers.SGD(lr=OF_ROWS.rate)

    def epoch() -> None:
        net.fit(x, t, batch_size=ROWS_OF_BATCH, optimizer=sgd, seed=0, progress=False)

    return Work(epoch, lambda: [accuracy(net.params.values(), x, t)], n)
