"""The register tile: a few rows by a few vectors of C, held in registers while k runs.

One LLVM function for each shape, reached through a table, all emitted by one intrinsic: numba's pipeline is paid once,
not once a shape. A caller is handed the table's address, so that its own machine code stays small. What depends on
shapes alone stands in memory, in the words of a ``Strides``, so that a call passes nothing but addresses, in registers.

For every step of k the tile loads one row of B, broadcasts one element of A for each of its rows, and does ``rows x
vectors`` fused multiply-adds. A is read through two strides, so that ``x`` and ``x.T`` serve alike without a copy.
Every element of C is one chain of multiply-adds in the order of k, whatever the tile's shape: the result does not
depend on how C was cut into tiles.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel, plain
from .function_table import address_of_table, call_entry, constant_table
from .isa import ISA
from .simd import I64, Vectors

MAX_VECTORS = len(ISA.tile_rows)
MAX_ROWS = max(ISA.tile_rows)
HALVES, PREFETCHES = ISA.half_vectors, ISA.prefetches
KINDS = 2 + HALVES  # of tiles of a shape
TILE_ROWS = ISA.tile_rows  # rows of the largest tile of 1, 2, ... vectors
AHEAD = KINDS * MAX_ROWS * MAX_VECTORS  # from a tile in the table to that of its shape that sends for operands ahead


class Strides(NamedTuple):
    """What a tile knows of its operands beside their addresses.

    Elements from row to row and from k to k, the ``depth`` >= 0, the columns that exist in the last vector, its
    ``tail``; elements from a tile to the next that is computed in the same call, below it or beside it; and by how many
    steps of k tiles that send for their operands are ahead.
    """

    a_row: int
    a_k: int
    b_k: int
    c_row: int
    start_row: int
    depth: int
    tail: int
    a_next: int
    b_next: int
    c_next: int
    start_next: int
    k_ahead: int


class _Tile:
    """Emits ``void tile(strides, a, b, c, start, count, alpha, floor)``.

    ``C = max(alpha A B + start, floor)`` for ``count`` >= 1 tiles of ``rows`` rows and ``vectors`` vectors, the last
    of which has ``last`` lanes; they are all there if it is ``full``. One that is ``ahead`` sends for the rows of B,
    and for a line of A, that it will read ``k_ahead`` steps later. ``strides`` is the address of the words of a
    ``Strides``.
    """

    def __init__(
        self, module: ir.Module, element: ir.Type, rows: int, vectors: int, last: int, full: bool, ahead: bool
    ) -> None:
        lanes = ISA.lanes(4 if isinstance(element, ir.FloatType) else 8)
        self.rows, self.full, self.ahead = rows, full, ahead
        self.widths = [lanes] * (vectors - 1) + [last]
        self.offsets = [lanes * j for j in range(vectors)]
        signature = ir.FunctionType(ir.VoidType(), [I64] * 6 + [element] * 2)
        name = f"fastbp_tile_{element}_{rows}x{vectors}_{'full' if full else last}{'_ahead' * ahead}"
        self.function = ir.Function(module, signature, name)
        self.function.linkage = "internal"
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.v = Vectors(self.builder, element)
        self._emit()

    def _emit(self) -> None:
        v, builder = self.v, self.builder
        strides, a, b, c, start, count, alpha, floor = self.function.args
        words = builder.inttoptr(strides, I64.as_pointer())
        first = [v.pointer(address) for address in (a, b, c, start)] + [count]
        tail = self._word(words, "tail")
        self.mask = None if self.full else v.first_lanes(tail, self.widths[-1])
        entry, loop, done = builder.block, builder.append_basic_block("tile"), builder.append_basic_block("done")
        builder.branch(loop)

        builder.position_at_end(loop)
        a, b, c, start, left = phis = [builder.phi(value.type) for value in first]
        # Read again for each tile: to keep them would take registers from the loop over k.
        a_row, a_k, b_k, c_row, start_row, depth, _, *steps, k_ahead = (
            self._word(words, name) for name in Strides._fields
        )
        total = self._products(a, a_row, a_k, b, b_k, k_ahead, depth)
        # All of ``start``, which may be C, is read before anything is stored: a masked store holds up the loads behind
        # it that come near its lanes, whether they are set or not.
        values = []
        for i in range(self.rows):
            start_i = v.at(start, builder.mul(start_row, I64(i)))
            for j, width in enumerate(self.widths):
                values.append(v.fmuladd(v.splat(alpha, width), total[i][j], self._load(start_i, j, masked=True)))
        values = self._at_least(values, floor)
        vectors = len(self.widths)
        places = [
            v.at(v.at(c, builder.mul(c_row, I64(i))), offset) for i in range(self.rows) for offset in self.offsets
        ]
        for number, (value, place) in enumerate(zip(values, places, strict=True), 1):
            if self.full or number % vectors:
                v.store(value, place)
        if not self.full:
            v.store_first(values[vectors - 1 :: vectors], places[vectors - 1 :: vectors], tail)
        following = [v.at(at, step) for at, step in zip((a, b, c, start), steps, strict=True)]
        following.append(builder.sub(left, I64(1)))
        for phi, begin, value in zip(phis, first, following, strict=True):
            phi.add_incoming(begin, entry)
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed(">", left, I64(1)), loop, done)

        builder.position_at_end(done)
        builder.ret_void()

    def _at_least(self, values: list, floor) -> list:
        """The values, none below ``floor``; most tiles have none, and are done sooner."""
        v, builder = self.v, self.builder
        before, limit, after = builder.block, builder.append_basic_block("floor"), builder.append_basic_block("out")
        lowest = ir.Constant(v.element, float("-inf"))
        builder.cbranch(builder.fcmp_ordered(">", floor, lowest), limit, after)
        builder.position_at_end(limit)
        limited = [v.at_least(value, v.splat(floor, value.type.count)) for value in values]
        builder.branch(after)
        builder.position_at_end(after)
        result = []
        for value, other in zip(values, limited, strict=True):
            result.append(phi := builder.phi(value.type))
            phi.add_incoming(value, before)
            phi.add_incoming(other, limit)
        return result

    def _word(self, words, name: str):
        return self.builder.load(self.builder.gep(words, [I64(Strides._fields.index(name))]))

    def _products(self, a, a_row, a_k, b, b_k, k_ahead, depth) -> list[list]:
        """The loop over k; returns the accumulators."""
        v, builder = self.v, self.builder
        entry = builder.block
        # To a row of A from the first: LLVM would find the next row by an addition to the one before, and a chain of
        # these takes as long as the multiply-adds. Doubled and quadrupled they are part of the address.
        odd = {i: v.opaque(builder.mul(a_row, I64(i))) for i in range(1, self.rows, 2)}
        rows = [builder.mul(odd[i // (i & -i)], I64(i & -i)) if i else I64(0) for i in range(self.rows)]
        a_ahead, b_ahead = (builder.mul(k_ahead, step) for step in (a_k, b_k))
        loop, done = builder.append_basic_block("k"), builder.append_basic_block("store")
        builder.cbranch(builder.icmp_signed(">", depth, I64(0)), loop, done)

        builder.position_at_end(loop)
        k, a_at, b_at = builder.phi(I64), builder.phi(a.type), builder.phi(b.type)
        sums = [[builder.phi(v.type(width)) for width in self.widths] for _ in range(self.rows)]
        b_row = [self._load(b_at, j, masked=ISA.masks) for j in range(len(self.widths))]
        if self.ahead:
            for offset in self.offsets:
                v.prefetch(v.at(v.at(b_at, b_ahead), offset))
            v.prefetch(v.at(a_at, a_ahead))
        total = []
        for i in range(self.rows):
            x = v.scalar(v.at(a_at, rows[i]))
            total.append([v.fmuladd(v.splat(x, w), b_row[j], sums[i][j]) for j, w in enumerate(self.widths)])
        k_next = builder.add(k, I64(1))
        steps = ((k, I64(0), k_next), (a_at, a, v.at(a_at, a_k)), (b_at, b, v.at(b_at, b_k)))
        for phi, first, following in steps:
            phi.add_incoming(first, entry)
            phi.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", k_next, depth), loop, done)

        builder.position_at_end(done)
        result = []
        for i in range(self.rows):
            row = []
            for j, width in enumerate(self.widths):
                sums[i][j].add_incoming(v.zero(width), entry)
                sums[i][j].add_incoming(total[i][j], loop)
                phi = builder.phi(v.type(width))
                phi.add_incoming(v.zero(width), entry)
                phi.add_incoming(total[i][j], loop)
                row.append(phi)
            result.append(row)
        return result

    def _load(self, pointer, j: int, masked: bool):
        return self.v.load(self.v.at(pointer, self.offsets[j]), self.widths[j], self._mask_of(j) if masked else None)

    def _mask_of(self, j: int):
        return self.mask if j == len(self.widths) - 1 else None


@plain
def has_ahead(rows, vectors):
    """Whether there is a tile of that shape that sends for operands ahead: of the wide, from half their height on."""
    return PREFETCHES and vectors >= MAX_VECTORS - 1 and 2 * rows >= TILE_ROWS[vectors - 1]


@plain
def tile_index(rows, vectors, tail, lanes, ahead=0):
    """Place in the table of the tile of ``rows`` by ``vectors`` of ``lanes``, of which the last has a ``tail``.

    There are two of each shape: the second is for a last vector half as wide, or, where that would not be any faster,
    for one that is full. In the first case the largest shapes have a third for that: a masked load of 64 bytes takes a
    multiply-add's turn on Intel's CPUs. If ``ahead``, it is one that sends for its operands, where there is such a
    tile.
    """
    kind = int(tail <= lanes // 2 if HALVES else tail == lanes)
    if HALVES and tail == lanes and rows == TILE_ROWS[vectors - 1]:
        kind = 2
    first = AHEAD if ahead and has_ahead(rows, vectors) else 0
    return first + ((vectors - 1) * MAX_ROWS + rows - 1) * KINDS + kind


def _table(module: ir.Module, element: ir.Type) -> ir.GlobalVariable:
    """The tiles of every shape as a constant array of function pointers, made once a module."""
    name = f"fastbp_tiles_{element}"
    if name in module.globals:
        return module.globals[name]
    lanes = ISA.lanes(4 if isinstance(element, ir.FloatType) else 8)
    functions = {}
    for vectors in range(1, MAX_VECTORS + 1):
        for rows in range(1, TILE_ROWS[vectors - 1] + 1):
            second = lanes // 2 if HALVES else lanes
            for tail, last in ((lanes - 1, lanes), (second, second), (lanes, lanes)):
                for ahead in (False, True):
                    index = tile_index(rows, vectors, tail, lanes, ahead)
                    if index not in functions:
                        functions[index] = _Tile(module, element, rows, vectors, last, tail == lanes, ahead).function
    pointer = functions[0].type
    size = AHEAD * (1 + PREFETCHES)
    return constant_table(module, name, [functions.get(i, ir.Constant(pointer, None)) for i in range(size)])


_address_of_table = address_of_table(_table)


@kernel
def tile_table(one):
    """Address of the table of tiles of the type of ``one``: the only function whose machine code holds them."""
    return _address_of_table(one)


@intrinsic
def tile(typingctx, table, index, strides, a, b, c, start, count, alpha, floor):
    """Call tile number ``index`` of the ``table`` of the type of ``alpha``; see ``_Tile`` for the other arguments."""

    def codegen(context, builder, signature, arguments):
        table, index, *arguments = arguments
        call_entry(builder, table, index, arguments)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8, alpha, alpha), codegen
