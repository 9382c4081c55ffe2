"""The register tiles of convolution: sums of products of numbers and runs of an image, held in registers.

To a filter, an image whose rows lie ``pitch`` elements apart is one run of places: what stands below an element of the
filter at any place lies a constant offset from the place. Vectors therefore go along places, loaded where they lie, and
an element of a filter, a *tap*, is a pair of offsets: of its weight, and of what it meets. No matrix of patches is
made.

- ``sum_taps``: a few rows of an output at a few vectors of places, each a chain of multiply-adds in the order of taps.
- ``sum_places``: the gradients of a few rows of weights at a few taps, each a vector of sums along places.

As with ``tile``, one LLVM function for each shape is reached through a table whose address the callers are handed.
"""

from math import isqrt
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .function_table import address_of_table, call_entry, constant_table
from .isa import ISA
from .simd import I32, I64, Vectors, element_bytes

_SUMS = len(ISA.tile_rows) * ISA.tile_rows[-1]  # that the registers hold beside what they are made of
_FEW = isqrt(_SUMS)
_MANY = _SUMS // _FEW
VECTORS, MOST_ROWS = _FEW, _MANY  # of places in a tile, and rows of the output: as few loads as can be
FEWER_VECTORS = max(1, VECTORS // 2)  # of the last places, where that does
# Rows and taps of a tile of gradients. Thirty filters of 5 x 5 leave nothing over of a square one: where it has one sum
# more than others, as with 32 registers, it takes 31 of these.
_SQUARE = isqrt(_SUMS + 1)
TAP_SHAPES = ((_FEW, _MANY), (_MANY, _FEW), (_SQUARE, _SQUARE))[: 3 if _SQUARE > _FEW else 2]
TAP_WIDTH = 1 << (_MANY - 1).bit_length()  # numbers of a row of either as it is stored


class SumOfTaps(NamedTuple):
    """What ``sum_taps`` knows beside addresses of elements; offsets and rows are in elements.

    ``tiles`` times VECTORS pairs of offsets stand at ``places``, of a vector of the image and of where its sums go, and
    FEWER_VECTORS more if ``fewer``; ``depth`` pairs stand at ``taps``, of a weight and of what it meets.
    """

    tiles: int
    fewer: int
    places: int
    depth: int
    taps: int
    weight_row: int
    out_row: int
    start_row: int


class SumOfPlaces(NamedTuple):
    """What ``sum_places`` knows beside addresses of elements; offsets are in elements.

    Sums go over ``units``, in each over ``vectors`` whose pairs of offsets, of d and of x, stand at ``places``. Of rows
    and taps the ``last`` are those that exist, from 0: what comes behind is computed as these.
    """

    last_row: int
    last_tap: int
    units: int
    vectors: int
    places: int
    d_row: int
    d_unit: int
    x_unit: int


def _words(builder: ir.IRBuilder, form, at) -> dict[str, ir.Value]:
    """The words of a NamedTuple of int64 at an address, by name."""
    first = builder.inttoptr(at, I64.as_pointer())
    return {name: builder.load(builder.gep(first, [I64(i)])) for i, name in enumerate(form._fields)}


def _pair(builder: ir.IRBuilder, pairs, index, side: int):
    """One side of the pair number ``index``."""
    return builder.load(builder.gep(pairs, [builder.add(builder.mul(index, I64(2)), I64(side))]))


def _emit_sum_of_taps(v: Vectors, arguments, rows: int, lanes: int) -> None:
    """``y[i, at] = max(start[i] + sum over taps of weight[i, tap] x[at + tap], floor)``."""
    builder = v.builder
    shape, weights, x, y, start, floor = arguments
    n = _words(builder, SumOfTaps, shape)
    weights, x, y, start = (v.pointer(at) for at in (weights, x, y, start))
    places, taps = (builder.inttoptr(n[name], I64.as_pointer()) for name in ("places", "taps"))
    slots = [[cgutils.alloca_once(builder, v.type(lanes)) for _ in range(VECTORS)] for _ in range(rows)]
    limited = builder.fcmp_ordered(">", floor, ir.Constant(v.element, float("-inf")))
    weight_rows = [v.at(weights, builder.mul(n["weight_row"], I64(i))) for i in range(rows)]

    def tile(first, vectors: int) -> None:
        sums = [row[:vectors] for row in slots]
        at = [builder.add(first, I64(j)) for j in range(vectors)]
        lines = [v.at(x, _pair(builder, places, index, 0)) for index in at]
        for i, row in enumerate(sums):
            begin = v.splat(v.scalar(v.at(start, builder.mul(n["start_row"], I64(i)))), lanes)
            for slot in row:
                builder.store(begin, slot)
        with cgutils.for_range(builder, n["depth"]) as tap:
            weight, offset = (_pair(builder, taps, tap.index, side) for side in (0, 1))
            met = [v.load(v.at(line, offset), lanes) for line in lines]
            for i, row in enumerate(sums):
                value = v.splat(v.scalar(v.at(weight_rows[i], weight)), lanes)
                for j, slot in enumerate(row):
                    builder.store(v.fmuladd(value, met[j], builder.load(slot)), slot)
        with builder.if_then(limited):
            for slot in (slot for row in sums for slot in row):
                builder.store(v.at_least(builder.load(slot), v.splat(floor, lanes)), slot)
        for i, row in enumerate(sums):
            out = v.at(y, builder.mul(n["out_row"], I64(i)))
            for j, slot in enumerate(row):
                v.store(builder.load(slot), v.at(out, _pair(builder, places, at[j], 1)))

    with cgutils.for_range(builder, n["tiles"]) as loop:
        tile(builder.mul(loop.index, I64(VECTORS)), VECTORS)
    with builder.if_then(builder.icmp_signed("!=", n["fewer"], I64(0))):
        tile(builder.mul(n["tiles"], I64(VECTORS)), FEWER_VECTORS)


def _emit_sum_of_places(v: Vectors, arguments, rows: int, n_taps: int, lanes: int) -> None:
    """``out[i, t] += sum over places of d[i, place] x[place + taps[t]]``, rows TAP_WIDTH apart."""
    builder = v.builder
    shape, d, x, taps, out = arguments
    n = _words(builder, SumOfPlaces, shape)
    d, x, out = v.pointer(d), v.pointer(x), v.pointer(out)
    taps, places = (builder.inttoptr(at, I64.as_pointer()) for at in (taps, n["places"]))

    def existing(index: int, last):
        return builder.select(builder.icmp_signed("<", I64(index), last), I64(index), last)

    d_rows = [v.at(d, builder.mul(n["d_row"], existing(i, n["last_row"]))) for i in range(rows)]
    x_taps = [v.at(x, _pair(builder, taps, existing(t, n["last_tap"]), 1)) for t in range(n_taps)]
    sums = [[cgutils.alloca_once(builder, v.type(lanes)) for _ in range(n_taps)] for _ in range(rows)]
    for slot in (slot for row in sums for slot in row):
        builder.store(v.zero(lanes), slot)
    with cgutils.for_range(builder, n["units"]) as unit:
        d_unit, x_unit = (builder.mul(unit.index, n[name]) for name in ("d_unit", "x_unit"))
        with cgutils.for_range(builder, n["vectors"]) as vector:
            d_at = builder.add(d_unit, _pair(builder, places, vector.index, 0))
            x_at = builder.add(x_unit, _pair(builder, places, vector.index, 1))
            # What there are fewer of stays in registers.
            few, many = (d_rows, x_taps) if rows <= n_taps else (x_taps, d_rows)
            few_at, many_at = (d_at, x_at) if rows <= n_taps else (x_at, d_at)
            held = [v.load(v.at(at, few_at), lanes) for at in few]
            for j, at in enumerate(many):
                met = v.load(v.at(at, many_at), lanes)
                slots = [row[j] for row in sums] if rows <= n_taps else sums[j]
                for value, slot in zip(held, slots, strict=True):
                    builder.store(v.fmuladd(value, met, builder.load(slot)), slot)
                many_at = v.after(many_at, [builder.load(slot) for slot in slots])
    for i, row in enumerate(sums):
        at = v.at(out, I64(i * TAP_WIDTH))
        total = _sums_of(v, [builder.load(slot) for slot in row])
        v.store(builder.fadd(v.load(at, TAP_WIDTH), total), at)


def _sums_of(v: Vectors, vectors: list):
    """A vector of TAP_WIDTH lanes, each the sum of the lanes of one of ``vectors``."""
    lanes = vectors[0].type.count
    while lanes > TAP_WIDTH:
        vectors, lanes = [v.builder.fadd(*v.halves(vector)) for vector in vectors], lanes // 2
    size = TAP_WIDTH
    if lanes < size:  # of short vectors, one after the other
        scalars = [_sum_of_lanes(v, vector) for vector in vectors]
        total = v.zero(size)
        for place, scalar in enumerate(scalars):
            total = v.builder.insert_element(total, scalar, I32(place))
        return total
    columns = v.transpose(vectors + [v.zero(lanes)] * (size - len(vectors)))
    while len(columns) > 1:
        half = len(columns) // 2
        columns = [v.builder.fadd(a, b) for a, b in zip(columns[:half], columns[half:], strict=True)]
    return columns[0]


def _sum_of_lanes(v: Vectors, vector):
    lanes = vector.type.count
    while lanes > 1:
        vector, lanes = v.builder.fadd(*v.halves(vector)), lanes // 2
    return v.builder.extract_element(vector, I32(0))


def _table(module: ir.Module, element: ir.Type) -> ir.GlobalVariable:
    """The functions as a constant array of addresses: for 1, 2, ... rows, then for TAP_SHAPES."""
    lanes = ISA.lanes(element_bytes(element))
    forms: list[Any] = [(_emit_sum_of_taps, [I64] * 5 + [element], (rows,)) for rows in range(1, MOST_ROWS + 1)]
    forms += [(_emit_sum_of_places, [I64] * 5, shape) for shape in TAP_SHAPES]
    functions = []
    for place, (emit, arguments, shape) in enumerate(forms):
        form = ir.FunctionType(ir.VoidType(), arguments)
        function = ir.Function(module, form, f"fastbp_convolution_tile{place}_{element}")
        function.linkage = "internal"
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        emit(Vectors(builder, element), function.args, *shape, lanes)
        builder.ret_void()
        functions.append(function.bitcast(I64.as_pointer()))
    return constant_table(module, f"fastbp_convolution_tiles_{element}", functions)


_address_of_table = address_of_table(_table)


@kernel
def convolution_tiles(one):
    """Address of the table of tiles of the type of ``one``: the only function whose machine code holds them."""
    return _address_of_table(one)


@intrinsic
def sum_taps(typingctx, table, rows, shape, weights, x, y, start, floor):
    """Sums of ``rows`` <= MOST_ROWS rows by the ``table`` of tiles; ``shape`` is the address of a ``SumOfTaps``."""

    def codegen(context, builder, signature, arguments):
        table, rows, *arguments = arguments
        call_entry(builder, table, builder.sub(rows, I64(1)), arguments)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, floor), codegen


@intrinsic
def sum_places(typingctx, table, number, shape, d, x, taps, out):
    """Sums of a tile of TAP_SHAPES[``number``] by the ``table``; ``shape`` is the address of a ``SumOfPlaces``."""

    def codegen(context, builder, signature, arguments):
        table, number, *arguments = arguments
        call_entry(builder, table, builder.add(number, I64(MOST_ROWS)), arguments)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen
