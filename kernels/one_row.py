"""The product of one row and a matrix too large for the first-level cache.

Nothing of B is met twice, so that all the time goes into reading it. A tile walks down a few columns, from line to line
far apart, which caches and address translation do not see coming; here B is read along its rows, a few side by side,
and the sums of all columns stand in scratch memory. Each is the same chain of multiply-adds as in a tile, to the bit.
"""

from ._jit import kernel
from .memory import like, size_of, view

ABREAST = 8  # rows of B for one pass over the sums


@kernel(inline=True)
def _add_row(sums, x, row):
    for j in range(sums.size):
        sums[j] += x * row[j]


@kernel(inline=True)
def _add_rows(sums, x, rows):
    x0, x1, x2, x3, x4, x5, x6, x7 = x
    r0, r1, r2, r3, r4, r5, r6, r7 = rows
    for j in range(sums.size):
        total = sums[j]
        total += x0 * r0[j]
        total += x1 * r1[j]
        total += x2 * r2[j]
        total += x3 * r3[j]
        total += x4 * r4[j]
        total += x5 * r5[j]
        total += x6 * r6[j]
        total += x7 * r7[j]
        sums[j] = total


@kernel
def one_row(shape, a, b, c, start, sums, alpha, floor):
    """``C = max(alpha A B + start, floor)`` for one row of A; a NaN stays.

    Parameters
    ----------
    shape : (columns, depth)
    a : (address, elements from k to k)
    b : (address, elements from row to row), the columns side by side
    c, start : addresses, the latter 0 to add nothing
    sums : address of room for ``columns`` elements
    alpha, floor : of the type of the elements
    """
    columns, depth = shape
    a_at, a_k = a
    b_at, b_row = b
    size = size_of(alpha)
    total = view(sums, columns, alpha)
    x = view(a_at, max(1, (depth - 1) * a_k + 1), alpha)
    for j in range(columns):
        total[j] = like(0, alpha)
    whole = depth // ABREAST * ABREAST
    for k in range(0, whole, ABREAST):
        rows = (
            view(b_at + size * b_row * k, columns, alpha),
            view(b_at + size * b_row * (k + 1), columns, alpha),
            view(b_at + size * b_row * (k + 2), columns, alpha),
            view(b_at + size * b_row * (k + 3), columns, alpha),
            view(b_at + size * b_row * (k + 4), columns, alpha),
            view(b_at + size * b_row * (k + 5), columns, alpha),
            view(b_at + size * b_row * (k + 6), columns, alpha),
            view(b_at + size * b_row * (k + 7), columns, alpha),
        )
        first = k * a_k
        numbers = (
            x[first],
            x[first + a_k],
            x[first + 2 * a_k],
            x[first + 3 * a_k],
            x[first + 4 * a_k],
            x[first + 5 * a_k],
            x[first + 6 * a_k],
            x[first + 7 * a_k],
        )
        _add_rows(total, numbers, rows)
    for k in range(whole, depth):
        _add_row(total, x[k * a_k], view(b_at + size * b_row * k, columns, alpha))
    out = view(c, columns, alpha)
    if start == 0:
        for j in range(columns):
            value = alpha * total[j] + like(0, alpha)
            out[j] = floor if value <= floor else value
    else:
        added = view(start, columns, alpha)
        for j in range(columns):
            value = alpha * total[j] + added[j]
            out[j] = floor if value <= floor else value
