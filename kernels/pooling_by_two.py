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
from .simd import I64, Vectors, element_type

_BYTE = ir.IntType(8)


def larger(builder: ir.IRBuilder, value, so_far):
    """Lanes in which ``value`` is larger or NaN, unless there is NaN already."""
    return builder.and_(builder.fcmp_unordered(">", value, so_far), builder.fcmp_ordered("ord", so_far, so_far))


class _Windows:
    """A vector of windows side by side, the first at ``row`` and ``column`` of so many ``columns``, number ``at``."""

    def __init__(self, v: Vectors, width, columns, lanes: int, row, column) -> None:
        self.v, self.lanes = v, lanes
        self.at = v.builder.add(v.builder.mul(row, columns), column)
        first = v.builder.add(v.builder.mul(v.builder.mul(row, I64(2)), width), v.builder.mul(column, I64(2)))
        self.lines = first, v.builder.add(first, width)  # of the plane, ``width`` elements each

    def read(self, x) -> list:
        """The four numbers of each window, a vector each."""
        v, lanes, taps = self.v, self.lanes, []
        for line in self.lines:
            pair = [v.load(v.at(v.pointer(x), v.builder.add(line, I64(n))), lanes) for n in (0, lanes)]
            taps += [v.picked(pair, list(range(side, 2 * lanes, 2))) for side in (0, 1)]
        return taps

    def write(self, taps: list, dx) -> None:
        """The other way round."""
        v, lanes = self.v, self.lanes
        order = [lane // 2 + lane % 2 * lanes for lane in range(2 * lanes)]
        for line, pair in zip(self.lines, (taps[:2], taps[2:]), strict=True):
            at = v.at(v.pointer(dx), line)
            v.store(v.picked(pair, order[:lanes]), at)
            v.store(v.picked(pair, order[lanes:]), v.at(at, lanes))

    def own(self, y):
        """Where the number of the first window is."""
        return self.v.at(self.v.pointer(y), self.at)

    def places(self, places):
        """Where the places of the largest are, a byte each."""
        first = self.v.builder.gep(self.v.builder.inttoptr(places, _BYTE.as_pointer()), [self.at])
        return self.v.builder.bitcast(first, ir.VectorType(_BYTE, self.lanes).as_pointer())


def _walk(one, emit):
    """The code of ``(*addresses, width, rows, columns, one)``: ``emit(v, windows, *addresses)`` for all windows."""

    def codegen(context, builder, signature, arguments):
        *addresses, width, rows, columns, _ = arguments
        v = Vectors(builder, element_type(one))
        most = lanes = ISA.lanes(v.bytes)
        while lanes:
            fits = builder.icmp_signed(">=", columns, I64(lanes))
            if lanes < most:
                fits = builder.and_(fits, builder.icmp_signed("<", columns, I64(2 * lanes)))
            with builder.if_then(fits):
                last = builder.sub(columns, I64(lanes))
                count = builder.sdiv(builder.add(columns, I64(lanes - 1)), I64(lanes))
                with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, count) as vector:
                    at = builder.mul(vector.index, I64(lanes))
                    at = builder.select(builder.icmp_signed("<", at, last), at, last)
                    emit(v, _Windows(v, width, columns, lanes, row.index, at), *addresses)
            lanes //= 2
        return context.get_dummy_value()

    return codegen


@intrinsic
def largest_by_two(typingctx, x, y, places, width, rows, columns, one):
    """The largest number of each of ``rows`` x ``columns`` windows of a plane, and at ``places`` which it is."""

    def emit(v, windows, x, y, places):
        builder = v.builder
        best, *others = windows.read(x)
        place = ir.Constant(ir.VectorType(ir.IntType(8 * v.bytes), windows.lanes), [0] * windows.lanes)
        for tap, value in enumerate(others, 1):
            is_larger = larger(builder, value, best)
            best = builder.select(is_larger, value, best)
            place = builder.select(is_larger, ir.Constant(place.type, [tap] * windows.lanes), place)
        v.store(best, windows.own(y))
        found = builder.trunc(place, ir.VectorType(_BYTE, windows.lanes))
        builder.store(found, windows.places(places)).align = 1

    return types.void(*[types.int64] * 6, one), _walk(one, emit)


@intrinsic
def _put_back(typingctx, d, places, dx, width, rows, columns, one):
    """Write each of ``d`` to where its largest number was, and 0 to the rest of its window."""

    def emit(v, windows, d, places, dx):
        builder, lanes = v.builder, windows.lanes
        # -0 becomes 0, as in any sum that begins with that.
        own = builder.fadd(v.zero(lanes), v.load(windows.own(d), lanes))
        place = builder.load(windows.places(places))
        place.align = 1
        is_it = [builder.icmp_signed("==", place, ir.Constant(place.type, [tap] * lanes)) for tap in range(4)]
        windows.write([builder.select(mask, own, v.zero(lanes)) for mask in is_it], dx)

    return types.void(*[types.int64] * 6, one), _walk(one, emit)


@intrinsic
def mean_by_two(typingctx, x, y, width, rows, columns, one):
    """The mean of each of ``rows`` x ``columns`` windows of a plane."""

    def emit(v, windows, x, y):
        total = v.zero(windows.lanes)
        for value in windows.read(x):
            total = v.builder.fadd(total, value)
        share = ir.Constant(total.type, [0.25] * windows.lanes)
        v.store(v.builder.fmul(total, share), windows.own(y))

    return types.void(*[types.int64] * 5, one), _walk(one, emit)


@intrinsic
def _share_out(typingctx, d, dx, width, rows, columns, one):
    """Write a quarter of each of ``d`` to all of its window."""

    def emit(v, windows, d, dx):
        own = v.load(windows.own(d), windows.lanes)
        share = v.builder.fmul(own, ir.Constant(own.type, [0.25] * windows.lanes))
        windows.write([v.builder.fadd(v.zero(windows.lanes), share)] * 4, dx)

    return types.void(*[types.int64] * 5, one), _walk(one, emit)


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
