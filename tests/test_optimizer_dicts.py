"""Optimizers on dicts of parameters, as the book has them."""

import copy
import math
import pickle

import numpy as np
import pytest
from optimizer_runs import all_optimizers, gradients, normal, reference, trained

from fastbp.optimizers import SGD, AdaGrad, Adam, Momentum, RMSprop


def book(name, lr):
    """The book's formulas for one number: a function from the number and its gradient to the next number."""
    memory = {"v": 0.0, "h": 0.0, "m": 0.0, "t": 0}

    def move(x, g):
        memory["t"] += 1
        if name == "SGD":
            return x - lr * g
        if name == "Momentum":
            memory["v"] = 0.9 * memory["v"] - lr * g
            return x + memory["v"]
        if name == "AdaGrad":
            memory["h"] += g * g
            return x - lr * g / (math.sqrt(memory["h"]) + 1e-7)
        if name == "RMSprop":
            memory["h"] = 0.99 * memory["h"] + (1 - 0.99) * g * g
            return x - lr * g / (math.sqrt(memory["h"]) + 1e-7)
        memory["m"] += (1 - 0.9) * (g - memory["m"])
        memory["v"] += (1 - 0.999) * (g * g - memory["v"])
        rate = lr * math.sqrt(1 - 0.999 ** memory["t"]) / (1 - 0.9 ** memory["t"])
        return x - rate * memory["m"] / (math.sqrt(memory["v"]) + 1e-7)

    return move


@pytest.mark.parametrize(
    ("optimizer", "rel"),
    [
        (SGD(lr=0.95), 1e-13),
        (Momentum(lr=0.1), 1e-13),
        (AdaGrad(lr=1.5, eps=1e-7), 1e-13),
        (AdaGrad(lr=1.5), 1e-5),
        (RMSprop(lr=0.1, eps=1e-7), 1e-13),
        (Adam(lr=0.3), 1e-4),
    ],
    ids=repr,
)
def test_the_book_compares_optimizers_on_plain_numbers(optimizer, rel):
    """Chapter 6: x**2 / 20 + y**2 from (-7, 2), 30 steps. The formulas are the book's but for eps."""
    params = {"x": -7.0, "y": 2.0}
    x, y = params.values()
    move_x, move_y = (book(type(optimizer).__name__, optimizer.lr) for _ in range(2))
    for _ in range(30):
        optimizer.update(params, {"x": params["x"] / 10, "y": 2 * params["y"]})
        x, y = move_x(x, x / 10), move_y(y, 2 * y)
        assert (params["x"], params["y"]) == pytest.approx((x, y), rel=rel, abs=rel)
    assert type(params["x"]) is float


@all_optimizers
def test_update_writes_to_the_arrays_of_a_dict(kind):
    shapes = {"W1": (3, 4), "b1": (4,), "scale": (), "none": (0, 2)}
    params = {key: np.ones(shape, np.float32 if key == "b1" else np.float64) for key, shape in shapes.items()}
    arrays, optimizer = dict(params), kind()
    for seed in range(3):
        grads = {key: np.reshape(normal(math.prod(shape), np.float32, seed), shape) for key, shape in shapes.items()}
        kept = copy.deepcopy(grads)
        optimizer.update(params, dict(reversed(grads.items())))
        for key, shape in shapes.items():
            assert params[key] is arrays[key]
            np.testing.assert_array_equal(grads[key], kept[key])
            assert params[key].shape == shape
    for key, shape in shapes.items():
        gs = [normal(math.prod(shape), np.float32, seed).reshape(shape) for seed in range(3)]
        expected = reference(optimizer, np.ones(shape), gs)
        np.testing.assert_allclose(params[key], expected.astype(float), rtol=1e-6)


def test_gradients_of_any_layout_and_real_type():
    W = normal(12).reshape(3, 4)
    for grad in (np.asfortranarray(W), np.repeat(W, 2, axis=1)[:, ::2], W.astype(">f8"), W.tolist()):
        params = {"W": W.copy()}
        SGD(lr=0.5).update(params, {"W": grad})
        np.testing.assert_array_equal(params["W"], W - 0.5 * W)
    params = {"W": np.ones(3)}
    SGD(lr=0.5).update(params, {"W": np.array([1, 2, 3])})
    np.testing.assert_array_equal(params["W"], [0.5, 0, -0.5])


def test_numbers_keep_their_type():
    params = {"a": np.float32(1), "b": np.float64(1), "c": 1, "d": np.array(1.0)}
    Adam(lr=0.5).update(params, dict.fromkeys(params, 2))
    assert [type(value) for value in params.values()] == [np.float32, np.float64, float, np.ndarray]
    assert list(params.values()) == pytest.approx([0.5] * 4, rel=1e-6)


def test_a_parameter_that_comes_later_starts_at_its_own_first_step():
    optimizer, late = Adam(lr=0.1), {"new": np.zeros(3)}
    optimizer.update({"old": np.zeros(3)}, {"old": np.ones(3)})
    optimizer.update(late, {"new": np.ones(3)})
    np.testing.assert_allclose(late["new"], -0.1, rtol=1e-6)


def test_update_counts_steps_and_passes_the_epoch_on():
    seen = []

    def schedule(step, epoch):
        seen.append((step, epoch))
        return 0.5

    optimizer, params = SGD(lr=schedule), {"W": np.zeros(1)}
    for epoch in (0, 0, 1):
        optimizer.update(params, {"W": np.ones(1)}, epoch=epoch)
    assert seen == [(0, 0), (1, 0), (2, 1)]
    assert params["W"] == -1.5


def test_pickled_and_copied_in_the_middle_it_goes_on_where_it_was():
    grads = gradients(20, np.float64, 4)
    whole = Adam()
    p = trained(whole, normal(20), grads)
    for duplicate in (lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy):
        half = Adam()
        middle = trained(half, normal(20), grads[:2])
        np.testing.assert_array_equal(trained(duplicate(half), middle, grads[2:]), p)


def read_only(x):
    x.flags.writeable = False
    return x


W = np.ones((2, 3))
BAD_PARAMS = [
    (W.astype(int), TypeError, "params['W'] must be a float32 or float64 array, got dtype int64"),
    (W.astype(">f8"), TypeError, "params['W'] must be a float32 or float64 array, got dtype >f8"),
    (W.astype(complex), TypeError, "params['W'] must be a float32 or float64 array, got dtype complex128"),
    (W.tolist(), TypeError, "params['W'] must be a float32 or float64 array, got list"),
    (None, TypeError, "params['W'] must be a float32 or float64 array, got NoneType"),
    (True, TypeError, "params['W'] must be a float32 or float64 array, got bool"),
    (np.asfortranarray(W), ValueError, "params['W'] must be C-contiguous, aligned and writable: it is changed"),
    (np.ones((2, 6))[:, ::2], ValueError, "params['W'] must be C-contiguous, aligned and writable: it is changed"),
    (read_only(W.copy()), ValueError, "params['W'] must be C-contiguous, aligned and writable: it is changed"),
    (np.ones((3, 2)), ValueError, "grads['W'] must have the shape of params['W'], (3, 2), got (2, 3)"),
    (np.ones((2, 3), np.float32), ValueError, "params['W'] must be float64 of shape (2, 3) as before, got float32 of"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD_PARAMS, ids=[str(i) for i in range(len(BAD_PARAMS))])
def test_bad_params_change_nothing(bad, error, message):
    optimizer, params = Adam(), {"b": np.ones(3), "W": np.ones((2, 3))}
    grads = {"b": np.ones(3), "W": np.ones((2, 3))}
    optimizer.update(params, grads)
    before = pickle.dumps((vars(optimizer), params["b"]))
    with pytest.raises(error) as caught:
        optimizer.update(params | {"W": bad}, grads)
    assert str(caught.value).startswith(message)
    assert pickle.dumps((vars(optimizer), params["b"])) == before


def test_bad_grads():
    params = {"W": np.ones(2), "b": np.ones(1)}
    with pytest.raises(ValueError, match=r"grads must have the keys of params, \['W', 'b'\], got \['W'\]"):
        SGD().update(params, {"W": np.ones(2)})
    with pytest.raises(ValueError, match=r"grads must have the keys of params, .* got \['W', 'b', 'c'\]"):
        SGD().update(params, {"W": np.ones(2), "b": np.ones(1), "c": np.ones(1)})
    with pytest.raises(TypeError, match=r"grads\['b'\] must hold real numbers of at most 64 bits, got dtype object"):
        SGD().update(params, {"W": np.ones(2), "b": None})
    np.testing.assert_array_equal(params["W"], 1)
