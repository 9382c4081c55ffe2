"""Panels: copies and transposes of ragged blocks against NumPy."""

import numpy as np
import pytest
from calls import FLOATS, address, framed, strides, uncached, whole_numbers

from fastbp.kernels import pack
from fastbp.kernels.isa import ISA
from fastbp.kernels.pack import NARROW
from fastbp.kernels.tile import MAX_VECTORS

SENTINEL = 99
dtypes = pytest.mark.parametrize("dtype", FLOATS)
layouts = pytest.mark.parametrize("transposed", [False, True], ids=["copied", "transposed"])


@uncached
def pack_panel(b, depth, columns, panel, width, one):
    pack.pack_panel(b[0], b[1], b[2], depth, columns, panel, width, one)


@uncached
def unpack_rows(panel, width, depth, columns, target, one):
    pack.unpack_rows(panel, width, depth, columns, target, one)


def lanes_of(dtype):
    return ISA.lanes(np.dtype(dtype).itemsize)


def packed(b, width, lanes):
    """The panel of ``b``, after a check that nothing but it and ``lanes`` rows more was written."""
    depth, columns = b.shape
    memory = np.full((depth + lanes + 2) * width, SENTINEL, b.dtype)
    panel = memory[width:]
    pack_panel(strides(b), depth, columns, address(panel), width, b.dtype.type(1))
    assert np.all(memory[:width] == SENTINEL), "wrote in front of the panel"
    assert np.all(memory[(1 + depth + lanes) * width :] == SENTINEL), "wrote behind the panel"
    return panel[: depth * width].reshape(depth, width)


def assert_packs(b, transposed, width):
    panel = packed(framed(b, transposed), width, lanes_of(b.dtype))
    assert np.array_equal(panel[:, : b.shape[1]], b), (b.shape, width)


@layouts
@dtypes
def test_every_ragged_size(dtype, transposed):
    lanes = lanes_of(dtype)
    whole = whole_numbers(np.random.default_rng(0), (2 * lanes + 2, 2 * lanes + 1), dtype)
    for depth in range(1, len(whole) + 1):
        for columns in range(1, whole.shape[1] + 1):
            assert_packs(whole[:depth, :columns], transposed, -(-columns // lanes) * lanes)


@layouts
@dtypes
def test_the_widest_panel_and_a_deep_one(dtype, transposed):
    lanes = lanes_of(dtype)
    rng = np.random.default_rng(1)
    for depth, columns in [(5, MAX_VECTORS * lanes), (1025, MAX_VECTORS * lanes - 1), (1000, 1)]:
        width = -(-columns // lanes) * lanes
        assert_packs(whole_numbers(rng, (depth, columns), dtype), transposed, width)


@layouts
@dtypes
def test_a_panel_wider_than_its_columns_need(dtype, transposed):
    lanes = lanes_of(dtype)
    rng = np.random.default_rng(2)
    for columns in (1, lanes, lanes + 1):
        assert_packs(whole_numbers(rng, (lanes + 3, columns), dtype), transposed, 4 * lanes)


@layouts
@dtypes
def test_depth_0_writes_no_row_of_a_panel(dtype, transposed):
    lanes = lanes_of(dtype)
    assert_packs(np.empty((0, lanes + 1), dtype), transposed, 2 * lanes)


@layouts
@dtypes
def test_nan_and_infinities_are_copied_and_none_is_made(dtype, transposed):
    lanes = lanes_of(dtype)
    b = np.full((lanes + 1, lanes + 1), -0.0, dtype)
    b[0, 0], b[lanes, lanes], b[1, lanes] = np.nan, np.inf, -np.inf
    panel = packed(framed(b, transposed, frame=1), 2 * lanes, lanes)
    assert panel[:, : lanes + 1].tobytes() == b.tobytes()


@dtypes
def test_short_rows_without_a_gap_between_them(dtype):
    lanes = lanes_of(dtype)
    rng = np.random.default_rng(3)
    for depth in range(1, NARROW + 2):
        for columns in range(1, 2 * lanes + 2):
            held = np.full(
                depth * columns + 2, np.nan, dtype
            )  # what is read beside the rows shows in no place of theirs
            rows = held[1:-1].reshape(columns, depth)
            rows[...] = whole_numbers(rng, rows.shape, dtype)
            panel = packed(rows.T, -(-columns // lanes) * lanes, lanes)
            assert np.array_equal(panel[:, :columns], rows.T), (depth, columns)


@dtypes
def test_unpacked_rows_are_those_that_were_packed(dtype):
    lanes = lanes_of(dtype)
    rng = np.random.default_rng(4)
    for depth in (*range(1, NARROW + 2), lanes, lanes + 1):
        for columns in range(1, 2 * lanes + 2):
            panel = np.full((depth, -(-columns // lanes) * lanes), np.nan, dtype)
            panel[:, :columns] = whole_numbers(rng, (depth, columns), dtype)
            held = np.full(columns * depth + 2, SENTINEL, dtype)
            unpack_rows(address(panel), panel.shape[1], depth, columns, address(held[1:]), dtype(1))
            assert np.array_equal(held[1:-1].reshape(columns, depth), panel[:, :columns].T), (depth, columns)
            assert held[0] == held[-1] == SENTINEL, (depth, columns)
