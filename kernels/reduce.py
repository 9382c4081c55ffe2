"""The largest element and the sum of a row, in vectors.

LLVM does not vectorise these from Python: it may not reorder a sum, and a maximum over vectors would lose NaN. Here
the order is written down, one partial result a lane and the lanes halved at the end, so that the result depends on
the row alone.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .isa import ISA
from .simd import I64, Vectors, element_bytes, element_type


def _larger(v: Vectors, a, b):
    """The larger of two vectors, NaN where ``b`` is NaN or ``a`` is."""
    keep = v.builder.or_(v.builder.fcmp_ordered(">=", a, b), v.builder.fcmp_unordered("uno", a, a))
    return v.builder.select(keep, a, b)


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
        result = cgutils.alloca_once_value(builder, start)
        whole = builder.sdiv(count, I64(lanes))
        with cgutils.for_range(builder, whole) as loop:
            vector = v.load(v.at(pointer, builder.mul(loop.index, I64(lanes))), lanes)
            builder.store(combine(v, builder.load(result), vector), result)
        done = builder.mul(whole, I64(lanes))
        rest = builder.sub(count, done)
        with builder.if_then(builder.icmp_signed(">", rest, I64(0))):
            mask = v.first_lanes(rest, lanes)
            vector = builder.select(mask, v.load(v.at(pointer, done), lanes, mask), start)
            builder.store(combine(v, builder.load(result), vector), result)
        vector = builder.load(result)
        while lanes > 1:
            lanes //= 2
            vector = combine(v, *v.halves(vector))
        return builder.extract_element(vector, ir.IntType(32)(0))

    def reduction(typingctx, address, count, one):
        return one(types.int64, types.int64, one), codegen

    reduction.__name__ = name
    return intrinsic(reduction)


row_max = _reduction("row_max", _larger, float("-inf"))
row_sum = _reduction("row_sum", _sum, 0.0)
