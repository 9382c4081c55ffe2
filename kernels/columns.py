"""A factor and a shift for each column, ``y = x factor + shift``, and its gradients; sums over the rows of a batch.

Rows are cut into parts by the shape alone. Each part leaves its sums of columns, which are then added in the order of
the parts, so that the result is the same for any number of threads. Sums are taken in float64.
"""

from typing import NamedTuple

from ._jit import kernel
from .column_vectors import column_sums
from .instructions import operands, operation
from .machine import FIXED
from .memory import address, float_of_bits, like, load, matrix, size_of, view
from .program import LR
from .team import CHUNK, package, spread

LEAST_ROWS = FIXED.column_rows


@kernel(inline=True)
def rows_of_part(n_columns):
    """How many rows a part has; the last may have fewer."""
    return max(LEAST_ROWS, CHUNK // max(1, n_columns))


@kernel(inline=True)
def parts_of_columns(shape):
    """How many parts the (N, K) elements of ``shape`` are cut into."""
    rows = rows_of_part(shape[1])
    return (shape[0] + rows - 1) // rows


@kernel(inline=True)
def part_of_columns(shape, part):
    """First and past-the-last row of a part."""
    rows = rows_of_part(shape[1])
    return part * rows, min(shape[0], (part + 1) * rows)


def shape_of_partial(n_rows, n_columns):
    """Of the float64 array that has room for the sums of all parts; for Python."""
    return max(1, -(-n_rows // rows_of_part.py_func(n_columns))), 2, n_columns


@kernel
def _scale(x, factor, shift, y, part, member):
    begin, end = part_of_columns(x.shape, part)
    for n in range(begin, end):
        row, out = x[n], y[n]
        # In one array a loop from here to there is not vectorised: for all LLVM knows they overlap anyhow.
        if address(x) == address(y):
            for k in range(out.size):
                out[k] = out[k] * factor[k] + shift[k]
        else:
            for k in range(out.size):
                out[k] = row[k] * factor[k] + shift[k]


@kernel
def scale_columns(team, x, factor, shift, y):
    """``y = x factor + shift``.

    x, y : (N, K), C-contiguous; y is overwritten and may be x
    factor, shift : (K,)
    """
    spread(team, parts_of_columns(x.shape), package(_scale, (x, factor, shift, y)))


@kernel(inline=True)
def add_up_part(d, z, partial, part):
    """Leave the sums of ``d`` and of ``d z`` over the rows of a part in its place of ``partial``."""
    begin, end = part_of_columns(d.shape, part)
    sums, products = partial[part, 0], partial[part, 1]
    one, apart = d.dtype.type(1), d.shape[1]
    first = size_of(one) * begin * apart
    own, beside = address(d) + first, address(z) + first
    column_sums(apart, end - begin, apart, own, beside, address(sums), address(products), one)


@kernel
def put_gradients(partial, rate, adds, of_factor, of_shift):
    """Add up the sums of all parts into the first, and put ``rate`` times these where they belong.

    The sums of ``d z`` go into ``of_factor``, those of ``d`` into ``of_shift``, or are added to what stands there.
    """
    sums, products = partial[0, 0], partial[0, 1]
    for part in range(1, partial.shape[0]):
        own, beside = partial[part, 0], partial[part, 1]
        for k in range(own.size):
            sums[k] += own[k]
            products[k] += beside[k]
    if not adds:
        of_factor[:] = 0
        of_shift[:] = 0
    for k in range(sums.size):
        of_factor[k] += rate * like(products[k], rate)
        of_shift[k] += rate * like(sums[k], rate)


@kernel
def _back(d, x, factor, partial, part, member):
    add_up_part(d, x, partial, part)
    begin, end = part_of_columns(d.shape, part)
    for n in range(begin, end):
        row = d[n]
        for k in range(row.size):
            row[k] *= factor[k]


@kernel
def scale_columns_back(team, d, x, factor, partial, rate, adds, of_factor, of_shift):
    """The gradients of ``scale_columns`` by that with respect to y, which becomes that with respect to x in place.

    d : (N, K), overwritten: ``d factor``
    x, factor : what ``scale_columns`` took
    partial : float64 of ``shape_of_partial(N, K)``, overwritten
    rate, adds, of_factor, of_shift : see ``put_gradients``; ``of_factor`` may be ``factor``
    """
    spread(team, parts_of_columns(d.shape), package(_back, (d, x, factor, partial)))
    put_gradients(partial, rate, adds, of_factor, of_shift)


class ScaleColumns(NamedTuple):
    """y = x factor + shift; y may be x."""

    x: int
    factor: int
    shift: int
    y: int
    rows: int
    columns: int


class ScaleColumnsGradient(NamedTuple):
    """d becomes that with respect to x; dfactor and dshift get theirs, added to what stands there if ``adds``.

    If ``descends``, they are the factor and the shift, which take a step.
    """

    d: int
    x: int
    factor: int
    dfactor: int
    dshift: int
    rows: int
    columns: int
    partial: int
    adds: int
    descends: int


@kernel(inline=True)
def rate_of(step, descends, one):
    """What gradients are multiplied by on their way to where they go: the parameters, if ``descends``."""
    return like(-float_of_bits(load(step + 8 * LR)) if descends else 1.0, one)


@kernel(inline=True)
def partial_at(at, n_rows, n_columns):
    """The room for sums of columns at an address."""
    parts = parts_of_columns((n_rows, n_columns))
    return view(at, parts * 2 * n_columns, 1.0).reshape(parts, 2, n_columns)


@operation(ScaleColumns)
def scale(team, row, step, one):
    """Run ``ScaleColumns``."""
    i = operands(ScaleColumns, row)
    factor, shift = view(i.factor, i.columns, one), view(i.shift, i.columns, one)
    scale_columns(team, matrix(i.x, i.rows, i.columns, one), factor, shift, matrix(i.y, i.rows, i.columns, one))


@operation(ScaleColumnsGradient)
def scale_gradient(team, row, step, one):
    """Run ``ScaleColumnsGradient``."""
    i = operands(ScaleColumnsGradient, row)
    d, x = matrix(i.d, i.rows, i.columns, one), matrix(i.x, i.rows, i.columns, one)
    factor, partial = view(i.factor, i.columns, one), partial_at(i.partial, i.rows, i.columns)
    rate, adds = rate_of(step, i.descends, one), i.adds + i.descends > 0
    dfactor, dshift = view(i.dfactor, i.columns, one), view(i.dshift, i.columns, one)
    scale_columns_back(team, d, x, factor, partial, rate, adds, dfactor, dshift)
