"""Training steps by fastbp: many in one call of its executor, as ``fit`` does them, on a mini-batch that is chosen."""

import numpy as np

import fastbp
from fastbp.basics import _team
from fastbp.kernels.program import STEP_WORDS, train
from fastbp.training._run import Run
from fastbp.training._samples import Samples
from fastbp.training._slices import rows_of_slice
from fastbp.training._stepper import Batch, Stepper

from .networks import Network, flat
from .row import Work


def fastbp_steps(network: Network) -> Work:
    """Steps of a Sequential, many in one call of compiled code."""
    weights, biases = network.parameters()
    kind = {"relu": fastbp.Relu, "tanh": fastbp.Tanh}[network.activation]
    layers = [layer for W, b in zip(weights, biases, strict=True) for layer in (fastbp.Affine(W, b), kind())]
    net = fastbp.Sequential(layers[:-1], fastbp.MeanSquaredError() if network.loss == "mse" else None)
    x, t = network.data()
    optimizer = fastbp.optimizers.get_optimizer(network.optimizer)
    rates, losses = np.full(network.steps, network.rate), np.zeros(network.steps)

    def answer() -> list[np.ndarray]:
        affines = [layer for layer in net.layers.values() if isinstance(layer, fastbp.Affine)]
        return flat([layer.W for layer in affines], [layer.b for layer in affines])

    if rows_of_slice(net._binding(), len(x)):  # slices are copied from the data set one after the other
        run = Run(
            net,
            Samples("x", x, 1.0),
            t,
            epochs=1,
            batch_size=len(x),
            optimizer=optimizer,
            shuffle=False,
            seed=0,
            sample_weight=None,
            class_weight=None,
            clip_norm=None,
            resume=None,
        )

        def call() -> None:
            run.execute(rates, losses)
            run.step += network.steps
    else:
        stepper = Stepper(net._binding(), optimizer)
        batch = Batch(stepper, len(x), t, weighted=False, limit=0.0)
        batch.x[...], batch.t[...] = x, t
        order, words, done = np.arange(len(x)), np.zeros(STEP_WORDS, np.int64), 0

        def call() -> None:
            nonlocal done
            team = _team.address_for(x.dtype)
            program = batch.table, batch.table, order, len(x), False
            train(team, *program, done, rates, losses, words, x.dtype.type(1))
            done += network.steps

    return Work(call, answer, network.steps)
