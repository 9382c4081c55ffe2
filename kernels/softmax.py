"""Softmax of rows, and its gradient."""

from ._jit import kernel
from .elementary import exp_nonpositive
from .memory import address, like
from .reduce import row_max, row_sum
from .team import package, spread

ELEMENTS = 8192  # of the rows in one part: they stay in the first-level cache from pass to pass; a fixed cut


@kernel(inline=True)
def rows_of_part(n_rows, n_columns):
    """How many rows make up a part, at least 1."""
    return max(1, ELEMENTS // max(1, n_columns))


@kernel(inline=True)
def parts_of_rows(n_rows, n_columns):
    """How many parts ``n_rows`` rows have."""
    rows = rows_of_part(n_rows, n_columns)
    return (n_rows + rows - 1) // rows


@kernel
def exp_rows(x, y, begin, end):
    """``y = exp(x - largest of the row)`` for rows ``begin`` to ``end``.

    Three passes over memory that stays in the cache, the middle one across the ends of rows, so that a row of ten
    elements costs no more an element than a row of a thousand.
    """
    n_columns = x.shape[1]
    one = x.dtype.type(1)
    for n in range(begin, end):
        row, out = x[n], y[n]
        top = row_max(address(row), n_columns, one)
        for k in range(n_columns):
            out[k] = row[k] - top
    block = y[begin:end].reshape((end - begin) * n_columns)
    for i in range(block.size):
        block[i] = exp_nonpositive(block[i])


@kernel
def _forward(x, y, part, member):
    n_rows, n_columns = x.shape
    rows = rows_of_part(n_rows, n_columns)
    begin, end = part * rows, min(n_rows, (part + 1) * rows)
    exp_rows(x, y, begin, end)
    for n in range(begin, end):
        scale(y[n], row_sum(address(y[n]), n_columns, x.dtype.type(1)))


@kernel
def scale(row, total):
    """Divide a row by ``total``, in place, by way of the reciprocal: 1.5 units in the last place at the most."""
    share = row.dtype.type(1) / total
    for k in range(row.size):
        row[k] *= share


@kernel
def softmax_forward(team, x, y):
    """``y[n, k] = exp(x[n, k]) / sum_k exp(x[n, k])``.

    x, y : (N, K) float32 or float64, C-contiguous. ``y`` is overwritten and may be ``x``.

    Each row is shifted by its largest element, so no finite score overflows, and -inf gives 0; a row of nothing but
    -inf, and one that holds +inf or NaN, gives NaN.
    """
    spread(team, parts_of_rows(*x.shape), package(_forward, (x, y)))


@kernel
def _backward(dout, y, dx, part, member):
    n_rows, n_columns = y.shape
    rows = rows_of_part(n_rows, n_columns)
    for n in range(part * rows, min(n_rows, (part + 1) * rows)):
        for k in range(n_columns):
            dx[n, k] = dout[n, k] * y[n, k]
        total = row_sum(address(dx[n]), n_columns, like(1, y[n, 0]))
        for k in range(n_columns):
            dx[n, k] = y[n, k] * (dout[n, k] - total)


@kernel
def softmax_backward(team, dout, y, dx):
    """``dx = y (dout - sum_k dout y)``, row by row, from the output y of the forward pass.

    dout, y, dx : (N, K) of one type, C-contiguous. ``dx`` is overwritten and must not be ``dout``.
    """
    spread(team, parts_of_rows(*y.shape), package(_backward, (dout, y, dx)))
