"""Runs that go back to a copy made many chunks of steps ago, since copies cost time."""

import copy

import numpy as np
import pytest
from fits import T, X, assert_same_weights, fitted, small

from fastbp.optimizers import SGD, Adam
from fastbp.training import _retreat, _run
from fastbp.training._retreat import Retreat


@pytest.fixture
def with_one_copy(monkeypatch):
    """Chunks of three steps, and no copy but the first."""
    monkeypatch.setattr(_run, "MOST_STEPS", 3)
    monkeypatch.setattr(_retreat, "MOST_OF_THE_TIME", 0.0)


def bursting(at, optimizer):
    """An optimizer whose rate is far too large from that step on, and which is asked once for each step."""
    asked = []

    def rate(step, epoch):
        assert step not in asked
        asked.append(step)
        return 1e308 if step >= at else optimizer.lr

    return type(optimizer)(lr=rate)


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), Adam(lr=0.01)], ids=["fused", "Adam"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("at", [1, 14, 40])
def test_the_steps_since_the_copy_are_done_again(at, shuffle, optimizer, with_one_copy):
    net = small(dropout=0.3)
    options = {"epochs": 50, "batch_size": 8, "shuffle": shuffle, "seed": 7, "progress": False}
    got = copy.deepcopy(net)
    with pytest.raises(FloatingPointError, match="the parameters are no longer finite") as error:
        got.fit(X, T, optimizer=bursting(at, optimizer), **options)
    assert f"epoch {at // 7 + 1}, batch {at % 7 + 1};" in str(error.value)
    assert_same_weights(got, fitted(net, epochs=9, max_steps=at, optimizer=optimizer, shuffle=shuffle)[0])


def test_what_a_callback_writes_is_not_taken_back(with_one_copy):
    net, steps = small(), []

    def halve(history):
        net.params["W1"] *= 0.5
        steps.append(net.params["W1"].copy())

    with pytest.raises(FloatingPointError, match="in epoch 3, batch 1;"):
        net.fit(X, T, epochs=9, batch_size=8, optimizer=bursting(14, SGD(lr=0.1)), callbacks=[halve], progress=False)
    np.testing.assert_array_equal(net.params["W1"], steps[-1])


class Run:
    """Steps of a second each, with a vector that takes a second to copy."""

    step, vectors = 0, ()


def test_copies_take_no_more_of_the_time_than_is_said(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(_retreat.time, "perf_counter", lambda: next(clock))
    retreat, copies = Retreat(()), 0
    for _ in range(2000):
        copies += not retreat.is_ready
        retreat.prepare(Run())
        retreat.went(np.zeros(1), 1.0)
        if retreat.is_far:
            retreat.forget()
    assert copies == 2000 * _retreat.MOST_OF_THE_TIME
