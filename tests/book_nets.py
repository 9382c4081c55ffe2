"""The book's networks, and the same without programs; what both leave; and which programs ran."""

import numpy as np
import pytest

from fastbp.book import _passes
from fastbp.book.deep_convnet import DeepConvNet
from fastbp.book.multi_layer_net import MultiLayerNet
from fastbp.book.multi_layer_net_extend import MultiLayerNetExtend
from fastbp.book.simple_convnet import SimpleConvNet

K, N = 5, 10
ATTRIBUTES = ("x", "mask", "out", "arg_max", "col", "col_W", "original_x_shape", "y", "t", "loss")
GRADIENTS = ("dW", "db", "dgamma", "dbeta", "running_mean", "running_var")


def param(filter_num, filter_size=3, pad=1, stride=1):
    return {"filter_num": filter_num, "filter_size": filter_size, "pad": pad, "stride": stride}


def mlp(**options):
    return (12,), lambda **more: MultiLayerNetExtend(12, [8, 6], K, **options, **more)


KINDS = {
    "simple": ((2, 9, 12), lambda **more: SimpleConvNet((2, 9, 12), param(4, 3, 2, 2), 7, K, **more)),
    "windows": ((2, 12, 11), lambda **more: SimpleConvNet((2, 12, 11), param(4, 5, 1), 7, K, **more)),
    "deep": (
        (2, 12, 9),
        lambda **more: DeepConvNet(
            (2, 12, 9), param(3), param(4), param(3, 5, 2), param(5), param(4), param(6, pad=2), 8, K, **more
        ),
    ),
    "plain": ((12,), lambda **more: MultiLayerNet(12, [8, 6], K, **more)),
    "sigmoid": mlp(activation="sigmoid", weight_init_std="xavier", use_batchnorm=True),
    "all": mlp(use_batchnorm=True, use_dropout=True, dropout_ration=0.3, weight_decay_lambda=0.1),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def ran(monkeypatch):
    """Whether each run of a program came to its end."""
    runs, run = [], _passes.Pass.run

    def counted(*given):
        loss = run(*given)
        runs.append(loss is not None)
        return loss

    monkeypatch.setattr(_passes.Pass, "run", counted)
    return runs


def nets(kind, **options):
    """A network and one of the same numbers that never has a program."""
    made = []
    for _ in range(2):
        np.random.seed(1)
        made.append(KINDS[kind][1](**options))
    made[1]._by_program = lambda *_, **__: None
    return made


def batches(kind, n, rows=N, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [(rng.random((rows, *KINDS[kind][0])).astype(dtype), rng.integers(0, K, rows)) for _ in range(n)]


def assert_same(got, expected, kind=None):
    """The same bits; of filters before a pooling, whose gradients programs add up in another order, to rounding."""
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        if kind == "windows" and np.asarray(a).dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=0, atol=500 * np.finfo(np.asarray(a).dtype).eps)
        else:
            np.testing.assert_array_equal(a, b)


def left_in(net, names):
    layers = [*net._in_order(), net.last_layer]
    return [getattr(layer, name) for layer in layers for name in names if hasattr(layer, name)]


def steps(net, data, seen=()):
    """What a training gives; after the steps with the numbers in ``seen`` the layers are looked at."""
    np.random.seed(7)
    found = []
    for n, (x, t) in enumerate(data):
        grads = net.gradient(x, t)
        found += [*grads.values(), *left_in(net, GRADIENTS)]
        if n in seen:
            found += [*left_in(net, ATTRIBUTES), *left_in(net, ATTRIBUTES)]
        for name, p in net.params.items():
            p -= 0.1 * grads[name]
        if n % 2:
            found += [net.loss(x, t), net.predict(x)]
    return [*found, np.random.get_state()[1]]
