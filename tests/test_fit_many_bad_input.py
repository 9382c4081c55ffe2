"""What ``fit_many`` refuses: it says for which network, and changes none."""

import copy
import re
import threading

import numpy as np
import pytest
from fits import assert_same_weights

import fastbp
from fastbp.optimizers import SGD

X = np.random.default_rng(0).standard_normal((30, 5)).astype(np.float32)
T = np.arange(30) % 3


def small():
    return [fastbp.mlp([5, 4, 3], seed=k) for k in range(3)]


def state():
    return fastbp.mlp([5, 4, 3]).fit(X, T).state


def schedule(step, epoch):
    return "fast"


WRONG = [
    ({"rows": [[0]] * 2}, ValueError, "rows must have one for each of the 3 networks, got 2"),
    ({"rows": "all"}, TypeError, "rows must be one for all networks or a sequence of one each, got 'all'"),
    ({"rows": [None, [], None]}, ValueError, "nets[1]: rows must hold the number of at least one sample, got none"),
    ({"rows": [None, None, [3, 30]]}, ValueError, "nets[2]: rows[1] is 30, outside 0..29"),
    ({"rows": [None, None, [-1]]}, ValueError, "nets[2]: rows[0] is -1, outside 0..29"),
    ({"rows": [[0.5], None, None]}, TypeError, "nets[0]: rows must be (M,) integers"),
    ({"rows": [np.ones(30, bool), None, None]}, TypeError, "of a mask, np.flatnonzero"),
    ({"rows": [[[1]], None, None]}, ValueError, "nets[0]: rows must be (M,) integers"),
    ({"rows": np.array([29, 30])}, ValueError, "nets[0]: rows[1] is 30, outside 0..29"),
    ({"rows": np.array([29, 2**64 - 1], np.uint64)}, ValueError, "nets[0]: rows[1] is 18446744073709551615, outside"),
    ({"validation_rows": [[0], [1], [99]]}, ValueError, "nets[2]: validation_rows[0] is 99, outside 0..29"),
    ({"validation_rows": [[0], [1], []]}, ValueError, "nets[2]: validation_rows must hold the number of at least one"),
    ({"validation_rows": [0], "validation_data": (X, T)}, ValueError, "were both given: there is one validation part"),
    ({"validation_data": (X[:, :2], T)}, ValueError, "nets[0]: validation_data[0] has 2 elements a sample"),
    ({"validation_data": X}, TypeError, "validation_data must be (x, t)"),
    ({"optimizers": ["sgd", "sdg", "sgd"]}, ValueError, "nets[1]: optimizer must be one of"),
    ({"optimizers": ["sgd"]}, ValueError, "optimizers must have one for each of the 3 networks, got 1"),
    ({"optimizers": ["sgd", 3, "sgd"]}, TypeError, "nets[1]: optimizer must be"),
    ({"optimizers": [SGD(schedule)] * 3}, TypeError, "nets[0]: lr at step 0, epoch 0 must be a finite number"),
    ({"epochs": [1, -1, 1]}, ValueError, "nets[1]: epochs must be an integer of at least 0, got -1"),
    ({"epochs": 1.5}, TypeError, "nets[0]: epochs must be an integer"),
    ({"epochs": {1, 2, 3, 4}}, ValueError, "epochs must have one for each of the 3 networks, got 4"),
    ({"batch_sizes": [1, 1, 0]}, ValueError, "nets[2]: batch_sizes must be an integer of at least 1, got 0"),
    ({"seeds": [1, 1, -1]}, ValueError, "nets[2]: seeds must be an integer of at least 0, got -1"),
    ({"patience": 1}, ValueError, "nets[0]: patience needs validation_data or validation_rows"),
    ({"patience": [1, 0, 1], "validation_rows": [0]}, ValueError, "nets[1]: patience must be an integer of at least 1"),
    ({"shuffle": [True, 1, True]}, TypeError, "nets[1]: shuffle must be True or False, got 1"),
    ({"clip_norm": [None, 0.0, 1.0]}, ValueError, "nets[1]: clip_norm must be a finite number above 0, got 0.0"),
    ({"max_steps": -1}, ValueError, "nets[0]: max_steps must be an integer of at least 0, got -1"),
    ({"sample_weight": np.ones(3)}, ValueError, "sample_weight must hold one number for each of the 30 samples"),
    ({"threads": 0}, ValueError, "threads must be an integer of at least 1, got 0"),
    ({"progress": "yes"}, TypeError, "progress must be True or False"),
    ({"callbacks": [3]}, TypeError, "callbacks[0] must be a function, got 3"),
    ({"errors": "ignore"}, ValueError, "errors must be one of raise, keep, got 'ignore'"),
    ({"resume": [None, 3, None]}, TypeError, "nets[1]: resume must be the state of a History, got 3"),
    ({"resume": [None]}, ValueError, "resume must have one for each of the 3 networks, got 1"),
    ({"resume": state}, TypeError, "resume must be one for all networks or a sequence of one each"),
    (
        {"resume": lambda: [None, None, state()], "rows": [0, 1]},
        ValueError,
        "nets[2]: resume does not fit: it is of 30 sam",
    ),
    ({"t": T[:-1]}, ValueError, "nets[0]: t "),
    ({"t": T + 1}, ValueError, "nets[0]: t[2] is 3, outside 0..2"),
    ({"t": T + 1, "rows": [0, 2]}, ValueError, "nets[0]: t[1] is 3, outside 0..2"),
    ({"x": X[:, :4]}, ValueError, "nets[0]: x has 4 elements a sample, the network has 5 inputs"),
    ({"x": X[:0], "t": T[:0]}, ValueError, "x must hold at least one sample, got none"),
    ({"x": "abc"}, TypeError, "x must hold real numbers"),
]


@pytest.mark.parametrize(("wrong", "kind", "says"), WRONG, ids=[says[:40] for _, _, says in WRONG])
def test_what_does_not_fit_is_named_and_no_network_has_changed(wrong, kind, says):
    wrong = {name: value() if callable(value) else value for name, value in wrong.items()}
    nets = small()
    before = copy.deepcopy(nets)
    with pytest.raises(kind, match=re.escape(says)):
        fastbp.fit_many(nets, **{"x": X, "t": T} | wrong)
    for net, other in zip(nets, before, strict=True):
        assert_same_weights(net, other)


@pytest.mark.parametrize("nets", [fastbp.mlp([5, 3]), "nets", 3])
def test_nets_are_a_sequence(nets):
    with pytest.raises(TypeError, match="nets must be a sequence of networks, got"):
        fastbp.fit_many(nets, X, T)


def test_what_is_no_network_is_named():
    with pytest.raises(TypeError, match=re.escape("nets[1] must be a network of fastbp, got 3")):
        fastbp.fit_many([fastbp.mlp([5, 3]), 3], X, T)


def test_a_network_comes_once():
    nets = small()
    with pytest.raises(ValueError, match=re.escape("nets[3] is nets[1] once more: copy.deepcopy makes another")):
        fastbp.fit_many([*nets, nets[1]], X, T)


def test_a_layer_is_of_one_network():
    first = fastbp.mlp([5, 4, 3])
    other = fastbp.Sequential([*list(first.layers.values())[:2], fastbp.Affine(np.ones((4, 3)), np.zeros(3))])
    with pytest.raises(ValueError, match=re.escape("nets[1] has Affine1 in common with nets[0]")):
        fastbp.fit_many([first, other], X, T)


def test_an_array_is_of_one_network():
    nets = small()
    nets[2].layers["Affine2"].W = nets[0].params["W2"]
    with pytest.raises(ValueError, match=re.escape("nets[2] has W of Affine2 in common with nets[0]: give it a copy")):
        fastbp.fit_many(nets, X, T)


def test_a_read_only_parameter_is_named():
    nets = small()
    nets[1].params["W1"].flags.writeable = False
    with pytest.raises(ValueError, match=re.escape("nets[1]: W1 cannot be trained or written, being read-only")):
        fastbp.fit_many(nets, X, T)


def test_a_network_in_training_elsewhere_is_named():
    nets, inside, done = small(), threading.Event(), threading.Event()

    def wait(history):
        inside.set()
        done.wait(60)

    other = threading.Thread(target=lambda: nets[1].fit(X, T, callbacks=[wait]))
    other.start()
    inside.wait(60)
    try:
        with pytest.raises(RuntimeError, match=re.escape("nets[1]: fit_many was called on a network that is in train")):
            fastbp.fit_many(nets, X, T)
    finally:
        done.set()
        other.join()


def test_rows_that_change_meanwhile_are_those_of_the_call():
    nets, rows = small(), np.arange(20)
    others = copy.deepcopy(nets)
    fastbp.fit_many(others, X, T, rows=rows, seeds=1, epochs=3)

    def spoil(k, history):
        rows[:] = 10**9

    fastbp.fit_many(nets, X, T, rows=rows, seeds=1, epochs=3, callbacks=[spoil])
    for net, other in zip(nets, others, strict=True):
        assert_same_weights(net, other)
