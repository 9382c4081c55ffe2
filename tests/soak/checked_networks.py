"""A few networks of either type, for what looks on: see ``test_valgrind`` and ``test_sanitizers``."""

import math

import numpy as np
from random_networks import LAYERS, LOSSES, random_problem

import fastbp
from fastbp.basics import _machine, _team


def alone() -> None:
    """Small networks around every layer and loss, by one thread."""
    fastbp.set_num_threads(1)
    _train_all(widest=23, most_rows=19)
    _train_on_images(side=9, n_images=5)


def shared() -> None:
    """Larger ones, by three threads, which share all that has parts; and many at once, each by one of three threads."""
    _team.most_members = lambda: 3
    _machine.use(_machine.numbers()._replace(small_product=1000, parallel_flops=1000, least_parts=2, many_in_a_row=1))
    fastbp.set_num_threads(3)
    _train_all(widest=150, most_rows=1500)
    _train_on_images(side=28, n_images=60)
    x, t = np.random.default_rng(0).standard_normal((500, 20)), np.arange(500) % 3
    nets = [fastbp.mlp([20, 10 + n % 2, 3], dropout=0.2, seed=n) for n in range(9)]
    fastbp.fit_many(nets, x, t, validation_data=(x, t), epochs=3, seeds=0, threads=3, progress=False)


def _train_all(widest: int, most_rows: int) -> None:
    for place, subject in enumerate((*LAYERS, *LOSSES)):
        for dtype in (np.float32, np.float64):
            problem = random_problem(np.random.default_rng([9, place]), subject, dtype, widest, most_rows)
            _train(problem.net, *problem.batch)


def _train_on_images(side: int, n_images: int) -> None:
    rng = np.random.default_rng(9)
    for dtype in (np.float32, np.float64):
        x, t = rng.standard_normal((n_images, 2, side, side)).astype(dtype), rng.integers(0, 3, n_images)
        for pooling in (fastbp.MaxPooling(2, 2), fastbp.AveragePooling(3, 2, stride=1, pad=1)):
            layers = [
                fastbp.Convolution(rng.standard_normal((7, 2, 3, 3)).astype(dtype), np.zeros(7, dtype), pad=1),
                fastbp.BatchNormalization(np.ones(7, dtype), np.zeros(7, dtype)),
                fastbp.Relu(),
                pooling,
                fastbp.Convolution(rng.standard_normal((5, 7, 2, 3)).astype(dtype), None, stride=2),
                fastbp.Flatten(),
            ]
            shape = x.shape[1:]
            for layer in layers:
                shape = layer.out_shape(shape)
            layers.append(fastbp.Affine(rng.standard_normal((math.prod(shape), 3)).astype(dtype), np.zeros(3, dtype)))
            _train(fastbp.Sequential(layers, in_shape=x.shape[1:]), x, t)


def _train(net: fastbp.Sequential, x: np.ndarray, t: np.ndarray, weights: np.ndarray | None = None) -> None:
    net.gradient(x, t)
    net.predict(x)
    batch_size = -(-len(x) // 2)
    net.fit(x, t, batch_size=batch_size, optimizer="adam", sample_weight=weights, seed=0, progress=False)
