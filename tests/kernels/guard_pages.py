"""Kernels on operands that lie between inaccessible pages: reading or writing one element too many ends the process.

Run in a process of its own, by ``test_gemm`` and ``test_reduce``.
"""

import ctypes
import itertools
import mmap

import numpy as np
from calls import FLOATS, FORMS, address, blocks, gemm, uncached, whole_numbers

from fastbp.basics._machine import numbers
from fastbp.kernels.gemm import NOTHING, RELU
from fastbp.kernels.isa import ISA
from fastbp.kernels.plan import STEEP
from fastbp.kernels.reduce import row_max, row_sum, sum_of_squares, wide_sum


class Arena:
    """Memory between two inaccessible pages."""

    def __init__(self, n_bytes):
        self.size = -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._map = mmap.mmap(-1, self.size + 2 * mmap.PAGESIZE)
        self._bytes = np.frombuffer(self._map, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (0, self.size + mmap.PAGESIZE):
            status = libc.mprotect(ctypes.c_void_p(address(self._bytes) + page), ctypes.c_size_t(mmap.PAGESIZE), 0)
            assert status == 0, ctypes.get_errno()

    def empty(self, shape, dtype, at_end):
        """An array that touches one of the pages."""
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        begin = mmap.PAGESIZE + (self.size - n_bytes if at_end else 0)
        return self._bytes[begin : begin + n_bytes].view(dtype).reshape(shape)

    def hold(self, values, at_end, transposed=False):
        held = self.empty((values.T if transposed else values).shape, values.dtype, at_end)
        held = held.T if transposed else held
        held[...] = values
        return held


def shapes(form, dtype):
    """Ragged shapes, and some that are packed."""
    size = np.dtype(dtype).itemsize
    lanes = ISA.lanes(size)
    yield from itertools.product(
        (1, 4, 9, 2 * max(ISA.tile_rows) + 1),
        (1, 2, lanes // 2, lanes // 2 + 1, lanes - 1, lanes, lanes + 1, 3 * lanes + 3, 65),
        (1, 2, lanes - 1, lanes + 1, 65),
    )
    block_k, block_n = blocks(form, dtype)
    large = numbers().pack_bytes // size // block_k + 1
    yield from [(numbers().pack_rows + 1, large, block_k + 1), (7, block_n + 3, block_k + 1), (5, 2 * block_n - 1, 9)]
    step = STEEP // size  # for x.T, steps of k that fall on each other in the cache
    yield from [(step, numbers().pack_bytes // size // 700 + 1, 701), (step, 3, 1024 // size)]
    yield (1, 45 * lanes + 7, numbers().stream_row_bytes // size // (45 * lanes) + 3)  # of which B is read row by row


def products(form):
    a_transposed, b_transposed = FORMS[form]
    rng = np.random.default_rng(0)
    arenas = [Arena(8 << 20) for _ in range(4)]
    for dtype in FLOATS:
        for m, n, k in shapes(form, dtype):
            a, b = whole_numbers(rng, (m, k), dtype), whole_numbers(rng, (k, n), dtype)
            bias = whole_numbers(rng, n, dtype)
            expected = a @ b + bias
            for at_end in (True, False):
                held = [
                    arenas[0].hold(a, at_end, a_transposed),
                    arenas[1].hold(b, at_end, b_transposed),
                    arenas[2].empty((m, n), dtype, at_end),
                ]
                assert np.array_equal(gemm(*held, arenas[3].hold(bias, at_end)), expected), (m, n, k, at_end)
                assert np.array_equal(
                    gemm(*held, start=held[2], epilogue=(RELU, NOTHING, 0)), np.maximum(expected + a @ b, 0)
                )


@uncached
def reduce_row(at, count, one):
    sums = row_sum(at, count, one), wide_sum(at, count, one), sum_of_squares(at, count, one)
    return row_max(at, count, one), sums


def reductions():
    arena = Arena(1 << 16)
    for dtype in FLOATS:
        for count, at_end in itertools.product(range(1, 101), (True, False)):
            row = arena.hold(np.arange(count, dtype=dtype), at_end)
            total, squares = int(row.sum()), int((row.astype(np.int64) ** 2).sum())
            assert reduce_row(address(row), count, dtype(1)) == (count - 1, (total, total, squares))
