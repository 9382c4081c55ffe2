"""Plans of products: the same in Python and compiled, and a product by its plan has the bits of one without."""

import itertools

import numpy as np
import pytest
from calls import FLOATS, FORMS, address, apply_back, function_address, gemm, strides, team_for, uncached
from strategies import assert_same_bits

from fastbp.basics._machine import numbers
from fastbp.kernels import activations
from fastbp.kernels import gemm as gemm_kernels
from fastbp.kernels.gemm import NO_EPILOGUE, NOTHING, RELU
from fastbp.kernels.isa import ISA, PAGE_BYTES
from fastbp.kernels.machine import NUMBERS
from fastbp.kernels.plan import (
    BLOCK_K,
    BLOCKS,
    EXCHANGE_DEPTH,
    NO_WORK,
    PACKED_TILES,
    TILES,
    WIDEST,
    Plan,
    plan_product,
)
from fastbp.kernels.thin import MOST
from fastbp.kernels.tile import MAX_VECTORS, TILE_ROWS, Strides

forms = pytest.mark.parametrize("form", FORMS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


@uncached
def compiled_plan(shape, a, b, c_row, start_row, size, machine):
    return plan_product(shape, a, b, c_row, start_row, size, machine)


@uncached
def call_product(team, plan, a, b, c, start, alpha, epilogue):
    gemm_kernels.product(team, plan, a, b, c, start, alpha, epilogue)


def layout(form, m, n, k):
    """Strides of A and of B as a layer's arrays have them."""
    a_transposed, b_transposed = FORMS[form]
    return ((1, m) if a_transposed else (k, 1)), ((1, k) if b_transposed else (n, 1))


def plan_of(form, m, n, k, dtype, start_row=0):
    return plan_product((m, n, k), *layout(form, m, n, k), n, start_row, np.dtype(dtype).itemsize, numbers())


@forms
@dtypes
def test_compiled_code_makes_the_plan_that_python_makes(form, dtype):
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.uniform(0, np.log(3000), (500, 3))).astype(int) - (rng.random((500, 3)) < 0.05)
    for m, n, k in sizes.tolist():
        arguments = (m, n, k), *layout(form, m, n, k), n, 0, np.dtype(dtype).itemsize, numbers()
        plan = compiled_plan(*arguments)
        assert plan == plan_product(*arguments), arguments
        assert type(plan) is Plan
        assert all(type(field) is int for field in plan)


def test_a_plan_begins_with_the_strides_of_its_tiles():
    assert Plan._fields[: len(Strides._fields)] == Strides._fields


@forms
@dtypes
def test_tiles_make_up_the_rows(form, dtype):
    for vectors in range(1, MAX_VECTORS + 1):
        for m in range(1, 3 * TILE_ROWS[vectors - 1] + 1):
            plan = plan_of(form, m, vectors * ISA.lanes(np.dtype(dtype).itemsize), 3, dtype)
            assert plan.way in (TILES, PACKED_TILES)
            assert plan.last_row == plan.n_tiles * min(m, TILE_ROWS[vectors - 1])
            assert 0 <= m - plan.last_row < TILE_ROWS[vectors - 1]


@dtypes
def test_the_way_of_a_product(dtype):
    size = np.dtype(dtype).itemsize
    wide = MAX_VECTORS * ISA.lanes(size)
    tiles = TILES if ISA.masks else PACKED_TILES
    assert plan_of("x W", 8, wide, 16, dtype).way == tiles
    assert plan_of("x W", 8, wide + 1, 16, dtype).way == BLOCKS
    assert plan_of("dout W.T", 8, wide, 16, dtype).way == PACKED_TILES
    assert plan_of("x W", 1, wide, BLOCK_K // size, dtype).way == tiles
    assert plan_of("x W", 1, wide, BLOCK_K // size + 1, dtype).way == BLOCKS
    assert plan_of("x W", numbers().small_product // (8 * wide), wide, 8, dtype).way == tiles
    assert plan_of("x W", numbers().small_product // (8 * wide) + 1, wide, 8, dtype).way == BLOCKS
    for m, n in ((0, 3), (3, 0)):
        assert plan_of("x W", m, n, 5, dtype).way == NO_WORK


@forms
@dtypes
@pytest.mark.parametrize("adds", ["nothing", "a row", "C itself"])
def test_a_product_by_its_plan_has_the_bits_of_one_without(form, dtype, adds):
    rng = np.random.default_rng(0)
    for m, n, k in (
        (1, 1, 1),
        (8, 16, 4),
        (16, 2, 16),
        (17, 33, 5),
        (23, 70, 19),
        (6, 37, 2100),
        (40, 300, 9),
        (0, 4, 2),
    ):
        a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n)))
        if FORMS[form][0]:
            a = np.asfortranarray(a)
        if FORMS[form][1]:
            b = np.asfortranarray(b)
        start = rng.standard_normal((m, n)).astype(dtype)
        row = rng.standard_normal(n).astype(dtype)
        c, alpha, epilogue = start.copy(), dtype(-0.3), (RELU if adds == "a row" else NO_EPILOGUE[0], NOTHING, 0)
        at_start = {"nothing": NOTHING, "a row": address(row), "C itself": address(c)}[adds]
        a_at, b_at = strides(a), strides(b)
        plan = plan_product((m, n, k), a_at[1:], b_at[1:], n, n if adds == "C itself" else 0, c.itemsize, numbers())
        words = np.array(plan, np.int64)
        call_product(team_for(dtype), address(words), a_at[0], b_at[0], address(c), at_start, alpha, epilogue)
        begin = {"nothing": None, "a row": row, "C itself": start}[adds]
        assert_same_bits(c, gemm(a, b, np.full_like(c, np.nan), begin, alpha, epilogue)), (m, n, k)
        assert words.tolist() == list(plan)


@dtypes
@pytest.mark.parametrize("adds", ["nothing", "a row", "a matrix"])
def test_a_few_rows_of_a_gradient_meet_a_transpose_from_end_to_end(dtype, adds):
    rng = np.random.default_rng(0)
    size = np.dtype(dtype).itemsize
    team, one = team_for(np.dtype(dtype)), np.dtype(dtype).type(1)
    few_rows = ((1, 2, 130), (1, 200, 1000), (2, 37, 300), (3, 3, 1000), (4, 50, 259), (4, 9, 127))
    for m, n, k in (*few_rows, (5, 20, 300), (7, 21, 300), (8, 33, 520), (9, 33, 520)):
        x, w, start = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((m, k), (n, k), (m, n)))  # sums are exact
        start_row = n if adds == "a matrix" else 0
        plan = plan_product((m, n, k), (k, 1), (1, k), n + 3, start_row, size, numbers(), 1)
        few = min(MOST, ISA.vector_bytes // size // 2)  # of more, half a vector or more is filled
        assert plan.exchanged == (ISA.masks and (m == 1 or (m <= few and k * size >= EXCHANGE_DEPTH)))
        assert plan_product((m, n, k), (k, 1), (1, k), n + 3, start_row, size, numbers()).exchanged == 0
        words, y = np.array(plan, np.int64), np.full((m, n + 3), np.nan, dtype)
        at_start = NOTHING if adds == "nothing" else address(start)
        call_product(team, address(words), address(x), address(w), address(y), at_start, one, (RELU, NOTHING, 0))
        added = {"nothing": 0, "a row": start[0], "a matrix": start}[adds]
        np.testing.assert_array_equal(y[:, :n], np.maximum(x @ w.T + added, 0), str((m, n, k)))
        assert np.isnan(y[:, n:]).all()


@dtypes
def test_a_few_rows_of_a_gradient_go_through_the_slope_of_what_they_are_the_gradient_of(dtype):
    rng = np.random.default_rng(0)
    team, one = team_for(np.dtype(dtype)), np.dtype(dtype).type(1)
    function = function_address(activations.sigmoid_back, dtype)
    for m, n, k in ((1, 70, 300), (3, 70, 300), (4, 4, 600)):
        x, w = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((m, k), (n, k)))  # sums are exact
        kept = rng.random((m, n)).astype(dtype)
        plan = plan_product((m, n, k), (k, 1), (1, k), n, 0, np.dtype(dtype).itemsize, numbers(), 1)
        words, y = np.array(plan, np.int64), np.full((m, n), np.nan, dtype)
        epilogue = (function, address(kept), 0)
        call_product(team, address(words), address(x), address(w), address(y), NOTHING, one, epilogue)
        assert_same_bits(y, apply_back("sigmoid", x @ w.T, kept))


@dtypes
def test_a_single_column_has_the_same_bits_streamed_or_not(dtype, set_numbers):
    rng = np.random.default_rng(0)
    for n, k in ((300, 70), (1000, 9), (70, 2 * BLOCK_K)):
        x, dout = rng.standard_normal((k, n)).astype(dtype), rng.standard_normal((k, 1)).astype(dtype)
        made = []
        for bytes_ in (NUMBERS["stream_row_bytes"].least, NUMBERS["stream_row_bytes"].most):
            set_numbers(stream_row_bytes=bytes_)
            made += [gemm(x.T, dout, np.full((n, 1), np.nan, dtype))]
            made += [gemm(x.T, dout, np.ones((n, 1), dtype), np.zeros((n, 1), dtype))]
        for other in made[1:]:
            assert_same_bits(other, made[0])


@dtypes
def test_a_transpose_has_the_same_bits_turned_or_not(dtype, set_numbers):
    rng = np.random.default_rng(0)
    for m, n, k in ((70, 130, 300), (65, 140, 2100), (130, 128, 1030)):
        x, dout = rng.standard_normal((k, m)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        made = []
        for depth in (NUMBERS["turn_depth"].least, NUMBERS["turn_depth"].most):
            set_numbers(turn_depth=depth, turn_width=64)
            made += [gemm(x.T, dout, np.full((m, n), np.nan, dtype))]
        assert_same_bits(*made)


@forms
@dtypes
def test_a_product_has_the_same_bits_however_b_is_read(form, dtype, set_numbers):
    rng = np.random.default_rng(0)
    for m, n, k in ((9, 300, 700), (33, 130, 1030), (14, 2048, 40), (50, 50, 784)):
        a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n)))
        a = np.asfortranarray(a) if FORMS[form][0] else a
        b = np.asfortranarray(b) if FORMS[form][1] else b
        made = []
        for k_ahead, pack_rows, panel_bytes in itertools.product((0, 8), (1, 1000), (0, 1 << 20)):
            set_numbers(k_ahead=k_ahead, pack_rows=pack_rows, panel_bytes=panel_bytes, pack_bytes=1 << 14)
            made += [gemm(a, b, np.full((m, n), np.nan, dtype))]
        for other in made[1:]:
            assert_same_bits(other, made[0])


@dtypes
def test_operands_are_sent_for_ahead_where_a_panel_leaves_the_first_cache(dtype, set_numbers):
    deep, panel = 64, MAX_VECTORS * ISA.lanes(np.dtype(dtype).itemsize)
    set_numbers(k_ahead=5, ahead_bytes=deep * WIDEST, pack_bytes=1 << 30)
    tiles = TILES if ISA.masks else PACKED_TILES
    for form, rows, columns, depth, way, ahead in (
        ("x W", 3, panel, deep, tiles, 5),
        ("x W", 3, panel, deep - 1, tiles, 0),
        ("x W", 4000, panel, deep, BLOCKS, 5),
        ("x W", 4000, panel, deep - 1, BLOCKS, 0),
        ("x W", 4000, 3 * panel, deep // 2, BLOCKS, 5),  # its rows lie in as much as three panels have
        ("x W", 4000, 3 * panel, deep // 2 - 1, BLOCKS, 0),
        ("dout W.T", 4000, 3 * panel, deep, BLOCKS, 5),  # packed: they lie side by side
        ("dout W.T", 4000, 3 * panel, deep - 1, BLOCKS, 0),
        ("x.T dout", 8000, 1, deep // 2, BLOCKS, 5 * ISA.masks),  # a column apart: the panel is one of x
        ("x.T dout", 8000, 1, deep // 2 - 1, BLOCKS, 0),
    ):
        plan = plan_of(form, rows, columns, depth, dtype)
        assert (plan.way, plan.k_ahead) == (way, ahead), (form, rows, columns, depth)


@dtypes
def test_a_b_of_rows_whole_pages_apart_is_packed_for_half_as_many_rows(dtype, set_numbers):
    set_numbers(pack_rows=40, page_rows=300, pack_bytes=1 << 14)
    pages, beside = PAGE_BYTES // np.dtype(dtype).itemsize, ISA.lanes(np.dtype(dtype).itemsize)
    for rows, columns, depth, packs in (
        (20, pages, 300, True),
        (19, pages, 300, False),
        (39, pages, 299, False),
        (39, pages + beside, 300, False),
        (40, pages + beside, 300, True),
    ):
        assert plan_of("x W", rows, columns, depth, dtype).packs_b == packs, (rows, columns, depth)


@dtypes
@pytest.mark.parametrize(("n", "k"), [(1, 70_000), (3, 100_000), (5, 70_000), (300, 1000), (17, 20_000)])
def test_every_row_of_a_single_column_is_computed(dtype, n, k):
    rng = np.random.default_rng(0)
    x, dout = (rng.integers(-3, 4, size).astype(dtype) for size in ((k, n), (k, 1)))  # sums are exact
    assert_same_bits(gemm(x.T, dout, np.full((n, 1), np.nan, dtype)), x.T @ dout)
