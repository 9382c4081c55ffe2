"""Many networks at once come to the same bits as each by itself, whoever is trained beside it."""

import copy

import numpy as np
import pytest
from fits import assert_same_weights, weights_differ
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_same_bits

import fastbp
from fastbp.basics import _cpu
from fastbp.optimizers import SGD, Adam
from fastbp.schedules import step_decay
from fastbp.training import _lender

N = 60
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 5)).astype(np.float32)
T = RNG.integers(0, 3, N)
WEIGHTS = RNG.random(N)
LOSSES = ["softmax", "mse", "huber", "sigmoid"]
OPTIMIZERS = ["sgd", "momentum", "adam", "rmsprop", SGD(0.05, weight_decay=0.01), Adam(step_decay(0.01, 2, 0.5))]
PER_NETWORK = {
    "optimizers": "optimizer",
    "epochs": "epochs",
    "batch_sizes": "batch_size",
    "seeds": "seed",
    "shuffle": "shuffle",
    "clip_norm": "clip_norm",
    "patience": "patience",
    "max_steps": "max_steps",
}
LISTS = ("loss", "val_loss", "val_accuracy")


def targets_of(loss):
    """Targets that networks with this loss and 3 outputs take."""
    return T if loss == "softmax" else np.eye(3, dtype=np.float32)[T]


@st.composite
def networks(draw):
    """A network for X and 3 outputs."""
    hidden = draw(st.lists(st.integers(1, 9), max_size=2))
    return fastbp.mlp(
        [5, *hidden, 3],
        draw(st.sampled_from(["relu", "tanh", "gelu"])),
        dropout=draw(st.sampled_from([0.0, 0.3])),
        normalization=draw(st.sampled_from([None, None, "batch", "layer"])),
        dtype=draw(st.sampled_from([np.float32, np.float64])),
        seed=draw(st.integers(0, 3)),
        scale=draw(st.sampled_from([1.0, 0.5])),
    )


ROWS = st.one_of(st.none(), st.lists(st.integers(0, N - 1), min_size=1, max_size=2 * N))


@st.composite
def calls(draw):
    """Networks, the arguments of each, and those that are the same for all."""
    n = draw(st.integers(1, 5))
    nets = [draw(networks()) for _ in range(n)]
    validated = draw(st.booleans())
    each = {
        "rows": [draw(ROWS) for _ in range(n)],
        "optimizers": [draw(st.sampled_from(OPTIMIZERS)) for _ in range(n)],
        "epochs": [draw(st.integers(0, 4)) for _ in range(n)],
        "batch_sizes": [draw(st.integers(1, 40)) for _ in range(n)],
        "seeds": [draw(st.integers(0, 5)) for _ in range(n)],
        "shuffle": [draw(st.booleans()) for _ in range(n)],
        "clip_norm": [draw(st.sampled_from([None, 0.1, 1.0])) for _ in range(n)],
        "max_steps": [draw(st.sampled_from([None, 0, 1, 5])) for _ in range(n)],
        "validation_rows": [draw(ROWS.filter(bool)) for _ in range(n)] if validated else None,
        "patience": [draw(st.sampled_from([None, 1, 2])) for _ in range(n)] if validated else None,
    }
    return nets, each, {"sample_weight": draw(st.sampled_from([None, WEIGHTS]))}


def alone(net, x, t, each, k, sample_weight=None):
    """A copy of the network after ``fit`` with what is said for network k, and its History."""
    net = copy.deepcopy(net)
    rows = np.arange(len(x)) if each["rows"][k] is None else np.array(each["rows"][k])
    options = {own: each[name][k] for name, own in PER_NETWORK.items() if each.get(name) is not None}
    if each.get("validation_rows") is not None:
        held = each["validation_rows"][k]
        options["validation_data"] = x[held], t[held]
    weight = None if sample_weight is None else sample_weight[rows]
    return net, net.fit(x[rows], t[rows], sample_weight=weight, threads=1, **options)


def assert_same_history(history, other):
    for name in LISTS:
        assert getattr(history, name) == getattr(other, name)
    assert history.best_epoch == other.best_epoch
    assert len(history.seconds) == len(other.seconds)
    assert_same_bits(history.state.parameters, other.state.parameters)
    assert_same_bits(history.state.first, other.state.first)
    assert (history.state.step, history.state.seed) == (other.state.step, other.state.seed)


MIXTURES = (calls(), st.sampled_from(LOSSES), st.sampled_from([1, 2, 3]), st.randoms())


@pytest.mark.filterwarnings("ignore:BatchNormalization expects at least 2 samples")
@given(*MIXTURES)
def test_each_network_comes_to_the_same_bits_as_by_itself(call, loss, threads, random):
    assert_same_bits_as_alone(call, loss, threads, random)


def assert_same_bits_as_alone(call, loss, threads, random):
    nets, each, for_all = call
    nets = [fastbp.Sequential(net.layers.values(), loss, scale=net.scale) for net in nets]
    t = targets_of(loss)
    expected = [alone(net, X, t, each, k, **for_all) for k, net in enumerate(nets)]
    order = random.sample(range(len(nets)), len(nets))
    trained = [copy.deepcopy(nets[k]) for k in order]
    shuffled = {name: values and [values[k] for k in order] for name, values in each.items()}
    histories = fastbp.fit_many(trained, X, t, threads=threads, **shuffled, **for_all)
    for k, net, history in zip(order, trained, histories, strict=True):
        assert_same_weights(net, expected[k][0])
        for name, buffer in net.buffers.items():
            assert_same_bits(buffer, expected[k][0].buffers[name])
        assert_same_history(history, expected[k][1])


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int32])
@pytest.mark.parametrize("threads", [1, 2])
def test_samples_of_other_types_are_read_as_they_lie(dtype, threads):
    x = np.random.default_rng(0).integers(0, 100, (N, 5)).astype(dtype)
    rows = [np.arange(0, 40), np.arange(20, 60)]
    nets = [fastbp.mlp([5, 4, 3], seed=k, scale=0.01) for k in range(2)]
    each = {"rows": rows, "seeds": [1, 2]}
    expected = [alone(net, x, T, each, k)[0] for k, net in enumerate(nets)]
    fastbp.fit_many(nets, x, T, threads=threads, **each)
    for net, other in zip(nets, expected, strict=True):
        assert_same_weights(net, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_networks_of_different_losses_have_the_same_targets(threads):
    x, t = X, (T > 0).astype(np.intp)
    nets = [
        fastbp.mlp([5, 4, 2], seed=0),
        fastbp.mlp([5, 4, 1], loss="sigmoid", seed=0),
        fastbp.mlp([5, 3, 1], loss="sigmoid", seed=0, dtype=np.float64),
    ]
    each = {"rows": [None] * 3, "seeds": [1, 2, 3], "epochs": [3, 2, 1]}
    expected = [alone(net, x, t, each, k)[0] for k, net in enumerate(nets)]
    fastbp.fit_many(nets, x, t, threads=threads, **each)
    for net, other in zip(nets, expected, strict=True):
        assert_same_weights(net, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_networks_for_images_too(threads):
    x = np.random.default_rng(0).standard_normal((N, 1, 10, 10)).astype(np.float32)
    nets = [fastbp.convnet("simple-conv", 3, (1, 10, 10), seed=k) for k in range(3)]
    each = {"rows": [np.arange(k, N, 2) for k in range(3)], "seeds": [1, 2, 3], "epochs": [2, 1, 2]}
    expected = [alone(net, x, T, each, k)[0] for k, net in enumerate(nets)]
    fastbp.fit_many(nets, x, T, threads=threads, **each)
    for net, other in zip(nets, expected, strict=True):
        assert_same_weights(net, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_validation_data_are_those_of_all(threads):
    nets = [fastbp.mlp([5, 9, 3], seed=k) for k in range(3)]
    held = X[:20] + 1, T[:20]
    options = {"epochs": 3, "validation_data": held, "patience": 1}
    expected = [copy.deepcopy(net).fit(X, T, seed=1, threads=1, **options) for net in nets]
    histories = fastbp.fit_many(nets, X, T, seeds=1, threads=threads, **options)
    for history, other in zip(histories, expected, strict=True):
        assert_same_history(history, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_networks_share_the_threads_to_the_same_bits(threads, monkeypatch):
    nets = [fastbp.mlp([5, 40, 3], seed=k) for k in range(3)]
    others = copy.deepcopy(nets)
    fastbp.fit_many(nets, X, T, epochs=3, seeds=1, threads=threads)
    inside = []
    monkeypatch.setattr(_cpu, "this", lambda: _cpu.Cpu(caches=(1, 1, 1)))
    see = lambda k, history: inside.append(fastbp.get_num_threads())  # noqa: E731
    fastbp.fit_many(others, X, T, epochs=3, seeds=1, threads=threads, callbacks=[see])
    assert inside == [threads] * 9
    for net, other in zip(nets, others, strict=True):
        assert_same_weights(net, other)


def test_a_single_network_has_all_threads():
    inside = []
    see = lambda k, history: inside.append(fastbp.get_num_threads())  # noqa: E731
    fastbp.fit_many([fastbp.mlp([5, 4, 3])], X, T, threads=3, callbacks=[see])
    assert inside == [3]


@pytest.mark.parametrize("threads", [1, 2])
def test_it_goes_on_from_the_states_of_an_earlier_call(threads):
    nets = [fastbp.mlp([5, 4, 3], seed=k) for k in range(3)]
    whole = copy.deepcopy(nets)
    options = {"optimizers": "adam", "seeds": [1, 2, 3], "threads": threads, "batch_sizes": [7, 8, 9]}
    at_once = fastbp.fit_many(whole, X, T, epochs=[5, 4, 3], **options)
    first = fastbp.fit_many(nets, X, T, epochs=[2, 4, 0], **options)
    states = [first[0].state, first[1].state, None]
    again = fastbp.fit_many(nets, X, T, epochs=[5, 4, 3], resume=states, **options)
    for net, other, history, expected in zip(nets, whole, again, at_once, strict=True):
        assert_same_weights(net, other)
        assert_same_history(history, expected)


def test_without_seeds_each_draws_one_of_its_own():
    nets = [fastbp.mlp([5, 4, 3], seed=0) for _ in range(2)]
    fastbp.fit_many(nets, X, T)
    assert weights_differ(*nets)


def test_networks_of_one_kind_have_a_program_in_common_and_others_their_own(monkeypatch):
    made = []
    program = _lender.RowsProgram
    monkeypatch.setattr(_lender, "RowsProgram", lambda *of: made.append(of) or program(*of))
    nets = [fastbp.mlp([5, 4, 3], seed=k) for k in range(20)]
    fastbp.fit_many(nets, X, T, threads=1)
    assert len(made) == 1
    fastbp.fit_many(nets, X, T, threads=1, batch_sizes=[8, 9] * 10)
    assert len(made) == 3


def test_targets_that_a_network_does_not_take_are_no_matter_where_it_does_not_train_on_them():
    t = np.array([0, 1] * 20 + [7] * 20)
    nets = [fastbp.mlp([5, 4, 2], seed=k) for k in range(2)]
    rows = np.arange(40)
    expected = copy.deepcopy(nets[1])
    expected.fit(X[:40], t[:40], seed=1)
    fastbp.fit_many(nets, X, t, rows=rows, seeds=1)
    assert_same_weights(nets[1], expected)


def test_no_networks_are_trained_at_once():
    assert fastbp.fit_many([], X, T) == []
