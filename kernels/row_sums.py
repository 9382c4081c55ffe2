"""The sum of the rows of a matrix, which is the gradient of a bias.

It is the product with a row of ones, but as that a single chain of additions, of which each waits for the one before.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .gemm import NO_EPILOGUE, NOTHING, product
from .instructions import operands
from .isa import ISA
from .memory import like, local
from .plan import Plan
from .simd import I1, I64, Vectors, element_type

CHAINS = 8  # rows of partial sums: enough for two additions at a time that take four cycles each
SHORT = ISA.masks << 15  # elements: beyond, and where a row's last columns cannot be masked, it is a product


@intrinsic
def _add_up(typingctx, d, rows, columns, out, start, factor):
    """``out = start + factor sum(d)`` over the rows of ``d``, all by their addresses."""

    def codegen(context, builder, signature, arguments):
        d, rows, columns, out, start, factor = arguments
        v = Vectors(builder, element_type(signature.args[-1]))
        lanes = ISA.lanes(v.bytes)
        known = builder.icmp_signed("!=", start, I64(NOTHING))
        d, out, start = v.pointer(d), v.pointer(out), v.pointer(start)
        whole, rest = builder.sdiv(rows, I64(CHAINS)), builder.srem(rows, I64(CHAINS))
        none = ir.Constant(ir.VectorType(I1, lanes), [0] * lanes)
        strips = builder.sdiv(builder.add(columns, I64(lanes - 1)), I64(lanes))
        with cgutils.for_range(builder, strips) as strip:
            first = builder.mul(strip.index, I64(lanes))
            mask = v.first_lanes(builder.sub(columns, first), lanes)
            partial = [cgutils.alloca_once_value(builder, v.zero(lanes)) for _ in range(CHAINS)]
            for slot in partial:
                builder.store(v.zero(lanes), slot)

            def add(row, slot, first=first, mask=mask):
                at = v.at(d, builder.add(first, builder.mul(row, columns)))
                builder.store(builder.fadd(builder.load(slot), v.load(at, lanes, mask)), slot)

            with cgutils.for_range(builder, whole) as loop:
                row = builder.mul(loop.index, I64(CHAINS))
                for chain, slot in enumerate(partial):
                    add(builder.add(row, I64(chain)), slot)
            done = builder.sub(rows, rest)
            with cgutils.for_range(builder, rest) as loop:
                add(builder.add(done, loop.index), partial[0])
            sums = [builder.load(slot) for slot in partial]
            while len(sums) > 1:
                half = len(sums) // 2
                sums = [builder.fadd(a, b) for a, b in zip(sums[:half], sums[half:], strict=True)]
            begin = v.load(v.at(start, first), lanes, builder.select(known, mask, none))
            v.store(v.fmuladd(sums[0], v.splat(factor, lanes), begin), v.at(out, first), mask)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, factor), codegen


@kernel(inline=True)
def is_short(rows, columns):
    """Whether a sum is done here, on the calling thread: it follows from the shape alone."""
    return rows * columns <= SHORT


@kernel
def add_up_rows(d, rows, columns, out, start, factor):
    """``out = start + factor (sum of the rows of d)`` for a sum that is short; the address NOTHING adds nothing."""
    _add_up(d, rows, columns, out, start, factor)


@kernel(inline=True)
def sum_of_rows(team, plan, d, out, start, factor):
    """The same for any shape. ``plan`` is that of the product of a row of ones and ``d``."""
    p = operands(Plan, plan)
    if is_short(p.depth, p.columns):
        add_up_rows(d, p.depth, p.columns, out, start, factor)
    else:
        product(team, plan, local(like(1, factor)), d, out, start, factor, NO_EPILOGUE)
