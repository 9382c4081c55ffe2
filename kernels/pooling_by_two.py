"""Pooling by windows of 2 x 2 that move by 2, without zeros around: of rows read and written where they lie.

Two rows are read at a time, a pair of vectors of each, and what stands in even and in odd columns becomes a vector of
its own: the four numbers of as many windows as a vector has lanes. The last vector of a row ends with the row, and does
again what the one before has done; vectors are as long as a row allows. All of it is what ``pooling`` does with any
window, to the bit.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .isa import ISA
from .memory import like, view
from .simd import I64, Vectors, element_bytes, element_type

_BYTE = ir.IntType(8)


def larger(builder: ir.IRBuilder, value, so_far):
    """Lanes in which ``value`` is larger or NaN, unless there is NaN already."""
    return builder.and_(builder.fcmp_unordered(">", value, so_far), builder.fcmp_ordered("ord", so_far, so_far))


def _for_each_vector(builder: ir.IRBuilder, most_lanes: int, rows, columns, emit) -> None:
    """``emit(lanes, row, column)`` for vectors that cover ``rows`` rows of ``columns`` windows, at least one."""
    lanes = most_lanes
    while lanes:
        fits = builder.icmp_signed(">=", columns, I64(lanes))
        if lanes < most_lanes:
            fits = builder.and_(fits, builder.icmp_signed("<", columns, I64(2 * lanes)))
        with builder.if_then(fits):
            last = builder.sub(columns, I64(lanes))
            count = builder.sdiv(builder.add(columns, I64(lanes - 1)), I64(lanes))
            with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, count) as vector:
                at = builder.mul(vector.index, I64(lanes))
                at = builder.select(builder.icmp_signed("<", at, last), at, last)
                emit(lanes, row.index, at)
        lanes //= 2


def _windows(v: Vectors, x, width, lanes: int, row, column) -> list:
    """The four numbers of each window, a vector each, from ``column`` of the windows on."""
    taps = []
    for line in (0, 1):
        begin = v.builder.add(v.builder.mul(v.builder.add(v.builder.mul(row, I64(2)), I64(line)), width), column)
        at = v.at(x, v.builder.add(begin, column))
        pair = [v.load(at, lanes), v.load(v.at(at, lanes), lanes)]
        taps += [v.picked(pair, list(range(side, 2 * lanes, 2))) for side in (0, 1)]
    return taps


def _put(v: Vectors, taps: list, dx, width, lanes: int, row, column) -> None:
    """Write four numbers to each window, as ``_windows`` reads them."""
    order = [lane // 2 + lane % 2 * lanes for lane in range(2 * lanes)]
    for line in (0, 1):
        begin = v.builder.add(v.builder.mul(v.builder.add(v.builder.mul(row, I64(2)), I64(line)), width), column)
        at = v.at(dx, v.builder.add(begin, column))
        pair = taps[2 * line : 2 * line + 2]
        v.store(v.picked(pair, order[:lanes]), at)
        v.store(v.picked(pair, order[lanes:]), v.at(at, lanes))


def _bytes_at(builder: ir.IRBuilder, places, index, lanes: int):
    """The address of so many places, a byte each."""
    first = builder.gep(builder.inttoptr(places, _BYTE.as_pointer()), [index])
    return builder.bitcast(first, ir.VectorType(_BYTE, lanes).as_pointer())


@intrinsic
def largest_by_two(typingctx, x, width, y, places, rows, columns, one):
    """The largest number of each of ``rows`` x ``columns`` windows of a plane, and at ``places`` which it is."""

    def codegen(context, builder, signature, arguments):
        x, width, y, places, rows, columns, _ = arguments
        v = Vectors(builder, element_type(one))
        x, y, number = v.pointer(x), v.pointer(y), ir.IntType(8 * v.bytes)

        def emit(lanes, row, column):
            best, *others = _windows(v, x, width, lanes, row, column)
            place = ir.Constant(ir.VectorType(number, lanes), [0] * lanes)
            for tap, value in enumerate(others, 1):
                is_larger = larger(builder, value, best)
                best = builder.select(is_larger, value, best)
                place = builder.select(is_larger, ir.Constant(place.type, [tap] * lanes), place)
            at = builder.add(builder.mul(row, columns), column)
            v.store(best, v.at(y, at))
            found = builder.trunc(place, ir.VectorType(_BYTE, lanes))
            builder.store(found, _bytes_at(builder, places, at, lanes)).align = 1

        _for_each_vector(builder, ISA.lanes(element_bytes(v.element)), rows, columns, emit)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, one), codegen


@intrinsic
def _put_back(typingctx, d, places, dx, width, rows, columns, one):
    """Write each of ``d`` to where its largest number was, and 0 to the rest of its window."""

    def codegen(context, builder, signature, arguments):
        d, places, dx, width, rows, columns, _ = arguments
        v = Vectors(builder, element_type(one))
        d, dx = v.pointer(d), v.pointer(dx)

        def emit(lanes, row, column):
            at = builder.add(builder.mul(row, columns), column)
            own = builder.fadd(
                v.zero(lanes), v.load(v.at(d, at), lanes)
            )  # -0 becomes 0, as in any sum that begins with it
            place = builder.load(_bytes_at(builder, places, at, lanes))
            place.align = 1
            taps = []
            for tap in range(4):
                is_it = builder.icmp_signed("==", place, ir.Constant(place.type, [tap] * lanes))
                taps.append(builder.select(is_it, own, v.zero(lanes)))
            _put(v, taps, dx, width, lanes, row, column)

        _for_each_vector(builder, ISA.lanes(element_bytes(v.element)), rows, columns, emit)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, one), codegen


@intrinsic
def mean_by_two(typingctx, x, width, y, rows, columns, one):
    """The mean of each of ``rows`` x ``columns`` windows of a plane."""

    def codegen(context, builder, signature, arguments):
        x, width, y, rows, columns, _ = arguments
        v = Vectors(builder, element_type(one))
        x, y = v.pointer(x), v.pointer(y)

        def emit(lanes, row, column):
            total = v.zero(lanes)
            for value in _windows(v, x, width, lanes, row, column):
                total = builder.fadd(total, value)
            share = ir.Constant(total.type, [0.25] * lanes)
            v.store(builder.fmul(total, share), v.at(y, builder.add(builder.mul(row, columns), column)))

        _for_each_vector(builder, ISA.lanes(element_bytes(v.element)), rows, columns, emit)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, one), codegen


@intrinsic
def _share_out(typingctx, d, dx, width, rows, columns, one):
    """Write a quarter of each of ``d`` to all of its window."""

    def codegen(context, builder, signature, arguments):
        d, dx, width, rows, columns, _ = arguments
        v = Vectors(builder, element_type(one))
        d, dx = v.pointer(d), v.pointer(dx)

        def emit(lanes, row, column):
            own = v.load(v.at(d, builder.add(builder.mul(row, columns), column)), lanes)
            share = builder.fmul(own, ir.Constant(own.type, [0.25] * lanes))
            _put(v, [builder.fadd(v.zero(lanes), share)] * 4, dx, width, lanes, row, column)

        _for_each_vector(builder, ISA.lanes(element_bytes(v.element)), rows, columns, emit)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, one), codegen


@kernel(inline=True)
def _zeros_behind(dx, height, width, rows, columns, one):
    """0 in the last row, and in the last column, where no window has them."""
    out = view(dx, height * width, one)
    if width > 2 * columns:
        for row in range(height):
            out[row * width + width - 1] = like(0, one)
    if height > 2 * rows:
        for column in range(width):
            out[(height - 1) * width + column] = like(0, one)


@kernel
def largest_by_two_back(d, places, dx, height, width, one):
    """The gradient with respect to a plane of that with respect to the largest of its windows, at address ``d``."""
    rows, columns = height // 2, width // 2
    _put_back(d, places, dx, width, rows, columns, one)
    _zeros_behind(dx, height, width, rows, columns, one)


@kernel
def mean_by_two_back(d, dx, height, width, one):
    """The gradient with respect to a plane of that with respect to the means of its windows, at address ``d``."""
    rows, columns = height // 2, width // 2
    _share_out(d, dx, width, rows, columns, one)
    _zeros_behind(dx, height, width, rows, columns, one)
