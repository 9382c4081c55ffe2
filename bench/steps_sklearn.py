"""Training steps by scikit-learn's MLPClassifier: ``partial_fit``, its form for mini-batches that come one by one."""

from typing import Any

import numpy as np

from .networks import Network, flat
from .row import Unsuitable, Work


def build(network: Network, **more: Any) -> Any:
    """The classifier, unfitted."""
    if network.loss != "softmax" or network.optimizer != "sgd":
        raise Unsuitable("its classifier has no such loss; its regressor starts Adam from no given weights")
    if network.sizes[-1] == 2:
        raise Unsuitable("trains one logistic output in place of two of a softmax")
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        network.sizes[1:-1],
        activation=network.activation,
        solver="sgd",
        alpha=0.0,
        batch_size=network.batch,
        learning_rate_init=network.rate,
        momentum=0.0,
        nesterovs_momentum=False,
        **more,
    )


def sklearn_steps(network: Network) -> Work:
    """One ``partial_fit`` a step, from the network's first parameters."""
    net = build(network, shuffle=False)
    x, t = network.data()
    net.partial_fit(x, t, classes=np.arange(network.sizes[-1]))
    for own, given in zip((net.coefs_, net.intercepts_), network.parameters(), strict=True):
        for i, parameter in enumerate(given):
            own[i][...] = parameter

    def call() -> None:
        for _ in range(network.steps):
            net.partial_fit(x, t)

    return Work(call, lambda: flat(net.coefs_, net.intercepts_), network.steps)
