"""The register tile: every shape in the table against the plain product."""

import numpy as np
import pytest
from calls import FLOATS, address, frame_of, framed, strides, uncached, whole_numbers
from strategies import assert_same_bits

from fastbp.kernels.isa import ISA
from fastbp.kernels.memory import local
from fastbp.kernels.tile import (
    AHEAD,
    HALVES,
    MAX_ROWS,
    MAX_VECTORS,
    PREFETCHES,
    TILE_ROWS,
    Strides,
    has_ahead,
    tile,
    tile_index,
    tile_table,
)

DEPTHS = (0, 1, 2, 17)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


@uncached
def call_tile(table, rows, vectors, lanes, ahead, a, b, c, depth, tail, alpha, start, count, floor):
    index = tile_index(rows, vectors, tail, lanes, ahead)
    steps = rows * a[1], 0, rows * c[1], rows * start[1]
    strides = local(Strides(a[1], a[2], b[1], c[1], start[1], depth, tail, *steps, ahead))
    tile(table, index, strides, a[0], b[0], c[0], start[0], count, alpha, floor)


def shapes(dtype):
    """Rows, vectors, the lanes of each, and how many rows of B are sent for ahead."""
    for vectors in range(1, MAX_VECTORS + 1):
        for rows in range(1, TILE_ROWS[vectors - 1] + 1):
            for ahead in (0, 3) if has_ahead(rows, vectors) else (0,):
                yield rows, vectors, ISA.lanes(np.dtype(dtype).itemsize), ahead


def run(shape, tail, a, b, c, start, alpha=1, floor=-np.inf):
    """``b`` has all lanes of the last vector, whether they exist in C or not."""
    rows, vectors, lanes, ahead = shape
    one = c.dtype.type
    begin = (address(start), 0) if start.ndim == 1 else strides(start)[:2]
    table = tile_table(one(1))
    depth = a.shape[1]
    call_tile(
        table,
        rows,
        vectors,
        lanes,
        ahead,
        strides(a),
        strides(b)[:2],
        strides(c)[:2],
        depth,
        tail,
        one(alpha),
        begin,
        len(c) // rows,
        one(floor),
    )


def operands(shape, tail, depth, dtype, rng):
    """A, B with NaN in the lanes that do not exist, and the product."""
    rows, vectors, lanes, _ = shape
    columns = lanes * (vectors - 1) + tail
    a, b = whole_numbers(rng, (rows, depth), dtype), whole_numbers(rng, (depth, lanes * vectors), dtype)
    product = a @ b[:, :columns]
    b[:, columns:] = np.nan
    return a, framed(b), product


@pytest.mark.parametrize("transposed", [False, True], ids=["x", "x.T"])
@dtypes
def test_every_shape_tail_and_depth(dtype, transposed):
    rng = np.random.default_rng(0)
    for shape in shapes(dtype):
        for tail in range(1, shape[2] + 1):
            for depth in DEPTHS:
                a, b, product = operands(shape, tail, depth, dtype, rng)
                bias = whole_numbers(rng, product.shape[1], dtype)
                c = framed(np.full_like(product, np.nan), frame=77)
                before = frame_of(c)
                run(shape, tail, framed(a, transposed), b, c, framed(bias[None])[0], alpha=-2)
                assert np.array_equal(c, bias - 2 * product), (shape, tail, depth)
                assert np.array_equal(frame_of(c), before), (shape, tail, depth)


@dtypes
def test_several_tiles_one_below_the_other(dtype):
    rng = np.random.default_rng(3)
    for rows, vectors, lanes, ahead in shapes(dtype):
        for transposed, tail in ((False, 1 + rows % lanes), (True, 1 + rows % lanes), (False, lanes)):
            for count in (2, 3):
                a, b, product = operands((rows * count, vectors, lanes, ahead), tail, 5, dtype, rng)
                start = whole_numbers(rng, product.shape, dtype)
                c = framed(np.full_like(product, np.nan), frame=77)
                before = frame_of(c)
                run((rows, vectors, lanes, ahead), tail, framed(a, transposed), b, c, framed(start))
                assert np.array_equal(c, start + product), (rows, vectors, tail, count)
                assert np.array_equal(frame_of(c), before), (rows, vectors, tail, count)


@dtypes
def test_c_as_its_own_start(dtype):
    rng = np.random.default_rng(1)
    for shape in shapes(dtype):
        tail = 1 + shape[0] % shape[2]
        a, b, product = operands(shape, tail, 5, dtype, rng)
        start = whole_numbers(rng, product.shape, dtype)
        c = framed(start, frame=77)
        before = frame_of(c)
        run(shape, tail, a, b, c, c)
        assert np.array_equal(c, start + product), shape
        assert np.array_equal(frame_of(c), before), shape


@dtypes
def test_floor_keeps_nan_and_makes_negative_zero_zero(dtype):
    for shape in shapes(dtype):
        rows, vectors, lanes, _ = shape
        columns = lanes * (vectors - 1) + lanes // 2
        start = np.tile(np.array([np.nan, -0.0, -1, 2, -np.inf, np.inf], dtype), columns)[:columns]
        c = np.empty((rows, columns), dtype)
        a, b = np.empty((rows, 0), dtype), np.empty((0, lanes * vectors), dtype)
        run(shape, lanes // 2, a, b, c, start, alpha=-1, floor=0)
        expected = np.tile(np.array([np.nan, 0, 0, 2, 0, np.inf], dtype), columns)[:columns]
        np.testing.assert_array_equal(c, np.tile(expected, (rows, 1)))
        assert not np.signbit(c[~np.isnan(c)]).any()


@dtypes
def test_an_element_has_the_same_bits_in_every_shape(dtype):
    rng = np.random.default_rng(2)
    lanes = ISA.lanes(np.dtype(dtype).itemsize)
    a = rng.standard_normal((MAX_ROWS, 300)).astype(dtype)
    b = rng.standard_normal((300, MAX_VECTORS * lanes)).astype(dtype)
    zeros = np.zeros(MAX_VECTORS * lanes, dtype)
    first = np.empty((MAX_ROWS, lanes), dtype)
    run((TILE_ROWS[0], 1, lanes, 0), lanes, a, b, first, zeros)
    for shape in shapes(dtype):
        rows, vectors, *_ = shape
        for tail in (lanes // 2, lanes - 1, lanes):
            c = np.empty((rows, lanes * (vectors - 1) + tail), dtype)
            run(shape, tail, a, b, c, zeros)
            overlap = min(lanes, c.shape[1])
            assert_same_bits(c[:, :overlap], first[:rows, :overlap])


def test_index_tells_every_tile_from_every_other():
    indices = {
        tile_index(rows, vectors, tail, lanes, ahead)
        for rows, vectors, lanes, ahead in shapes(np.float32)
        for tail in (1, lanes - 1, lanes)
    }
    plain = {index for index in indices if index < AHEAD}
    assert len(plain) == 2 * sum(TILE_ROWS) + HALVES * len(TILE_ROWS)
    sending = sum(has_ahead(rows, vectors) for rows, vectors, _, ahead in shapes(np.float32) if not ahead)
    full = sum(has_ahead(rows, vectors) for vectors, rows in enumerate(TILE_ROWS, 1))
    assert len(indices) - len(plain) == 2 * sending + HALVES * full
    assert min(indices) == 0
    assert max(indices) < AHEAD * (1 + PREFETCHES)


def test_a_tile_that_does_not_send_stands_in_for_one_that_is_not_there():
    for vectors in range(1, MAX_VECTORS + 1):
        for rows in range(1, TILE_ROWS[vectors - 1] + 1):
            if not has_ahead(rows, vectors):
                assert tile_index(rows, vectors, 1, 4, 1) == tile_index(rows, vectors, 1, 4)
