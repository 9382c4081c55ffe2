"""The kernel of the optimizers: threads, scale, states, vectors; and the squared norm of a gradient."""

import math
import re

import numpy as np
import pytest
from calls import uncached
from numba import types
from numba.core.caching import NullCache
from optimizer_runs import ALL, TOLERANCE, all_optimizers, dtypes, gradients, normal

from fastbp.basics import _machine, _team
from fastbp.kernels import optimizer as kernels
from fastbp.kernels._jit import kernel
from fastbp.kernels.isa import ISA
from fastbp.kernels.optimizer import _elements_of_part
from fastbp.kernels.reduce import CHAINS
from fastbp.kernels.team import CHUNK, SLEEPERS, parts_of
from fastbp.optimizers import AdaGrad, RMSprop

# Of the kernel: arrays and numbers that each takes.
LOOPS = [("_sgd", 2, 3), ("_momentum", 3, 4), ("_nesterov", 3, 4), ("_scaled", 3, 6), ("_adam", 4, 9)]


@uncached
def cut(team, n):
    return _elements_of_part(team, n)


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
@pytest.mark.parametrize("n", [1, kernels.UNIT - 1, kernels.UNIT + 1, 39_760, 8 * kernels.UNIT + 33])
def test_same_bits_however_fine_an_update_is_cut(set_threads, kind, dtype, n):
    set_threads(1)
    words, optimizer = _team.current()._words, kind(weight_decay=0.01)
    start = [normal(n, dtype), *gradients(n, dtype, 1), np.abs(normal(n, dtype, 2)), np.abs(normal(n, dtype, 3))]
    got = []
    for sleepers in (0, 1):
        words[SLEEPERS] = sleepers
        got.append([x.tobytes() for x in step(optimizer, [x.copy() for x in start], t=3, scale=0.7)])
    words[SLEEPERS] = 0
    assert got[0] == got[1]


@pytest.mark.parametrize("n", [1, 2 * kernels.UNIT, 7510, 39_760, 62_210, 670_000])
def test_an_update_is_cut_fine_where_members_are_awake(set_threads, n):
    set_threads(1)
    team, words = _team.current().address, _team.current()._words
    awake, many = cut(team, n), _machine.numbers().many_parts
    assert -(-n // awake) <= max(many, parts_of.py_func(n))
    assert awake == min(CHUNK, kernels.UNIT * -(-n // (kernels.UNIT * many)))
    words[SLEEPERS] = 1
    assert cut(team, n) == CHUNK
    words[SLEEPERS] = 0


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


def test_codes_are_those_of_the_kernel():
    assert [kind.kind for kind in ALL] == list(range(7))


@pytest.mark.parametrize(("name", "n_arrays", "n_numbers"), LOOPS)
@pytest.mark.parametrize("element", ["float", "double"])
def test_loops_run_on_vectors_of_the_type_of_the_arrays(name, n_arrays, n_numbers, element):
    one = types.float32 if element == "float" else types.float64
    loop = kernel(getattr(kernels, name).py_func, by_address=True)  # not as a part of others
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
