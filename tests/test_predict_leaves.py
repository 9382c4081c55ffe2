"""What ``predict`` leaves in a network: nothing to go back by, and memory for one block, whoever calls it."""

import copy
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from test_predict import every_layer, normal, one_by_one, small

import fastbp
from fastbp import layers
from fastbp.activations import BY_NAME, named
from fastbp.basics import _machine
from fastbp.programs import _predictor

X, T = normal((6, 4), np.float32), np.array([0, 1, 2, 0, 1, 2])
FORGOTTEN = "backward was called before forward"


class Twice(fastbp.Layer):
    """A layer of one's own, which cannot be compiled."""

    def forward(self, x):
        return 2 * x

    def backward(self, dout):
        return 2 * dout


class WithLoss(fastbp.Sequential):
    def loss(self, x, t):
        return self.loss_layer.forward(self.predict(x), t)


class WithGradient(fastbp.Sequential):
    def gradient(self, x, t):
        self.loss_layer.forward(self.predict(x), t)
        dout = self.loss_layer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        return {"W1": self.layers["Affine1"].dW}


@pytest.mark.parametrize("compiled", [True, False])
def test_every_layer_has_forgotten_its_pass(compiled):
    made = every_layer(np.float32)
    net = fastbp.Sequential(made if compiled else [*made, Twice()])
    for x in (X, X[0], X[:2], X.astype(np.uint8)):
        net.predict(x)
        net.gradient(X, T)
        net.predict(x)
        for layer in made:
            with pytest.raises(RuntimeError, match=FORGOTTEN):
                layer.backward(np.ones((6, layer.W.shape[1] if isinstance(layer, fastbp.Affine) else 5)))


@pytest.mark.parametrize("cls", layers.CLASSES)
def test_a_pass_through_one_layer_alone_is_forgotten_too(cls):
    layer = cls.of_width(4, np.dtype(np.float32))
    net = fastbp.Sequential([fastbp.Affine(np.eye(4, dtype=np.float32), None), layer])
    net.predict(X)
    layer.forward(X)
    net.predict(X)
    with pytest.raises(RuntimeError, match=FORGOTTEN):
        layer.backward(X)


@pytest.mark.parametrize("word", BY_NAME)
def test_an_activation_that_has_forgotten_is_as_new(word):
    layer, other = named(word), named(word)
    layer.forward(X)
    layer.forget()
    assert [getattr(layer, name) for name in layer.remembers] == [getattr(other, name) for name in layer.remembers]
    assert layer.forward(X).tobytes() == other.forward(X).tobytes()


def test_gradients_and_masks_stay():
    net = small()
    gradients = net.gradient(X, T)
    net.predict(X)
    assert net.layers["Affine1"].dW is gradients["W1"]
    assert net.loss(X, T) == pytest.approx(float(net.loss_layer.forward(net.predict(X), T)))


@pytest.mark.parametrize(
    "net",
    [
        fastbp.TwoLayerNet(4, 5, 3, dtype=np.float32, seed=0),
        WithLoss(fastbp.mlp([4, 5, 3], seed=0).layers.values()),
        WithGradient(fastbp.mlp([4, 5, 3], seed=0).layers.values()),
    ],
    ids=["TwoLayerNet", "own loss", "own gradient"],
)
def test_where_a_script_goes_back_after_predict_the_layers_keep_it_all(net):
    other = fastbp.Sequential(copy.deepcopy(net).layers.values())
    expected = other.gradient(X, T)
    for _ in range(2):
        net.predict(np.zeros((3, 4), np.float32))
        net.loss_layer.forward(net.predict(X), T)
        dout = net.loss_layer.backward()
        for layer in reversed(net.layers.values()):
            dout = layer.backward(dout)
        assert net.layers["Affine1"].dW.tobytes() == expected["W1"].tobytes()
    assert net.gradient(X, T)["W1"].tobytes() == expected["W1"].tobytes()


def test_a_pass_that_another_thread_is_in_the_midst_of_is_left_alone():
    net = small()
    net.predict(X)
    taken, go_on = threading.Event(), threading.Event()

    def passes():
        net._passing.take(False)
        taken.set()
        go_on.wait()
        net._passing.end()

    other = threading.Thread(target=passes)
    other.start()
    taken.wait()
    net.layers["Affine1"].forward(X)
    assert net.predict(X).tobytes() == one_by_one(net, X).tobytes()
    assert net.layers["Affine1"].x is not None
    go_on.set()
    other.join()
    net.predict(X)
    assert net.layers["Affine1"].x is None


def test_threads_at_once_each_get_their_own_rows():
    net = small()
    batches = [normal((n, 4), np.float32, seed=n) for n in (1, 7, 32, 300)]
    expected = [one_by_one(net, x).tobytes() for x in batches]
    wrong, interval = [], sys.getswitchinterval()

    def work(i):
        for k in range(400):
            x = batches[(i + k % 2) % 4]
            if net.predict(x).tobytes() != expected[(i + k % 2) % 4]:
                wrong.append(i)

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(i % 4,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


# ---- Many rows ----


@pytest.fixture
def in_small_blocks(set_numbers):
    set_numbers(predict_work=1)


@pytest.mark.parametrize("n", [512, 513, 1023, 1024, 1025, 2000])
@pytest.mark.parametrize("scale", [1, 0.5])
def test_blocks_give_the_bits_of_all_rows_at_once(in_small_blocks, n, scale):
    net = fastbp.mlp([4, 9, 3], "tanh", normalization="layer", seed=0, scale=scale)
    for dtype in (np.float32, np.uint8):
        x = (9 * normal((n, 4))).astype(dtype)
        for given in (x, np.asfortranarray(x)):
            for _ in range(2):
                assert net.predict(given).tobytes() == one_by_one(net, x).tobytes()
    assert net._predictor.most_rows == 512


def test_an_interrupt_is_heard_between_two_blocks(in_small_blocks, monkeypatch):
    net, blocks, run = small(), [], _predictor.predict

    def interrupted(team, program, x, y):
        blocks.append(len(x))
        if len(blocks) == 2:
            raise KeyboardInterrupt
        return run(team, program, x, y)

    with monkeypatch.context() as patched:
        patched.setattr(_predictor, "predict", interrupted)
        with pytest.raises(KeyboardInterrupt):
            net.predict(np.ones((5000, 4), np.float32))
    assert blocks == [512, 512]
    assert net.predict(X).tobytes() == one_by_one(net, X).tobytes()


def test_an_interrupt_while_a_program_is_written_leaves_no_half_of_one(monkeypatch):
    net, lower = small(), fastbp.Gelu.lower
    with monkeypatch.context() as patched:
        patched.setattr(fastbp.Gelu, "lower", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            net.predict(X)
    assert fastbp.Gelu.lower is lower
    for x in (X, X[:2]):
        assert net.predict(x).tobytes() == one_by_one(net, x).tobytes()


def test_memory_is_that_of_a_block_and_of_the_scores():
    net, x = fastbp.mlp([4, 64, 64, 2], seed=0), np.ones((400_000, 4), np.float32)
    net.predict(x[:10])
    tracemalloc.start()
    try:
        net.predict(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < _machine.numbers().predict_bytes + 8 * len(x) + 1e6  # all rows of one layer have 100 MB


def test_programs_are_not_kept_without_end(monkeypatch):
    monkeypatch.setattr(_predictor, "MOST_PROGRAMS", 3)
    net, x = small(), normal((20, 4), np.float32)
    for n in (*range(1, 20), *range(1, 20)):
        assert net.predict(x[:n]).tobytes() == one_by_one(net, x[:n]).tobytes()
        assert len(net._predictor._own.programs) <= 3
