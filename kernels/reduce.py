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
from .simd import I64, Vectors, element_bytes, element_type

CHAINS = 4  # vectors of partial results: enough to hide the latency of an addition


def _larger(v: Vectors, a, b):
    return v.builder.select(v.builder.fcmp_ordered(">", a, b), a, b)


def _sum(v: Vectors, a, b):
    return v.builder.fadd(a, b)


def _add_square(v: Vectors, a, b):
    return v.fmuladd(b, b, a)


def _reduction(name: str, combine, neutral: float, *, take=None, wide: bool = False):
    """An intrinsic ``name(address, count, one)`` over ``count`` elements of the type of ``one``.

    ``combine`` makes one of two partial results, and ``take``, unless it is the same, of a partial result and a vector
    of elements. Where ``wide``, both work on float64, which is the type of the result.
    """
    take = take or combine

    def codegen(context, builder, signature, arguments):
        element, result = element_type(signature.args[-1]), element_type(signature.return_type)
        lanes = ISA.lanes(element_bytes(element))
        address, count, _ = arguments
        v, partials = Vectors(builder, element), Vectors(builder, result)
        pointer = v.pointer(address)
        nothing = ir.Constant(v.type(lanes), [neutral] * lanes)
        start = ir.Constant(partials.type(lanes), [neutral] * lanes)
        partial = [cgutils.alloca_once_value(builder, start) for _ in range(CHAINS)]

        def add(slot, vector):
            vector = builder.fpext(vector, start.type) if element != result else vector
            builder.store(take(partials, builder.load(slot), vector), slot)

        step = I64(CHAINS * lanes)
        whole = builder.sdiv(count, step)
        with cgutils.for_range(builder, whole) as loop:
            first = builder.mul(loop.index, step)
            for chain, slot in enumerate(partial):
                add(slot, v.load(v.at(pointer, builder.add(first, I64(chain * lanes))), lanes))
        done = builder.mul(whole, step)
        rest = builder.sdiv(builder.add(builder.sub(count, done), I64(lanes - 1)), I64(lanes))
        with cgutils.for_range(builder, rest) as loop:
            at = builder.add(done, builder.mul(loop.index, I64(lanes)))
            mask = v.first_lanes(builder.sub(count, at), lanes)
            add(partial[0], builder.select(mask, v.load(v.at(pointer, at), lanes, mask), nothing))
        vector = builder.load(partial[0])
        for slot in partial[1:]:
            vector = combine(partials, vector, builder.load(slot))
        while lanes > 1:
            lanes //= 2
            vector = combine(partials, *partials.halves(vector))
        return builder.extract_element(vector, ir.IntType(32)(0))

    def reduction(typingctx, address, count, one):
        return (types.float64 if wide else one)(types.int64, types.int64, one), codegen

    reduction.__name__ = name
    return intrinsic(reduction)


# Of a row that holds NaN: NaN, any of its elements, or -inf. (What softmax makes of such a row is NaN all the same.)
row_max = _reduction("row_max", _larger, float("-inf"))
row_sum = _reduction("row_sum", _sum, 0.0)
wide_sum = _reduction("wide_sum", _sum, 0.0, wide=True)
sum_of_squares = _reduction("sum_of_squares", _sum, 0.0, take=_add_square, wide=True)
