"""The last few columns of a product, fewer than would pay for a vector of C: vectors go along k or along the rows.

A product of 50 columns is three vectors of 16 and two columns, which as a fourth vector would cost as much as eight
or sixteen; one of 5 columns is nothing else. Whichever of its two directions A has its elements side by side in is the
one that fills vectors.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .isa import ISA, VECTOR_BYTES
from .memory import INFINITY, like, local, size_of, view
from .simd import I64, Vectors, element_bytes, element_type
from .tile import MAX_VECTORS, TILE_ROWS, Strides, tile, tile_index

COLUMNS, ROWS, MORE_ROWS = 4, 4, 8  # in one call of dots: 16 chains of multiply-adds, or of
FEWER_COLUMNS = COLUMNS * ROWS // MORE_ROWS
MOST = 8  # columns, but for an A that is a transpose


def _emit_dots(v: Vectors, lanes: int, columns: int, arguments) -> None:
    """Inner products of a few rows of A with ``columns`` lines of B, into ``out``, which has room for 16."""
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
    vectors = [builder.load(chain) for row in chains for chain in row]
    for number, sums in enumerate(v.sums_of(vectors)):
        v.store(sums, v.at(out, I64(number * lanes)))


@intrinsic
def _dots(typingctx, a, a_row, rows, b, b_row, columns, depth, out, one):
    """``out[i, t] = sum_k a[i, k] b[t, k]`` for up to MORE_ROWS rows and ``columns`` lines, COLUMNS at the most.

    These are FEWER_COLUMNS at the most where there are more than ROWS rows.
    """

    def codegen(context, builder, signature, arguments):
        a, a_row, rows, b, b_row, columns, depth, out, _ = arguments
        element = element_type(one)
        lanes = ISA.lanes(element_bytes(element))
        v = Vectors(builder, element)
        size = I64(element_bytes(element))
        last = builder.sub(rows, I64(1))
        a_rows = []
        for i in range(MORE_ROWS):  # a row that does not exist is read as the last one that does
            index = builder.select(builder.icmp_signed("<", I64(i), last), I64(i), last)
            a_rows.append(builder.add(a, builder.mul(size, builder.mul(a_row, index))))
        end = builder.append_basic_block("end")
        many = builder.zext(builder.icmp_signed(">", rows, I64(ROWS)), I64)
        switch = builder.switch(builder.add(columns, builder.mul(many, I64(COLUMNS))), end)
        for number in range(1, COLUMNS + FEWER_COLUMNS + 1):
            block = builder.append_basic_block(f"dots{number}")
            switch.add_case(I64(number), block)
            builder.position_at_end(block)
            some, lines = (a_rows[:ROWS], number) if number <= COLUMNS else (a_rows, number - COLUMNS)
            _emit_dots(v, lanes, lines, (some, b, b_row, depth, out))
            builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8, one), codegen


@intrinsic
def _finish_rows(typingctx, sums, rows, columns, c, c_row, start, start_row, alpha, floor):
    """``c[i] = max(alpha sums[i] + start[i], floor)`` for rows of ``columns`` <= COLUMNS elements.

    c_row, start_row : elements from row to row; those of ``sums`` stand one after the other
    """

    def codegen(context, builder, signature, arguments):
        sums, rows, columns, c, c_row, start, start_row, alpha, floor = arguments
        v = Vectors(builder, element_type(signature.args[-1]))
        sums, c, start = v.pointer(sums), v.pointer(c), v.pointer(start)
        end = builder.append_basic_block("end")
        switch = builder.switch(columns, end)
        for number in range(1, COLUMNS + 1):
            block = builder.append_basic_block(f"finish{number}")
            switch.add_case(I64(number), block)
            builder.position_at_end(block)
            factor, least = v.splat(alpha, number), v.splat(floor, number)
            with cgutils.for_range(builder, rows) as row:
                value = v.load(v.at(sums, builder.mul(row.index, I64(number))), number)
                begin = v.load(v.at(start, builder.mul(row.index, start_row)), number)
                value = v.at_least(v.fmuladd(factor, value, begin), least)
                v.store(value, v.at(c, builder.mul(row.index, c_row)))
            builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, alpha, floor), codegen


@kernel(inline=True)
def _finish(value, start, floor):
    """One element of C."""
    value += start
    return floor if value <= floor else value


def _emit_lines(v: Vectors, lanes: int, columns: int, arguments) -> None:
    """The columns of B as lines ``depth`` >= ``lanes`` elements apart; some at the end are written twice."""
    builder = v.builder
    b, b_k, depth, lines = arguments
    b, lines = v.pointer(b), v.pointer(lines)
    last = builder.sub(depth, I64(lanes))
    with cgutils.for_range(builder, builder.sdiv(builder.add(depth, I64(lanes - 1)), I64(lanes))) as loop:
        first = builder.mul(loop.index, I64(lanes))
        first = builder.select(builder.icmp_signed("<", first, last), first, last)
        rows = [v.load(v.at(b, builder.mul(b_k, builder.add(first, I64(k)))), columns) for k in range(lanes)]
        together = lanes // columns
        found = [v.joined(rows[i : i + together]) for i in range(0, lanes, together)]
        for t in range(columns):
            line = v.picked(found, list(range(t, lanes * columns, columns)))
            v.store(line, v.at(lines, builder.add(first, builder.mul(depth, I64(t)))))


@intrinsic
def _copy_columns(typingctx, b, b_k, depth, columns, lines, one):
    """Copy ``columns`` contiguous columns of B, whose rows lie ``b_k`` apart, to ``lines``; returns whether it did.

    It does for two and for four columns, and not for fewer rows than a vector has lanes. Element by element,
    a single row of A would spend as long on two columns as on all others.
    """

    def codegen(context, builder, signature, arguments):
        b, b_k, depth, columns, lines, _ = arguments
        element = element_type(one)
        lanes = ISA.lanes(element_bytes(element))
        done = cgutils.alloca_once_value(builder, cgutils.false_bit)
        end, look = builder.append_basic_block("end"), builder.append_basic_block("look")
        builder.cbranch(builder.icmp_signed("<", depth, I64(lanes)), end, look)
        builder.position_at_end(look)
        switch = builder.switch(columns, end)
        for number in [n for n in (2, 4) if n <= lanes]:
            block = builder.append_basic_block(f"lines{number}")
            switch.add_case(I64(number), block)
            builder.position_at_end(block)
            _emit_lines(Vectors(builder, element), lanes, number, (b, b_k, depth, lines))
            builder.store(cgutils.true_bit, done)
            builder.branch(end)
        builder.position_at_end(end)
        return builder.load(done)

    return types.boolean(*[types.int64] * 5, one), codegen


@kernel
def columns_along_k(shape, a, b, c, start, alpha, floor, scratch):
    """``C = max(alpha A B + start, floor)`` for a C of at most MOST columns and an A whose rows are contiguous.

    shape, a, b : as in ``gemm``
    c, start : an address, elements from row to row, and from column to column
    scratch : address of room for MOST columns of B and the results of one call
    """
    rows, columns, depth = shape
    a_at, a_row, _ = a
    b_at, b_k, b_col = b
    size = size_of(alpha)
    lines, line = b_at, b_col
    if b_k != 1:
        lines, line = scratch, depth
        if b_col != 1 or not _copy_columns(b_at, b_k, depth, columns, lines, alpha):
            source = view(b_at, (depth - 1) * b_k + (columns - 1) * b_col + 1, alpha)
            target = view(lines, columns * depth, alpha)
            for t in range(columns):
                for k in range(depth):
                    target[t * depth + k] = source[k * b_k + t * b_col]
    at_sums = scratch + size * columns * depth
    sums = view(at_sums, ROWS * COLUMNS, alpha)
    groups, together = (columns + COLUMNS - 1) // COLUMNS, MORE_ROWS if columns <= FEWER_COLUMNS else ROWS
    for i in range(0, rows, together):
        there = min(together, rows - i)
        for group in range(groups):
            first = columns * group // groups
            count = columns * (group + 1) // groups - first
            at_lines = lines + size * first * line
            _dots(a_at + size * i * a_row, a_row, there, at_lines, line, count, depth, at_sums, alpha)
            at_c = c[0] + size * (i * c[1] + first * c[2])
            at_start = start[0] + size * (i * start[1] + first * start[2])
            if c[2] == start[2] == 1:
                _finish_rows(at_sums, there, count, at_c, c[1], at_start, start[1], alpha, floor)
                continue
            for r in range(there):
                out = view(at_c + size * r * c[1], (count - 1) * c[2] + 1, alpha)
                begin = view(at_start + size * r * start[1], (count - 1) * start[2] + 1, alpha)
                for t in range(count):
                    out[t * c[2]] = _finish(alpha * sums[r * count + t], begin[t * start[2]], floor)


@kernel
def columns_along_rows(shape, a, b, c, start, alpha, floor, tiles, zeros, scratch, k_ahead):
    """As ``columns_along_k``, for an A whose columns are contiguous and a C whose rows are: by tiles of C's transpose.

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
    low = like(-INFINITY, alpha)
    for i in range(0, rows, wide):
        there = min(wide, rows - i)
        count = (there + lanes - 1) // lanes
        tail = there - lanes * (count - 1)
        groups = (columns + TILE_ROWS[count - 1] - 1) // TILE_ROWS[count - 1]
        strides = local(Strides(b_col, b_k, a_k, wide, 0, depth, tail, 0, 0, 0, 0, k_ahead))
        for group in range(groups):
            first = columns * group // groups
            index = tile_index(columns * (group + 1) // groups - first, count, tail, lanes, k_ahead)
            at_b, at_product = b_at + size * first * b_col, scratch + size * first * wide
            tile(tiles, index, strides, at_b, a_at + size * i, at_product, zeros, 1, alpha, low)
        for r in range(there):
            out = view(c[0] + size * (i + r) * c[1], columns, alpha)
            begin = view(start[0] + size * (i + r) * start[1], columns, alpha)
            for t in range(columns):
                out[t] = _finish(product[t * wide + r], begin[t], floor)
