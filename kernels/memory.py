"""Memory by address: plain and atomic int64 words, and the size of an element."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I64 = ir.IntType(64)

INFINITY = float("inf")


def _word(builder, address):
    return builder.inttoptr(address, I64.as_pointer())


@intrinsic
def load(typingctx, address):
    """The int64 at ``address``."""
    return types.int64(types.int64), lambda context, builder, sig, args: builder.load(_word(builder, args[0]))


@intrinsic
def store(typingctx, address, value):
    """Write the int64 ``value`` to ``address``."""

    def codegen(context, builder, signature, arguments):
        builder.store(arguments[1], _word(builder, arguments[0]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def emit_prefetch(builder: ir.IRBuilder, pointer: ir.Value) -> None:
    """Send for the line of memory at ``pointer``, which need not be an address of anything."""
    byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    form = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [byte], form)
    read, keep, data = i32(0), i32(3), i32(1)
    builder.call(function, [builder.bitcast(pointer, byte), read, keep, data])


@intrinsic
def prefetch(typingctx, address):
    """Send for the line of memory at ``address``, which need not be an address of anything."""

    def codegen(context, builder, signature, arguments):
        emit_prefetch(builder, _word(builder, arguments[0]))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _shared_word(ordering: str):
    """Intrinsics that read and write an int64 that other threads write and read, whole."""

    @intrinsic
    def read(typingctx, address):
        def codegen(context, builder, signature, arguments):
            return builder.load_atomic(_word(builder, arguments[0]), ordering, 8)

        return types.int64(types.int64), codegen

    @intrinsic
    def write(typingctx, address, value):
        def codegen(context, builder, signature, arguments):
            builder.store_atomic(arguments[1], _word(builder, arguments[0]), ordering, 8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return read, write


# Who loads what was stored sees all that was written before it, and of other memory nothing that is older.
atomic_load, atomic_store = _shared_word("seq_cst")
relaxed_load, relaxed_store = _shared_word("monotonic")  # which say nothing of other memory


@intrinsic
def atomic_add(typingctx, address, value):
    """Add to the int64 at ``address``; return what stood there before."""

    def codegen(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _word(builder, arguments[0]), arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def atomic_replace(typingctx, address, expected, value):
    """Write ``value`` to ``address`` if ``expected`` stands there; return whether it did."""

    def codegen(context, builder, signature, arguments):
        at, expected, value = arguments
        pair = builder.cmpxchg(_word(builder, at), expected, value, "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(*[types.int64] * 3), codegen


@intrinsic
def size_of(typingctx, one):
    """Bytes of an element of the type of ``one``, as a constant of the compiled code."""
    size = one.bitwidth // 8
    return types.int64(one), lambda context, builder, signature, arguments: I64(size)


@intrinsic
def like(typingctx, value, one):
    """``value``, a number, as the type of ``one``."""

    def codegen(context, builder, signature, arguments):
        return context.cast(builder, arguments[0], value, one)

    return one(value, one), codegen


def _array_at(context, builder, array, address, shape):
    """An array of numba's type ``array``, in C order, whose elements lie from ``address`` on."""
    from numba.np.arrayobj import make_array, populate_array  # which takes a while, and only compiling

    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array.dtype)))
    strides = [size]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(length, strides[0]))
    result = make_array(array)(context, builder)
    pointer = builder.inttoptr(address, result.data.type)
    populate_array(result, data=pointer, shape=shape, strides=strides, itemsize=size, meminfo=None)
    return result._getvalue()


@intrinsic
def view(typingctx, address, count, one):
    """The ``count`` elements of the type of ``one`` from ``address`` on, as an array."""
    array = types.Array(one, 1, "C")

    def codegen(context, builder, signature, arguments):
        return _array_at(context, builder, array, arguments[0], arguments[1:2])

    return array(types.int64, types.int64, one), codegen


@intrinsic
def matrix(typingctx, address, rows, columns, one):
    """The elements of the type of ``one`` from ``address`` on as an array (rows, columns) in C order."""
    array = types.Array(one, 2, "C")

    def codegen(context, builder, signature, arguments):
        return _array_at(context, builder, array, arguments[0], arguments[1:3])

    return array(types.int64, types.int64, types.int64, one), codegen


@intrinsic
def address(typingctx, array):
    """The address of the first element of ``array``, as int64: unsigned, as numba has it, plus int64 makes a float."""

    def codegen(context, builder, signature, arguments):
        from numba.np.arrayobj import make_array

        return builder.ptrtoint(make_array(array)(context, builder, arguments[0]).data, I64)

    return types.int64(array), codegen


@intrinsic
def local(typingctx, value):
    """The address of a copy of the number or tuple of int64 ``value``, good until the calling function returns.

    Each call in the text of a function has one place, which the next pass of a loop overwrites.
    """

    def codegen(context, builder, signature, arguments):
        return builder.ptrtoint(cgutils.alloca_once_value(builder, arguments[0]), I64)

    return types.int64(value), codegen


@intrinsic
def float_of_bits(typingctx, bits):
    """The float64 whose bits are those of the int64 ``bits``."""
    return types.float64(types.int64), lambda context, builder, sig, args: builder.bitcast(args[0], ir.DoubleType())


@intrinsic
def bits_of_float(typingctx, number):
    """The int64 whose bits are those of the float64 ``number``."""
    return types.int64(types.float64), lambda context, builder, sig, args: builder.bitcast(args[0], I64)
