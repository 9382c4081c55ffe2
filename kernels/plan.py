"""How a matrix product is computed: what follows from its shape and strides, decided once.

A program multiplies the same shapes at every step. It has a ``Plan`` of each product made when it is written, and
``gemm.product`` goes by it; ``gemm`` makes one for a single call. A plan holds sizes and no addresses.

The functions here are plain Python that compiled code may call too. None of what they decide changes a bit of the
result, except the cut of k, which follows from the depth and A alone, and which columns are computed apart (``thin``).
"""

from typing import NamedTuple

from ._jit import plain
from .isa import ISA, PAGE_BYTES, VECTOR_BYTES
from .machine import FIXED
from .thin import MOST as MOST_THIN
from .tile import MAX_VECTORS, TILE_ROWS, tile_index

MASKS = ISA.masks
BLOCK_K, STEEP, STEEP_DEPTH = FIXED.block_k, FIXED.steep, FIXED.steep_depth
TURN_ROWS, TURN_COLUMNS = FIXED.turn_rows, FIXED.turn_columns
THIN_COLUMNS, THIN_DEPTH, THIN_BYTES = FIXED.thin_columns, FIXED.thin_depth, FIXED.thin_bytes
NARROW_DEPTH, NARROW_WORK = FIXED.narrow_depth, FIXED.narrow_work
FILLED_DEPTH, EXCHANGE_DEPTH = FIXED.filled_depth, FIXED.exchange_depth
WIDEST = MAX_VECTORS * VECTOR_BYTES  # bytes of a row of the widest panel
SUMS_BYTES = 1 << 18  # of the sums of a row, which stand in scratch memory

NO_WORK, TILES, PACKED_TILES, BLOCKS = range(4)


class Plan(NamedTuple):
    """The product C (rows, columns) of A (rows, depth) and B (depth, columns), and the way in which it is computed.

    Strides are in elements. A ``way`` is one of

    - NO_WORK: C has no elements;
    - TILES: tiles as wide as C one below the other: ``n_tiles`` of number ``tile`` in the table, then, unless
      ``last_row`` is the number of rows, one of number ``last_tile`` from that row on;
    - PACKED_TILES: the same, after B is copied to one panel;
    - BLOCKS: C in parts, each in blocks of k and of columns, these in panels and tiles; see ``gemm``.
    """

    # Those of ``tile.Strides``, so that the address of a plan is that of its tiles' strides too:
    a_row: int
    a_k: int
    b_k: int  # of the panel in PACKED_TILES
    c_row: int
    start_row: int
    depth: int
    tail: int
    a_next: int
    b_next: int
    c_next: int
    start_next: int
    k_ahead: int
    way: int
    rows: int
    columns: int
    from_k: int  # elements from k to k, and from column to column, in B where it lies
    from_column: int
    # Of TILES and PACKED_TILES:
    tile: int
    n_tiles: int
    last_row: int
    last_tile: int
    # Of BLOCKS:
    block_k: int
    block_n: int
    turns_a: int  # whether A is a transpose and turned into rows beforehand
    packs_b: int
    thin: int  # last columns that are computed apart
    streams: int  # whether B is read row by row for a single row of C, or A for a single column; see ``one_row``
    by_rows: int  # parts, for more than one thread
    by_columns: int
    exchanged: int  # whether it is the product of the transposes that is planned, for a C of few rows
    c_column: int  # elements from column to column of C, and of what is added to it
    start_column: int


@plain
def plan_product(shape, a, b, c_row, start_row, size, machine, alone=0):
    """The plan of a product.

    Parameters
    ----------
    shape : (rows of C, columns of C, depth), each >= 0
    a : (elements from row to row, elements from k to k)
    b : (elements from k to k, elements from column to column), one of the two 1
    c_row, start_row : elements from row to row of C and of what is added to it, 0 where that is nothing
    size : bytes of an element
    machine : the numbers of the ``Machine`` that computes it
    alone : whether a few rows may be summed in another order than they would be among others
    """
    exchanged, c_column, start_column = int(alone and _exchanges(shape, b, size)), 1, 1
    if exchanged:
        shape, a, b = (shape[1], shape[0], shape[2]), (b[1], b[0]), (a[1], a[0])
        c_row, c_column, start_row, start_column = 1, c_row, 1, start_row
    rows, columns, depth = shape
    a_row, a_k = a
    from_k, from_column = b
    lanes = VECTOR_BYTES // size
    vectors = (columns + lanes - 1) // lanes
    tail = columns - lanes * (vectors - 1)
    thin = _thin(shape, a, size)
    b_k, tall, tile, n_tiles, last_row, last_tile = from_k, 0, 0, 0, 0, 0
    block_k, block_n, turns_a, packs_b, streams, by_rows, by_columns = 0, 0, 0, 0, 0, 0, 0
    width, k_ahead = min(size * columns, WIDEST), 0
    if rows <= 0 or columns <= 0:
        way = NO_WORK
    elif _is_small(shape, a, thin, size, machine):
        way = TILES
        if from_column != 1 or not MASKS:
            way, b_k = PACKED_TILES, lanes * vectors
        k_ahead = _k_ahead(depth, width, size * b_k, machine)
        tall = min(rows, TILE_ROWS[vectors - 1])
        n_tiles, last = rows // tall, rows % tall
        last_row = rows - last
        tile = tile_index(tall, vectors, tail, lanes, k_ahead)
        last_tile = tile_index(max(1, last), vectors, tail, lanes, k_ahead)
    else:
        way = BLOCKS
        block_k, block_n, turns_a, packs_b = _blocks(shape, a, b, thin, size, machine)
        thin = 0 if turns_a else thin
        width, step = (width, width if packs_b else size * b_k) if thin == 0 or a_k == 1 else (WIDEST, size * a_k)
        k_ahead = _k_ahead(min(depth, block_k), width, step, machine)
        streams = int(_streams(shape, thin, from_column, c_row, size, machine))
        by_rows, by_columns = _grid(shape, size, machine)
    strides = a_row, a_k, b_k, c_row, start_row, depth, tail, tall * a_row, 0, tall * c_row, tall * start_row, k_ahead
    tiles = tile, n_tiles, last_row, last_tile
    blocks = block_k, block_n, turns_a, packs_b, thin, streams, by_rows, by_columns
    return Plan(*strides, way, rows, columns, from_k, from_column, *tiles, *blocks, exchanged, c_column, start_column)


@plain
def _exchanges(shape, b, size):
    """Whether a few rows meet the rows of a transpose, each from end to end, rather than that being packed."""
    rows, columns, depth = shape
    pays = rows == 1 or (1 < rows <= MOST_THIN and depth * size >= EXCHANGE_DEPTH)
    is_transpose = b[0] == 1 and b[1] != 1 and columns > 1
    return pays and is_transpose and _thin((columns, rows, depth), (b[1], 1), size) == rows


@plain
def _is_small(shape, a, thin, size, machine):
    """Whether a product is one panel and one block, of so few tiles that deciding anything would take as long."""
    rows, columns, depth = shape
    one_block = columns * size <= WIDEST and depth * size <= BLOCK_K
    is_in_tiles = thin == 0 or (a[1] != 1 and thin < columns)
    return one_block and is_in_tiles and rows * columns * depth <= machine.small_product


@plain
def _thin(shape, a, size):
    """How many last columns are too few for a vector and computed apart; all of them where there is no whole vector.

    Along k, where A is ``x`` or ``dout``, that is the same for any number of rows: a row's result does not depend on
    how many there are.
    """
    rows, columns, depth = shape
    a_row, a_k = a
    lanes = VECTOR_BYTES // size
    rest, most = columns % lanes, min(MOST_THIN, lanes // 4)
    if columns < lanes:
        most = min(MOST_THIN, lanes // 2)
        if a_k != 1 and depth >= FILLED_DEPTH:
            most = lanes - 1
    if not MASKS or rest > most or columns > THIN_COLUMNS:
        return 0
    if a_k == 1:
        least = THIN_DEPTH if columns > lanes else NARROW_DEPTH * rest
        return rest if least <= depth <= THIN_BYTES // size else 0
    pays = columns > lanes or rows * depth >= NARROW_WORK
    return rest if a_row == 1 and rows >= lanes and pays else 0


@plain
def _blocks(shape, a, b, thin, size, machine):
    """Depth and columns of a block, whether A is turned, and whether B is packed.

    A steep A is turned whatever the machine, since no columns are computed apart then; any other where there are none.
    """
    rows, columns, depth = shape
    a_row, a_k = a
    steep = a_k * size % STEEP == 0 and depth * size >= STEEP_DEPTH
    turns = (
        a_row == 1 and rows >= TURN_ROWS and columns >= TURN_COLUMNS and (steep or _turns(shape, thin, size, machine))
    )
    pages = b[0] * size % PAGE_BYTES == 0 and depth >= machine.page_rows
    ragged = columns * size % VECTOR_BYTES != 0
    several_panels = columns * size > WIDEST  # of one, the rows lie side by side as they are
    large = several_panels and depth * columns * size >= machine.pack_bytes and rows >= machine.pack_rows >> pages
    packs_b = b[1] != 1 or large or (ragged and not MASKS)
    block_n = machine.block_n
    if depth * WIDEST <= machine.panel_bytes:
        block_n = WIDEST // size
    return BLOCK_K // size, block_n, int(turns), int(packs_b)


@plain
def _turns(shape, thin, size, machine):
    """Whether to turn an A that is a transpose takes less than its lines, each read for a few elements, cost."""
    _, columns, depth = shape
    return thin == 0 and depth * size >= machine.turn_depth and columns >= machine.turn_width


@plain
def _k_ahead(depth, width, step, machine):
    """By how many steps of k operands are sent for ahead: none where a panel stays in the first cache.

    Its rows are ``width`` bytes and ``step`` bytes apart. A panel is one of B, or of A where columns of C are computed
    apart by tiles of its transpose.
    """
    leaves = depth * step >= machine.ahead_bytes and 2 * depth * width >= machine.ahead_bytes
    return machine.k_ahead if leaves else 0


@plain
def _streams(shape, thin, from_column, c_row, size, machine):
    """Whether the larger factor is read row by row: B for a single row of C, A for a column that is computed apart."""
    rows, columns, depth = shape
    of_row = rows == 1 and from_column == 1 and columns * size <= SUMS_BYTES
    of_column = thin == columns == 1 and c_row == 1 and rows * size <= SUMS_BYTES
    return (of_row or of_column) and rows * columns * depth * size >= machine.stream_row_bytes


@plain
def _grid(shape, size, machine):
    """Into how many parts a large product is cut, by rows and by columns.

    By columns first: a member mostly meets the same columns of W again in the next step, in its own cache, and parts
    that share no columns pack no piece of B twice.
    """
    rows, columns, depth = shape
    flops = 2 * rows * columns * depth
    if flops < machine.parallel_flops:
        return 1, 1
    wanted = machine.few_parts if flops < machine.many_flops else machine.many_parts
    vectors = (columns * size + VECTOR_BYTES - 1) // VECTOR_BYTES
    most_columns = max(1, vectors // MAX_VECTORS)
    most_rows = max(1, rows // (2 * TILE_ROWS[MAX_VECTORS - 1]))
    by_columns = min(wanted, most_columns)
    return min(wanted // by_columns, most_rows), by_columns
