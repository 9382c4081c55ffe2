"""The matrix product: every form and size, and nothing read or written outside the operands."""

import sys
import warnings

import numpy as np
import pytest
from amounts import amounts
from calls import FLOATS, FORMS, blocks, frame_of, framed, gemm, python, whole_numbers
from hypothesis import given
from hypothesis import strategies as st
from products import around, assert_exact, assert_exact_sizes, bytes_of, dtypes, forms, lanes_of, operands, result_frame
from strategies import assert_same_bits

from fastbp.basics._machine import numbers
from fastbp.kernels.gemm import NOTHING, RELU, SCRATCH_A, TURNED_ROWS, TURNED_TOGETHER
from fastbp.kernels.isa import ISA
from fastbp.kernels.machine import FIXED, NUMBERS
from fastbp.kernels.plan import (
    BLOCK_K,
    FILLED_DEPTH,
    NARROW_DEPTH,
    STEEP,
    SUMS_BYTES,
    THIN_BYTES,
    THIN_COLUMNS,
    THIN_DEPTH,
    TURN_COLUMNS,
    TURN_ROWS,
    plan_product,
)
from fastbp.kernels.team import SCRATCH_BYTES, ZERO_BYTES
from fastbp.kernels.thin import MOST as MOST_THIN

RESIDUAL = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-14}


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


def some_size(rng):
    """0, 1, or anything up to 300, small ones more often."""
    return int(rng.choice([0, 1, 1, 1, *np.exp(rng.uniform(0.7, np.log(300), 16))]))


def strided(rng, values, transposed=False):
    """``values`` among NaN, rows (columns where ``transposed``) at any distance, beginning anywhere."""
    values = values.T if transposed else values
    rows, columns = values.shape
    before, after, step = rng.integers(0, 20), rng.integers(0, 20), rng.integers(1, 3)
    whole = np.full((rows * step + 1, before + columns + after), np.nan, values.dtype)
    inside = whole[: rows * step : step, before : before + columns]
    inside[...] = values
    return inside.T if transposed else inside


def assert_accurate_with_strides(form, dtype, rng):
    """C = alpha A B + start, of any sizes and strides, start a matrix, a row or nothing."""
    m, n, k = (some_size(rng) for _ in range(3))
    a, b, matrix, row = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (m, n), n))
    start = [None, None, matrix, row][rng.integers(4)]
    alpha = dtype(rng.choice([1, -0.3]))
    wide = np.float64 if dtype == np.float32 else np.longdouble
    begin = np.zeros((m, n), dtype) if start is None else np.broadcast_to(start, (m, n))
    exact = wide(alpha) * (a.astype(wide) @ b.astype(wide)) + begin
    c = strided(rng, np.zeros((m, n), dtype))
    around = c.base.copy()
    a_transposed, b_transposed = FORMS[form]
    held = start if start is None or start.ndim == 1 else strided(rng, start)
    gemm(strided(rng, a, a_transposed), strided(rng, b, b_transposed), c, held, alpha)
    error, shape = np.abs(c - exact), f"{form} of {m}, {n}, {k}, alpha {alpha}"
    bound = (k + 2) * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b) + np.abs(begin))
    assert np.all(error <= bound), shape
    norms = [np.linalg.norm(x.astype(np.float64)) for x in (error, a, b, begin)]
    assert norms[0] <= RESIDUAL[np.dtype(dtype)] * (norms[1] * norms[2] + norms[3]), shape
    c[...] = 0
    assert np.array_equal(c.base, around, equal_nan=True), f"{shape}: wrote outside C"
    return norms[0] / max(norms[1] * norms[2] + norms[3], np.finfo(dtype).tiny)


@forms
@dtypes
@amounts("products", 200, 10_000)
def test_residual_of_random_sizes_and_strides(form, dtype, products):
    rng = np.random.default_rng([20, len(form), bytes_of(dtype)])
    residuals = [assert_accurate_with_strides(form, dtype, rng) for _ in range(products)]
    print(f"largest residual of {products} products {form} in {np.dtype(dtype)}: {max(residuals):.1e}")


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
    wide = numbers().pack_bytes // bytes_of(dtype) // deep
    rows = (numbers().pack_rows - 1, numbers().pack_rows)
    sizes = [(m, n, deep) for m in rows for n in around(wide)] + [(numbers().pack_rows, wide, k) for k in around(deep)]
    assert_exact_sizes(form, sizes, dtype)


@forms
@dtypes
def test_last_columns_that_do_not_fill_a_vector(form, dtype):
    lanes, size = lanes_of(dtype), bytes_of(dtype)
    widths = [lanes * v + t for v in (1, 3, 6) for t in range(1, MOST_THIN + 2)] + around(THIN_COLUMNS + 1)
    sizes = [(m, n, k) for n in widths for m in (lanes - 1, lanes, 37) for k in around(THIN_DEPTH)]
    deep = [(lanes + 1, lanes + 1, k) for k in around(THIN_BYTES // size)]
    tall = [(m, 3 * lanes + 1, 9) for m in around(len(ISA.tile_rows) * lanes)]
    rows = 1, 2, 5, 8, 9, 3 * lanes + 1
    narrow = [(m, n, k) for n in range(1, MOST_THIN + 2) for m in rows for k in around(NARROW_DEPTH * n, THIN_DEPTH)]
    filled = [(3 * lanes + 1, n, k) for n in range(1, lanes) for k in around(FILLED_DEPTH, BLOCK_K // size)]
    assert_exact_sizes(form, sizes + deep + tall + narrow + filled, dtype)


def steep_sizes(dtype):
    """Sizes of ``x.T dout``, and lengths of x's rows, that fall on each other in the cache."""
    size = bytes_of(dtype)
    steep = max(STEEP, 2048) // size  # which is a multiple of any
    block_k, block_n = blocks("x.T dout", dtype, step=steep)
    for step in (steep, 2 * steep):
        for k in around(1024 // size, block_k, 2 * block_k):
            yield 13, lanes_of(dtype) + 1, k, step
        for n in around(TURN_COLUMNS, TURN_COLUMNS + block_n):
            yield min(step, numbers().pack_rows + 1), n, block_k + 1, step
        for m in (step, *around(TURN_ROWS, TURNED_TOGETHER, 2 * TURNED_TOGETHER)):
            yield min(step, m), TURN_COLUMNS + 1, block_k + 3, step
    for m in around(TURNED_ROWS, TURNED_ROWS + 1):
        yield m, TURN_COLUMNS, 1024 // size, TURNED_ROWS + steep


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


@dtypes
def test_packed_blocks_fit_the_scratch_memory_where_they_are_as_wide_as_may_be(dtype):
    size = bytes_of(dtype)
    lanes = ISA.lanes(size)
    assert len(ISA.tile_rows) * ISA.vector_bytes <= ZERO_BYTES
    columns = NUMBERS["block_n"]
    assert columns.least >= lanes
    assert columns.most // lanes * ISA.vector_bytes * (FIXED.block_k // size + lanes) <= SCRATCH_A
    assert SCRATCH_A + TURNED_ROWS * (FIXED.block_k + 2 * ISA.vector_bytes) <= SCRATCH_BYTES


@forms
@dtypes
@pytest.mark.parametrize(("m", "n"), [(0, 7), (7, 0), (0, 0)])
def test_no_rows_or_no_columns_write_nothing(form, dtype, m, n):
    for k in (0, 5):
        assert_exact(form, np.ones((m, k), dtype), np.ones((k, n), dtype), np.zeros((m, n), dtype))


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
    for n in (1, 5, 8, 77, lanes_of(dtype) + 1, lanes_of(dtype) + 2):
        a, b = rng.standard_normal((40, 300)).astype(dtype), rng.standard_normal((300, n)).astype(dtype)
        whole = gemm(a, b, np.empty((40, n), dtype))
        for first, last in [(0, 1), (3, 9), (17, 40)]:
            assert_same_bits(gemm(a[first:last], b, np.empty((last - first, n), dtype)), whole[first:last])


@dtypes
@pytest.mark.parametrize("adds", ["nothing", "a row", "C itself"])
def test_a_single_row_of_a_large_matrix_has_the_bits_that_it_has_among_others(dtype, adds):
    rng = np.random.default_rng(9)
    size, lanes = bytes_of(dtype), lanes_of(dtype)
    least = numbers().stream_row_bytes // size
    for n, k in [(784, 512), (65 * lanes + 3, 1501), (64 * lanes + 1, 803), (33, least // 33 + 1), (least + 5, 1)]:
        a, b = rng.standard_normal((3, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        begin = rng.standard_normal((3, n)).astype(dtype)
        begin = {"nothing": None, "a row": begin[0], "C itself": begin}[adds]
        assert plan_product((1, n, k), (k, 1), (n, 1), n, n, size, numbers()).streams == (n * size <= SUMS_BYTES)
        whole = gemm(a, b, np.empty((3, n), dtype), begin, -0.3, (RELU, NOTHING, 0))
        for i in range(3):
            own = begin[i : i + 1] if adds == "C itself" else begin
            row = gemm(a[i : i + 1], b, np.empty((1, n), dtype), own, -0.3, (RELU, NOTHING, 0))
            assert_same_bits(row, whole[i : i + 1])


@dtypes
def test_a_single_row_of_a_large_matrix_writes_nothing_else(dtype):
    rng = np.random.default_rng(10)
    for n, k in [(784, 512), (65 * lanes_of(dtype) + 3, 1501)]:
        a, b = whole_numbers(rng, (1, k), dtype), whole_numbers(rng, (k, n), dtype)
        assert_exact("x W", a, b, a @ b)


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@forms
def test_nothing_outside_the_operands_is_touched(form):
    """Each operand ends just before, then begins just after, memory that nobody may touch."""
    python("import guard_pages, sys; guard_pages.products(sys.argv[1])", form)
