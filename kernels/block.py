"""One part of a matrix product from beginning to end, on one thread: in blocks, panels and tiles.

The loops are those of BLIS (Van Zee & van de Geijn 2015, ACM TOMS 41(3)) with A and B in exchanged roles, since here
B is what is read as vectors: blocks over k, blocks over the columns of C, the rows of C in tiles, and innermost the
panels of columns, so that a tile's rows of A stay in the first-level cache while a block of B streams from the
second. Up to ``panel_bytes``, a number of the machine, a panel is the only one of its block, and all rows meet it one
after the other. ``gemm`` cuts a product into parts, and tells how the whole of it is done.
"""

from ._jit import kernel
from .elementwise import call_function
from .isa import SCRATCH_A, VECTOR_BYTES, ZERO_BYTES
from .memory import INFINITY, float_of_bits, like, local, size_of
from .one_row import one_row
from .pack import TOGETHER, pack_panel
from .thin import columns_along_k, columns_along_rows
from .tile import MAX_VECTORS, TILE_ROWS, Strides, tile, tile_index

NOTHING = 0  # as the address of ``start``

# What is applied to the finished product: nothing, ReLU as its elements leave the registers, or, for any other number,
# the function at that address.
LINEAR, RELU = range(2)
NO_EPILOGUE = (LINEAR, NOTHING, 0)


@kernel(inline=True)
def share(total, parts, part):
    """Where piece ``part`` begins when ``total`` is cut into ``parts`` pieces that differ by one at the most."""
    return total * part // parts


@kernel(inline=True)
def even(total, largest):
    """Cut ``total`` into the least number >= 1 of pieces of at most ``largest``.

    Returns their number, the size of the later ones, and how many come first that are larger by one. Whoever walks
    along the pieces needs no further division.
    """
    pieces = max(1, (total + largest - 1) // largest)
    return pieces, total // pieces, total % pieces


@kernel(inline=True)
def block(p, shape, a, b, c, start, alpha, epilogue, tiles, scratch):
    """One part of C from beginning to end, on one thread."""
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    b_at, b_k, b_col = b
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    rectified = epilogue[0] == RELU
    if p.thin and columns % lanes:
        columns -= p.thin
        _thin_columns(p, (rows, p.thin, depth), a, b, c, start, columns, alpha, rectified, tiles, scratch)
        if columns == 0:
            if p.exchanged:
                finish(p.thin, rows, (c[0], p.c_column), epilogue, alpha)
            else:
                finish(rows, p.thin, c, epilogue, alpha)
            return
    k_blocks, shallow, deeper = even(depth, p.block_k)
    n_blocks, narrow, wider = even((columns + lanes - 1) // lanes, p.block_n // lanes)
    k = 0
    for k_block in range(k_blocks):
        k_count = shallow + (k_block < deeper)
        last = k_block == k_blocks - 1
        floor = like(0.0 if last and rectified else -INFINITY, alpha)
        j = 0
        if p.streams:
            b_block, sums = (b_at + size * k * b_k, b_k), scratch + SCRATCH_A
            start_block = start[0] if k_block == 0 else c[0]
            one_row((columns, k_count), (a_at + size * k * a_k, a_k), b_block, c[0], start_block, sums, alpha, floor)
            k += k_count
            continue
        for n_block in range(n_blocks):
            wide = min(lanes * (narrow + (n_block < wider)), columns - j)
            c_block = moved(c, 0, j, size)
            start_block = moved(start, 0, j, size) if k_block == 0 else c_block
            b_block = (b_at + size * (k * b_k + j * b_col), b_k)
            if p.packs_b:
                _pack_b(b_block[0], b_k, b_col, k_count, wide, scratch, alpha)
                b_block = (scratch, 0)
            a_block = (a_at + size * k * a_k, a_row, a_k)
            _tiles_of_block(
                (rows, wide, k_count),
                a_block,
                b_block,
                c_block,
                start_block,
                alpha,
                floor,
                tiles,
                scratch,
                p.k_ahead,
            )
            j += wide
        k += k_count
    finish(rows, shape[1], c, epilogue, alpha)


@kernel(inline=True)
def finish(rows, columns, c, epilogue, alpha):
    """Apply the function of the ``epilogue`` to a finished part of C while it is in the cache."""
    function, kept, bits = epilogue
    if function <= RELU:
        return
    at, row = c
    number = like(float_of_bits(bits), alpha)
    if row == columns:
        rows, columns = 1, rows * columns
    for i in range(rows):
        moved = size_of(alpha) * i * row
        other = at if kept == NOTHING else kept  # a function is applied in place
        call_function(function, at + moved, other + moved, columns, number)


@kernel(inline=True)
def _thin_columns(p, shape, a, b, c, start, j, alpha, rectified, tiles, scratch):
    """The columns of C from ``j`` on."""
    size = size_of(alpha)
    b_at, b_k, b_col = b
    b = (b_at + size * j * b_col, b_k, b_col)
    c, start = moved(c, 0, j, size), moved(start, 0, j, size)
    floor = like(0.0 if rectified else -INFINITY, alpha)
    zeros = scratch - ZERO_BYTES
    if a[2] == 1:
        at_start, start_row = start if start[0] != NOTHING else (zeros, 0)
        all_c, all_start = (c[0], c[1], p.c_column), (at_start, start_row, p.start_column)
        columns_along_k(shape, a, b, all_c, all_start, alpha, floor, scratch)
        return
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    b_at, b_k, b_col = b
    streams = p.streams and (start[0] == NOTHING or start[1] == 1)
    k_blocks, shallow, deeper = even(depth, p.block_k)
    k = 0
    for k_block in range(k_blocks):
        k_count = shallow + (k_block < deeper)
        at_a, at_b = a_at + size * k * a_k, b_at + size * k * b_k
        begin, least = start if k_block == 0 else c, floor if k_block == k_blocks - 1 else like(-INFINITY, alpha)
        if streams:
            sums = scratch + SCRATCH_A
            one_row((rows, k_count), (at_b, b_k), (at_a, a_k), c[0], begin[0], sums, alpha, least)
        else:
            begin = begin if begin[0] != NOTHING else (zeros, 0)
            part, part_a, part_b = (rows, columns, k_count), (at_a, a_row, a_k), (at_b, b_k, b_col)
            columns_along_rows(part, part_a, part_b, c, begin, alpha, least, tiles, zeros, scratch, p.k_ahead)
        k += k_count


@kernel(inline=True)
def moved(matrix, i, j, size):
    """The part of ``matrix`` = (address, row stride) that begins at row ``i``, column ``j``."""
    address, row = matrix
    if address == NOTHING:
        return matrix
    return address + size * (i * row + j), row


@kernel(inline=True)
def _pack_b(b, b_k, b_col, depth, columns, packed, alpha):
    """Copy a block of B to ``packed``, panel after panel, in the cut that ``_tiles_of_block`` makes.

    A long row is read from end to end: the next line of memory is on its way then.
    """
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    panels, least, wider = _panels(columns, lanes)
    strips = (depth + TOGETHER - 1) // TOGETHER if b_col == 1 else 1
    for strip in range(strips):
        k = share(depth, strips, strip)
        rows = share(depth, strips, strip + 1) - k
        j = 0
        for panel in range(panels):
            width = lanes * (least + (panel < wider))
            target = packed + size * (j * (depth + lanes) + k * width)
            pack_panel(
                b + size * (k * b_k + j * b_col), b_k, b_col, rows, min(width, columns - j), target, width, alpha
            )
            j += width


@kernel(inline=True)
def _panels(columns, lanes):
    """The cut of a block's columns: how many panels, vectors of each, and how many come first with one more."""
    return even((columns + lanes - 1) // lanes, MAX_VECTORS)


@kernel(inline=True)
def _tiles_of_block(shape, a, b, c, start, alpha, floor, table, scratch, k_ahead):
    """All tiles of one block. ``b`` is (address, row stride), the stride 0 where B lies packed at the address.

    A call has all tiles of one shape that are below each other, or beside each other.
    """
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    b_at, b_k = b
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    start_at, start_row, start_moves = start[0], start[1], 1
    if start_at == NOTHING:
        start_at, start_row, start_moves = scratch - ZERO_BYTES, 0, 0
    panels, least, wider = _panels(columns, lanes)
    tiles, low, taller = even(rows, TILE_ROWS[least + (wider > 0) - 1])
    panel = t = 0
    while t < tiles:
        vectors, tall = least + (panel < wider), low + (t < taller)
        j, i = lanes * (panel * least + min(panel, wider)), t * low + min(t, taller)
        tail = min(lanes, columns - j - lanes * (vectors - 1))
        count, below, beside = 1, 0, 0
        if panels == 1:
            count, below = (taller if t < taller else tiles) - t, tall
        elif tail == lanes:  # a panel that is not full is a shape of its own
            end = wider if panel < wider else panels - (columns % lanes != 0)
            count, beside = end - panel, lanes * vectors
        at_b, row_b, next_b = b_at + size * j, b_k, beside
        if b_k == 0:
            at_b, row_b, next_b = b_at + size * j * (depth + lanes), lanes * vectors, beside * (depth + lanes)
        steps = below * a_row, next_b, below * c[1] + beside, below * start_row + beside * start_moves
        strides = local(Strides(a_row, a_k, row_b, c[1], start_row, depth, tail, *steps, k_ahead))
        index = tile_index(tall, vectors, tail, lanes, k_ahead)
        at_c, at_start = c[0] + size * (i * c[1] + j), start_at + size * (i * start_row + j * start_moves)
        tile(table, index, strides, a_at + size * i * a_row, at_b, at_c, at_start, count, alpha, floor)
        if panels == 1:
            t += count
        else:
            panel += count
            if panel == panels:
                panel, t = 0, t + 1
