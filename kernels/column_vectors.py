"""What is done to the columns of some rows: sums and moments in float64, and numbers of a column put on its elements.

Vectors lie across columns, SIDE_BY_SIDE of them at a time; what is left of the columns takes a vector, then shorter
ones. Sums go down the rows in registers: row by row, each would be read and written for every element. What writes
rows goes along them. Each column is added up in the order of its rows.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .isa import ISA
from .simd import I64, SIDE_BY_SIDE, Vectors, element_bytes, element_type


class Columns:
    """Some columns side by side, ``vectors`` of ``lanes`` elements, whose rows lie ``apart`` elements apart."""

    def __init__(self, v: Vectors, apart, column, vectors: int, lanes: int) -> None:
        self.v, self.apart, self.column, self.vectors, self.lanes = v, apart, column, vectors, lanes
        self.wide = Vectors(v.builder, ir.DoubleType())

    def _places(self, v: Vectors, first, row=None) -> list:
        at = self.column if row is None else v.builder.add(self.column, v.builder.mul(row, self.apart))
        return [v.at(first, v.builder.add(at, I64(n * self.lanes))) for n in range(self.vectors)]

    def read(self, first, row=None, *, wide: bool = False) -> list:
        """The vectors of a row, or of numbers that the columns have, in float64 if ``wide``."""
        v = self.wide if wide else self.v
        return [v.load(at, self.lanes) for at in self._places(v, first, row)]

    def write(self, values: list, first, row=None, *, wide: bool = False) -> None:
        """The other way round."""
        v = self.wide if wide else self.v
        for value, at in zip(values, self._places(v, first, row), strict=True):
            v.store(value, at)

    def add_up(self, rows, n_sums: int, terms) -> list:
        """``n_sums`` sums of each column in float64: ``terms(row)`` has, for each, pairs of factors, or terms."""
        builder = self.v.builder
        form = self.wide.type(self.lanes)
        slots = [[cgutils.alloca_once(builder, form) for _ in range(self.vectors)] for _ in range(n_sums)]
        for slot in (slot for sums in slots for slot in sums):
            builder.store(self.wide.zero(self.lanes), slot)
        with cgutils.for_range(builder, rows) as loop:
            for sums, values in zip(slots, terms(loop.index), strict=True):
                for slot, value in zip(sums, values, strict=True):
                    so_far = builder.load(slot)
                    if isinstance(value, tuple):
                        one, other = value
                        builder.store(self.wide.fmuladd(one, other, so_far), slot)
                    else:
                        builder.store(builder.fadd(so_far, value), slot)
        return [[builder.load(slot) for slot in sums] for sums in slots]


def _for_columns(v: Vectors, apart, columns, emit) -> None:
    """``emit`` for all of so many columns, some at a time."""
    builder, lanes, width = v.builder, ISA.lanes(element_bytes(v.element)), SIDE_BY_SIDE
    done = I64(0)
    while lanes:
        some = I64(width * lanes)
        count = builder.sdiv(builder.sub(columns, done), some)
        with cgutils.for_range(builder, count) as loop:
            emit(Columns(v, apart, builder.add(done, builder.mul(loop.index, some)), width, lanes))
        done = builder.add(done, builder.mul(count, some))
        width, lanes = 1, lanes if width > 1 else lanes // 2


def _walk(kinds: str, emit, *, by_row: bool = False):
    """The code of ``(apart, rows, columns, *addresses, one)``: ``emit(some, rows, *pointers)`` for all columns.

    ``kinds`` has a letter for each address: w where float64 numbers stand, x where those of the type of ``one`` do. If
    ``by_row``, it is ``emit(some, row, *pointers)`` for all columns of one row after the other.
    """

    def codegen(context, builder, signature, arguments):
        apart, rows, columns, *addresses, _ = arguments
        forms = {"x": Vectors(builder, element_type(signature.args[-1])), "w": Vectors(builder, ir.DoubleType())}
        pointers = [forms[kind].pointer(address) for kind, address in zip(kinds, addresses, strict=True)]
        if by_row:
            with cgutils.for_range(builder, rows) as loop:
                _for_columns(forms["x"], apart, columns, lambda some: emit(some, loop.index, *pointers))
        else:
            _for_columns(forms["x"], apart, columns, lambda some: emit(some, rows, *pointers))
        return context.get_dummy_value()

    return codegen


@intrinsic
def column_moments(typingctx, apart, rows, columns, x, means, squares, one):
    """The mean of each column over some rows, and the sum of the squared deviations from it, in float64."""

    def emit(some, rows, x, means, squares):
        v, builder = some.v, some.v.builder

        def values(row):
            return [v.widened(value) for value in some.read(x, row)]

        def deviations(row):
            apart = [builder.fsub(value, mean) for value, mean in zip(values(row), found, strict=True)]
            return [[(value, value) for value in apart]]

        count = some.wide.splat(builder.sitofp(rows, ir.DoubleType()), some.lanes)
        found = [builder.fdiv(total, count) for total in some.add_up(rows, 1, lambda row: [values(row)])[0]]
        some.write(found, means, wide=True)
        some.write(some.add_up(rows, 1, deviations)[0], squares, wide=True)

    return types.void(*[types.int64] * 6, one), _walk("xww", emit)


@intrinsic
def column_sums(typingctx, apart, rows, columns, d, z, sums, products, one):
    """The sums of ``d`` and of ``d z`` over some rows, in float64."""

    def emit(some, rows, d, z, sums, products):
        def terms(row):
            own, beside = ([some.v.widened(value) for value in some.read(at, row)] for at in (d, z))
            return [own, list(zip(own, beside, strict=True))]

        for found, place in zip(some.add_up(rows, 2, terms), (sums, products), strict=True):
            some.write(found, place, wide=True)

    return types.void(*[types.int64] * 7, one), _walk("xxww", emit)


@intrinsic
def put_moments(typingctx, apart, rows, columns, x, mean, scale, factor, shift, z, y, one):
    """``z = (x - mean) scale`` and ``y = z factor + shift``; z may be y."""

    def emit(some, row, x, mean, scale, factor, shift, z, y):
        v, builder = some.v, some.v.builder
        mean, scale, factor, shift = (some.read(numbers) for numbers in (mean, scale, factor, shift))
        standard = [builder.fsub(value, own) for value, own in zip(some.read(x, row), mean, strict=True)]
        standard = [builder.fmul(value, own) for value, own in zip(standard, scale, strict=True)]
        some.write(standard, z, row)
        some.write([v.fmuladd(*three) for three in zip(standard, factor, shift, strict=True)], y, row)

    return types.void(*[types.int64] * 10, one), _walk("xxxxxxx", emit, by_row=True)


@intrinsic
def put_slopes(typingctx, apart, rows, columns, d, z, by, off, along, dx, one):
    """``dx = by d - off - along z``; dx may be d."""

    def emit(some, row, d, z, by, off, along, dx):
        v, builder = some.v, some.v.builder
        off, along = ([builder.fneg(value) for value in some.read(numbers)] for numbers in (off, along))
        found = [v.fmuladd(*three) for three in zip(some.read(by), some.read(d, row), off, strict=True)]
        found = [v.fmuladd(*three) for three in zip(along, some.read(z, row), found, strict=True)]
        some.write(found, dx, row)

    return types.void(*[types.int64] * 9, one), _walk("xxxxxx", emit, by_row=True)
