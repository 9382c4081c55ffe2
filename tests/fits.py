"""What the tests of training share: networks, samples, a fit that leaves its network alone, and comparisons."""

import copy

import numpy as np
from strategies import assert_same_bits, eps

import fastbp

PER_EPOCH = 7  # steps in an epoch of ``fitted``: 50 samples, 8 a step


def network(*sizes, dropout=0.0, dtype=np.float32, seed=0):
    """Affine, Relu, Dropout, ..., Affine with softmax cross-entropy."""
    net = fastbp.mlp(sizes, dtype=dtype, seed=seed)
    layers = []
    for layer in net.layers.values():
        layers.append(layer)
        if dropout and isinstance(layer, fastbp.Relu):
            layers.append(fastbp.Dropout(dropout))
    return fastbp.Sequential(layers)


def examples(n_samples, n_inputs, n_classes, dtype=np.float32):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n_samples, n_inputs)).astype(dtype)
    return x, rng.integers(0, n_classes, n_samples)


def small(dtype=np.float32, **options):
    return network(5, 8, 3, dtype=dtype, **options)


X, T = examples(50, 5, 3)


def fitted(net, x=X, t=T, **options):
    """A copy of ``net`` after training, and its history."""
    net = copy.deepcopy(net)
    return net, net.fit(x, t, **{"seed": 7, "batch_size": 8, "progress": False} | options)


def assert_same_weights(net, other):
    assert list(net.params) == list(other.params)
    for name, p in net.params.items():
        assert_same_bits(p, other.params[name])


def weights_differ(net, other):
    return all(not np.array_equal(p, other.params[name]) for name, p in net.params.items())


def steps_by_hand(net, batches, lr=0.1):
    """A copy of ``net`` after a step of gradient descent on each of the batches, and the mean of their losses."""
    net, total, n = copy.deepcopy(net), 0.0, 0
    for rows in batches:
        total, n = total + len(rows) * float(net.loss(X[rows], T[rows])), n + len(rows)
        for name, g in net.gradient(X[rows], T[rows]).items():
            net.params[name] -= lr * g
    return net, total / n


def assert_close_weights(net, other, tolerance=64):
    for name, p in net.params.items():
        atol = tolerance * eps(p.dtype) * max(1, np.abs(p).max())
        np.testing.assert_allclose(p, other.params[name], rtol=0, atol=atol)


def overfitting():
    """A network, and validation data on which it soon becomes worse: their labels have nothing to do with X's."""
    rng = np.random.default_rng(5)
    return network(5, 40, 3), (rng.standard_normal((40, 5)).astype(np.float32), rng.integers(0, 3, 40))
