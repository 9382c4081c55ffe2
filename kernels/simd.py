"""LLVM vector instructions for the kernels that are written below the level of Python.

``Vectors`` builds the instructions of one element type; ``tile`` and ``pack`` are made of them. Vectors of any
length are allowed: LLVM splits what is longer than a register. What differs between LLVM versions stands here only.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .isa import ISA
from .memory import emit_prefetch

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)

SIDE_BY_SIDE = ISA.vector_bytes // 16  # vectors of a loop that ``interleave`` is told of: what the registers hold


def element_type(numba_type) -> ir.Type:
    """The LLVM type of numba's float32 or float64."""
    return {32: ir.FloatType(), 64: ir.DoubleType()}[numba_type.bitwidth]


def element_bytes(element: ir.Type) -> int:
    """4 or 8, the bytes of an LLVM float or double."""
    return 4 if isinstance(element, ir.FloatType) else 8


class Vectors:
    """Instructions on vectors of ``element``, appended to ``builder``. Addresses are element pointers."""

    def __init__(self, builder: ir.IRBuilder, element: ir.Type) -> None:
        self.builder, self.element = builder, element
        self.bytes = element_bytes(element)
        self.suffix = "f32" if self.bytes == 4 else "f64"

    def type(self, lanes: int) -> ir.VectorType:
        """The LLVM type of a vector of so many elements."""
        return ir.VectorType(self.element, lanes)

    def zero(self, lanes: int) -> ir.Constant:
        """A vector of zeros."""
        return ir.Constant(self.type(lanes), [0.0] * lanes)

    def pointer(self, address):
        """The element pointer of an int64 address."""
        return self.builder.inttoptr(address, self.element.as_pointer())

    def at(self, pointer, index):
        """``pointer`` moved on by ``index`` elements, an int or an int64 value."""
        return self.builder.gep(pointer, [I64(index) if isinstance(index, int) else index])

    def scalar(self, pointer):
        """The element at ``pointer``."""
        load = self.builder.load(pointer)
        load.align = self.bytes
        return load

    def splat(self, scalar, lanes: int):
        """``scalar`` in every lane."""
        undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))

    def first_lanes(self, count, lanes: int):
        """The mask whose first ``count`` (int64) lanes are set."""
        numbers = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
        return self.builder.icmp_signed("<", numbers, self.splat(self.builder.trunc(count, I32), lanes))

    def load(self, pointer, lanes: int, mask=None):
        """Elements from ``pointer`` on, whose alignment is an element's; 0 where ``mask`` is not set."""
        pointer = self.builder.bitcast(pointer, self.type(lanes).as_pointer())
        if mask is None:
            load = self.builder.load(pointer)
            load.align = self.bytes
            return load
        # LLVM 22 moved the alignment into an attribute; it still reads this older form.
        signature = ir.FunctionType(self.type(lanes), [pointer.type, I32, mask.type, self.type(lanes)])
        return self._call(
            f"llvm.masked.load.v{lanes}{self.suffix}.p0",
            signature,
            [pointer, I32(self.bytes), mask, self.zero(lanes)],
        )

    def store(self, vector, pointer, mask=None) -> None:
        """Write ``vector`` to ``pointer``, aligned as an element is; only the lanes of ``mask`` where there is one."""
        lanes = vector.type.count
        pointer = self.builder.bitcast(pointer, vector.type.as_pointer())
        if mask is None:
            self.builder.store(vector, pointer).align = self.bytes
            return
        signature = ir.FunctionType(ir.VoidType(), [vector.type, pointer.type, I32, mask.type])
        self._call(f"llvm.masked.store.v{lanes}{self.suffix}.p0", signature, [vector, pointer, I32(self.bytes), mask])

    def store_first(self, vectors: list, pointers: list, count) -> None:
        """Write the first ``count`` (int64) lanes of each vector, at least 1, to its pointer."""
        builder, lanes = self.builder, vectors[0].type.count
        if ISA.masked_stores:
            mask = self.first_lanes(count, lanes)
            for vector, pointer in zip(vectors, pointers, strict=True):
                self.store(vector, pointer, mask)
            return
        # In pieces of half a vector, a quarter, ..., as the bits of the number say.
        with builder.if_else(builder.icmp_signed(">=", count, I64(lanes))) as (then, otherwise):
            with then:
                for vector, pointer in zip(vectors, pointers, strict=True):
                    self.store(vector, pointer)
            with otherwise:
                while lanes > 1:
                    lanes //= 2
                    piece = builder.and_(count, I64(lanes))
                    is_there = builder.icmp_signed("!=", piece, I64(0))
                    halves = [self.halves(vector) for vector in vectors]
                    with builder.if_then(is_there):
                        for (low, _), pointer in zip(halves, pointers, strict=True):
                            self.store(low, pointer)
                    vectors = [builder.select(is_there, high, low) for low, high in halves]
                    pointers = [self.at(pointer, piece) for pointer in pointers]

    def opaque(self, integer):
        """An int64 of which LLVM does not know where it comes from, so that it is kept and not computed again."""
        form = ir.FunctionType(I64, [I64])
        return self.builder.asm(form, "", "=r,0", [integer], side_effect=False)

    def after(self, integer, vectors: list):
        """``integer``, an int64, of which LLVM does not know that it is there before these vectors are.

        What is loaded from an address made of it is not loaded earlier, when registers would be full.
        """
        letter = "w" if self.builder.module.triple.startswith(("aarch64", "arm64")) else "v"
        form = ir.FunctionType(I64, [I64, *(vector.type for vector in vectors)])
        constraints = ["=r", "0", *(letter for _ in vectors)]
        return self.builder.asm(form, "", ",".join(constraints), [integer, *vectors], side_effect=False)

    def prefetch(self, pointer) -> None:
        """Send for what lies at ``pointer``, which need not be an address of anything."""
        emit_prefetch(self.builder, pointer)

    def stream(self, vector, pointer) -> None:
        """Store past the caches where the CPU can, to an address that the vector's size divides."""
        pointer = self.builder.bitcast(pointer, vector.type.as_pointer())
        store = self.builder.store(vector, pointer)
        store.align = vector.type.count * self.bytes
        store.set_metadata("nontemporal", self.builder.module.add_metadata([I32(1)]))

    def fmuladd(self, a, b, c):
        """``a b + c``, fused where the CPU can.

        (``llvm.fma`` would be a library call a lane where it can not.)
        """
        lanes = a.type.count
        return self._call(f"llvm.fmuladd.v{lanes}{self.suffix}", ir.FunctionType(a.type, [a.type] * 3), [a, b, c])

    def widened(self, vector):
        """``vector`` in float64."""
        return (
            self.builder.fpext(vector, ir.VectorType(ir.DoubleType(), vector.type.count)) if self.bytes == 4 else vector
        )

    def at_least(self, vector, floor):
        """``floor`` where vector <= floor, else the vector: NaN stays."""
        return self.builder.select(self.builder.fcmp_ordered("<=", vector, floor), floor, vector)

    def halves(self, vector):
        """The first and the second half of a vector, each half as long."""
        lanes = vector.type.count
        none = ir.Constant(vector.type, ir.Undefined)
        first, second = list(range(lanes // 2)), list(range(lanes // 2, lanes))
        return self._shuffle(vector, none, first), self._shuffle(vector, none, second)

    def joined(self, vectors: list):
        """One vector of the lanes of as many as a power of two, equally long, one after the other."""
        while len(vectors) > 1:
            lanes = list(range(2 * vectors[0].type.count))
            vectors = [self._shuffle(a, b, lanes) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
        return vectors[0]

    def sums_of(self, vectors: list) -> list:
        """The sum of each vector's lanes, in vectors of as many lanes, filled up with whatever is at hand.

        Halves are added, then halves of these: each by one addition for two vectors, whose sums it puts side by side.
        """
        width = lanes = vectors[0].type.count
        while width > 1:
            width //= 2
            first = [lane // width * 2 * width + lane % width for lane in range(lanes)]
            second = [lane + width for lane in first]
            pairs = zip(vectors[::2], vectors[1::2] + vectors[-1:], strict=False)
            vectors = [self.builder.fadd(self._shuffle(a, b, first), self._shuffle(a, b, second)) for a, b in pairs]
        return vectors

    def transpose(self, rows: list) -> list:
        """The columns of a square of ``len(rows)`` vectors of that many lanes, a power of two.

        Each stage exchanges, between rows ``step`` apart, the lanes that lie ``step`` apart.
        """
        size = len(rows)
        step = 1
        while step < size:
            low = [lane if not lane & step else size + lane - step for lane in range(size)]
            high = [lane + step if not lane & step else size + lane for lane in range(size)]
            stage = list(rows)
            for i in range(size):
                if not i & step:
                    stage[i] = self._shuffle(rows[i], rows[i + step], low)
                    stage[i + step] = self._shuffle(rows[i], rows[i + step], high)
            rows = stage
            step *= 2
        return rows

    def picked(self, vectors: list, places: list[int]):
        """The vector of the elements number ``places`` of equally long ``vectors`` that stand one after the other."""
        lanes = vectors[0].type.count
        result = ir.Constant(vectors[0].type, ir.Undefined)
        for number, vector in enumerate(vectors):
            chosen = [lanes + place % lanes if place // lanes == number else i for i, place in enumerate(places)]
            result = self._shuffle(result, vector, chosen)
        return result

    def _shuffle(self, a, b, lanes: list[int]):
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))

    def _call(self, name: str, signature: ir.FunctionType, arguments: list):
        function = cgutils.get_or_insert_function(self.builder.module, signature, name)
        return self.builder.call(function, arguments)


@intrinsic
def interleave(typingctx):
    """Have the loops above it in a function go over SIDE_BY_SIDE vectors at a time, where they are vectorised.

    In a long chain each step waits for the one before, and a CPU looks ahead over so many instructions only.
    """

    def codegen(context, builder, signature, arguments):
        module, blocks = builder.module, builder.function.blocks
        name = ir.MetaDataString(module, "llvm.loop.interleave.count")
        wish = module.add_metadata([name, I32(SIDE_BY_SIDE)])
        for place, block in enumerate(blocks):
            end = block.terminator
            if end is not None and any(end.operands.count(target) for target in blocks[: place + 1]):
                loop = module.add_metadata([wish, I32(len(module.metadata))])  # one of its own for each loop,
                loop.operands = (loop, wish)  # whose first part is itself, as LLVM has it
                end.set_metadata("llvm.loop", loop)
        return context.get_dummy_value()

    return types.void(), codegen
