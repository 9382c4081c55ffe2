"""fastbp.book's optimizers: the book's formulas on dicts, what they remember, and what they refuse."""

import copy

import numpy as np
import pytest
from strategies import FLOATS, eps

from fastbp.book import optimizer
from fastbp.reference.book import optimizer as plain

NAMES = [name for name in optimizer.__all__ if name != "np"]
names = pytest.mark.parametrize("name", NAMES)
SHAPES = {"W": (7, 5), "b": (5,), "filters": (2, 3, 2, 2), "one": (), "none": (0, 3)}


def gradients(n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [{key: np.array(rng.standard_normal(shape), dtype) for key, shape in SHAPES.items()} for _ in range(n)]


def trained(one, dtype, steps):
    (params,) = gradients(1, dtype, seed=1)
    for grads in steps:
        one.update(params, grads)
    return params


@names
@pytest.mark.parametrize("dtype", FLOATS)
def test_50_steps_are_those_of_the_formulas(name, dtype):
    steps = gradients(50, dtype)
    got = trained(getattr(optimizer, name)(), dtype, steps)
    wide = [{key: g.astype(np.float64) for key, g in grads.items()} for grads in steps]
    (params,) = gradients(1, dtype, seed=1)
    expected = {key: p.astype(np.float64) for key, p in params.items()}
    twin = getattr(plain, name)()
    for grads in wide:
        twin.update(expected, grads)
    for key, p in got.items():
        assert p.dtype == dtype
        np.testing.assert_allclose(p, expected[key], rtol=0, atol=64 * eps(dtype))


@names
def test_settings_may_change_between_steps(name):
    one, twin = getattr(optimizer, name)(), getattr(plain, name)()
    ours, theirs = {"W": np.ones(4)}, {"W": np.ones(4)}
    for step, lr in enumerate((0.1, 0.02, 0.3)):
        one.lr = twin.lr = lr
        for setting, value in (("momentum", 0.5), ("decay_rate", 0.5), ("beta1", 0.5)):
            if step == 2 and hasattr(one, setting):
                setattr(one, setting, value)
                setattr(twin, setting, value)
        grads = {"W": np.random.default_rng(step).standard_normal(4)}
        one.update(ours, grads)
        twin.update(theirs, grads)
        np.testing.assert_allclose(ours["W"], theirs["W"], rtol=1e-13)


@names
def test_defaults_and_arguments_are_the_books(name):
    one = getattr(optimizer, name)()
    twin = getattr(plain, name)()
    for setting in ("lr", "momentum", "decay_rate", "beta1", "beta2", "iter"):
        assert getattr(one, setting, None) == getattr(twin, setting, None)


def test_what_is_remembered_stands_in_dicts():
    adam, momentum = optimizer.Adam(), optimizer.Momentum(0.1, 0.5)
    assert adam.m is adam.v is momentum.v is None
    params = {"W": np.zeros((2, 3))}
    for one in (adam, momentum):
        one.update(params, {"W": np.ones((2, 3))})
    assert adam.iter == 1
    np.testing.assert_allclose(adam.m["W"], np.full((2, 3), 0.1))
    np.testing.assert_allclose(adam.v["W"], np.full((2, 3), 0.001))
    np.testing.assert_allclose(momentum.v["W"], np.full((2, 3), -0.1))
    adam.update(params | {"b": np.zeros(2)}, {"W": np.ones((2, 3)), "b": np.ones(2)})  # one more, as of another network
    assert list(adam.m) == ["W", "b"]


@names
def test_numbers_are_replaced_as_in_the_script_of_two_variables(name):
    one, twin = getattr(optimizer, name)(), getattr(plain, name)()
    ours, theirs = {"x": -7.0, "y": 2}, {"x": -7.0, "y": 2}
    for _ in range(10):
        for which, params in ((one, ours), (twin, theirs)):
            which.update(params, {"x": params["x"] / 10, "y": 2 * params["y"]})
    assert {key: type(value) for key, value in ours.items()} == {"x": float, "y": float}
    assert ours == pytest.approx(theirs, rel=1e-13)


@names
def test_parameters_of_any_layout_are_written_to(name):
    p = np.arange(12.0).reshape(3, 4)
    expected, g = {"W": p.copy()}, np.ones((3, 4))
    getattr(optimizer, name)().update(expected, {"W": g})
    for given in (np.asfortranarray(p), np.repeat(p, 2, axis=1)[:, ::2]):
        params = {"W": given}
        getattr(optimizer, name)().update(params, {"W": np.asfortranarray(g)})
        assert params["W"] is given
        np.testing.assert_array_equal(given, expected["W"])


@names
def test_the_same_bits_for_any_number_of_threads(name, set_threads):
    runs, rng = [], np.random.default_rng(0)
    p, g = rng.standard_normal((2, 300, 301))
    for n in (1, 3):
        set_threads(n)
        params, one = {"W": p.copy()}, getattr(optimizer, name)()
        for _ in range(2):
            one.update(params, {"W": g})
        runs.append(params["W"].tobytes())
    assert runs[0] == runs[1]


BAD = [
    ({"W": np.ones(2)}, {}, ValueError, r"grads must have the keys of params, which has 'W', got \['first'\]"),
    (
        {"W": np.ones(2)},
        {"W": np.ones(3)},
        ValueError,
        r"grads\['W'\] must have the shape of params\['W'\], \(2,\)",
    ),
    (
        {"W": np.ones(2, int)},
        {"W": np.ones(2)},
        TypeError,
        r"params\['W'\] must be a float32 or float64 array, got",
    ),
    ({"W": [1.0, 2.0]}, {"W": np.ones(2)}, TypeError, r"params\['W'\] must be a float32 or float64 array, got list"),
    (
        {"W": np.ones((3, 1))},
        {"W": np.ones((3, 1))},
        ValueError,
        r"params\['W'\] must be float64 of shape \(2,\)",
    ),
]


@pytest.mark.parametrize(("params", "grads", "error", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_changes_nothing(params, grads, error, message):
    one, first = optimizer.Adam(), np.ones(2)
    one.update({"W": first, "first": first.copy()}, {"W": first.copy(), "first": np.ones(2)})
    before = copy.deepcopy(vars(one))
    first = np.ones(2)
    with pytest.raises(error, match=message):
        one.update({"first": first} | params, {"first": np.ones(2)} | grads)
    assert first.tolist() == [1, 1]
    assert repr(vars(one)) == repr(before)


def test_settings_that_are_refused():
    for bad in (lambda: optimizer.SGD(-0.1), lambda: setattr(optimizer.SGD(), "lr", float("nan"))):
        with pytest.raises(ValueError, match="lr must be a finite number of at least 0, got"):
            bad()
    with pytest.raises(ValueError, match="momentum must be a finite number of at least 0 below 1, got 1"):
        optimizer.Momentum(momentum=1)
