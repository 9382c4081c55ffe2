"""Matrix product ``C = f(alpha A B + start)`` for operands of any size, on register tiles.

The loops are those of BLIS (Van Zee & van de Geijn 2015, ACM TOMS 41(3)) with A and B in exchanged roles, since here
B is what is read as vectors: blocks over k, blocks over the columns of C, the rows of C in tiles, and innermost the
panels of columns, so that a tile's rows of A stay in the first-level cache while a block of B streams from the
second. B is read where it lies, unless it has to be transposed, is so large that its rows would collide in the
cache, or ends in a vector that the CPU cannot mask; then it is packed into panels.

``_plan`` decides all this from the whole product's shape and strides. The cut of k follows from K and A alone, and
the cut of C into blocks, tiles and parts for several threads changes no bit of the result (see ``tile``): it is the
same for any number of threads and for W in any layout. A few last columns that would fill little of a vector are
computed apart (see ``thin``).
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .elementwise import call_function
from .isa import ISA
from .memory import float_of_bits, like, load, size_of, store_words
from .pack import pack_panel
from .simd import I64, element_type
from .team import (
    GEMM32,
    GEMM64,
    OPERANDS,
    SCRATCH_BYTES,
    SIZE,
    TILES32,
    TILES64,
    ZERO_BYTES,
    package,
    scratch_of,
    spread,
)
from .thin import MOST as MOST_THIN
from .thin import columns_along_k, columns_along_rows
from .tile import MAX_VECTORS, TILE_ROWS, tile, tile_index

INFINITY = float("inf")
VECTOR_BYTES = ISA.vector_bytes
MASKS = ISA.masks
BLOCK_K, BLOCK_N = ISA.block_k, ISA.block_n
STEEP_K, STEEP_N, STEEP_PACK = ISA.steep_k, ISA.steep_n, ISA.steep_pack
PACK_BYTES, PACK_ROWS = ISA.pack_bytes, ISA.pack_rows
STEEP = 2048  # bytes: steps of a multiple of this share a few sets of the first-level cache
ROWS_PACKED = 96  # rows of A packed at a time: a few tiles of any kind

SMALL = 1 << 17  # multiply-adds
# Last columns that do not fill a vector are computed apart in products of at most so many columns, and along k in those
# of at least this depth, whose lines of B take at most so many bytes.
THIN_COLUMNS = 512
THIN_DEPTH = 128
THIN_BYTES = 1 << 16
PARALLEL_FLOPS = 2_000_000  # below, waking a team costs more than it brings
MANY_FLOPS = 16_000_000  # from here on more parts, which even out members that do not run all the time
FEW_PARTS, MOST_PARTS = 4, 8
NOTHING = 0  # as the address of ``start``
SCRATCH_A = 1 << 20  # where a packed block of A begins in a member's scratch; one of B stands before it

# A table whose packed blocks do not fit would give wrong numbers. In bytes, padding included:
_LARGEST_B = max((k + VECTOR_BYTES) * n for k, n in ((BLOCK_K, BLOCK_N), (STEEP_K, STEEP_N)))
_LARGEST_A = STEEP_K * (ROWS_PACKED + 2 * ISA.lanes(4))
if MAX_VECTORS * VECTOR_BYTES > ZERO_BYTES or _LARGEST_B > SCRATCH_A or _LARGEST_A > SCRATCH_BYTES - SCRATCH_A:
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
def _pieces(total, largest):
    """The least number of pieces of at most ``largest`` that make up ``total``; at least 1."""
    return max(1, (total + largest - 1) // largest)


@kernel(inline=True)
def _even(total, largest):
    """Cut ``total`` into the least number of pieces of at most ``largest``: their number, the size of the later ones,
    and how many come first that are larger by one. Whoever walks along the pieces needs no further division."""
    pieces = _pieces(total, largest)
    return pieces, total // pieces, total % pieces


@kernel(inline=True)
def _thin(shape, a, size):
    """How many last columns are too few for a vector and computed apart. Along k, where A is ``x`` or ``dout``, that is
    the same for any number of rows: a row's result does not depend on how many there are."""
    rows, columns, depth = shape
    _, a_row, a_k = a
    lanes = VECTOR_BYTES // size
    rest = columns % lanes
    if not MASKS or rest > min(MOST_THIN, lanes // 4) or columns < lanes or columns > THIN_COLUMNS:
        return 0
    if a_k == 1:
        return rest if THIN_DEPTH <= depth <= THIN_BYTES // size else 0
    return rest if a_row == 1 and rows >= lanes else 0


@kernel(inline=True)
def _plan(shape, a, b, size):
    """How a whole product is computed: depth and columns of a block, and whether A and B are packed."""
    rows, columns, depth = shape
    _, a_row, a_k = a
    _, _, b_col = b
    steep = a_row == 1 and a_k * size % STEEP == 0 and depth * size >= 1024
    ragged = columns * size % VECTOR_BYTES != 0
    large = depth * columns * size >= PACK_BYTES and rows >= PACK_ROWS
    pack_b = b_col != 1 or large or (ragged and not MASKS)
    block_k, block_n = (STEEP_K, STEEP_N) if steep else (BLOCK_K, BLOCK_N)
    return block_k // size, block_n, steep and large and STEEP_PACK, pack_b


@kernel(inline=True)
def _block(shape, a, b, c, start, alpha, epilogue, plan, tiles, scratch):
    """One part of C from beginning to end, on one thread."""
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    b_at, b_k, b_col = b
    block_k, block_n, pack_a, pack_b, thin = plan
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    rectified = epilogue[0] == RELU
    if thin and columns % lanes:
        columns -= thin
        _thin_columns((rows, thin, depth), a, b, c, start, columns, alpha, rectified, tiles, scratch)
    k_blocks, shallow, deeper = _even(depth, block_k)
    n_blocks, narrow, wider = _even((columns + lanes - 1) // lanes, block_n // lanes)
    k = 0
    for k_block in range(k_blocks):
        k_count = shallow + (k_block < deeper)
        last = k_block == k_blocks - 1
        floor = like(0.0 if last and rectified else -INFINITY, alpha)
        j = 0
        for n_block in range(n_blocks):
            wide = min(lanes * (narrow + (n_block < wider)), columns - j)
            c_block = _moved(c, 0, j, size)
            start_block = _moved(start, 0, j, size) if k_block == 0 else c_block
            b_block = (b_at + size * (k * b_k + j * b_col), b_k)
            if pack_b:
                _pack_b(b_block[0], b_k, b_col, k_count, wide, scratch, alpha)
                b_block = (scratch, 0)
            a_block = (a_at + size * k * a_k, a_row, a_k)
            _rows_of_tiles(
                (rows, wide, k_count),
                a_block,
                b_block,
                c_block,
                start_block,
                alpha,
                floor,
                pack_a,
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
    """Copy a block of B to ``packed``, panel after panel, in the cut that ``_rows_of_tiles`` makes."""
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    panels, least, wider = _even((columns + lanes - 1) // lanes, MAX_VECTORS)
    j = 0
    for panel in range(panels):
        count = least + (panel < wider)
        target = packed + size * j * (depth + lanes)
        pack_panel(
            b + size * j * b_col,
            b_k,
            b_col,
            depth,
            min(lanes * count, columns - j),
            target,
            lanes * count,
            alpha,
        )
        j += lanes * count


@kernel(inline=True)
def _rows_of_tiles(shape, a, b, c, start, alpha, floor, pack_a, table, scratch):
    """All tiles of one block. ``b`` is (address, row stride), the stride 0 where B lies packed at the address."""
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    b_at, b_k = b
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    panels, least, wider = _even((columns + lanes - 1) // lanes, MAX_VECTORS)
    tallest = TILE_ROWS[least + (wider > 0) - 1]
    tiles, low, taller = _even(rows, tallest)
    packed_until = 0
    i = 0
    for t in range(tiles):
        tall = low + (t < taller)
        at_a, row_a, k_a = a_at + size * i * a_row, a_row, a_k
        if pack_a:
            if i >= packed_until:
                packed_from = i
                last = min(t + ROWS_PACKED // tallest, tiles)
                packed_until = last * low + min(last, taller)
                # The odd width keeps the rows of the copy from falling on each other in the cache again.
                stride = (packed_until - i + lanes - 1) // lanes * lanes + lanes
                pack_panel(at_a, a_k, a_row, depth, packed_until - i, scratch + SCRATCH_A, stride, alpha)
            at_a, row_a, k_a = scratch + SCRATCH_A + size * (i - packed_from), 1, stride
        j = 0
        for panel in range(panels):
            count = least + (panel < wider)
            tail = min(lanes, columns - j - lanes * (count - 1))
            at_b, row_b = b_at + size * j, b_k
            if b_k == 0:
                at_b, row_b = b_at + size * j * (depth + lanes), lanes * count
            at_c, row_c = _moved(c, i, j, size)
            at_start, row_start = _moved(start, i, j, size)
            if at_start == NOTHING:
                at_start, row_start = scratch - ZERO_BYTES, 0
            index = tile_index(tall, count, tail <= lanes // 2)
            tile(
                table,
                index,
                at_a,
                row_a,
                k_a,
                at_b,
                row_b,
                at_c,
                row_c,
                depth,
                tail,
                alpha,
                at_start,
                row_start,
                floor,
            )
            j += lanes * count
        i += tall


@kernel
def _part(team, shape, a, b, c, start, alpha, epilogue, plan, tiles, grid, part, member):
    """Part number ``part`` of the product, C cut into ``grid`` = (parts of rows, parts of columns)."""
    rows, columns, depth = shape
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    vectors = (columns + lanes - 1) // lanes
    i = _share(rows, grid[0], part % grid[0])
    i_end = _share(rows, grid[0], part % grid[0] + 1)
    j = lanes * _share(vectors, grid[1], part // grid[0])
    j_end = min(columns, lanes * _share(vectors, grid[1], part // grid[0] + 1))
    _block(
        (i_end - i, j_end - j, depth),
        (a[0] + size * i * a[1], a[1], a[2]),
        (b[0] + size * j * b[2], b[1], b[2]),
        _moved(c, i, j, size),
        _moved(start, i, j, size),
        alpha,
        (epilogue[0], _moved((epilogue[1], c[1]), i, j, size)[0], epilogue[2]),
        plan,
        tiles,
        scratch_of(team, member),
    )


@kernel(inline=True)
def _grid(shape, size):
    """Into how many parts a large product is cut, by rows and by columns.

    By columns first: a member mostly meets the same columns of W again in the next step, in its own cache, and parts
    that share no columns pack no piece of B twice.
    """
    rows, columns, depth = shape
    wanted = FEW_PARTS if 2 * rows * columns * depth < MANY_FLOPS else MOST_PARTS
    vectors = (columns * size + VECTOR_BYTES - 1) // VECTOR_BYTES
    most_columns = max(1, vectors // MAX_VECTORS)
    most_rows = max(1, rows // (2 * TILE_ROWS[MAX_VECTORS - 1]))
    by_columns = min(wanted, most_columns)
    return min(wanted // by_columns, most_rows), by_columns


@kernel
def _small(shape, a, b, c, start, alpha, floor, tiles, scratch):
    """A product of one panel and one block, by as little as a few tiles: deciding must not take longer than they do."""
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    b_at, b_k, b_col = b
    c_at, c_row = c
    start_at, start_row = start if start[0] != NOTHING else (scratch - ZERO_BYTES, 0)
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    count = (columns + lanes - 1) // lanes
    if b_col != 1 or not MASKS:
        pack_panel(b_at, b_k, b_col, depth, columns, scratch, lanes * count, alpha)
        b_at, b_k = scratch, lanes * count
    tail = columns - lanes * (count - 1)
    height = TILE_ROWS[count - 1]
    while rows > 0:
        tall = min(rows, height)
        index = tile_index(tall, count, tail <= lanes // 2)
        tile(tiles, index, a_at, a_row, a_k, b_at, b_k, c_at, c_row, depth, tail, alpha, start_at, start_row, floor)
        rows -= tall
        a_at += size * tall * a_row
        c_at += size * tall * c_row
        start_at += size * tall * start_row


@kernel
def gemm_of_words(team, alpha):
    """Compute the product whose operands stand in the words of ``team``, see ``gemm``."""
    at = team + 8 * OPERANDS
    shape = load(at), load(at + 8), load(at + 16)
    a = load(at + 24), load(at + 32), load(at + 40)
    b = load(at + 48), load(at + 56), load(at + 64)
    c = load(at + 72), load(at + 80)
    start = load(at + 88), load(at + 96)
    epilogue = load(at + 104), load(at + 112), load(at + 120)
    scratch = scratch_of(team, 0)
    tiles = load(team + 8 * (TILES32 if size_of(alpha) == 4 else TILES64))
    rows, columns, depth = shape
    if rows <= 0 or columns <= 0:
        return
    one_block = columns * size_of(alpha) <= MAX_VECTORS * VECTOR_BYTES and depth * size_of(alpha) <= STEEP_K
    thin = _thin(shape, a, size_of(alpha))
    if one_block and (thin == 0 or a[2] != 1) and rows * columns * depth <= SMALL:
        floor = like(0.0 if epilogue[0] == RELU else -INFINITY, alpha)
        _small(shape, a, b, c, start, alpha, floor, tiles, scratch)
        _finish(rows, columns, c, epilogue, alpha)
        return
    plan = (*_plan(shape, a, b, size_of(alpha)), thin)
    grid = (1, 1)
    if load(team + 8 * SIZE) > 1 and 2 * rows * columns * depth >= PARALLEL_FLOPS:
        grid = _grid(shape, size_of(alpha))
    job = package(_part, (team, shape, a, b, c, start, alpha, epilogue, plan, tiles, grid))
    spread(team, grid[0] * grid[1], job)


@intrinsic
def _call_gemm(typingctx, function, team, alpha):
    """Call the compiled ``gemm_of_words`` at address ``function``."""

    def codegen(context, builder, signature, arguments):
        form = ir.FunctionType(ir.VoidType(), [I64, element_type(alpha)])
        builder.call(builder.inttoptr(arguments[0], form.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, alpha), codegen


@kernel
def gemm(team, shape, a, b, c, start, alpha, epilogue):
    """``C = f(alpha A B + start)``, or the gradient alpha A B with respect to f(x) as that with respect to x.

    Parameters
    ----------
    team : int64
        Address of the words of a team that knows ``gemm_of_words`` of the type of ``alpha``.
    shape : (rows of C, columns of C, depth), each >= 0
    a : (address, elements from row to row, elements from k to k)
    b : (address, elements from k to k, elements from column to column), one of the two strides 1
    c, start : (address, elements from row to row)
        C is overwritten. ``start`` may be C itself; a row stride of 0 adds the same row, a bias, to all; the address
        NOTHING adds nothing.
    alpha : float32 or float64; the type of all operands
    epilogue : (f, kept, number)
        f is LINEAR, RELU, or the address of a function of ``activations``; ``number`` is its own, a float64 as bits.
        Where ``kept`` is an address, f is that of a ``_back``, and what it needs stands there in the form of C.
        NO_EPILOGUE leaves the product as it is.

    Nothing is checked. The operands may have any alignment that their type allows.
    """
    at = team + 8 * OPERANDS
    store_words(at, (*shape, *a, *b, *c, *start, *epilogue))
    _call_gemm(load(team + 8 * (GEMM32 if size_of(alpha) == 4 else GEMM64)), team, alpha)
