"""Matrix product ``C = f(alpha A B + start)`` for operands of any size, on register tiles.

``plan`` decides how a product is computed, from its shape and strides. A small one is a column of tiles, called one
after the other. The loops of a larger one are those of BLIS (Van Zee & van de Geijn 2015, ACM TOMS 41(3)) with A and B
in exchanged roles, since here B is what is read as vectors: blocks over k, blocks over the columns of C, the rows of C
in tiles, and innermost the panels of columns, so that a tile's rows of A stay in the first-level cache while a block of
B streams from the second. Where a panel is small enough to stay in the first-level cache, it is the only one of its
block, and all rows meet it one after the other. B is read where it lies, unless it has to be transposed, is so large
that its rows would collide in the cache, or ends in a vector that the CPU cannot mask; then it is packed into panels.
For a single row of C a large B is read row by row instead (see ``one_row``). An A that is a transpose, with steps of k
that collide in the cache, is turned into rows first, a large piece at a time, by all threads.

The cut of k follows from K and A alone, and the cut of C into blocks, tiles and parts for several threads changes no
bit of the result (see ``tile``): it is the same for any number of threads and for W in any layout. A few last columns
that would fill little of a vector are computed apart (see ``thin``).
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .elementwise import call_function
from .instructions import operands
from .isa import ISA, SCRATCH_A, SCRATCH_BYTES, ZERO_BYTES
from .memory import float_of_bits, like, load, local, size_of
from .one_row import one_row
from .pack import TOGETHER, pack_panel
from .plan import BLOCK_K, BLOCKS, PACKED_TILES, SUMS_BYTES, TILES, Plan, plan_product
from .team import GEMM32, GEMM64, SIZE, TILES32, TILES64, has_help, machine_of, package, scratch_of, spread
from .thin import columns_along_k, columns_along_rows
from .tile import MAX_VECTORS, TILE_ROWS, Strides, tile, tile_index

INFINITY = float("inf")
VECTOR_BYTES = ISA.vector_bytes
TURNED_ROWS = 1024  # rows of a transposed A that are turned at a time, by parts of at least TURNED_TOGETHER
TURNED_TOGETHER = 64
NOTHING = 0  # as the address of ``start``
WAY = Plan._fields.index("way")

# A table whose packed blocks do not fit would give wrong numbers. Those of B do by the bounds in ``machine``; of A, in
# bytes, padding included:
_LARGEST_A = max(TURNED_ROWS * (BLOCK_K + 2 * VECTOR_BYTES), SUMS_BYTES)  # or what stands there for a single row
if MAX_VECTORS * VECTOR_BYTES > ZERO_BYTES or _LARGEST_A > SCRATCH_BYTES - SCRATCH_A:
    raise ValueError(f"the blocks of {ISA} do not fit a member's scratch memory")

# What is applied to the finished product: nothing, ReLU as its elements leave the registers, or, for any other number,
# the function at that address.
LINEAR, RELU = range(2)
NO_EPILOGUE = (LINEAR, NOTHING, 0)


@kernel(inline=True)
def _share(total, parts, part):
    """Where piece ``part`` begins when ``total`` is cut into ``parts`` pieces that differ by one at the most."""
    return total * part // parts


@kernel(inline=True)
def _even(total, largest):
    """Cut ``total`` into the least number >= 1 of pieces of at most ``largest``.

    Returns their number, the size of the later ones, and how many come first that are larger by one. Whoever walks
    along the pieces needs no further division.
    """
    pieces = max(1, (total + largest - 1) // largest)
    return pieces, total // pieces, total % pieces


@kernel(inline=True)
def _block(p, shape, a, b, c, start, alpha, epilogue, tiles, scratch):
    """One part of C from beginning to end, on one thread."""
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    b_at, b_k, b_col = b
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    rectified = epilogue[0] == RELU
    if p.thin and columns % lanes:
        columns -= p.thin
        _thin_columns((rows, p.thin, depth), a, b, c, start, columns, alpha, rectified, tiles, scratch)
        if columns == 0:
            _finish(rows, p.thin, c, epilogue, alpha)
            return
    k_blocks, shallow, deeper = _even(depth, p.block_k)
    n_blocks, narrow, wider = _even((columns + lanes - 1) // lanes, p.block_n // lanes)
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
            c_block = _moved(c, 0, j, size)
            start_block = _moved(start, 0, j, size) if k_block == 0 else c_block
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
            )
            j += wide
        k += k_count
    _finish(rows, shape[1], c, epilogue, alpha)


@kernel(inline=True)
def _finish(rows, columns, c, epilogue, alpha):
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
def _thin_columns(shape, a, b, c, start, j, alpha, rectified, tiles, scratch):
    """The columns of C from ``j`` on."""
    size = size_of(alpha)
    b_at, b_k, b_col = b
    b = (b_at + size * j * b_col, b_k, b_col)
    c, start = _moved(c, 0, j, size), _moved(start, 0, j, size)
    zeros = scratch - ZERO_BYTES
    if start[0] == NOTHING:
        start = (zeros, 0)
    floor = like(0.0 if rectified else -INFINITY, alpha)
    if a[2] != 1:
        columns_along_rows(shape, a, b, c, start, alpha, floor, tiles, zeros, scratch)
    else:
        columns_along_k(shape, a, b, c, start, alpha, floor, scratch)


@kernel(inline=True)
def _moved(matrix, i, j, size):
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
        k = _share(depth, strips, strip)
        rows = _share(depth, strips, strip + 1) - k
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
    return _even((columns + lanes - 1) // lanes, MAX_VECTORS)


@kernel(inline=True)
def _tiles_of_block(shape, a, b, c, start, alpha, floor, table, scratch):
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
    tiles, low, taller = _even(rows, TILE_ROWS[least + (wider > 0) - 1])
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
        strides = local(Strides(a_row, a_k, row_b, c[1], start_row, depth, tail, *steps))
        index = tile_index(tall, vectors, tail, lanes)
        at_c, at_start = c[0] + size * (i * c[1] + j), start_at + size * (i * start_row + j * start_moves)
        tile(table, index, strides, a_at + size * i * a_row, at_b, at_c, at_start, count, alpha, floor)
        if panels == 1:
            t += count
        else:
            panel += count
            if panel == panels:
                panel, t = 0, t + 1


@kernel
def _part(team, plan, shape, a, b, c, start, alpha, epilogue, tiles, grid, part, member):
    """Part number ``part`` of a product of that shape, C cut into ``grid`` = (parts of rows, parts of columns)."""
    p = operands(Plan, plan)
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    vectors = (columns + lanes - 1) // lanes
    i = _share(rows, grid[0], part % grid[0])
    i_end = _share(rows, grid[0], part % grid[0] + 1)
    j = lanes * _share(vectors, grid[1], part // grid[0])
    j_end = min(columns, lanes * _share(vectors, grid[1], part // grid[0] + 1))
    function, kept, number = epilogue
    _block(
        p,
        (i_end - i, j_end - j, depth),
        (a_at + size * i * a_row, a_row, a_k),
        (b + size * j * p.from_column, p.from_k, p.from_column),
        _moved(c, i, j, size),
        _moved(start, i, j, size),
        alpha,
        (function, _moved((kept, p.c_row), i, j, size)[0], number),
        tiles,
        scratch_of(team, member),
    )


@kernel
def _turn_part(rows, depth, a, a_k, turned, row, one, parts, part, member):
    """Turn a part of A, whose elements from k to k lie ``a_k`` apart, into rows that begin ``row`` elements apart."""
    i, i_end = _share(rows, parts, part), _share(rows, parts, part + 1)
    size = size_of(one)
    pack_panel(a + size * i, 1, a_k, i_end - i, depth, turned + size * i * row, row, one)


@kernel(inline=True)
def _blocks(team, plan, a, b, c, start, alpha, epilogue):
    """A product in blocks, shared among the team; where A is turned into rows, one block of it after the other."""
    p = operands(Plan, plan)
    by_rows, by_columns = p.by_rows, p.by_columns
    if by_rows * by_columns > 1:
        is_short = 2 * p.rows * p.columns * p.depth < machine_of(team).many_flops
        if load(team + 8 * SIZE) == 1 or (is_short and not has_help(team)):
            by_rows, by_columns = 1, 1
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    tiles = load(team + 8 * (TILES32 if size == 4 else TILES64))
    k_blocks, shallow, deeper, chunks = 1, p.depth, 0, 1
    if p.turns_a:
        k_blocks, shallow, deeper = _even(p.depth, p.block_k)
        chunks = (p.rows + TURNED_ROWS - 1) // TURNED_ROWS  # none so small that parts of it have no rows
    k = 0
    for k_block in range(k_blocks):
        depth = shallow + (k_block < deeper)
        begin = (start, p.start_row) if k_block == 0 else (c, p.c_row)
        function, kept, number = epilogue if k_block == k_blocks - 1 else NO_EPILOGUE
        for chunk in range(chunks):
            i = _share(p.rows, chunks, chunk)
            rows = _share(p.rows, chunks, chunk + 1) - i
            a_block = a, p.a_row, p.a_k
            if p.turns_a:
                turned, parts = scratch_of(team, 0) + SCRATCH_A, max(1, rows // TURNED_TOGETHER)
                row = (depth + lanes - 1) // lanes * lanes + lanes  # rows 4 KB apart would share a few sets
                at_a = a + size * (i + k * p.a_k)
                spread(team, parts, package(_turn_part, (rows, depth, at_a, p.a_k, turned, row, alpha, parts)))
                a_block = turned, row, 1
            arguments = (
                team,
                plan,
                (rows, p.columns, depth),
                a_block,
                b + size * k * p.from_k,
                _moved((c, p.c_row), i, 0, size),
                _moved(begin, i, 0, size),
                alpha,
                (function, _moved((kept, p.c_row), i, 0, size)[0], number),
                tiles,
                (by_rows, by_columns),
            )
            spread(team, by_rows * by_columns, package(_part, arguments))
        k += depth


@kernel(inline=True)
def _tiles(team, plan, a, b, c, start, alpha, epilogue):
    """A small product: a few tiles, B as they read it."""
    p = operands(Plan, plan)
    table = load(team + 8 * (TILES32 if size_of(alpha) == 4 else TILES64))
    floor = like(0.0 if epilogue[0] == RELU else -INFINITY, alpha)
    start = start if start != NOTHING else scratch_of(team, 0) - ZERO_BYTES
    tile(table, p.tile, plan, a, b, c, start, p.n_tiles, alpha, floor)
    p = operands(Plan, plan)  # once more, rather than kept in registers over the call
    i = p.last_row
    if i < p.rows:
        size = size_of(alpha)
        a, c_i, start = a + size * i * p.a_row, c + size * i * p.c_row, start + size * i * p.start_row
        tile(table, p.last_tile, plan, a, b, c_i, start, 1, alpha, floor)
    _finish(p.rows, p.columns, (c, p.c_row), epilogue, alpha)


@kernel(by_address=True)
def planned_product(team, plan, a, b, c, start, alpha, function, kept, number):
    """What ``product`` calls for anything but TILES."""
    p, epilogue = operands(Plan, plan), (function, kept, number)
    if p.way == TILES or p.way == PACKED_TILES:
        if p.way == PACKED_TILES:
            panel = scratch_of(team, 0)
            pack_panel(b, p.from_k, p.from_column, p.depth, p.columns, panel, p.b_k, alpha)
            b = panel
        _tiles(team, plan, a, b, c, start, alpha, epilogue)
    elif p.way == BLOCKS:
        _blocks(team, plan, a, b, c, start, alpha, epilogue)


@intrinsic
def _call_product(typingctx, function, team, plan, a, b, c, start, alpha, f, kept, number):
    """Call the compiled ``planned_product`` at address ``function``."""

    def codegen(context, builder, signature, arguments):
        form = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments[1:]])
        builder.call(builder.inttoptr(arguments[0], form.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, alpha, *[types.int64] * 3), codegen


@kernel(inline=True)
def is_known(team, one):
    """Whether a team knows the product of the type of ``one``."""
    return load(team + 8 * (GEMM32 if size_of(one) == 4 else GEMM64)) != 0


@kernel(inline=True)
def _by_address(team, plan, a, b, c, start, alpha, epilogue):
    """Have ``planned_product`` compute a product."""
    function = load(team + 8 * (GEMM32 if size_of(alpha) == 4 else GEMM64))
    f, kept, number = epilogue
    _call_product(function, team, plan, a, b, c, start, alpha, f, kept, number)


@kernel(inline=True)
def product(team, plan, a, b, c, start, alpha, epilogue):
    """``C = f(alpha A B + start)``, or the gradient alpha A B with respect to f(x) as that with respect to x.

    Parameters
    ----------
    team : int64
        Address of the words of a team that knows ``planned_product`` of the type of ``alpha``.
    plan : address of the words of a ``Plan``
    a, b, c, start : addresses
        C is overwritten. ``start`` may be C itself; a row stride of 0 in the plan adds the same row, a bias, to all;
        the address NOTHING adds nothing.
    alpha : float32 or float64; the type of all operands
    epilogue : (f, kept, number)
        f is LINEAR, RELU, or the address of a function of ``activations``; ``number`` is its own, a float64 as bits.
        Where ``kept`` is an address, f is that of a ``_back``, and what it needs stands there in the form of C.
        NO_EPILOGUE leaves the product as it is.

    Nothing is checked. The operands may have any alignment that their type allows.
    """
    if load(plan + 8 * WAY) == TILES:
        _tiles(team, plan, a, b, c, start, alpha, epilogue)
        return
    _by_address(team, plan, a, b, c, start, alpha, epilogue)


@kernel
def gemm(team, shape, a, b, c, start, alpha, epilogue):
    """``product`` of a plan made for this call.

    a, b, c and start are each an address and its strides as ``plan_product`` takes them.
    """
    a_at, a_row, a_k = a
    b_at, b_k, b_col = b
    start_row = start[1] if start[0] != NOTHING else 0
    plan = plan_product(shape, (a_row, a_k), (b_k, b_col), c[1], start_row, size_of(alpha), machine_of(team))
    _by_address(team, local(plan), a_at, b_at, c[0], start[0], alpha, epilogue)
