"""The matrix product: every form, size, start and epilogue, and nothing read or written outside the operands."""

import sys
import warnings

import numpy as np
import pytest
from calls import (
    FLOATS,
    FORMS,
    apply,
    apply_back,
    blocks,
    call_gemm,
    epilogue,
    frame_of,
    framed,
    function_address,
    gemm,
    python,
    team_for,
    whole_numbers,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_same_bits

from fastbp.kernels import activations
from fastbp.kernels.gemm import NO_EPILOGUE, NOTHING, RELU, ROWS_PACKED, SCRATCH_A
from fastbp.kernels.isa import ISA, TABLE
from fastbp.kernels.plan import STEEP, STEEP_K, STEEP_N, THIN_BYTES, THIN_COLUMNS, THIN_DEPTH
from fastbp.kernels.team import SCRATCH_BYTES, ZERO_BYTES
from fastbp.kernels.thin import MOST as MOST_THIN

RESIDUAL = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-14}
SENTINEL = 123.0

forms = pytest.mark.parametrize("form", FORMS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def bytes_of(dtype):
    return np.dtype(dtype).itemsize


def lanes_of(dtype):
    return ISA.lanes(bytes_of(dtype))


def around(*sizes):
    """Each size, one less and one more."""
    return sorted({size + d for size in sizes for d in (-1, 0, 1) if size + d > 0})


def operands(form, a, b):
    """A and B, laid out in memory as ``form`` has them."""
    a_transposed, b_transposed = FORMS[form]
    return framed(a, a_transposed), framed(b, b_transposed)


def result_frame(rows, columns, dtype):
    return framed(np.zeros((rows, columns), dtype), frame=SENTINEL)


def assert_exact(form, a, b, expected, **options):
    """The product of whole numbers, and nothing else, is written; ``expected`` is it."""
    c = result_frame(*expected.shape, expected.dtype)
    before = frame_of(c)
    gemm(*operands(form, a, b), c, **options)
    assert np.array_equal(c, expected), f"{form} of {a.shape} and {b.shape}"
    assert np.array_equal(frame_of(c), before), f"{form} of {a.shape} and {b.shape} wrote outside C"


def assert_exact_sizes(form, sizes, dtype):
    rng = np.random.default_rng(0)
    for m, n, k in sizes:
        a, b = whole_numbers(rng, (m, k), dtype), whole_numbers(rng, (k, n), dtype)
        assert_exact(form, a, b, a @ b)


def assert_accurate(form, m, n, k, dtype, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    wide = np.float64 if dtype == np.float32 else np.longdouble
    exact, terms = a.astype(wide) @ b.astype(wide), np.abs(a) @ np.abs(b)
    c = gemm(*operands(form, a, b), result_frame(m, n, dtype))
    error = np.abs(c - exact)
    assert np.all(error <= k * np.finfo(dtype).eps * terms)
    size = np.linalg.norm(a.astype(np.float64)) * np.linalg.norm(b.astype(np.float64))
    assert np.linalg.norm(error.astype(np.float64)) <= RESIDUAL[np.dtype(dtype)] * size


@forms
@given(
    m=st.integers(1, 65),
    n=st.integers(1, 65),
    k=st.integers(1, 65),
    dtype=st.sampled_from(FLOATS),
    seed=st.integers(0, 2**32 - 1),
)
def test_residual_of_any_shape(form, m, n, k, dtype, seed):
    assert_accurate(form, m, n, k, dtype, seed)


@forms
@dtypes
def test_residual_of_200_seeded_shapes(form, dtype):
    shapes = np.random.default_rng(20).integers(1, 66, (200, 3)).tolist()
    for seed, (m, n, k) in enumerate(shapes):
        assert_accurate(form, m, n, k, dtype, seed)


@forms
@dtypes
def test_residual_of_a_deep_product(form, dtype):
    assert_accurate(form, 9, 2 * lanes_of(dtype) + 1, 20_000, dtype, seed=1)


@forms
@dtypes
def test_every_number_of_rows_and_columns_around_the_tiles(form, dtype):
    rows = 2 * max(ISA.tile_rows) + 1
    columns = 2 * len(ISA.tile_rows) * lanes_of(dtype) + 1
    rng = np.random.default_rng(0)
    for k in (1, 6):
        a, b = whole_numbers(rng, (rows, k), dtype), whole_numbers(rng, (k, columns), dtype)
        c = a @ b
        for m in range(1, rows + 1):
            for n in range(1, columns + 1):
                assert_exact(form, a[:m], b[:, :n], c[:m, :n])


@forms
@dtypes
def test_around_the_cuts_of_k(form, dtype):
    block, _ = blocks(form, dtype)
    lanes = lanes_of(dtype)
    sizes = [(m, n, k) for k in around(block, 2 * block, 3 * block) for m, n in ((5, 2 * lanes + 3), (17, 1))]
    assert_exact_sizes(form, sizes, dtype)


@forms
@dtypes
def test_around_the_cuts_of_n(form, dtype):
    deep, block = blocks(form, dtype)
    lanes = lanes_of(dtype)
    columns = around(block, 2 * block, block - lanes, block + lanes)
    assert_exact_sizes(form, [(m, n, k) for n in columns for m, k in ((1, 3), (11, 19), (3, deep + 1))], dtype)


@forms
@dtypes
def test_around_the_size_at_which_b_is_packed(form, dtype):
    deep, _ = blocks(form, dtype)
    wide = ISA.pack_bytes // bytes_of(dtype) // deep
    rows = (ISA.pack_rows - 1, ISA.pack_rows)
    sizes = [(m, n, deep) for m in rows for n in around(wide)] + [(ISA.pack_rows, wide, k) for k in around(deep)]
    assert_exact_sizes(form, sizes, dtype)


@forms
@dtypes
def test_last_columns_that_do_not_fill_a_vector(form, dtype):
    lanes, size = lanes_of(dtype), bytes_of(dtype)
    widths = [lanes * v + t for v in (1, 3, 6) for t in range(1, MOST_THIN + 2)] + around(THIN_COLUMNS + 1)
    sizes = [(m, n, k) for n in widths for m in (lanes - 1, lanes, 37) for k in around(THIN_DEPTH)]
    deep = [(lanes + 1, lanes + 1, k) for k in around(THIN_BYTES // size)]
    tall = [(m, 3 * lanes + 1, 9) for m in around(len(ISA.tile_rows) * lanes)]
    assert_exact_sizes(form, sizes + deep + tall, dtype)


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


def steep_sizes(dtype):
    """Sizes of ``x.T dout``, and lengths of x's rows, that fall on each other in the cache."""
    size = bytes_of(dtype)
    block_k, block_n = blocks("x.T dout", dtype, step=STEEP // size)
    assert (block_k, block_n) == (STEEP_K // size, STEEP_N)
    wide = -(-ISA.pack_bytes // size // block_k)
    for step in (STEEP // size, 2 * STEEP // size):
        for k in around(1024 // size, block_k, 2 * block_k):
            yield 13, lanes_of(dtype) + 1, k, step
        for n in around(block_n, wide):
            yield min(step, ISA.pack_rows + 1), n, block_k + 1, step
        for m in (step, *around(ROWS_PACKED, 2 * ROWS_PACKED, ISA.pack_rows)):
            yield min(step, m), wide, block_k + 3, step


@dtypes
def test_steps_of_k_that_fall_on_each_other_in_the_cache(dtype):
    rng = np.random.default_rng(0)
    for m, n, k, step in steep_sizes(dtype):
        x, b = whole_numbers(rng, (k, step), dtype), whole_numbers(rng, (k, n), dtype)
        x[:, m:] = np.nan
        c = result_frame(m, n, dtype)
        before = frame_of(c)
        gemm(x[:, :m].T, framed(b), c)
        assert np.array_equal(c, x[:, :m].T @ b), (m, n, k, step)
        assert np.array_equal(frame_of(c), before), (m, n, k, step)


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
@dtypes
def test_packed_blocks_fit_the_scratch_memory(row, dtype):
    size = bytes_of(dtype)
    lanes = row.lanes(size)
    assert len(row.tile_rows) * row.vector_bytes <= ZERO_BYTES
    for block_k, block_n in ((row.block_k, row.block_n), (row.steep_k, row.steep_n)):
        rows, vectors = block_k // size + lanes, block_n // lanes
        assert vectors >= 1
        assert vectors * row.vector_bytes * rows <= SCRATCH_A
    if row.steep_pack:
        longest = -(-ROWS_PACKED // lanes) * lanes + lanes
        assert SCRATCH_A + longest * size * (row.steep_k // size + lanes) <= SCRATCH_BYTES


@dtypes
def test_depth_0_gives_zeros_or_the_start(dtype):
    a, b = np.empty((5, 0), dtype), np.empty((0, 21), dtype)
    bias = np.arange(21, dtype=dtype) - 10
    assert np.array_equal(gemm(a, b, np.full((5, 21), np.nan, dtype)), np.zeros((5, 21)))
    assert np.array_equal(gemm(a, b, np.full((5, 21), np.nan, dtype), bias), np.tile(bias, (5, 1)))
    rectified = gemm(a, b, np.full((5, 21), np.nan, dtype), bias, epilogue=RECTIFIED)
    assert np.array_equal(rectified, np.tile(np.maximum(bias, 0), (5, 1)))


@forms
@dtypes
@pytest.mark.parametrize(("m", "n"), [(0, 7), (7, 0), (0, 0)])
def test_no_rows_or_no_columns_write_nothing(form, dtype, m, n):
    for k in (0, 5):
        assert_exact(form, np.ones((m, k), dtype), np.ones((k, n), dtype), np.zeros((m, n), dtype))


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


@forms
@dtypes
@given(
    m=st.integers(1, 20),
    n=st.integers(1, 70),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_nan_and_infinities_spread_as_in_numpy(form, dtype, m, n, k, seed):
    rng = np.random.default_rng(seed)

    def hostile(shape):
        x = whole_numbers(rng, shape, dtype)
        spots = rng.random(shape) < 0.1
        x[spots] = rng.choice([np.nan, np.inf, -np.inf], spots.sum())
        return x

    a, b, bias = hostile((m, k)), hostile((k, n)), hostile(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = a @ b + bias
    c = gemm(*operands(form, a, b), result_frame(m, n, dtype), framed(bias[None])[0])
    np.testing.assert_array_equal(c, expected)


@forms
@dtypes
def test_operands_may_stand_at_any_element(form, dtype):
    rng = np.random.default_rng(0)
    m, n, k = 19, 3 * lanes_of(dtype) + 2, 70
    a, b = whole_numbers(rng, (m, k), dtype), whole_numbers(rng, (k, n), dtype)
    a_transposed, b_transposed = FORMS[form]

    def placed(values, offset, transposed=False):
        flat = np.empty(values.size + 64, dtype)
        start = (offset - flat.ctypes.data // flat.itemsize) % 16  # elements after a multiple of 16
        source = values.T if transposed else values
        inside = flat[start : start + values.size].reshape(source.shape)
        inside[...] = source
        return inside.T if transposed else inside

    for offset in range(16):
        c = placed(np.zeros((m, n), dtype), 5 * offset % 16)
        gemm(placed(a, offset, a_transposed), placed(b, 3 * offset % 16, b_transposed), c)
        assert np.array_equal(c, a @ b)


@dtypes
def test_same_bits_for_w_in_any_layout(dtype):
    rng = np.random.default_rng(7)
    for m, n, k in [(10, 3, 64), (33, 100, 784), (300, 130, 1100)]:
        a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        c, f = (gemm(a, layout(b), np.empty((m, n), dtype)) for layout in (np.ascontiguousarray, np.asfortranarray))
        assert_same_bits(c, f)


@dtypes
def test_rows_do_not_depend_on_the_rest_of_the_batch(dtype):
    rng = np.random.default_rng(8)
    for n in (77, lanes_of(dtype) + 1, lanes_of(dtype) + 2):
        a, b = rng.standard_normal((40, 300)).astype(dtype), rng.standard_normal((300, n)).astype(dtype)
        whole = gemm(a, b, np.empty((40, n), dtype))
        for first, last in [(0, 1), (3, 9), (17, 40)]:
            assert_same_bits(gemm(a[first:last], b, np.empty((last - first, n), dtype)), whole[first:last])


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@forms
def test_nothing_outside_the_operands_is_touched(form):
    """Each operand ends just before, then begins just after, memory that nobody may touch."""
    python("import guard_pages, sys; guard_pages.products(sys.argv[1])", form)
