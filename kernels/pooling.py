"""Pooling of images (N, C, H, W): the largest number, or the mean, of what lies in a window, and the gradients.

Around an image lie zeros, as many as are asked for, which count like its own numbers: the largest of a window may be
one of them. Of equal numbers the first is the largest, and NaN is larger than any number, as for NumPy's argmax.

Each channel of each image is copied into planes (``planes``), where what is at one place of the window, a *tap*, lies
side by side for neighbouring windows. The usual window, 2 x 2, is read where it lies (``pooling_by_two``).
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
from .convolution_plan import Shape, offsets_of, planes_for, reach_of, refuse, taps_of
from .instructions import operands, operation
from .isa import ISA
from .memory import like, size_of, view
from .planes import Planes, copy_back, copy_image
from .pooling_by_two import larger, largest_by_two, largest_by_two_back, mean_by_two, mean_by_two_back
from .simd import I32, I64, Vectors, element_bytes, element_type
from .team import CHUNK, package, scratch_of, spread

BYTE_TAPS = 256  # up to which the place of the largest is kept in a byte, else in four


class Pool(NamedTuple):
    """Words of a pooling: of planes (height, width) by windows of ``taps``, ``window_w`` in a row.

    ``by_two`` says whether ``pooling_by_two`` does it. Then come the words of a ``Planes``, and for each tap a pair of
    numbers, the second its offset in the planes.
    """

    height: int
    width: int
    places_h: int
    places_w: int
    taps: int
    window_w: int
    stride: int
    pad: int
    vectors: int
    lanes: int
    by_two: int


_PLANES = len(Pool._fields)
_TAPS = _PLANES + len(Planes._fields)


def dtype_of_places(window_h: int, window_w: int) -> np.dtype:
    """Of the places of the largest numbers in windows of that size."""
    return np.dtype(np.uint8 if window_h * window_w <= BYTE_TAPS else np.int32)


@lru_cache(maxsize=256)
def pool_plan(height: int, width: int, window: tuple[int, int], stride: int, pad: int, dtype: np.dtype) -> np.ndarray:
    """The words of a ``Pool``."""
    s = Shape(1, height, width, 1, *window, stride, pad)
    lanes, reach, places = ISA.lanes(dtype.itemsize), reach_of(s), s.places
    p = planes_for((1, height, width), stride, (pad, pad), (places[0] + reach[0] - 1, places[1] + reach[1] - 1), lanes)
    vectors = -(-((places[0] - 1) * p.pitch + places[1]) // lanes)
    taps = taps_of(s)
    by_two = (*window, stride, pad) == (2, 2, 2, 0)
    if not by_two:
        refuse(dtype.itemsize * p.image + 2 * vectors * lanes * dtype.itemsize)
    words = Pool(height, width, *places, len(taps), window[1], stride, pad, vectors, lanes, by_two)
    return np.array([*words, *p, *offsets_of(taps, p)], np.int64)


def _tap(builder: ir.IRBuilder, taps, index):
    """The offset of a tap."""
    return builder.load(builder.gep(taps, [builder.add(builder.mul(index, I64(2)), I64(1))]))


@intrinsic
def _largest(typingctx, x, taps, n_taps, y, places, vectors, in_bytes, one):
    """The largest of the taps at each of so many vectors of windows, and the numbers of their taps."""

    def codegen(context, builder, signature, arguments):
        x, taps, n_taps, y, places, vectors, in_bytes, _ = arguments
        element = element_type(one)
        v, lanes = Vectors(builder, element), ISA.lanes(element_bytes(element))
        x, y, taps = v.pointer(x), v.pointer(y), builder.inttoptr(taps, I64.as_pointer())
        number = ir.IntType(8 * v.bytes)
        numbers = ir.VectorType(number, lanes)
        best, place = cgutils.alloca_once(builder, v.type(lanes)), cgutils.alloca_once(builder, numbers)
        with cgutils.for_range(builder, vectors) as loop:
            at = builder.mul(loop.index, I64(lanes))
            line = v.at(x, at)
            builder.store(v.load(v.at(line, _tap(builder, taps, I64(0))), lanes), best)
            builder.store(ir.Constant(numbers, [0] * lanes), place)
            with cgutils.for_range(builder, builder.sub(n_taps, I64(1))) as tap:
                index = builder.add(tap.index, I64(1))
                value, so_far = v.load(v.at(line, _tap(builder, taps, index)), lanes), builder.load(best)
                is_larger = larger(builder, value, so_far)
                own = v.splat(index if number == I64 else builder.trunc(index, number), lanes)
                builder.store(builder.select(is_larger, value, so_far), best)
                builder.store(builder.select(is_larger, own, builder.load(place)), place)
            v.store(builder.load(best), v.at(y, at))

            def keep(kept, at=at):
                found, form = builder.load(place), ir.VectorType(kept, lanes)
                found = found if kept == number else builder.trunc(found, form)
                target = builder.gep(builder.inttoptr(places, kept.as_pointer()), [at])
                builder.store(found, builder.bitcast(target, form.as_pointer())).align = 1

            with builder.if_else(builder.icmp_signed("!=", in_bytes, I64(0))) as (small, large):
                with small:
                    keep(ir.IntType(8))
                with large:
                    keep(I32)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, one), codegen


@intrinsic
def _mean(typingctx, x, taps, n_taps, y, vectors, share):
    """The sum of the taps times ``share`` at each of so many vectors of windows."""

    def codegen(context, builder, signature, arguments):
        x, taps, n_taps, y, vectors, share = arguments
        element = element_type(signature.args[-1])
        v, lanes = Vectors(builder, element), ISA.lanes(element_bytes(element))
        x, y, taps = v.pointer(x), v.pointer(y), builder.inttoptr(taps, I64.as_pointer())
        total = cgutils.alloca_once(builder, v.type(lanes))
        with cgutils.for_range(builder, vectors) as loop:
            at = builder.mul(loop.index, I64(lanes))
            line = v.at(x, at)
            builder.store(v.zero(lanes), total)
            with cgutils.for_range(builder, n_taps) as tap:
                value = v.load(v.at(line, _tap(builder, taps, tap.index)), lanes)
                builder.store(builder.fadd(builder.load(total), value), total)
            v.store(builder.fmul(builder.load(total), v.splat(share, lanes)), v.at(y, at))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, share), codegen


@kernel(inline=True)
def _part(n, n_planes, part):
    """First and past-the-last plane of a part."""
    of_part = max(1, CHUNK // (n.height * n.width))
    return part * of_part, min(n_planes, (part + 1) * of_part)


@kernel(inline=True)
def _parts(n, n_planes):
    of_part = max(1, CHUNK // (n.height * n.width))
    return (n_planes + of_part - 1) // of_part


@kernel(inline=True)
def _copy_places(panel, pitch, rows, columns, places, kind):
    """Numbers of the type of ``kind`` out of a panel, row by row."""
    line, out = view(panel, rows * pitch, kind), view(places, rows * columns, kind)
    for i in range(rows):
        source, target = line[i * pitch : i * pitch + columns], out[i * columns : (i + 1) * columns]
        for j in range(target.size):
            target[j] = source[j]


@kernel
def _max_part(plan, x, y, places, n_planes, team, one, part, member):
    n, p = operands(Pool, plan), operands(Planes, plan + 8 * _PLANES)
    size, scratch, taps = size_of(one), scratch_of(team, member), plan + 8 * _TAPS
    begin, end = _part(n, n_planes, part)
    in_bytes = 1 if n.taps <= BYTE_TAPS else 0
    panel = scratch + size * p.image
    found = panel + size * n.vectors * n.lanes
    of_plane = n.places_h * n.places_w
    for plane in range(begin, end):
        at = x + size * plane * n.height * n.width
        if n.by_two:
            out = y + size * plane * of_plane
            largest_by_two(at, out, places + plane * of_plane, n.width, n.places_h, n.places_w, one)
            continue
        copy_image(at, p, 0, scratch, one)
        _largest(scratch, taps, n.taps, panel, found, n.vectors, in_bytes, one)
        copy_back(panel, p.pitch, n.places_h, n.places_w, y + size * plane * of_plane, n.places_w, 1, one)
        if in_bytes:
            _copy_places(found, p.pitch, n.places_h, n.places_w, places + plane * of_plane, np.uint8(1))
        else:
            _copy_places(found, p.pitch, n.places_h, n.places_w, places + 4 * plane * of_plane, np.int32(1))


@kernel
def max_pooling(team, plan, x, y, places, n_planes, one):
    """The largest number in each window of ``n_planes`` planes from address ``x`` on, written to ``y``.

    At ``places`` the number of its tap is left, row by row, of type ``dtype_of_places``.
    """
    n = operands(Pool, plan)
    spread(team, _parts(n, n_planes), package(_max_part, (plan, x, y, places, n_planes, team, one)))


@kernel(inline=True)
def _put_back(n, d, places, dx):
    """Add each of ``d`` to ``dx`` where its largest number was, unless that was a zero around the image."""
    for i in range(n.places_h):
        for j in range(n.places_w):
            tap = np.int64(places[i * n.places_w + j])
            row, column = i * n.stride - n.pad + tap // n.window_w, j * n.stride - n.pad + tap % n.window_w
            if row >= 0 and row < n.height and column >= 0 and column < n.width:
                dx[row * n.width + column] += d[i * n.places_w + j]


@kernel
def _max_back_part(plan, d, places, dx, n_planes, one, part, member):
    n, size = operands(Pool, plan), size_of(one)
    begin, end = _part(n, n_planes, part)
    of_plane, elements = n.places_h * n.places_w, n.height * n.width
    for plane in range(begin, end):
        at, there = d + size * plane * of_plane, dx + size * plane * elements
        if n.by_two:
            largest_by_two_back(at, places + plane * of_plane, there, n.height, n.width, one)
            continue
        own, out = view(at, of_plane, one), view(there, elements, one)
        for i in range(out.size):
            out[i] = like(0, one)
        if n.taps <= BYTE_TAPS:
            _put_back(n, own, view(places + plane * of_plane, of_plane, np.uint8(1)), out)
        else:
            _put_back(n, own, view(places + 4 * plane * of_plane, of_plane, np.int32(1)), out)


@kernel
def max_pooling_back(team, plan, d, places, dx, n_planes, one):
    """The gradient with respect to ``x`` of ``max_pooling``, by that with respect to ``y``, written to ``dx``."""
    n = operands(Pool, plan)
    spread(team, _parts(n, n_planes), package(_max_back_part, (plan, d, places, dx, n_planes, one)))


@kernel
def _mean_part(plan, x, y, n_planes, team, one, part, member):
    n, p = operands(Pool, plan), operands(Planes, plan + 8 * _PLANES)
    size, scratch, taps = size_of(one), scratch_of(team, member), plan + 8 * _TAPS
    begin, end = _part(n, n_planes, part)
    panel, of_plane, share = scratch + size * p.image, n.places_h * n.places_w, like(1.0 / n.taps, one)
    for plane in range(begin, end):
        at, out = x + size * plane * n.height * n.width, y + size * plane * of_plane
        if n.by_two:
            mean_by_two(at, out, n.width, n.places_h, n.places_w, one)
            continue
        copy_image(at, p, 0, scratch, one)
        _mean(scratch, taps, n.taps, panel, n.vectors, share)
        copy_back(panel, p.pitch, n.places_h, n.places_w, out, n.places_w, 1, one)


@kernel
def average_pooling(team, plan, x, y, n_planes, one):
    """The mean of each window of ``n_planes`` planes from address ``x`` on, zeros around included, written to ``y``."""
    n = operands(Pool, plan)
    spread(team, _parts(n, n_planes), package(_mean_part, (plan, x, y, n_planes, team, one)))


@kernel
def _mean_back_part(plan, d, dx, n_planes, one, part, member):
    n, size = operands(Pool, plan), size_of(one)
    begin, end = _part(n, n_planes, part)
    of_plane, elements, share = n.places_h * n.places_w, n.height * n.width, like(1.0 / n.taps, one)
    for plane in range(begin, end):
        at, there = d + size * plane * of_plane, dx + size * plane * elements
        if n.by_two:
            mean_by_two_back(at, there, n.height, n.width, one)
            continue
        own, out = view(at, of_plane, one), view(there, elements, one)
        for i in range(out.size):
            out[i] = like(0, one)
        for i in range(n.places_h):
            for tap in range(n.taps):
                row, first = i * n.stride - n.pad + tap // n.window_w, tap % n.window_w - n.pad
                if row >= 0 and row < n.height:
                    for j in range(n.places_w):
                        column = first + j * n.stride
                        if column >= 0 and column < n.width:
                            out[row * n.width + column] += share * own[i * n.places_w + j]


@kernel
def average_pooling_back(team, plan, d, dx, n_planes, one):
    """The gradient with respect to ``x`` of ``average_pooling``, by that with respect to ``y``, written to ``dx``."""
    n = operands(Pool, plan)
    spread(team, _parts(n, n_planes), package(_mean_back_part, (plan, d, dx, n_planes, one)))


class MaxPooling(NamedTuple):
    """y, and in places the taps of the largest numbers, of so many planes x."""

    x: int
    y: int
    places: int
    planes: int
    plan: int


class MaxPoolingGradient(NamedTuple):
    """dx by dy and the places."""

    dy: int
    places: int
    dx: int
    planes: int
    plan: int


class AveragePooling(NamedTuple):
    """y, the means of windows of so many planes x."""

    x: int
    y: int
    planes: int
    plan: int


class AveragePoolingGradient(NamedTuple):
    """dx by dy."""

    dy: int
    dx: int
    planes: int
    plan: int


@operation(MaxPooling)
def pool_largest(team, row, step, one):
    """Run ``MaxPooling``."""
    i = operands(MaxPooling, row)
    max_pooling(team, i.plan, i.x, i.y, i.places, i.planes, one)


@operation(MaxPoolingGradient)
def pool_largest_back(team, row, step, one):
    """Run ``MaxPoolingGradient``."""
    i = operands(MaxPoolingGradient, row)
    max_pooling_back(team, i.plan, i.dy, i.places, i.dx, i.planes, one)


@operation(AveragePooling)
def pool_mean(team, row, step, one):
    """Run ``AveragePooling``."""
    i = operands(AveragePooling, row)
    average_pooling(team, i.plan, i.x, i.y, i.planes, one)


@operation(AveragePoolingGradient)
def pool_mean_back(team, row, step, one):
    """Run ``AveragePoolingGradient``."""
    i = operands(AveragePoolingGradient, row)
    average_pooling_back(team, i.plan, i.dy, i.dx, i.planes, one)
