"""Matrix product ``C = f(alpha A B + start)`` for operands of any size, on register tiles.

``plan`` decides how a product is computed, from its shape and strides. A small one is a column of tiles, called one
after the other. A larger one is cut into parts, one for each thread or more, and each part into blocks (see
``block``). B is read where it lies, unless it has to be transposed, is so large that its rows would collide in the
cache, or ends in a vector that the CPU cannot mask; then it is packed into panels. For a single row of C a large B is
read row by row instead (see ``one_row``). An A that is a transpose, with steps of k that collide in the cache or few
registers to hold it, is turned into rows first, a large piece at a time, by all threads.

The cut of k follows from K and A alone, and the cut of C into blocks, tiles and parts for several threads changes no
bit of the result (see ``tile``): it is the same for any number of threads and for W in any layout. A few last columns
that would fill little of a vector are computed apart (see ``thin``).
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .block import LINEAR as LINEAR
from .block import NO_EPILOGUE, NOTHING, RELU, block, even, finish, moved, share
from .instructions import operands
from .isa import ISA, SCRATCH_A, SCRATCH_BYTES, VECTOR_BYTES, ZERO_BYTES
from .memory import INFINITY, like, load, local, size_of
from .pack import pack_panel
from .plan import BLOCK_K, BLOCKS, PACKED_TILES, SUMS_BYTES, TILES, Plan, plan_product
from .team import GEMM32, GEMM64, SIZE, TILES32, TILES64, has_help, machine_of, package, scratch_of, spread
from .tile import MAX_VECTORS, tile

TURNED_ROWS = 1024  # rows of a transposed A that are turned at a time, by parts of at least TURNED_TOGETHER
TURNED_TOGETHER = 64
WAY = Plan._fields.index("way")

# A table whose packed blocks do not fit would give wrong numbers. Those of B do by the bounds in ``machine``; of A, in
# bytes, padding included:
_LARGEST_A = max(TURNED_ROWS * (BLOCK_K + 2 * VECTOR_BYTES), SUMS_BYTES)  # or what stands there for a single row
if MAX_VECTORS * VECTOR_BYTES > ZERO_BYTES or _LARGEST_A > SCRATCH_BYTES - SCRATCH_A:
    raise ValueError(f"the blocks of {ISA} do not fit a member's scratch memory")


@kernel
def _part(team, plan, shape, a, b, c, start, alpha, epilogue, tiles, grid, part, member):
    """Part number ``part`` of a product of that shape, C cut into ``grid`` = (parts of rows, parts of columns)."""
    p = operands(Plan, plan)
    rows, columns, depth = shape
    a_at, a_row, a_k = a
    size = size_of(alpha)
    lanes = VECTOR_BYTES // size
    vectors = (columns + lanes - 1) // lanes
    i = share(rows, grid[0], part % grid[0])
    i_end = share(rows, grid[0], part % grid[0] + 1)
    j = lanes * share(vectors, grid[1], part // grid[0])
    j_end = min(columns, lanes * share(vectors, grid[1], part // grid[0] + 1))
    function, kept, number = epilogue
    block(
        p,
        (i_end - i, j_end - j, depth),
        (a_at + size * i * a_row, a_row, a_k),
        (b + size * j * p.from_column, p.from_k, p.from_column),
        moved(c, i, j, size),
        moved(start, i, j, size),
        alpha,
        (function, moved((kept, p.c_row), i, j, size)[0], number),
        tiles,
        scratch_of(team, member),
    )


@kernel
def _turn_part(rows, depth, a, a_k, turned, row, one, parts, part, member):
    """Turn a part of A, whose elements from k to k lie ``a_k`` apart, into rows that begin ``row`` elements apart."""
    i, i_end = share(rows, parts, part), share(rows, parts, part + 1)
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
        k_blocks, shallow, deeper = even(p.depth, p.block_k)
        chunks = (p.rows + TURNED_ROWS - 1) // TURNED_ROWS  # none so small that parts of it have no rows
    k = 0
    for k_block in range(k_blocks):
        depth = shallow + (k_block < deeper)
        begin = (start, p.start_row) if k_block == 0 else (c, p.c_row)
        function, kept, number = epilogue if k_block == k_blocks - 1 else NO_EPILOGUE
        for chunk in range(chunks):
            i = share(p.rows, chunks, chunk)
            rows = share(p.rows, chunks, chunk + 1) - i
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
                moved((c, p.c_row), i, 0, size),
                moved(begin, i, 0, size),
                alpha,
                (function, moved((kept, p.c_row), i, 0, size)[0], number),
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
    finish(p.rows, p.columns, (c, p.c_row), epilogue, alpha)


@kernel(by_address=True)
def planned_product(team, plan, a, b, c, start, alpha, function, kept, number):
    """What ``product`` calls for anything but TILES."""
    p, epilogue = operands(Plan, plan), (function, kept, number)
    if p.exchanged:
        a, b = b, a
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
def gemm(team, shape, a, b, c, start, alpha, epilogue, alone=0):
    """``product`` of a plan made for this call.

    a, b, c and start are each an address and its strides as ``plan_product`` takes them, and ``alone``.
    """
    a_at, a_row, a_k = a
    b_at, b_k, b_col = b
    start_row = start[1] if start[0] != NOTHING else 0
    plan = plan_product(shape, (a_row, a_k), (b_k, b_col), c[1], start_row, size_of(alpha), machine_of(team), alone)
    _by_address(team, local(plan), a_at, b_at, c[0], start[0], alpha, epilogue)
