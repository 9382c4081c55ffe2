"""The gradient of filters whose output goes through a max pooling and nowhere else.

What the pooling puts back is 0 but for one pixel in each window. So the gradient is a sum over windows, each the
gradient of its largest number times the part of the image below that pixel; the gradient before the pooling is never
made. Rows of a filter, ROWS at a time, are vectors of WIDTH elements in registers, of which the filter's own are kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .convolution import added_up
from .convolution_plan import Shape, planes_for
from .instructions import operands, operation
from .isa import ISA, SCRATCH_BYTES
from .machine import FIXED
from .memory import float_of_bits, like, load, size_of, view
from .planes import Planes, copy_image
from .pooling import BYTE_TAPS, Pool
from .program import LR
from .reduce import row_sum
from .simd import I64, Vectors, element_type
from .team import package, scratch_of, spread

ROWS, WIDTH = 5, 8  # of a usual filter, whose sums two at a time are ten registers; elements of a row


class PooledFilters(NamedTuple):
    """Words of a gradient of filters behind a pooling, of ``tiles`` times ROWS rows each.

    The windows of the pooling are ``across`` and ``down`` elements of a plane apart. Images are dealt to ``parts``.
    Then come the words of a ``Planes``, the offsets of the rows, and those of the pixels of a window.
    """

    filters: int
    rows: int
    filter_w: int
    places_h: int
    places_w: int
    across: int
    down: int
    x_image: int
    tiles: int
    parts: int


_PLANES = len(PooledFilters._fields)
_ROWS = _PLANES + len(Planes._fields)


@lru_cache(maxsize=256)
def pooled_filters(s: Shape, pool: Pool, dtype: np.dtype) -> np.ndarray | None:
    """The words of a ``PooledFilters``; None where it does not do."""
    source, reach = (s.channels, s.height, s.width), (s.places[0] + s.filter_h - 1, s.places[1] + s.filter_w - 1)
    p = planes_for(source, 1, (s.pad, s.pad), reach, ISA.lanes(dtype.itemsize))
    p = p._replace(image=p.image + WIDTH)  # a row may be read beyond its end
    fits = s.filter_w <= WIDTH and pool.taps <= BYTE_TAPS and dtype.itemsize * p.image <= SCRATCH_BYTES
    if s.stride != 1 or pool.pad or not fits:
        return None
    rows = s.channels * s.filter_h
    tiles = -(-rows // ROWS)
    words = PooledFilters(
        filters=s.filters,
        rows=rows,
        filter_w=s.filter_w,
        places_h=pool.places_h,
        places_w=pool.places_w,
        across=pool.stride,
        down=pool.stride * p.pitch,
        x_image=s.channels * s.height * s.width,
        tiles=tiles,
        parts=FIXED.slice_parts,
    )
    existing = [min(row, rows - 1) for row in range(tiles * ROWS)]
    of_rows = [row // s.filter_h * p.plane + row % s.filter_h * p.pitch for row in existing]
    of_pixels = [tap // pool.window_w * p.pitch + tap % pool.window_w for tap in range(pool.taps)]
    return np.array([*words, *p, *of_rows, *of_pixels], np.int64)


def elements_of_pooled_parts(words: np.ndarray, n_images: int) -> int:
    """How many elements the sums of all parts of a ``PooledFilters`` have."""
    n = PooledFilters(*words[:_PLANES].tolist())
    return min(n.parts, n_images) * n.filters * (1 + n.tiles * ROWS * WIDTH)


@intrinsic
def _add_windows(typingctx, x, rows, pixels, d, places, places_h, places_w, down, across, out, one):
    """``out[r] += sum over windows of d x[pixel + rows[r]]``, where the pixel is that of a window's largest number."""

    def codegen(context, builder, signature, arguments):
        x, rows, pixels, d, places, places_h, places_w, down, across, out, _ = arguments
        v = Vectors(builder, element_type(one))
        x, d, out = v.pointer(x), v.pointer(d), v.pointer(out)
        rows, pixels = builder.inttoptr(rows, I64.as_pointer()), builder.inttoptr(pixels, I64.as_pointer())
        places = builder.inttoptr(places, ir.IntType(8).as_pointer())
        lines = [v.at(x, builder.load(builder.gep(rows, [I64(r)]))) for r in range(ROWS)]
        # Two windows at a time, so that no addition waits for the one before.
        sums = [[cgutils.alloca_once(builder, v.type(WIDTH)) for _ in range(ROWS)] for _ in range(2)]
        for r in range(ROWS):
            builder.store(v.load(v.at(out, r * WIDTH), WIDTH), sums[0][r])
            builder.store(v.zero(WIDTH), sums[1][r])

        def add(first, row, column, side) -> None:
            at = builder.add(first, column)
            value = v.splat(v.scalar(v.at(d, at)), WIDTH)
            place = builder.zext(builder.load(builder.gep(places, [at])), I64)
            pixel = builder.add(
                row, builder.add(builder.mul(column, across), builder.load(builder.gep(pixels, [place])))
            )
            for line, slot in zip(lines, sums[side], strict=True):
                builder.store(v.fmuladd(value, v.load(v.at(line, pixel), WIDTH), builder.load(slot)), slot)

        pairs, odd = builder.sdiv(places_w, I64(2)), builder.srem(places_w, I64(2))
        with cgutils.for_range(builder, places_h) as line:
            first, row = builder.mul(line.index, places_w), builder.mul(line.index, down)
            with cgutils.for_range(builder, pairs) as pair:
                column = builder.mul(pair.index, I64(2))
                add(first, row, column, 0)
                add(first, row, builder.add(column, I64(1)), 1)
            with builder.if_then(builder.icmp_signed("!=", odd, I64(0))):
                add(first, row, builder.sub(places_w, I64(1)), 0)
        for r in range(ROWS):
            v.store(builder.fadd(builder.load(sums[0][r]), builder.load(sums[1][r])), v.at(out, r * WIDTH))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 10, one), codegen


@kernel
def _pooled_part(plan, x, d, places, partial, n_images, n_parts, team, one, part, member):
    n, p = operands(PooledFilters, plan), operands(Planes, plan + 8 * _PLANES)
    size, scratch, area = size_of(one), scratch_of(team, member), n.places_h * n.places_w
    of_rows = plan + 8 * _ROWS
    of_pixels = of_rows + 8 * n.tiles * ROWS
    block = n.tiles * ROWS * WIDTH
    of_part = n.filters * (1 + block)
    total = partial + size * part * of_part
    sums = view(total, of_part, one)
    for i in range(sums.size):
        sums[i] = like(0, one)
    for image in range(n_images * part // n_parts, n_images * (part + 1) // n_parts):
        copy_image(x + size * image * n.x_image, p, 0, scratch, one)
        for f in range(n.filters):
            plane = (image * n.filters + f) * area
            sums[f] += row_sum(d + size * plane, area, one)
            for t in range(n.tiles):
                rows, out = of_rows + 8 * t * ROWS, total + size * (n.filters + f * block + t * ROWS * WIDTH)
                windows = n.places_h, n.places_w, n.down, n.across
                _add_windows(scratch, rows, of_pixels, d + size * plane, places + plane, *windows, out, one)


@kernel
def gradient_of_pooled_filters(team, plan, x, d, places, partial, n_images, rate, adds, dw, db):
    """As ``convolution.gradient_of_filters``, by the gradient ``d`` behind the pooling and its ``places``."""
    n, one = operands(PooledFilters, plan), rate
    n_parts = max(1, min(n.parts, n_images))
    spread(team, n_parts, package(_pooled_part, (plan, x, d, places, partial, n_images, n_parts, team, one)))
    of_filter = n.tiles * ROWS * WIDTH
    of_part = n.filters * (1 + of_filter)
    sums = added_up(partial, of_part, n_parts, n.filters, rate, adds, db)
    filters = view(dw, n.filters * n.rows * n.filter_w, one)
    for f in range(n.filters):
        for r in range(n.rows):
            for j in range(n.filter_w):
                at = (f * n.rows + r) * n.filter_w + j
                found = sums[n.filters + f * of_filter + r * WIDTH + j]
                filters[at] = (filters[at] if adds else like(0, one)) + rate * found


class PooledWeightGradient(NamedTuple):
    """As ``ConvolutionWeightGradient``, by the gradient behind a max pooling of the output, and its places."""

    x: int
    dy: int
    places: int
    dW: int
    db: int
    images: int
    plan: int
    partial: int
    adds: int
    descends: int


@operation(PooledWeightGradient)
def gradient_of_pooled_convolution(team, row, step, one):
    """Run ``PooledWeightGradient``."""
    i = operands(PooledWeightGradient, row)
    rate = like(-float_of_bits(load(step + 8 * LR)) if i.descends else 1.0, one)
    adds = i.adds + i.descends > 0
    gradient_of_pooled_filters(team, i.plan, i.x, i.dy, i.places, i.partial, i.images, rate, adds, i.dW, i.db)
