"""The last few columns of a product, fewer than would pay for a vector of C: vectors go along k or along the rows.

A product of 50 columns is three vectors of 16 and two columns, which as a fourth vector would cost as much as eight
or sixteen; one of 5 columns is nothing else. Whichever of its two directions A has its elements side by side in is the
one that fills vectors.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .isa import ISA
from .memory import like, local, size_of, view
from .simd import I32, I64, Vectors, element_bytes, element_type
from .tile import MAX_VECTORS, Strides, tile, tile_index

INFINITY = float("inf")
VECTOR_BYTES = ISA.vector_bytes
ROWS, COLUMNS = 4, 4  # in one call of dots: 16 chains of multiply-adds
MOST = 8  # columns


def _emit_dots(v: Vectors, lanes: int, columns: int, arguments) -> None:
    """Inner products of a few rows of A with ``columns`` lines of B, and their sums into ``out``."""
    builder = v.builder
    a_rows, b, b_row, depth, out = arguments
    a_rows, b, out = [v.pointer(a) for a in a_rows], v.pointer(b), v.pointer(out)
    chains = [[cgutils.alloca_once(builder, v.type(lanes)) for _ in range(columns)] for _ in a_rows]
    for row in chains:
        for chain in row:
            builder.store(v.zero(lanes), chain)

    def step(k, mask):
        lines = [v.load(v.at(b, builder.add(builder.mul(b_row, I64(t)), k)), lanes, mask) for t in range(columns)]
        for i in range(len(a_rows)):
            x = v.load(v.at(a_rows[i], k), lanes, mask)
            for t in range(columns):
                builder.store(v.fmuladd(x, lines[t], builder.load(chains[i][t])), chains[i][t])

    whole = builder.sdiv(depth, I64(lanes))
    with cgutils.for_range(builder, whole) as loop:
        step(builder.mul(loop.index, I64(lanes)), None)
    done = builder.mul(whole, I64(lanes))
    with builder.if_then(builder.icmp_signed("<", done, depth)):
        step(done, v.first_lanes(builder.sub(depth, done), lanes))
    for i in range(len(a_rows)):
        for t in range(columns):
            vector, width = builder.load(chains[i][t]), lanes
            while width > 1:
                vector, width = builder.fadd(*v.halves(vector)), width // 2
            builder.store(builder.extract_element(vector, I32(0)), v.at(out, I64(i * columns + t)))


@intrinsic
def _dots(typingctx, a, a_row, rows, b, b_row, columns, depth, out, one):
    """``out[i, t] = sum_k a[i, k] b[t, k]`` for ROWS rows, of which ``rows`` exist, and ``columns`` <= MOST lines."""

    def codegen(context, builder, signature, arguments):
        a, a_row, rows, b, b_row, columns, depth, out, _ = arguments
        element = element_type(one)
        lanes = ISA.lanes(element_bytes(element))
        v = Vectors(builder, element)
        size = I64(element_bytes(element))
        last = builder.sub(rows, I64(1))
        a_rows = []
        for i in range(ROWS):  # a row that does not exist is read as the last one that does
            index = builder.select(builder.icmp_signed("<", I64(i), last), I64(i), last)
            a_rows.append(builder.add(a, builder.mul(size, builder.mul(a_row, index))))
        end = builder.append_basic_block("end")
        switch = builder.switch(columns, end)
        for number in range(1, COLUMNS + 1):
            block = builder.append_basic_block(f"columns{number}")
            switch.add_case(I64(number), block)
            builder.position_at_end(block)
            _emit_dots(v, lanes, number, (a_rows, b, b_row, depth, out))
            builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8, one), codegen


@kernel(inline=True)
def _finish(value, start, floor):
    """One element of C."""
    value += start
    return floor if value <= floor else value


@kernel
def columns_along_k(shape, a, b, c, start, alpha, floor, scratch):
    """``C = max(alpha A B + start, floor)`` for a C of at most MOST columns and an A whose rows are contiguous.

    shape, a, b, c, start : as in ``gemm``; the address of ``start`` must be one
    scratch : address of room for MOST columns of B and the results of one call
    """
    rows, columns, depth = shape
    a_at, a_row, _ = a
    b_at, b_k, b_col = b
    size = size_of(alpha)
    source = view(b_at, (depth - 1) * b_k + (columns - 1) * b_col + 1, alpha)
    lines = view(scratch, columns * depth, alpha)
    for t in range(columns):
        for k in range(depth):
            lines[t * depth + k] = source[k * b_k + t * b_col]
    at_sums = scratch + size * columns * depth
    sums = view(at_sums, ROWS * COLUMNS, alpha)
    groups = (columns + COLUMNS - 1) // COLUMNS
    for i in range(0, rows, ROWS):
        there = min(ROWS, rows - i)
        for group in range(groups):
            first = columns * group // groups
            count = columns * (group + 1) // groups - first
            at_lines = scratch + size * first * depth
            _dots(a_at + size * i * a_row, a_row, there, at_lines, depth, count, depth, at_sums, alpha)
            for r in range(there):
                out = view(c[0] + size * ((i + r) * c[1] + first), count, alpha)
                begin = view(start[0] + size * ((i + r) * start[1] + first), count, alpha)
                for t in range(count):
                    out[t] = _finish(alpha * sums[r * count + t], begin[t], floor)


@kernel
def columns_along_rows(shape, a, b, c, start, alpha, floor, tiles, zeros, scratch):
    """As ``columns_along_k``, for an A whose columns are contiguous, by tiles of the transpose of C.

    tiles, zeros : addresses of the table of tiles, and of a vector of zeros
    scratch : address of room for ``columns`` x MAX_VECTORS vectors
    """
    rows, columns, depth = shape
    a_at, _, a_k = a
    b_at, b_k, b_col = b
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    wide = MAX_VECTORS * lanes
    product = view(scratch, columns * wide, alpha)
    for i in range(0, rows, wide):
        there = min(wide, rows - i)
        count = (there + lanes - 1) // lanes
        tail = there - lanes * (count - 1)
        index = tile_index(columns, count, tail, lanes)
        at_x = a_at + size * i
        low = like(-INFINITY, alpha)
        strides = local(Strides(b_col, b_k, a_k, wide, 0, depth, tail, 0, 0, 0, 0))
        tile(tiles, index, strides, b_at, at_x, scratch, zeros, 1, alpha, low)
        for r in range(there):
            out = view(c[0] + size * (i + r) * c[1], columns, alpha)
            begin = view(start[0] + size * (i + r) * start[1], columns, alpha)
            for t in range(columns):
                out[t] = _finish(product[t * wide + r], begin[t], floor)
