"""The sum of the rows of a matrix, against NumPy, and as the gradient of a bias in layers and programs."""

import numpy as np
import pytest
from calls import FLOATS, address, framed, uncached, whole_numbers

import fastbp
from fastbp.kernels import row_sums
from fastbp.kernels.gemm import NOTHING

dtypes = pytest.mark.parametrize("dtype", FLOATS)
SHAPES = [(0, 3), (1, 1), (7, 16), (8, 17), (9, 2), (33, 10), (288, 4), (100, 50), (3, 200)]


@uncached
def add_up(d, rows, columns, out, start, factor):
    row_sums.add_up_rows(d, rows, columns, out, start, factor)


def added(d, out, start, factor):
    add_up(address(d), *d.shape, address(out), start, out.dtype.type(factor))


@dtypes
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_of_rows_of_any_shape(dtype, shape):
    rng = np.random.default_rng(0)
    d = whole_numbers(rng, shape, dtype)
    whole = np.full(shape[1] + 6, np.nan, dtype)
    out = whole[3:-3]
    added(d, out, NOTHING, -0.5)
    np.testing.assert_array_equal(out, -0.5 * d.sum(axis=0))
    added(d, out, address(out), 2)
    np.testing.assert_array_equal(out, 1.5 * d.sum(axis=0))
    assert np.isnan(whole[:3]).all() and np.isnan(whole[-3:]).all()


@dtypes
def test_nothing_beyond_the_rows_counts(dtype):
    d = framed(whole_numbers(np.random.default_rng(1), (1, 5), dtype))
    out = np.empty(5, dtype)
    added(d, out, NOTHING, 1)
    np.testing.assert_array_equal(out, d[0])


@dtypes
@pytest.mark.parametrize("n_rows", [5, 100, 4000])  # a product makes the sum of the last
def test_layer_and_step_have_the_same_gradient_of_a_bias(dtype, n_rows):
    rng = np.random.default_rng(2)
    W, b = rng.standard_normal((3, 10)).astype(dtype), np.zeros(10, dtype)
    x, t = rng.standard_normal((n_rows, 3)).astype(dtype), rng.integers(0, 10, n_rows)
    affine, loss = fastbp.Affine(W.copy(), b.copy()), fastbp.SoftmaxWithLoss(eps=0)
    loss.forward(affine.forward(x), t)
    affine.backward(loss.backward())
    net = fastbp.Sequential([fastbp.Affine(W.copy(), b.copy())])
    net.step(x, t, fastbp.optimizers.SGD(lr=1.0))
    assert np.abs(net.params["b1"] + affine.db).max() <= 4 * np.finfo(dtype).eps * np.abs(affine.db).max() * n_rows**0.5
