"""``fit(resume=...)``: from any stop on to the bits of a run without one, early stopping included."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbp
from fastbp.files import _tensor_file
from fastbp.optimizers import SGD, Adam, Momentum

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((23, 4)), RNG.integers(0, 3, 23)
VALIDATION = RNG.standard_normal((9, 4)), RNG.integers(0, 3, 9)
RULES = [SGD(lr=0.5), Momentum(lr=0.3), Adam(lr=0.2)]


def network(dropout=0.0):
    net = fastbp.mlp([4, 5, 3], dtype=np.float64, seed=0)
    layers = [*net.layers.values()]
    return fastbp.Sequential([*layers[:2], fastbp.Dropout(dropout), layers[2]]) if dropout else net


def lists(history):
    return {name: values for name, values in history.lists().items() if name != "seconds"}


@given(
    optimizer=st.sampled_from(RULES),
    epochs=st.integers(1, 8),
    batch_size=st.integers(1, 23),
    validated=st.booleans(),
    patience=st.integers(1, 3),
    stops=st.lists(st.integers(0, 60), max_size=3),
    dropout=st.sampled_from([0.0, 0.3]),
    shuffle=st.booleans(),
)
def test_any_stops_end_in_the_same_bits(optimizer, epochs, batch_size, validated, patience, stops, dropout, shuffle):
    options = {"batch_size": batch_size, "optimizer": optimizer, "seed": 3, "shuffle": shuffle, "progress": False}
    if validated:
        options |= {"validation_data": VALIDATION, "patience": patience}
    whole = network(dropout)
    expected = whole.fit(X, T, epochs=epochs, **options)
    state, net = None, network(dropout)
    for stop in sorted(stops):
        state = network(dropout).fit(X, T, epochs=epochs, max_steps=stop, resume=state, **options).state
    history = net.fit(X, T, epochs=epochs, resume=state, **options)
    assert lists(history) == lists(expected)
    assert history.state.step == expected.state.step
    for name, p in whole.params.items():
        np.testing.assert_array_equal(net.params[name], p)
    for name in ("parameters", "first", "second", "best_parameters"):
        np.testing.assert_array_equal(getattr(history.state, name), getattr(expected.state, name))


def exhausted():
    """The state of a run whose patience of 1 ran out."""
    history = network().fit(
        X, T, epochs=50, optimizer=SGD(lr=3.0), validation_data=VALIDATION, patience=1, seed=0, progress=False
    )
    assert len(history.loss) < 50
    return history


def test_where_patience_had_run_out_nothing_more_is_done():
    before = exhausted()
    seen = []
    net = network()
    history = net.fit(
        X,
        T,
        epochs=60,
        optimizer=SGD(lr=3.0),
        validation_data=VALIDATION,
        patience=1,
        callbacks=[seen.append],
        resume=before.state,
        progress=False,
    )
    assert (lists(history), seen) == (lists(before), [])
    np.testing.assert_array_equal(net._binding().vector, before.state.best_parameters)


@pytest.mark.parametrize("patience", [None, 2])
def test_more_patience_or_none_goes_on(patience):
    before = exhausted()
    options = {"validation_data": VALIDATION, "patience": patience, "resume": before.state, "progress": False}
    history = network().fit(X, T, epochs=len(before.loss) + 1, optimizer=SGD(lr=3.0), **options)
    assert len(history.loss) == len(before.loss) + 1


def test_another_optimizer_is_told():
    state = network().fit(X, T, optimizer=Momentum(), progress=False).state
    assert state.optimizer == "Momentum"
    with pytest.raises(ValueError, match="it is of a run with Momentum, here the optimizer is Nesterov: pass optim"):
        network().fit(X, T, epochs=2, optimizer="nesterov", resume=state, progress=False)
    network().fit(X, T, epochs=2, optimizer=Momentum(lr=0.5), resume=state, progress=False)


def test_a_state_that_does_not_know_its_optimizer_is_checked_by_its_vectors():
    state = replace(network().fit(X, T, optimizer="adam", progress=False).state, optimizer=None)
    network().fit(X, T, epochs=2, optimizer="adamw", resume=state, progress=False)
    with pytest.raises(ValueError, match=r"its second are 43 numbers of float64, here 0 .*states of another optimizer"):
        network().fit(X, T, epochs=2, optimizer="momentum", resume=state, progress=False)


def test_a_file_without_the_name_of_the_optimizer_still_loads(tmp_path):
    path, net = tmp_path / "net.safetensors", network()
    net.save(path, state=net.fit(X, T, optimizer="adam", progress=False).state)
    assert fastbp.load_checkpoint(path).state.optimizer == "Adam"
    description, tensors = _tensor_file.read(path)
    del description["state"]["optimizer"]
    _tensor_file.write(path, description, tensors)
    assert fastbp.load_checkpoint(path).state.optimizer is None
