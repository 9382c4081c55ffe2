"""The largest element and the sum of a row, in vectors.

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


def _reduction(name: str, combine, neutral: float):
    """An intrinsic ``name(address, count, one)`` over ``count`` elements of the type of ``one``."""

    def codegen(context, builder, signature, arguments):
        element = element_type(signature.return_type)
        lanes = ISA.lanes(element_bytes(element))
        address, count, _ = arguments
        v = Vectors(builder, element)
        pointer = v.pointer(address)
        start = ir.Constant(v.type(lanes), [neutral] * lanes)
        partial = [cgutils.alloca_once_value(builder, start) for _ in range(CHAINS)]

        def add(slot, vector):
            builder.store(combine(v, builder.load(slot), vector), slot)

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
            add(partial[0], builder.select(mask, v.load(v.at(pointer, at), lanes, mask), start))
        vector = builder.load(partial[0])
        for slot in partial[1:]:
            vector = combine(v, vector, builder.load(slot))
        while lanes > 1:
            lanes //= 2
            vector = combine(v, *v.halves(vector))
        return builder.extract_element(vector, ir.IntType(32)(0))

    def reduction(typingctx, address, count, one):
        return one(types.int64, types.int64, one), codegen

    reduction.__name__ = name
    return intrinsic(reduction)


# Of a row that holds NaN: NaN, any of its elements, or -inf. (What softmax makes of such a row is NaN all the same.)
row_max = _reduction("row_max", _larger, float("-inf"))
row_sum = _reduction("row_sum", _sum, 0.0)
