"""Training steps by fastbp: many in one call of a program, as ``fit`` does them, on a mini-batch that is chosen."""

import numpy as np

import fastbp
from fastbp.programs._feed import Feed, Given, Rows
from fastbp.programs._program import Program, Update
from fastbp.programs._slices import rows_of_slice
from fastbp.training._samples import Samples

from .networks import Network, flat
from .row import Work


def fastbp_steps(network: Network) -> Work:
    """Steps of a Sequential, many in one call of compiled code."""
    weights, biases = network.parameters()
    kind = {"relu": fastbp.Relu, "tanh": fastbp.Tanh}[network.activation]
    layers = [layer for W, b in zip(weights, biases, strict=True) for layer in (fastbp.Affine(W, b), kind())]
    net = fastbp.Sequential(layers[:-1], fastbp.MeanSquaredError() if network.loss == "mse" else None)
    x, t = network.data()
    chain, optimizer, n_rows = net._binding(), fastbp.optimizers.get_optimizer(network.optimizer), len(x)
    no_weights = np.zeros(0, x.dtype)
    feed: Feed = Given(x, t, no_weights)
    if rows_of_slice(chain, n_rows):  # slices are copied from the data set one after the other
        feed = Rows(Samples("x", x, 1.0), t, no_weights)
    update = Update(optimizer, *optimizer.new_states(chain.vector.size, x.dtype))
    program = Program(chain, feed, chain.loss, update, n_rows)
    order, rates, losses = np.arange(n_rows), np.full(network.steps, network.rate), np.zeros(network.steps)
    done = 0

    def call() -> None:
        nonlocal done
        program.run(order, done, rates, losses)
        done += network.steps

    def answer() -> list[np.ndarray]:
        affines = [layer for layer in net.layers.values() if isinstance(layer, fastbp.Affine)]
        return flat([layer.W for layer in affines], [layer.b for layer in affines])

    return Work(call, answer, network.steps)
