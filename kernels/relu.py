"""ReLU: x where it is positive or NaN, else 0."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .entry import operand
from .isa import ISA, VECTOR_BYTES
from .memory import address, like, size_of, view
from .simd import I64, Vectors, element_bytes, element_type
from .team import NO_TEAM, machine_of, package, part_of, parts_of, spread


@kernel(inline=True)
def _apply(x, y, mask):
    zero = x.dtype.type(0)
    for i in range(x.size):
        masked = x[i] <= zero
        mask[i] = masked
        y[i] = zero if masked else x[i]


@intrinsic
def _stream(typingctx, x, y, mask, count, one):
    """``_apply`` to ``count`` whole vectors from the addresses on; a vector's size divides that of ``y``."""

    def codegen(context, builder, signature, arguments):
        x, y, mask, count, _ = arguments
        element = element_type(one)
        lanes = ISA.lanes(element_bytes(element))
        v = Vectors(builder, element)
        x, y, mask = v.pointer(x), v.pointer(y), builder.inttoptr(mask, ir.IntType(8).as_pointer())
        zero, marks = v.zero(lanes), ir.VectorType(ir.IntType(8), lanes)
        with cgutils.for_range(builder, count) as loop:
            at = builder.mul(loop.index, I64(lanes))
            value = v.load(v.at(x, at), lanes)
            masked = builder.fcmp_ordered("<=", value, zero)
            v.stream(builder.select(masked, zero, value), v.at(y, at))
            target = builder.bitcast(builder.gep(mask, [at]), marks.as_pointer())
            builder.store(builder.zext(masked, marks), target).align = 1
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, one), codegen


@kernel
def _forward(x, y, mask, n, streams, one, part, member):
    begin, end = part_of(n, part)
    size = size_of(one)
    x, y = view(x + size * begin, end - begin, one), view(y + size * begin, end - begin, one)
    mask = view(mask + begin, end - begin, True)
    if streams:
        lanes = VECTOR_BYTES // size
        head = min(x.size, -address(y) % VECTOR_BYTES // size)
        tail = head + (x.size - head) // lanes * lanes
        _apply(x[:head], y[:head], mask[:head])
        _stream(address(x[head:]), address(y[head:]), address(mask[head:]), (tail - head) // lanes, one)
        _apply(x[tail:], y[tail:], mask[tail:])
    else:
        _apply(x, y, mask)


@kernel(by_address=True)
def relu_forward(team, operands, one):
    """``mask = x <= 0``, ``y = 0 where mask, else x``, element by element; NaN stays.

    Operands: x; made: y, mask. In the form of an ``Entry``.
    """
    x, rows, columns = operand(operands, 0)
    y, mask, n = operand(operands, 1)[0], operand(operands, 2)[0], rows * columns
    streams = team != NO_TEAM and n * size_of(one) >= machine_of(team).stream_bytes
    spread(team, parts_of(n), package(_forward, (x, y, mask, n, streams, one)))
    return 1


@kernel
def _backward(dout, mask, dx, n, one, part, member):
    zero = like(0, one)
    begin, end = part_of(n, part)
    size = size_of(one)
    dout, dx = view(dout + size * begin, end - begin, one), view(dx + size * begin, end - begin, one)
    mask = view(mask + begin, end - begin, True)
    for i in range(dout.size):
        given = dout[i]  # read in any case: without masked loads, a loop that may not read is not vectorised
        dx[i] = zero if mask[i] else given


@kernel(by_address=True)
def relu_backward(team, operands, one):
    """``dx = 0 where mask, else dout``, element by element, whatever ``dout`` is where masked.

    Operands: dout, mask; made: dx. In the form of an ``Entry``.
    """
    dout, rows, columns = operand(operands, 0)
    mask, dx, n = operand(operands, 1)[0], operand(operands, 2)[0], rows * columns
    spread(team, parts_of(n), package(_backward, (dout, mask, dx, n, one)))
    return 1
