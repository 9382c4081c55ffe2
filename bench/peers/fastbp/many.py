"""Many networks at once, and one by one."""

from typing import Any

import numpy as np

import fastbp

from ...bench_many import RATE, Many, data, work
from ...row import Work
from .forms import COMPILED, ONE_BY_ONE


def _nets(many: Many) -> list[fastbp.Sequential]:
    """Networks with their first parameters."""
    loss = "softmax" if many.is_ensemble else "mse"
    nets = []
    for k in range(many.n):
        pairs = zip(*many.parameters(k), strict=True)
        layers = [layer for W, b in pairs for layer in (fastbp.Affine(W, b), fastbp.Relu())]
        nets.append(fastbp.Sequential(layers[:-1], loss))
    return nets


@COMPILED.does("many")
def many_at_once(many: Many) -> Work:
    """One call of ``fit_many``."""
    (x, t), nets = data(many), _nets(many)
    groups = None if many.is_ensemble else np.arange(len(x)).reshape(many.n, many.n_rows)

    def train() -> None:
        fastbp.fit_many(
            nets,
            x,
            t,
            rows=groups,
            epochs=many.epochs,
            batch_sizes=many.batch,
            optimizers=fastbp.optimizers.SGD(RATE),
            progress=False,
        )

    return work(many, train, lambda k, x: nets[k].predict(x))


@ONE_BY_ONE.does("many")
def many_one_by_one(many: Many) -> Work:
    """A call of ``fit`` for each."""
    (x, t), nets = data(many), _nets(many)
    options: Any = {"epochs": many.epochs, "batch_size": many.batch, "progress": False}

    def train() -> None:
        for k, net in enumerate(nets):
            own = many.rows_of(k)
            net.fit(x[own], t[own], optimizer=fastbp.optimizers.SGD(RATE), **options)

    return work(many, train, lambda k, x: nets[k].predict(x))


@COMPILED.does("begun")
def begun(many: Many) -> Work:
    """Networks made, and a call of ``fit_many`` that does no step."""
    x, t = data(many)
    groups = np.arange(len(x)).reshape(many.n, many.n_rows)

    def begin() -> None:
        nets = [fastbp.mlp(many.sizes, loss="mse", seed=0) for _ in range(many.n)]
        fastbp.fit_many(nets, x, t, rows=groups, epochs=many.epochs, progress=False)

    return Work(begin, lambda: [np.zeros(1)], many.n)
