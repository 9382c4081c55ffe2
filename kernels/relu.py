"""ReLU: x where it is positive or NaN, else 0."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .isa import ISA
from .memory import address, size_of
from .simd import I64, Vectors, element_bytes, element_type
from .team import package, part_of, parts_of, spread

VECTOR_BYTES = ISA.vector_bytes
STREAM_BYTES = 1 << 26  # of an output that no cache can hold: stores past the caches spare reading it first


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
def _forward(x, y, mask, streams, part, member):
    begin, end = part_of(x.size, part)
    x, y, mask = x[begin:end], y[begin:end], mask[begin:end]
    if streams:
        one = x.dtype.type(1)
        lanes = VECTOR_BYTES // size_of(one)
        head = min(x.size, -address(y) % VECTOR_BYTES // size_of(one))
        tail = head + (x.size - head) // lanes * lanes
        _apply(x[:head], y[:head], mask[:head])
        _stream(address(x[head:]), address(y[head:]), address(mask[head:]), (tail - head) // lanes, one)
        _apply(x[tail:], y[tail:], mask[tail:])
    else:
        _apply(x, y, mask)


@kernel
def relu_forward(team, x, y, mask):
    """``mask = x <= 0``, ``y = 0 where mask, else x``, element by element; NaN stays.

    x, y : (N, D) float32 or float64, mask : (N, D) bool; C-contiguous. ``y`` and ``mask`` are overwritten.
    """
    size = x.size
    streams = size * x.itemsize >= STREAM_BYTES
    spread(team, parts_of(size), package(_forward, (x.reshape(size), y.reshape(size), mask.reshape(size), streams)))


@kernel
def _backward(dout, mask, dx, part, member):
    zero = dout.dtype.type(0)
    begin, end = part_of(dout.size, part)
    dout, mask, dx = dout[begin:end], mask[begin:end], dx[begin:end]
    for i in range(dout.size):
        dx[i] = zero if mask[i] else dout[i]


@kernel
def relu_backward(team, dout, mask, dx):
    """``dx = 0 where mask, else dout``, element by element, whatever ``dout`` is where masked.

    dout, dx : (N, D) of one type, mask : (N, D) bool; C-contiguous. ``dx`` is overwritten.
    """
    size = dout.size
    spread(team, parts_of(size), package(_backward, (dout.reshape(size), mask.reshape(size), dx.reshape(size))))
