"""Copies of a block of B into panels, the layout in which the register tile likes to read it.

A panel is as wide as a tile, 1 to ``MAX_VECTORS`` vectors, and holds its rows of k one after the other without a
gap. A last vector that is not full is filled up with whatever is at hand: its extra lanes are never stored to C.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .isa import ISA, VECTOR_BYTES
from .memory import size_of
from .simd import I64, Vectors, element_bytes, element_type

TOGETHER = 8  # rows that are copied to all panels of a block before the next
NARROW = 4  # elements of so short a row are found by few shuffles, where a square has many


def _emit_copy(v: Vectors, source, source_row, target, target_row, rows, columns, lanes: int) -> None:
    """``rows`` rows of ``columns`` elements, filled up to whole vectors.

    What lies TOGETHER rows on is sent for: rows of a long B are in pages of their own, over which no cache looks ahead.
    """
    builder = v.builder
    whole = builder.sdiv(columns, I64(lanes))
    done = builder.mul(whole, I64(lanes))
    mask = v.first_lanes(builder.sub(columns, done), lanes)
    is_ragged = builder.icmp_signed("<", done, columns)
    with cgutils.for_range(builder, rows) as row:
        from_row = v.at(source, builder.mul(row.index, source_row))
        to_row = v.at(target, builder.mul(row.index, target_row))
        with cgutils.for_range(builder, whole) as vector:
            at = v.at(from_row, builder.mul(vector.index, I64(lanes)))
            v.prefetch(v.at(at, builder.mul(source_row, I64(TOGETHER))))
            v.store(v.load(at, lanes), v.at(to_row, builder.mul(vector.index, I64(lanes))))
        with builder.if_then(is_ragged):
            v.store(v.load(v.at(from_row, done), lanes, mask), v.at(to_row, done))


def _emit_square(v: Vectors, source, source_row, target, target_row, size: int, rows=None, read=None, written=None):
    """The transpose of a square of ``size`` lanes, of which ``rows`` rows exist in the source.

    Where ``read`` or ``written`` is given, only so many columns of the source are read, or only so many lines of the
    target written, ``rows`` elements of each.
    """
    builder = v.builder
    reading = None if read is None else v.first_lanes(read, size)
    lines = []
    for i in range(size):
        index = I64(i)
        if rows is not None:  # a row that does not exist is read as the last one that does
            last = builder.sub(rows, I64(1))
            index = builder.select(builder.icmp_signed("<", index, last), index, last)
        lines.append(v.load(v.at(source, builder.mul(index, source_row)), size, reading))
    for i, line in enumerate(v.transpose(lines)):
        writing = None
        if written is not None:
            there, none = v.first_lanes(rows, size), v.first_lanes(I64(0), size)
            writing = builder.select(builder.icmp_signed("<", I64(i), written), there, none)
        v.store(line, v.at(target, builder.mul(I64(i), target_row)), writing)


def _function(module: ir.Module, element: ir.Type, name: str, n_arguments: int, emit) -> ir.Function:
    """The LLVM function ``name`` of int64 arguments, made once a module by ``emit(vectors, arguments)``."""
    name = f"fastbp_{name}_{element}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * n_arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(Vectors(builder, element), function.args)
    builder.ret_void()
    return function


def _call(context, builder, element, name, arguments, emit):
    builder.call(_function(builder.module, element, name, len(arguments), emit), arguments)
    return context.get_dummy_value()


@intrinsic
def _copy_rows(typingctx, source, source_row, target, target_row, rows, columns, one):
    """Copy ``rows`` rows of ``columns`` elements, ``source_row`` elements apart, filled up to whole vectors."""

    def codegen(context, builder, signature, arguments):
        element = element_type(one)

        def emit(v, values):
            source, source_row, target, target_row, rows, columns = values
            lanes = ISA.lanes(element_bytes(element))
            _emit_copy(v, v.pointer(source), source_row, v.pointer(target), target_row, rows, columns, lanes)

        return _call(context, builder, element, "copy_rows", arguments[:-1], emit)

    return types.void(*[types.int64] * 6, one), codegen


def _transposition(name: str, bound: str):
    """An intrinsic ``name(source, source_row, target, target_row, rows, columns, one)``: a square's transpose.

    The square has as many rows as a vector has lanes, and ``rows`` x ``columns`` of it exist. What does not is not
    ``bound``: "read" from the source or "written" to the target.
    """

    def codegen(context, builder, signature, arguments):
        element = element_type(signature.args[-1])
        lanes = ISA.lanes(element_bytes(element))

        def emit(v, values):
            source, source_row, target, target_row, rows, columns = values
            square = v.pointer(source), source_row, v.pointer(target), target_row, lanes
            full = I64(lanes)
            whole = v.builder.and_(v.builder.icmp_signed("==", rows, full), v.builder.icmp_signed("==", columns, full))
            with v.builder.if_else(whole) as (then, otherwise):
                with then:
                    _emit_square(v, *square)
                with otherwise:
                    _emit_square(v, *square, rows, **{bound: columns})

        return _call(context, builder, element, name, arguments[:-1], emit)

    def transposition(typingctx, source, source_row, target, target_row, rows, columns, one):
        return types.void(*[types.int64] * 6, one), codegen

    transposition.__name__ = name
    return intrinsic(transposition)


_transpose_square = _transposition("transpose_square", "read")  # of a source without padding
_transpose_square_back = _transposition("transpose_square_back", "written")  # to a target without padding


def _emit_narrow(v: Vectors, rows, lines, width, count, n: int, joins: bool) -> None:
    """Between ``count`` <= lanes rows of ``n`` elements, one after the other, and their ``n`` lines ``width`` apart."""
    builder = v.builder
    lanes = ISA.lanes(v.bytes)
    columns = [[line + n * lane for lane in range(lanes)] for line in range(n)]  # where a line's elements are in rows
    rows_at = [v.at(rows, lanes * k) for k in range(n)]
    lines_at = [v.at(lines, builder.mul(width, I64(line))) for line in range(n)]

    def move(masks):
        if joins:
            found = [v.load(at, lanes) for at in lines_at]
            places = [
                [element % n * lanes + element // n for element in range(k * lanes, (k + 1) * lanes)] for k in range(n)
            ]
            for at, place, mask in zip(rows_at, places, masks, strict=True):
                v.store(v.picked(found, place), at, mask)
        else:
            found = [v.load(at, lanes, mask) for at, mask in zip(rows_at, masks, strict=True)]
            for at, place in zip(lines_at, columns, strict=True):
                v.store(v.picked(found, place), at)

    with builder.if_else(builder.icmp_signed("==", count, I64(lanes))) as (then, otherwise):
        with then:
            move([None] * n)
        with otherwise:
            left = builder.mul(count, I64(n))
            move([v.first_lanes(builder.sub(left, I64(lanes * k)), lanes) for k in range(n)])


def _between_rows_and_lines(name: str, joins: bool):
    """An intrinsic ``name(rows, lines, width, count, n, one)`` for 1 <= n <= NARROW; see ``_emit_narrow``."""

    def codegen(context, builder, signature, arguments):
        def emit(v, values):
            rows, lines, width, count, n = values
            end = v.builder.append_basic_block("end")
            switch = v.builder.switch(n, end)
            for number in range(1, NARROW + 1):
                block = v.builder.append_basic_block(f"rows_of_{number}")
                switch.add_case(I64(number), block)
                v.builder.position_at_end(block)
                _emit_narrow(v, v.pointer(rows), v.pointer(lines), width, count, number, joins)
                v.builder.branch(end)
            v.builder.position_at_end(end)

        return _call(context, builder, element_type(signature.args[-1]), name, arguments[:-1], emit)

    def move(typingctx, rows, lines, width, count, n, one):
        return types.void(*[types.int64] * 5, one), codegen

    move.__name__ = name
    return intrinsic(move)


_split_rows = _between_rows_and_lines("split_rows", joins=False)
_join_rows = _between_rows_and_lines("join_rows", joins=True)


@kernel
def pack_panel(b, b_k, b_col, depth, columns, panel, width, one):
    """Copy ``depth`` x ``columns`` of B into the panel of ``width`` >= columns, a whole number of vectors.

    ``B[k, j]`` stands ``k b_k + j b_col`` elements after address ``b``; one of the two strides is 1. Up to a
    vector's worth of rows beyond ``depth`` may be overwritten in the panel. ``one`` names the element type.
    """
    itemsize = size_of(one)
    lanes = VECTOR_BYTES // itemsize
    if b_col == 1:
        _copy_rows(b, b_k, panel, width, depth, columns, one)
    elif b_col == depth and depth <= NARROW:
        for j in range(0, columns, lanes):
            _split_rows(b + itemsize * j * b_col, panel + itemsize * j, width, min(lanes, columns - j), depth, one)
    else:
        for j in range(0, columns, lanes):
            for first in range(0, depth, lanes):
                # Where there is a whole square, the last one is whole too, and writes a few rows a second time.
                k = min(first, max(0, depth - lanes))
                _transpose_square(
                    b + itemsize * (j * b_col + k),
                    b_col,
                    panel + itemsize * (k * width + j),
                    width,
                    min(lanes, columns - j),
                    min(lanes, depth - k),
                    one,
                )


@kernel
def unpack_rows(panel, width, depth, columns, target, one):
    """What ``pack_panel`` does, backwards.

    Copies ``depth`` lines of ``columns`` elements, ``width`` apart in ``panel``, to ``columns`` rows of ``depth``
    elements from address ``target`` on.
    """
    itemsize = size_of(one)
    lanes = VECTOR_BYTES // itemsize
    for j in range(0, columns, lanes):
        if depth <= NARROW:
            _join_rows(target + itemsize * j * depth, panel + itemsize * j, width, min(lanes, columns - j), depth, one)
            continue
        for k in range(0, depth, lanes):
            _transpose_square_back(
                panel + itemsize * (k * width + j),
                width,
                target + itemsize * (j * depth + k),
                depth,
                min(lanes, depth - k),
                min(lanes, columns - j),
                one,
            )
