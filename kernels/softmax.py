"""Softmax of rows, and its gradient."""

from ._jit import kernel
from .elementary import exp_nonpositive
from .entry import operand
from .machine import FIXED
from .memory import address, like, matrix, view
from .reduce import row_max, row_sum
from .short_rows import LONGEST, SHORT_ROWS_BYTES, softmax_short_rows
from .simd import interleave
from .team import package, scratch_of, spread

ELEMENTS = FIXED.softmax_part


@kernel(inline=True)
def rows_of_part(n_rows, n_columns):
    """How many rows make up a part, at least 1."""
    return max(1, ELEMENTS // max(1, n_columns))


@kernel(inline=True)
def parts_of_rows(n_rows, n_columns):
    """How many parts ``n_rows`` rows have."""
    rows = rows_of_part(n_rows, n_columns)
    return (n_rows + rows - 1) // rows


@kernel(inline=True)
def part_of_rows(n_rows, n_columns, part):
    """First and past-the-last row of a part."""
    rows = rows_of_part(n_rows, n_columns)
    return part * rows, min(n_rows, (part + 1) * rows)


@kernel
def softmax_rows(team, member, x, y, begin, end, totals):
    """``y = softmax(x)`` for the rows ``begin`` to ``end`` of a part.

    ``totals``, (N,) float64, get the sums of ``exp(x - largest of the row)``. Returns those largest: of row
    ``begin + i`` in element i, until the scratch memory of ``member`` is used again.
    """
    scratch = scratch_of(team, member)
    tops = view(scratch + SHORT_ROWS_BYTES, end - begin, 1.0)
    if x.shape[1] <= LONGEST:
        softmax_short_rows(x, y, begin, end, tops, totals, scratch)
    else:
        _softmax_long_rows(x, y, begin, end, tops, totals)
    return tops


@kernel
def _exp(values):
    for i in range(values.size):
        values[i] = exp_nonpositive(values[i])
    interleave()


@kernel
def _softmax_long_rows(x, y, begin, end, tops, totals):
    """Three passes over memory that stays in the cache, the middle one across the ends of rows."""
    n_columns = x.shape[1]
    one = x.dtype.type(1)
    for n in range(begin, end):
        row, out = x[n], y[n]
        top = row_max(address(row), n_columns, one)
        tops[n - begin] = top
        for k in range(n_columns):
            out[k] = row[k] - top
    block = y[begin:end].reshape((end - begin) * n_columns)
    _exp(block)
    for n in range(begin, end):
        row = y[n]
        total = row_sum(address(row), n_columns, one)
        totals[n] = total
        share = one / total  # 1.5 units in the last place at the most, beside the division's half
        for k in range(row.size):
            row[k] *= share


@kernel
def _forward(team, x, y, part, member):
    n_rows, n_columns = x.shape
    begin, end = part_of_rows(n_rows, n_columns, part)
    totals = view(scratch_of(team, member) + SHORT_ROWS_BYTES + 8 * (end - begin), end - begin, 1.0)  # behind the tops
    softmax_rows(team, member, x[begin:end], y[begin:end], 0, end - begin, totals)


@kernel(by_address=True)
def softmax_forward(team, operands, one):
    """``y[n, k] = exp(x[n, k]) / sum_k exp(x[n, k])``.

    Operands: x (N, K); made: y (N, K). In the form of an ``Entry``; returns 0 where there is no class.

    Each row is shifted by its largest element, so no finite score overflows, and -inf gives 0; a row of nothing but
    -inf, and one that holds +inf or NaN, gives NaN.
    """
    x, n_rows, n_columns = operand(operands, 0)
    if n_columns == 0:
        return 0
    x, y = matrix(x, n_rows, n_columns, one), matrix(operand(operands, 1)[0], n_rows, n_columns, one)
    spread(team, parts_of_rows(n_rows, n_columns), package(_forward, (team, x, y)))
    return 1


@kernel
def _backward_of_one(dout, y, dx):
    """Of rows of one class, in vectors across them."""
    dx, zero = dx.reshape(dx.size), like(0, y[0])
    for n in range(dx.size):
        dx[n] = y[n] * (dout[n] - (dout[n] * y[n] + zero))


@kernel
def _backward(dout, y, dx, part, member):
    n_rows, n_columns = y.shape
    begin, end = part_of_rows(n_rows, n_columns, part)
    if n_columns == 1:
        _backward_of_one(dout[begin:end].reshape(end - begin), y[begin:end].reshape(end - begin), dx[begin:end])
        return
    for n in range(begin, end):
        for k in range(n_columns):
            dx[n, k] = dout[n, k] * y[n, k]
        total = row_sum(address(dx[n]), n_columns, like(1, y[n, 0]))
        for k in range(n_columns):
            dx[n, k] = y[n, k] * (dout[n, k] - total)


@kernel(by_address=True)
def softmax_backward(team, operands, one):
    """``dx = y (dout - sum_k dout y)``, row by row, from the output y of the forward pass.

    Operands: dout, y (N, K); made: dx (N, K). In the form of an ``Entry``; returns 0 where there is no class.
    """
    dout, n_rows, n_columns = operand(operands, 0)
    if n_columns == 0:
        return 0
    y, dx = operand(operands, 1)[0], operand(operands, 2)[0]
    dout, y, dx = (
        matrix(dout, n_rows, n_columns, one),
        matrix(y, n_rows, n_columns, one),
        matrix(dx, n_rows, n_columns, one),
    )
    spread(team, parts_of_rows(n_rows, n_columns), package(_backward, (dout, y, dx)))
    return 1
