"""The rows of a mini-batch: the order of an epoch, and its samples copied from the data set where they lie."""

import numpy as np

from ._jit import kernel
from .isa import LINE_BYTES
from .memory import address, like, load, prefetch, size_of, view
from .random import BITS, key_of, random_bits
from .team import machine_of, package, spread

KINDS = ("float32", "float64", "uint8", "int16", "int32", "int64")  # of data that are read as they are
ORDER_STREAM = 0  # of the random numbers; a layer's is one more than its place


@kernel(inline=True)
def below(n, bits):
    """A number of 0..n-1 by the first 32 of BITS random bits, none more likely than another by more than n / 2^32.

    Their product with n, over 2^32; unsigned, so that n can be 2^32.
    """
    return np.int64((np.uint64(bits >> (BITS - 32)) * np.uint64(n)) >> np.uint64(32))


@kernel
def shuffle(order, seed, epoch):
    """Make ``order``, (N,) int64, the permutation of 0..N-1 that belongs to ``seed`` and ``epoch`` (Fisher & Yates).

    A permutation depends on these two alone, so that a run can be taken up at any epoch. N is at most 2^32.
    """
    key = key_of(seed, ORDER_STREAM, epoch)
    for i in range(order.size):
        order[i] = i
    for i in range(order.size - 1, 0, -1):
        j = below(i + 1, random_bits(key, i))
        order[i], order[j] = order[j], order[i]


@kernel
def begin_epoch(order, rows, seed, epoch):
    """Make ``order``, (N,) int64, the ``rows``, (N,) int64, in the order of ``shuffle``; 0..N-1 if there are none."""
    shuffle(order, seed, epoch)
    for i in range(rows.size):
        order[i] = rows[order[i]]


@kernel(inline=True)
def _rows_of_part(team, width):
    return max(1, machine_of(team).gather_part // max(1, width))


@kernel(inline=True)
def _copy(source, target, scale):
    for i in range(target.size):
        target[i] = like(source[i], scale) * scale


@kernel(inline=True)
def _send_for(at, size):
    """Send for the ``size`` bytes from the address ``at`` on."""
    for line in range(at, at + size, LINE_BYTES):
        prefetch(line)


@kernel(inline=True)
def _copy_rows(team, source, stride, rows, target, scale, begin, end):
    width = target.shape[1]
    first = rows[begin]
    in_a_row = width == stride
    for n in range(begin, end):
        in_a_row &= rows[n] == first + (n - begin)
    if in_a_row:  # as without shuffling: one copy, whose speed does not depend on the length of rows
        _copy(
            source[first * width : (first + end - begin) * width],
            target[begin:end].reshape((end - begin) * width),
            scale,
        )
        return
    # Rows that were drawn lie anywhere, so that no cache looks ahead from one to the next.
    at, size = address(source), size_of(source[0])
    ahead = min(end - begin, machine_of(team).gather_ahead // max(1, size * width))
    for n in range(begin - ahead, end):
        if n + ahead < end:
            _send_for(at + size * stride * rows[n + ahead], size * width)
        if n >= begin:
            _copy(source[rows[n] * stride : rows[n] * stride + width], target[n], scale)


@kernel
def _gather(team, source, stride, rows, target, scale, count, part, member):
    _copy_rows(team, source, stride, rows, target, scale, part * count, min(rows.size, (part + 1) * count))


@kernel
def gather(team, source, stride, rows, target, scale):
    """``target[n] = source[rows[n]] scale``, converted to the type of ``target``.

    source : samples of ``stride`` numbers of any type, one after the other; it is only read
    rows : (B,) int64, each the number of a sample
    target : (B, width), width <= stride, C-contiguous; overwritten
    scale : number of the type of ``target``
    """
    count = _rows_of_part(team, target.shape[1])
    spread(team, (rows.size + count - 1) // count, package(_gather, (team, source, stride, rows, target, scale, count)))


@kernel
def gather_kind(team, source, kind, n_samples, stride, rows, target, scale):
    """``gather`` from ``n_samples`` samples of type ``KINDS[kind]`` at address ``source``."""
    size = n_samples * stride
    if kind == 0:
        gather(team, view(source, size, np.float32(1)), stride, rows, target, scale)
    elif kind == 1:
        gather(team, view(source, size, np.float64(1)), stride, rows, target, scale)
    elif kind == 2:
        gather(team, view(source, size, np.uint8(1)), stride, rows, target, scale)
    elif kind == 3:
        gather(team, view(source, size, np.int16(1)), stride, rows, target, scale)
    elif kind == 4:
        gather(team, view(source, size, np.int32(1)), stride, rows, target, scale)
    else:
        gather(team, view(source, size, np.int64(1)), stride, rows, target, scale)


@kernel
def _gather_sparse(values, columns, starts, rows, target, count, part, member):
    begin, end = part * count, min(rows.size, (part + 1) * count)
    one = like(1, target[0, 0])
    for n in range(begin, end):
        first, past = load(starts + 8 * rows[n]), load(starts + 8 * rows[n] + 8)
        out = target[n]
        value = view(values + first * size_of(one), past - first, one)
        column = view(columns + 8 * first, past - first, np.int64(1))
        for i in range(out.size):
            out[i] = like(0, one)
        for i in range(value.size):
            out[column[i]] += value[i]


@kernel
def gather_sparse(team, values, columns, starts, rows, target):
    """``target[n] =`` row ``rows[n]`` of a sparse matrix of compressed rows; an element given twice is their sum.

    values, columns : addresses of (Z,) elements of the type of ``target``, and of their columns, (Z,) int64
    starts : address of (n_samples + 1,) int64: row r has the elements starts[r] to starts[r + 1]
    rows : (B,) int64, in 0..n_samples-1
    target : (B, width), C-contiguous, overwritten; columns are in 0..width-1
    """
    count = _rows_of_part(team, target.shape[1])
    job = package(_gather_sparse, (values, columns, starts, rows, target, count))
    spread(team, (rows.size + count - 1) // count, job)
