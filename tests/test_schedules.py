"""Learning rate schedules: their values, how they look, and what they refuse."""

import math
import pickle

import numpy as np
import pytest

from fastbp.schedules import constant, cosine, step_decay, warm_up

EXAMPLES = [
    (constant(0.1), "constant(lr=0.1)"),
    (step_decay(1, 2, 0.5), "step_decay(lr=1.0, every=2, factor=0.5)"),
    (cosine(0.1, 100), "cosine(lr=0.1, steps=100, final=0.0)"),
    (cosine(0.1, epochs=3, final=0.01), "cosine(lr=0.1, epochs=3, final=0.01)"),
    (warm_up(0.5, 4), "warm_up(schedule=constant(lr=0.5), steps=4)"),
    (warm_up(cosine(0.1, 10), 4), "warm_up(schedule=cosine(lr=0.1, steps=10, final=0.0), steps=4)"),
]


@pytest.mark.parametrize(("schedule", "text"), EXAMPLES, ids=[text for _, text in EXAMPLES])
def test_repr_names_every_setting_and_makes_an_equal_one(schedule, text):
    assert repr(schedule) == text
    names = {kind.__name__: kind for kind in (constant, step_decay, cosine, warm_up)}
    copy = eval(text, names)
    assert copy == schedule == pickle.loads(pickle.dumps(schedule))
    assert hash(copy) == hash(schedule)
    assert type(schedule(3, 1)) is float


def test_settings_are_frozen_and_tell_schedules_apart():
    with pytest.raises(AttributeError):
        constant(0.1).lr = 0.2
    assert cosine(0.1, steps=5) != cosine(0.1, epochs=5)
    assert constant(0.1) != constant(0.2)


def test_constant():
    assert {constant(0.3)(step, epoch) for step in (0, 1, 10**9) for epoch in (0, 7)} == {0.3}


def test_step_decay_counts_epochs():
    schedule = step_decay(0.8, every=3, factor=0.1)
    assert [schedule(999, epoch) for epoch in range(3)] == [0.8] * 3
    assert schedule(0, 3) == pytest.approx(0.08, rel=1e-15)
    assert schedule(0, 9) == pytest.approx(0.8e-3, rel=1e-14)


@pytest.mark.parametrize("length", ["steps", "epochs"])
def test_cosine(length):
    schedule = cosine(0.5, **{length: 10}, final=0.1)
    rates = [schedule(n, 0) if length == "steps" else schedule(0, n) for n in range(21)]
    expected = [0.1 + 0.4 * (1 + math.cos(math.pi * n / 10)) / 2 for n in range(11)] + [0.1] * 10
    np.testing.assert_allclose(rates, expected, rtol=1e-15)
    assert rates[0] == 0.5
    assert rates[10] == 0.1


def test_warm_up_rises_by_equal_steps_then_follows():
    inner = cosine(0.5, steps=20)
    schedule = warm_up(inner, steps=5)
    assert [schedule(step, 0) / inner(step, 0) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert [schedule(step, 0) for step in range(4, 30)] == [inner(step, 0) for step in range(4, 30)]
    assert [warm_up(0.4, 2)(step, 0) for step in range(4)] == [0.2, 0.4, 0.4, 0.4]


def test_warm_up_passes_the_epoch_on_and_takes_any_function():
    assert warm_up(lambda step, epoch: 10.0 * epoch + step, 1)(3, 2) == 23


BAD = [
    (lambda: constant(0), ValueError, "lr must be a finite number above 0, got 0"),
    (lambda: constant(-0.1), ValueError, "lr must be a finite number above 0, got -0.1"),
    (lambda: constant(math.nan), ValueError, "lr must be a finite number above 0, got nan"),
    (lambda: constant(math.inf), ValueError, "lr must be a finite number above 0, got inf"),
    (lambda: constant(10**400), ValueError, "lr must be a finite number above 0, got 1000"),
    (lambda: constant(True), TypeError, "lr must be a finite number above 0, got True"),
    (lambda: constant("0.1"), TypeError, "lr must be a finite number above 0, got '0.1'"),
    (lambda: constant(None), TypeError, "lr must be a finite number above 0, got None"),
    (lambda: step_decay(0, 1, 0.5), ValueError, "lr must be a finite number above 0, got 0"),
    (lambda: step_decay(1, 0, 0.5), ValueError, "every must be an integer of at least 1, got 0"),
    (lambda: step_decay(1, 1.5, 0.5), TypeError, "every must be an integer of at least 1, got 1.5"),
    (lambda: step_decay(1, 1, 0), ValueError, "factor must be a finite number in 0..1 above 0, got 0"),
    (lambda: step_decay(1, 1, 1.1), ValueError, "factor must be a finite number in 0..1 above 0, got 1.1"),
    (lambda: step_decay(1, 1, math.nan), ValueError, "factor must be a finite number in 0..1 above 0, got nan"),
    (lambda: cosine(1), ValueError, "cosine needs either steps or epochs, got steps=None, epochs=None"),
    (lambda: cosine(1, 2, 3), ValueError, "cosine needs either steps or epochs, got steps=2, epochs=3"),
    (lambda: cosine(1, True), TypeError, "steps must be an integer of at least 1, got True"),
    (lambda: cosine(1, epochs=-1), ValueError, "epochs must be an integer of at least 1, got -1"),
    (lambda: cosine(1, 5, final=2), ValueError, "final must be a finite number in 0..1, got 2"),
    (lambda: cosine(1, 5, final=-1), ValueError, "final must be a finite number in 0..1, got -1"),
    (lambda: warm_up(0, 5), ValueError, "lr must be a finite number above 0, got 0"),
    (lambda: warm_up("slow", 5), TypeError, "lr must be a finite number above 0, got 'slow'"),
    (lambda: warm_up(0.1, 0), ValueError, "steps must be an integer of at least 1, got 0"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_settings(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_numpy_numbers_become_python_ones():
    schedule = cosine(np.float32(0.5), np.int64(4))
    assert repr(schedule) == "cosine(lr=0.5, steps=4, final=0.0)"
