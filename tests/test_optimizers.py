"""Optimizers against torch.optim, the formulas in NumPy and the book's; their kernel, their dicts, what they refuse."""

import copy
import math
import pickle
import re

import numpy as np
import pytest
from numba import types
from numba.core.caching import NullCache

import fastbp
from fastbp import _team
from fastbp.kernels import optimizer as kernels
from fastbp.kernels._jit import kernel
from fastbp.kernels.isa import ISA
from fastbp.kernels.reduce import CHAINS
from fastbp.kernels.team import CHUNK, parts_of
from fastbp.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop, get_optimizer
from fastbp.schedules import cosine, step_decay

ALL = [SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam, AdamW]
FLOATS = (np.float32, np.float64)
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-12}  # relative and absolute, after 50 steps

all_optimizers = pytest.mark.parametrize("kind", ALL)
dtypes = pytest.mark.parametrize("dtype", FLOATS)
with_and_without_decay = pytest.mark.parametrize("weight_decay", [0.0, 0.1])

# Of the kernel: arrays and numbers that each takes.
LOOPS = [("_sgd", 2, 3), ("_momentum", 3, 4), ("_nesterov", 3, 4), ("_scaled", 3, 6), ("_adam", 4, 9)]


@pytest.fixture
def set_threads():
    """``fastbp.set_num_threads``, undone after the test."""
    before = fastbp.get_num_threads()
    yield fastbp.set_num_threads
    fastbp.set_num_threads(before)


def normal(n, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(dtype)


def gradients(n, dtype, steps=50):
    """A gradient for each step, the scale of its elements from 1e-4 to 10."""
    return [np.logspace(-4, 1, n).astype(dtype) * normal(n, dtype, seed) for seed in range(1, steps + 1)]


def trained(optimizer, p, grads):
    params = {"W": p.copy()}
    for g in grads:
        optimizer.update(params, {"W": g})
    return params["W"]


def torch_optimizer(torch, ours, tensors):
    """torch's optimizer with the settings of ours."""
    rest = {"lr": ours.lr, "weight_decay": ours.weight_decay}
    betas = {"betas": (getattr(ours, "beta1", None), getattr(ours, "beta2", None)), "eps": getattr(ours, "eps", None)}
    return {
        SGD: lambda: torch.optim.SGD(tensors, **rest),
        Momentum: lambda: torch.optim.SGD(tensors, momentum=ours.momentum, **rest),
        Nesterov: lambda: torch.optim.SGD(tensors, momentum=ours.momentum, nesterov=True, **rest),
        AdaGrad: lambda: torch.optim.Adagrad(tensors, eps=ours.eps, **rest),
        RMSprop: lambda: torch.optim.RMSprop(tensors, alpha=ours.decay_rate, eps=ours.eps, **rest),
        Adam: lambda: torch.optim.Adam(tensors, **betas, **rest),
        AdamW: lambda: torch.optim.AdamW(tensors, **betas, **rest),
    }[type(ours)]()


@with_and_without_decay
@dtypes
@all_optimizers
def test_fifty_steps_are_those_of_torch(kind, dtype, weight_decay):
    torch = pytest.importorskip("torch")
    p, grads = normal(1000, dtype), gradients(1000, dtype)
    ours = kind(weight_decay=weight_decay)
    tensor = torch.tensor(p, requires_grad=True)
    theirs = torch_optimizer(torch, ours, [tensor])
    for g in grads:
        tensor.grad = torch.tensor(g)
        theirs.step()
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(trained(ours, p, grads), tensor.detach().numpy(), rtol=tolerance, atol=tolerance)


@all_optimizers
def test_a_changing_rate_means_what_it_means_in_torch(kind):
    torch = pytest.importorskip("torch")
    p, grads = normal(100), gradients(100, np.float64)
    ours = kind(lr=lambda step, epoch: 0.01 / (1 + step))
    tensor = torch.tensor(p, requires_grad=True)
    theirs = torch_optimizer(torch, kind(lr=0.01), [tensor])
    for step, g in enumerate(grads):
        theirs.param_groups[0]["lr"] = 0.01 / (1 + step)
        tensor.grad = torch.tensor(g)
        theirs.step()
    np.testing.assert_allclose(trained(ours, p, grads), tensor.detach().numpy(), rtol=1e-12, atol=1e-12)


def reference(optimizer, p, grads):
    """The formulas, in extended precision where there is one."""
    wide = np.longdouble
    p, lr, decay = p.astype(wide), wide(optimizer.lr), wide(optimizer.weight_decay)
    constants = {
        name: wide(getattr(optimizer, name, 0)) for name in ("momentum", "decay_rate", "beta1", "beta2", "eps")
    }
    momentum, rate, beta1, beta2, eps = constants.values()
    s, q = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(grads, start=1):
        g = g.astype(wide) if isinstance(optimizer, AdamW) else g + decay * p
        match optimizer:
            case SGD():
                p = p - lr * g
            case Momentum():
                s = momentum * s + g
                p = p - lr * s
            case Nesterov():
                s = momentum * s + g
                p = p - lr * (g + momentum * s)
            case AdaGrad():
                s = s + g**2
                p = p - lr * g / (np.sqrt(s) + eps)
            case RMSprop():
                s = rate * s + (1 - rate) * g**2
                p = p - lr * g / (np.sqrt(s) + eps)
            case Adam() | AdamW():
                if isinstance(optimizer, AdamW):
                    p = p * (1 - lr * decay)
                s = beta1 * s + (1 - beta1) * g
                q = beta2 * q + (1 - beta2) * g**2
                p = p - lr * (s / (1 - beta1**t)) / (np.sqrt(q / (1 - beta2**t)) + eps)
    return p


@with_and_without_decay
@dtypes
@all_optimizers
def test_fifty_steps_are_those_of_the_formula(kind, dtype, weight_decay):
    p, grads = normal(1000, dtype), gradients(1000, dtype)
    optimizer = kind(weight_decay=weight_decay)
    # p times 1 - lr weight_decay is rounded at each of the 50 steps, half an eps at most.
    tolerance = 3e-6 if (kind, dtype) == (AdamW, np.float32) else TOLERANCE[dtype]
    np.testing.assert_allclose(
        trained(optimizer, p, grads), reference(optimizer, p, grads).astype(dtype), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("n", [0, 1, 7, 33, CHUNK - 1, CHUNK + 1])
@dtypes
@all_optimizers
def test_any_length_up_to_past_one_part(kind, dtype, n):
    p, grads = normal(n, dtype), [normal(n, dtype, seed) for seed in (1, 2)]
    got = trained(kind(weight_decay=0.1), p, grads)
    np.testing.assert_allclose(got, reference(kind(weight_decay=0.1), p, grads).astype(dtype), rtol=1e-5, atol=1e-6)


# The kernel.


def step(optimizer, arrays, lr=0.01, t=1, scale=1.0):
    team = _team.current().address
    kernels.optimizer_step(team, optimizer.kind, *arrays, optimizer.hyper(), lr, t, scale)
    return arrays


@dtypes
@all_optimizers
def test_same_bits_for_any_number_of_threads(set_threads, kind, dtype):
    n = 200_003
    start = [normal(n, dtype), *gradients(n, dtype, 1), normal(n, dtype, 2), np.abs(normal(n, dtype, 3))]
    start[2] = np.abs(start[2]) if kind in (AdaGrad, RMSprop) else start[2]
    optimizer, expected = kind(weight_decay=0.01), None
    for n_threads in (1, 2, 3, 8):
        set_threads(n_threads)
        for _ in range(5):
            got = [x.tobytes() for x in step(optimizer, [x.copy() for x in start], t=3, scale=0.7)]
            assert expected in (None, got), f"{n_threads} threads"
            expected = got


@dtypes
@all_optimizers
def test_scale_multiplies_the_gradient_before_weight_decay(kind, dtype):
    optimizer = kind(weight_decay=0.1)
    p, g = normal(100, dtype), normal(100, dtype, 1)
    scaled, plain = ([p.copy(), g, np.zeros_like(p), np.zeros_like(p)] for g in (g, dtype(0.25) * g))
    step(optimizer, scaled, scale=0.25)
    step(optimizer, plain)
    for got, expected in zip(scaled[::2] + scaled[3:], plain[::2] + plain[3:], strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(scaled[1], g)


@dtypes
@all_optimizers
def test_states_that_an_optimizer_lacks_may_be_empty_and_those_it_has_are_used(kind, dtype):
    p, g = normal(100, dtype), normal(100, dtype, 1)
    full, short = [p.copy(), g, *np.zeros((2, 100), dtype)], [p.copy(), g, *np.zeros((2, 100), dtype)]
    for i in range(kind.n_states, 2):
        short[2 + i] = np.zeros(0, dtype)
    step(kind(), full)
    step(kind(), short)
    np.testing.assert_array_equal(full[0], short[0])
    assert [np.any(x != 0) for x in full[2:]] == [i < kind.n_states for i in range(2)]


@all_optimizers
def test_nan_gradients_show(kind):
    p = np.ones(40, np.float32)
    got = trained(kind(), p, [np.where(np.arange(40) == 17, np.nan, 1).astype(np.float32)])
    np.testing.assert_array_equal(np.isnan(got), np.arange(40) == 17)


@all_optimizers
def test_what_has_no_gradient_stays(kind):
    p = normal(50, np.float32)
    np.testing.assert_array_equal(trained(kind(weight_decay=0), p, [np.zeros_like(p)] * 3), p)


def test_bias_correction_is_not_rounded_to_float32():
    """The first step of Adam is lr, whatever the betas: 1 - beta in float32 would be off by 5e-5 and more."""
    p = trained(Adam(lr=1, beta1=0.999, beta2=0.99999, eps=0), np.zeros(40, np.float32), [np.full(40, 3, np.float32)])
    np.testing.assert_allclose(p, -1, rtol=4e-7)


@pytest.mark.parametrize(("name", "n_arrays", "n_numbers"), LOOPS)
@pytest.mark.parametrize("element", ["float", "double"])
def test_loops_run_on_vectors_of_the_type_of_the_arrays(name, n_arrays, n_numbers, element):
    one = types.float32 if element == "float" else types.float64
    loop = kernel(getattr(kernels, name).py_func)
    loop._cache = NullCache()
    signature = (one[::1],) * n_arrays + (one,) * n_numbers
    loop.compile(signature)
    code = loop.inspect_llvm(signature)
    assert re.search(rf"fmul.* <\d+ x {element}>", code)
    assert "fpext" not in code


def squared_norm(grads):
    return kernels.squared_norm(_team.current().address, grads, np.full(parts_of.py_func(grads.size), np.nan))


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 200_003])
@dtypes
def test_squared_norm(set_threads, dtype, n):
    whole = np.full(n + 8, np.nan, dtype)
    grads = whole[3 : n + 3]
    grads[...] = gradients(n, dtype, 1)[0]
    exact = math.fsum(float(x) * float(x) for x in grads)
    results = set()
    for n_threads in (1, 2, 3, 8):
        set_threads(n_threads)
        results |= {squared_norm(grads) for _ in range(5)}
    assert len(results) == 1
    bound = CHUNK / (CHAINS * ISA.lanes(dtype().itemsize)) + -(-n // CHUNK)
    assert abs(results.pop() - exact) <= bound * np.finfo(np.float64).eps * exact


@dtypes
def test_every_element_counts_once_in_the_squared_norm(dtype):
    for n in (1, 5, 32, 40, 71):
        for i in range(n):
            grads = np.zeros(n, dtype)
            grads[i] = 3
            assert squared_norm(grads) == 9


@dtypes
def test_squared_norm_of_large_numbers_and_none(dtype):
    assert squared_norm(np.full(10, 1e38, dtype)) == pytest.approx(1e77, rel=1e-6)
    grads = np.ones(CHUNK + 5, dtype)
    grads[-1] = np.inf
    assert squared_norm(grads) == np.inf
    grads[3] = np.nan
    assert math.isnan(squared_norm(grads))


# Dicts of parameters, as the book has them.


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


# Settings.


@pytest.mark.parametrize(
    ("optimizer", "text", "n_states"),
    [
        (SGD(), "SGD(lr=0.01, weight_decay=0.0)", 0),
        (Momentum(0.1, 0.5), "Momentum(lr=0.1, momentum=0.5, weight_decay=0.0)", 1),
        (Nesterov(), "Nesterov(lr=0.01, momentum=0.9, weight_decay=0.0)", 1),
        (AdaGrad(), "AdaGrad(lr=0.01, eps=1e-10, weight_decay=0.0)", 1),
        (RMSprop(), "RMSprop(lr=0.01, decay_rate=0.99, eps=1e-08, weight_decay=0.0)", 1),
        (Adam(1), "Adam(lr=1.0, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.0)", 2),
        (AdamW(), "AdamW(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.01)", 2),
    ],
)
def test_repr_equality_and_pickle(optimizer, text, n_states):
    assert repr(optimizer) == text
    assert optimizer.n_states == n_states
    assert optimizer == eval(text) == pickle.loads(pickle.dumps(optimizer))
    assert hash(optimizer) == hash(eval(text))
    assert all(optimizer != kind() for kind in ALL if kind is not type(optimizer))
    assert optimizer != type(optimizer)(lr=0.123)
    with pytest.raises(AttributeError):
        optimizer.lr = 0.5


def test_codes_are_those_of_the_kernel():
    assert [kind.kind for kind in ALL] == list(range(7))


def test_hyper():
    np.testing.assert_array_equal(Adam(0.1, 0.2, 0.3, 0.4, 0.5).hyper(), [0.2, 0.3, 0.4, 0.5])
    np.testing.assert_array_equal(SGD(0.1, 0.5).hyper(), [0, 0, 0, 0.5])
    np.testing.assert_array_equal(Nesterov(0.1, 0.2, 0.5).hyper(), [0.2, 0, 0, 0.5])
    np.testing.assert_array_equal(RMSprop(0.1, 0.2, 0.3, 0.5).hyper(), [0.2, 0, 0.3, 0.5])
    assert Adam().hyper().dtype == np.float64


def test_lr_at():
    assert SGD(lr=np.float32(0.5)).lr_at(7, 3) == 0.5
    assert SGD(lr=step_decay(0.4, 1, 0.5)).lr_at(7, 1) == 0.2
    assert SGD(lr=cosine(0.4, 10)).lr_at(10, 0) == 0
    assert type(SGD(lr=lambda step, epoch: np.float32(0.5)).lr_at(0, 0)) is float


@pytest.mark.parametrize("value", [math.nan, math.inf, -1])
def test_lr_at_refuses_what_a_schedule_may_not_return(value):
    params = {"W": np.ones(2)}
    optimizer = Momentum(lr=lambda step, epoch: value)
    with pytest.raises(ValueError, match=rf"lr at step 3, epoch 1 must be a finite number of at least 0, got {value}"):
        optimizer.lr_at(3, 1)
    with pytest.raises(ValueError, match="lr at step 0, epoch 0"):
        optimizer.update(params, {"W": np.ones(2)})
    np.testing.assert_array_equal(params["W"], 1)
    with pytest.raises(TypeError, match="lr at step 0, epoch 0 must be a finite number of at least 0, got None"):
        Momentum(lr=lambda step, epoch: None).lr_at(0, 0)


NUMBERS = {
    "lr": (ALL, "a finite number above 0", [0, -0.1]),
    "weight_decay": (ALL, "a finite number of at least 0", [-0.1]),
    "eps": ([AdaGrad, RMSprop, Adam, AdamW], "a finite number of at least 0", [-1e-8]),
    "momentum": ([Momentum, Nesterov], "a finite number of at least 0 below 1", [-0.1, 1, 1.5]),
    "decay_rate": ([RMSprop], "a finite number of at least 0 below 1", [-0.1, 1, 1.5]),
    "beta1": ([Adam, AdamW], "a finite number of at least 0 below 1", [-0.1, 1, 1.5]),
    "beta2": ([Adam, AdamW], "a finite number of at least 0 below 1", [-0.1, 1, 1.5]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_bad_settings(name):
    kinds, expected, values = NUMBERS[name]
    for kind in kinds:
        for value in [*values, math.nan, math.inf, -math.inf]:
            with pytest.raises(ValueError) as caught:
                kind(**{name: value})
            assert str(caught.value) == f"{name} must be {expected}, got {value!r}"
        for value in [True, "0.1", None, 1j, [0.1], np.ones(1)]:
            with pytest.raises(TypeError) as caught:
                kind(**{name: value})
            assert str(caught.value) == f"{name} must be {expected}, got {value!r}"
        assert getattr(kind(**{name: 0.5}), name) == 0.5


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


def test_get_optimizer():
    names = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
    assert [get_optimizer(name) for name in names] == [kind() for kind in ALL]
    assert get_optimizer("Adam", lr=0.5) == Adam(lr=0.5)
    optimizer = SGD()
    assert get_optimizer(optimizer) is optimizer


def test_get_optimizer_refuses():
    with pytest.raises(ValueError, match=r"optimizer must be one of sgd, momentum, .*adamw, got 'lion'$"):
        get_optimizer("lion")
    with pytest.raises(TypeError, match="optimizer must be a name or an optimizer, got None"):
        get_optimizer(None)
    with pytest.raises(TypeError, match=r"settings go with the name of an optimizer, got SGD\(.*\) and lr"):
        get_optimizer(SGD(), lr=0.1)
    with pytest.raises(ValueError, match="got 'adma'; did you mean 'adam'"):
        get_optimizer("adma")
    with pytest.raises(TypeError, match="SGD has the settings lr, weight_decay, got 'momentum'"):
        get_optimizer("sgd", momentum=0.9)


@dtypes
def test_adam_whose_states_are_taken_as_they_are(dtype):
    p, grads = normal(1000, dtype), gradients(1000, dtype)
    hyper = np.zeros(kernels.N_HYPER)
    hyper[[kernels.MEMORY, kernels.BETA2, kernels.EPS, kernels.WEIGHT_DECAY]] = 0.9, 0.999, 1e-3, 0.1
    x, s, q = p.astype(float), np.zeros(1000), np.zeros(1000)
    first, second = np.zeros(1000, dtype), np.zeros(1000, dtype)
    for step, g in enumerate(grads, 1):
        kernels.optimizer_step(_team.current().address, kernels.PLAIN, p, g, first, second, hyper, 0.01, step, 0.5)
        g = 0.5 * g + 0.1 * x
        s, q = 0.9 * s + 0.1 * g, 0.999 * q + 0.001 * g * g
        x -= 0.01 * s / (np.sqrt(q) + 1e-3)
    np.testing.assert_allclose(p, x, rtol=10 * TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])
