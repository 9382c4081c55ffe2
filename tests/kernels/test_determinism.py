"""The same bits for 1, 2, 3 and 8 threads, in every one of twenty runs."""

import numpy as np
import pytest
from calls import FLOATS, FORMS, apply, apply_back, epilogue, framed, gemm, run_kernel, team_for

from fastbp.basics._machine import numbers
from fastbp.kernels.affine import affine_backward, affine_forward
from fastbp.kernels.gemm import NO_EPILOGUE, NOTHING, RELU
from fastbp.kernels.relu import relu_backward, relu_forward
from fastbp.kernels.softmax import softmax_backward, softmax_forward
from fastbp.kernels.softmax_xent import softmax_xent_backward, softmax_xent_forward
from fastbp.kernels.team import CHUNK, THREADS_WORK

pytestmark = pytest.mark.skipif(not THREADS_WORK, reason="one thread here")
dtypes = pytest.mark.parametrize("dtype", FLOATS)

# Rows, columns and depth of products that are shared by rows, by columns, and by both.
SHAPES = [(1000, 70, 40), (9, 1500, 111), (130, 512, 300), (257, 70, 1031), (1024, 33, 256)]


def assert_same_bits_for_any_threads(set_threads, run, repeats=20):
    """``run()`` returns arrays that it makes anew."""
    set_threads(1)
    expected = [x.tobytes() for x in run()]
    for n in (1, 2, 3, 8):
        set_threads(n)
        for repeat in range(repeats):
            assert [x.tobytes() for x in run()] == expected, f"run {repeat} on {n} threads differs"


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("activation", ["linear", "ReLU", "sigmoid"])
@pytest.mark.parametrize("form", FORMS)
@dtypes
def test_products(set_threads, form, dtype, activation):
    a_transposed, b_transposed = FORMS[form]
    applied = {"linear": NO_EPILOGUE, "ReLU": (RELU, NOTHING, 0)}.get(activation) or epilogue(activation, dtype)
    for m, n, k in SHAPES:
        assert 2 * m * n * k >= numbers().parallel_flops
        a, b = framed(normal(m, k, dtype=dtype), a_transposed), framed(normal(k, n, dtype=dtype), b_transposed)
        bias = normal(n, dtype=dtype)

        def run(a=a, b=b, bias=bias):
            return [gemm(a, b, np.full((len(a), b.shape[1]), np.nan, dtype), bias, epilogue=applied)]

        assert_same_bits_for_any_threads(set_threads, run, repeats=20 if activation == "linear" else 3)


@pytest.mark.parametrize("order", "CF")
@dtypes
def test_affine_forward_and_backward_with_db(set_threads, dtype, order):
    x, dout = normal(300, 150, dtype=dtype), normal(300, 600, dtype=dtype, seed=2)
    w, b = np.array(normal(150, 600, dtype=dtype, seed=1), order=order), normal(600, dtype=dtype, seed=3)

    def run():
        y, dx, dw, db = np.empty_like(dout), np.empty_like(x), np.empty((150, 600), dtype), np.empty_like(b)
        run_kernel(affine_forward, x, w, b, y)
        run_kernel(affine_backward, dout, x, w, None, dx, dw, db)
        return y, dx, dw, db

    assert_same_bits_for_any_threads(set_threads, run)


@dtypes
def test_relu(set_threads, dtype):
    x, dout = normal(12, CHUNK + 17, dtype=dtype), normal(12, CHUNK + 17, dtype=dtype, seed=1)

    def run():
        y, mask, dx = np.empty_like(x), np.empty(x.shape, bool), np.empty_like(x)
        run_kernel(relu_forward, x, y, mask)
        run_kernel(relu_backward, dout, mask, dx)
        return y, mask, dx

    assert_same_bits_for_any_threads(set_threads, run)


@dtypes
def test_sigmoid(set_threads, dtype):
    x, dout = 5 * normal(12, CHUNK + 17, dtype=dtype), normal(12, CHUNK + 17, dtype=dtype, seed=1)

    def run():
        y = apply("sigmoid", x)
        return y, apply_back("sigmoid", dout, y)

    assert_same_bits_for_any_threads(set_threads, run)


@pytest.mark.parametrize("shape", [(7000, 10), (700, 101), (7, 9001)])
@dtypes
def test_softmax(set_threads, dtype, shape):
    x, dout = 3 * normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1)

    def run():
        y, dx = np.empty_like(x), np.empty_like(x)
        run_kernel(softmax_forward, x, y)
        run_kernel(softmax_backward, dout, y, dx)
        return y, dx

    assert_same_bits_for_any_threads(set_threads, run)


@pytest.mark.parametrize("eps", [0.0, 1e-7])
@pytest.mark.parametrize("targets", ["labels", "distributions"])
@pytest.mark.parametrize("shape", [(7000, 10), (700, 101), (7, 9001)])
@dtypes
def test_cross_entropy_with_its_loss(set_threads, dtype, shape, targets, eps):
    x = 3 * normal(*shape, dtype=dtype)
    t = np.random.default_rng(1).integers(0, shape[1], shape[0]).astype(np.intp)
    if targets == "distributions":
        t = np.random.default_rng(1).dirichlet(np.ones(shape[1]), shape[0]).astype(dtype)

    def run():
        y, dx, losses = np.empty_like(x), np.empty_like(x), np.empty(shape[0])
        loss = softmax_xent_forward(team_for(dtype), x, t, np.empty(0, dtype), eps, 0.0, y, losses)
        softmax_xent_backward(team_for(dtype), y, t, np.empty(0, dtype), eps, 0.0, dtype(1 / shape[0]), dx)
        return y, losses, np.array(loss), dx

    assert_same_bits_for_any_threads(set_threads, run)
