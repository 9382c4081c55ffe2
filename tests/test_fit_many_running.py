"""While many networks are trained: those that diverge, callbacks, Ctrl-C, progress, memory, threads."""

import copy
import io
import re
import signal
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from fits import assert_same_weights
from own_layers import Swish

import fastbp
from fastbp.optimizers import SGD

X = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
T = np.arange(60) % 3
THREADS = [1, 2, 4]
DIVERGES = SGD(1e30)


def small(n=4):
    return [fastbp.mlp([5, 4, 3], seed=k) for k in range(n)]


def with_nan():
    x = X.copy()
    x[7, 2] = np.nan
    return x


@pytest.mark.parametrize("threads", THREADS)
def test_one_that_diverges_is_named_at_the_end_and_the_others_are_whole(threads):
    nets, optimizers = small(), ["sgd", DIVERGES, "sgd", "sgd"]
    expected = copy.deepcopy(nets)
    for net in expected[:1] + expected[2:]:
        net.fit(X, T, epochs=5, seed=1)
    with pytest.raises(FloatingPointError, match=re.escape("nets[1]: the ") + ".* in epoch .*smaller learning rate$"):
        fastbp.fit_many(nets, X, T, optimizers=optimizers, epochs=5, seeds=1, threads=threads)
    for k in (0, 2, 3):
        assert_same_weights(nets[k], expected[k])
    assert all(np.isfinite(p).all() for p in nets[1].params.values())


@pytest.mark.parametrize("threads", THREADS)
def test_one_that_diverges_has_the_weights_that_it_has_by_itself(threads):
    nets = small(2)
    alone = copy.deepcopy(nets[1])
    with pytest.raises(FloatingPointError) as error:
        alone.fit(X, T, optimizer=DIVERGES, epochs=5, seed=1)
    kept = fastbp.fit_many(nets, X, T, optimizers=DIVERGES, epochs=5, seeds=1, threads=threads, errors="keep")
    assert_same_weights(nets[1], alone)
    assert [type(one) for one in kept] == [FloatingPointError] * 2
    assert str(kept[1]) == str(error.value)


def test_kept_errors_stand_at_their_places():
    kept = fastbp.fit_many(small(), X, T, optimizers=["sgd", DIVERGES, "sgd", DIVERGES], epochs=5, errors="keep")
    assert [type(one).__name__ for one in kept] == ["History", "FloatingPointError"] * 2


def test_several_that_diverge_are_all_named():
    optimizers = ["sgd", DIVERGES, "sgd", DIVERGES]
    with pytest.raises(FloatingPointError, match=re.escape("; nets[3] have failed, too")):
        fastbp.fit_many(small(), X, T, optimizers=optimizers, epochs=5)
    with pytest.raises(FloatingPointError, match=re.escape("nets[5] and 3 more have failed, too")):
        fastbp.fit_many(small(9), X, T, optimizers=DIVERGES, epochs=5)


def test_a_number_that_is_none_is_found_where_it_lies():
    rows = [np.arange(20, 60), np.arange(5, 15)]
    with pytest.raises(FloatingPointError, match=re.escape("nets[1]: ") + ".*" + re.escape("x[7, 2] is nan")):
        fastbp.fit_many(small(2), with_nan(), T, rows=rows)


def test_and_among_those_to_validate_with():
    rows = [[1, 2], [6, 7]]
    with pytest.raises(FloatingPointError, match=re.escape("nets[1]: ") + ".*validation.*" + re.escape("x[7, 2] is n")):
        fastbp.fit_many(small(2), with_nan(), T, rows=np.arange(20, 60), validation_rows=rows)


@pytest.mark.parametrize("threads", THREADS)
def test_callbacks_hear_of_each_network_and_end_its_training(threads):
    heard, ident = [], threading.get_ident()

    def hear(k, history):
        heard.append((k, len(history.loss), threading.get_ident() == ident))
        return k == len(history.loss)

    histories = fastbp.fit_many(small(), X, T, epochs=3, callbacks=[hear], threads=threads)
    assert [len(history.loss) for history in histories] == [3, 1, 2, 3]
    assert sorted(one[:2] for one in heard) == [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]
    assert all(is_calling == (threads == 1) for *_, is_calling in heard)


@pytest.mark.parametrize("threads", THREADS)
def test_an_error_of_a_callback_is_raised_when_the_others_are_done(threads):
    nets = small()
    expected = copy.deepcopy(nets[3])
    expected.fit(X, T, epochs=3, seed=1)

    def fail(k, history):
        if k == 1:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fastbp.fit_many(nets, X, T, epochs=3, seeds=1, callbacks=[fail], threads=threads, errors="keep")
    assert_same_weights(nets[3], expected)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_leaves_each_network_at_a_finished_step(threads):
    nets = small(3)
    states, begun = {}, threading.Event()
    before = [net.params["W1"].copy() for net in nets]

    def hear(k, history):
        states[k] = history.state
        if not begun.is_set() and len(states) == threads:
            begun.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fastbp.fit_many(nets, X, T, epochs=10**7, seeds=1, callbacks=[hear], threads=threads)
    assert len(states) == threads
    for k, net in enumerate(nets):
        if k not in states:
            np.testing.assert_array_equal(net.params["W1"], before[k])
            continue
        # From the last state that was heard of, steps of so far lead to what the network has.
        for steps in range(states[k].step, states[k].step + 200):
            other = fastbp.mlp([5, 4, 3], seed=k)
            other.fit(X, T, epochs=10**7, max_steps=steps, resume=states[k])
            if np.array_equal(other.params["W1"], net.params["W1"]):
                break
        else:
            raise AssertionError(f"nets[{k}] is at no finished step")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_after_an_interrupt_no_thread_trains_on_and_all_can_be_trained_again():
    nets = small(3)
    stop = threading.Timer(0.3, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
    stop.start()
    with pytest.raises(KeyboardInterrupt):
        fastbp.fit_many(nets, X, T, epochs=10**7, threads=2)
    stop.join()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastbp-pool")]
    fastbp.fit_many(nets, X, T, threads=2)


@pytest.mark.parametrize("threads", [1, 3])
def test_samples_are_not_copied(threads):
    x = np.zeros((60000, 250), np.float32)
    t = np.arange(60000) % 3
    rows = [np.arange(k, 60000, 2) for k in range(6)]
    nets = [fastbp.mlp([250, 3]) for _ in rows]
    tracemalloc.start()
    fastbp.fit_many(nets, x, t, rows=rows, batch_sizes=500, threads=threads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2  # of which the scratch memory of each thread is a tenth


@pytest.mark.parametrize("threads", [1, 2])
def test_it_works_from_another_thread_and_gives_its_threads_back(threads):
    nets, done = small(), []
    expected = copy.deepcopy(nets[2])
    expected.fit(X, T, seed=1)
    thread = threading.Thread(
        target=lambda: done.extend([fastbp.fit_many(nets, X, T, seeds=1, threads=threads), fastbp.get_num_threads()])
    )
    thread.start()
    thread.join()
    assert len(done[0]) == 4
    assert done[1] == 1
    assert_same_weights(nets[2], expected)


def test_two_calls_at_once_do_not_meet():
    groups = [small(), small()]
    threads = [threading.Thread(target=fastbp.fit_many, args=(g, X, T), kwargs={"seeds": 1}) for g in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for net, other in zip(*groups, strict=True):
        assert_same_weights(net, other)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_shows_the_steps_of_all(threads, progress, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    fastbp.fit_many(
        small(),
        X,
        T,
        epochs=[1, 2, 3, 4],
        batch_sizes=30,
        threads=threads,
        progress=progress,
        callbacks=[lambda k, history: None],
    )
    assert ("/20 [" in terminal.getvalue()) is progress
    assert "/2 [" not in terminal.getvalue()


@pytest.mark.parametrize("threads", [1, 2])
def test_networks_with_layers_in_python_are_trained_layer_by_layer(threads):
    def own(k):
        return fastbp.Sequential([Swish(1.0), *fastbp.mlp([5, 4, 3], seed=k).layers.values()])

    nets, expected = [own(0), own(1)], own(1)
    with pytest.warns(UserWarning, match="layer by layer"):
        expected.fit(X[10:], T[10:], seed=1)
    with pytest.warns(UserWarning, match="layer by layer"):
        fastbp.fit_many(nets, X, T, rows=np.arange(10, 60), seeds=1, threads=threads)
    assert_same_weights(nets[1], expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_layer_that_a_callback_changes_is_followed(threads):
    def change(net):
        net.layers["Dropout1"].p = 0.9

    nets = [fastbp.mlp([5, 9, 3], seed=k, dropout=0.1) for k in range(3)]
    expected = copy.deepcopy(nets[1])
    expected.fit(X, T, epochs=3, seed=1, callbacks=[lambda history: change(expected)])
    calls = [lambda k, history: change(nets[k])]
    fastbp.fit_many(nets, X, T, epochs=3, seeds=1, callbacks=calls, threads=threads)
    assert_same_weights(nets[1], expected)
