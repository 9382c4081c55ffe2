"""What the matrix product begins with and ends with: alpha, a bias, a matrix, an activation, a derivative."""

import numpy as np
import pytest
from calls import (
    apply,
    apply_back,
    blocks,
    call_gemm,
    epilogue,
    frame_of,
    framed,
    function_address,
    gemm,
    team_for,
    whole_numbers,
)
from products import SENTINEL, assert_exact, dtypes, forms, lanes_of, operands, result_frame
from strategies import assert_same_bits

from fastbp.kernels import activations
from fastbp.kernels.gemm import NO_EPILOGUE, NOTHING, RELU
from fastbp.kernels.plan import THIN_DEPTH

RECTIFIED = (RELU, NOTHING, 0)  # as the numbers leave the registers


def epilogue_of(activation, dtype):
    return {"linear": NO_EPILOGUE, "relu in registers": RECTIFIED}.get(activation) or epilogue(activation, dtype, 0.25)


@pytest.mark.parametrize("activation", ["linear", "relu in registers", "sigmoid"])
@forms
@dtypes
def test_epilogues_of_last_columns_that_do_not_fill_a_vector(form, dtype, activation):
    lanes = lanes_of(dtype)
    rng = np.random.default_rng(0)
    m, n, k = 2 * lanes + 3, lanes + 2, THIN_DEPTH + 5
    a, b = whole_numbers(rng, (m, k), dtype), whole_numbers(rng, (k, n), dtype)
    bias, alpha = whole_numbers(rng, (n,), dtype), dtype(-(2.0**-8))
    expected = alpha * (a @ b) + bias
    if activation == "relu in registers":
        expected = np.maximum(expected, 0)
    if activation == "sigmoid":
        expected = 1 / (1 + np.exp(-expected))
    applied = epilogue_of(activation, dtype)
    c = gemm(*operands(form, a, b), result_frame(m, n, dtype), start=bias, alpha=alpha, epilogue=applied)
    np.testing.assert_allclose(c, expected, rtol=8 * np.finfo(dtype).eps)


# Sizes that are cut in every way: one tile, several tiles and panels, several blocks of k.
CUTS = {"tile": (3, 5, 7), "tiles": (23, 70, 19), "blocks": (6, 37, 2100)}
cuts = pytest.mark.parametrize("size", CUTS.values(), ids=CUTS)


def exact_operands(size, dtype):
    m, n, k = size
    rng = np.random.default_rng(3)
    return whole_numbers(rng, (m, k), dtype), whole_numbers(rng, (k, n), dtype), whole_numbers(rng, (m, n), dtype)


@forms
@dtypes
@cuts
def test_alpha(form, dtype, size):
    a, b, _ = exact_operands(size, dtype)
    assert_exact(form, a, b, -0.25 * (a @ b), alpha=-0.25)


@forms
@dtypes
@cuts
def test_start_is_a_bias(form, dtype, size):
    a, b, start = exact_operands(size, dtype)
    assert_exact(form, a, b, a @ b + start[0], start=framed(start[:1])[0])


@forms
@dtypes
@cuts
def test_start_is_a_matrix(form, dtype, size):
    a, b, start = exact_operands(size, dtype)
    start[0, 0] = 0.5
    kept = framed(start)
    assert_exact(form, a, b, 0.5 * (a @ b) + start, start=kept, alpha=0.5)
    assert np.array_equal(kept, start)


@forms
@dtypes
@cuts
def test_start_is_c_itself(form, dtype, size):
    a, b, start = exact_operands(size, dtype)
    c = framed(start, frame=SENTINEL)
    before = frame_of(c)
    gemm(*operands(form, a, b), c, start=c, alpha=-1)
    assert np.array_equal(c, start - a @ b)
    assert np.array_equal(frame_of(c), before)


@dtypes
def test_start_of_nothing_ignores_what_c_held(dtype):
    a, b, _ = exact_operands(CUTS["blocks"], dtype)
    c = np.full((len(a), b.shape[1]), np.nan, dtype)
    call_gemm(
        team_for(dtype),
        (*c.shape, a.shape[1]),
        (a.ctypes.data, a.shape[1], 1),
        (b.ctypes.data, b.shape[1], 1),
        (c.ctypes.data, c.shape[1]),
        (NOTHING, 10**6),  # whatever its stride
        dtype(1),
        NO_EPILOGUE,
    )
    assert np.array_equal(c, a @ b)


@dtypes
def test_depth_0_gives_zeros_or_the_start(dtype):
    a, b = np.empty((5, 0), dtype), np.empty((0, 21), dtype)
    bias = np.arange(21, dtype=dtype) - 10
    assert np.array_equal(gemm(a, b, np.full((5, 21), np.nan, dtype)), np.zeros((5, 21)))
    assert np.array_equal(gemm(a, b, np.full((5, 21), np.nan, dtype), bias), np.tile(bias, (5, 1)))
    rectified = gemm(a, b, np.full((5, 21), np.nan, dtype), bias, epilogue=RECTIFIED)
    assert np.array_equal(rectified, np.tile(np.maximum(bias, 0), (5, 1)))


def scores(size, dtype):
    """Operands and a bias whose product has elements around 0, of both signs."""
    m, n, k = size
    rng = np.random.default_rng(5)
    return [x.astype(dtype) for x in (rng.normal(size=(m, k)), rng.normal(size=(k, n)) / k**0.5, rng.normal(size=n))]


@forms
@dtypes
@cuts
def test_bias_of_the_epilogue_is_an_addition_afterwards(form, dtype, size):
    a, b, bias = scores(size, dtype)
    deep, _ = blocks(form, dtype)
    a, b = a[:, :deep], b[:deep]  # the bias is added after the first block of k
    shape = (len(a), b.shape[1])
    linear = gemm(*operands(form, a, b), result_frame(*shape, dtype))
    assert_same_bits(gemm(*operands(form, a, b), result_frame(*shape, dtype), bias), linear + bias)


@forms
@dtypes
@cuts
@pytest.mark.parametrize("activation", ["relu in registers", "relu", "sigmoid", "leaky_relu"])
def test_activation_of_the_epilogue_has_the_bits_of_its_kernel(form, dtype, size, activation):
    a, b, bias = scores(size, dtype)
    shape = (len(a), b.shape[1])
    linear = gemm(*operands(form, a, b), result_frame(*shape, dtype), bias).copy()
    assert (linear < 0).any() and (linear > 0).any()
    expected = apply(activation.split()[0], linear, number=0.25)
    c = result_frame(*shape, dtype)
    before = frame_of(c)
    assert_same_bits(gemm(*operands(form, a, b), c, bias, epilogue=epilogue_of(activation, dtype)), expected)
    assert np.array_equal(frame_of(c), before)


@dtypes
@cuts
def test_a_derivative_in_the_epilogue_has_the_bits_of_its_kernel(dtype, size):
    a, b, _ = scores(size, dtype)
    form = "dout W.T"
    shape = (len(a), b.shape[1])
    kept = np.random.default_rng(1).random(shape).astype(dtype)
    linear = gemm(*operands(form, a, b), np.empty(shape, dtype))
    expected = apply_back("sigmoid", linear, kept)
    applied = function_address(activations.sigmoid_back, dtype), kept.ctypes.data, 0
    assert_same_bits(gemm(*operands(form, a, b), np.empty(shape, dtype), epilogue=applied), expected)


@dtypes
def test_relu_of_the_epilogue_keeps_nan_and_makes_negative_zero_zero(dtype):
    a, b = np.zeros((3, 2), dtype), np.zeros((2, 20), dtype)
    start = np.full((3, 20), -0.0, dtype)
    start[1, ::3] = np.nan
    start[2, ::2] = -np.inf
    linear = gemm(a, b, np.empty_like(start), start, alpha=-1)
    assert np.signbit(linear[0]).all()  # what goes into the epilogue
    got = gemm(a, b, np.empty_like(start), start, alpha=-1, epilogue=RECTIFIED)
    assert_same_bits(np.isnan(got), np.isnan(start))
    assert_same_bits(got[~np.isnan(got)], np.zeros_like(start[~np.isnan(got)]))


@forms
@dtypes
def test_negative_zero_survives_without_relu(form, dtype):
    a, b = np.zeros((9, 2), dtype), np.zeros((2, 40), dtype)
    start = np.full(40, -0.0, dtype)
    assert np.signbit(gemm(*operands(form, a, b), np.empty((9, 40), dtype), start, alpha=-1)).all()
