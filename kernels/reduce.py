"""The largest element, the sum, and sums in float64, of a row, in vectors.

LLVM does not vectorise these from Python: it may not reorder a sum, nor lose a NaN on the way to a maximum. Here
the order is written down, a few vectors of partial results that are halved at the end, so that the result depends on
the row alone.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .isa import ISA
from .simd import I32, I64, Vectors, element_type

CHAINS = 4  # vectors of partial results: enough to hide the latency of an addition


def in_chains(v: Vectors, count, start, visit, combine):
    """Fold ``count`` elements, a vector at a time, into CHAINS partial results, and these into a scalar.

    ``visit(so_far, at, mask)`` returns the partial result with the vector at element ``at`` added, of which the lanes
    of ``mask`` exist, or all where it is None. ``start`` is the first partial result, whose number of lanes is that of
    the vectors, and ``combine(a, b)`` makes one of two.
    """
    builder, lanes = v.builder, start.type.count
    partial = [cgutils.alloca_once_value(builder, start) for _ in range(CHAINS)]

    def add(slot, at, mask=None):
        builder.store(visit(builder.load(slot), at, mask), slot)

    step = I64(CHAINS * lanes)
    whole = builder.sdiv(count, step)
    with cgutils.for_range(builder, whole) as loop:
        first = builder.mul(loop.index, step)
        for chain, slot in enumerate(partial):
            add(slot, builder.add(first, I64(chain * lanes)))
    done = builder.mul(whole, step)
    rest = builder.sdiv(builder.add(builder.sub(count, done), I64(lanes - 1)), I64(lanes))
    with cgutils.for_range(builder, rest) as loop:
        at = builder.add(done, builder.mul(loop.index, I64(lanes)))
        add(partial[0], at, v.first_lanes(builder.sub(count, at), lanes))
    vector = builder.load(partial[0])
    for slot in partial[1:]:
        vector = combine(vector, builder.load(slot))
    while lanes > 1:
        lanes //= 2
        vector = combine(*v.halves(vector))
    return builder.extract_element(vector, I32(0))


def _larger(v: Vectors, a, b):
    return v.builder.select(v.builder.fcmp_ordered(">", a, b), a, b)


def _sum(v: Vectors, a, b):
    return v.builder.fadd(a, b)


def _add_square(v: Vectors, a, b):
    return v.fmuladd(b, b, a)


def _add_difference(v: Vectors, a, b):
    return v.builder.fadd(a, v.builder.fsub(b, b))


def _reduction(name: str, combine, neutral: float, *, take=None, wide: bool = False):
    """An intrinsic ``name(address, count, one)`` over ``count`` elements of the type of ``one``.

    ``combine`` makes one of two partial results, and ``take``, unless it is the same, of a partial result and a vector
    of elements. Where ``wide``, both work on float64, which is the type of the result.
    """
    take = take or combine

    def codegen(context, builder, signature, arguments):
        address, count, _ = arguments
        v = Vectors(builder, element_type(signature.args[-1]))
        partials = Vectors(builder, element_type(signature.return_type))
        lanes = ISA.lanes(v.bytes)
        pointer = v.pointer(address)
        nothing = ir.Constant(v.type(lanes), [neutral] * lanes)

        def visit(so_far, at, mask):
            vector = v.load(v.at(pointer, at), lanes, mask)
            vector = vector if mask is None else builder.select(mask, vector, nothing)
            return take(partials, so_far, v.widened(vector) if wide else vector)

        start = ir.Constant(partials.type(lanes), [neutral] * lanes)
        return in_chains(v, count, start, visit, lambda a, b: combine(partials, a, b))

    def reduction(typingctx, address, count, one):
        return (types.float64 if wide else one)(types.int64, types.int64, one), codegen

    reduction.__name__ = name
    return intrinsic(reduction)


@intrinsic
def wide_dot(typingctx, a, b, count, one):
    """The sum of the products of ``count`` elements from two addresses on, in float64."""

    def codegen(context, builder, signature, arguments):
        a, b, count, one = arguments
        v, wide = Vectors(builder, one.type), Vectors(builder, ir.DoubleType())
        lanes = ISA.lanes(v.bytes)
        a, b = v.pointer(a), v.pointer(b)

        def visit(so_far, at, mask):
            pair = v.load(v.at(a, at), lanes, mask), v.load(v.at(b, at), lanes, mask)
            return wide.fmuladd(v.widened(pair[0]), v.widened(pair[1]), so_far)

        return in_chains(v, count, wide.zero(lanes), visit, builder.fadd)

    return types.float64(types.int64, types.int64, types.int64, one), codegen


# Of a row that holds NaN: NaN, any of its elements, or -inf. (What softmax makes of such a row is NaN all the same.)
row_max = _reduction("row_max", _larger, float("-inf"))
row_sum = _reduction("row_sum", _sum, 0.0)
wide_sum = _reduction("wide_sum", _sum, 0.0, wide=True)
# 0 where all elements are finite, else NaN: an infinity or a NaN less itself is NaN.
nan_unless_finite = _reduction("nan_unless_finite", _sum, 0.0, take=_add_difference)
sum_of_squares = _reduction("sum_of_squares", _sum, 0.0, take=_add_square, wide=True)
