"""Softmax of short rows: vectors go across rows, since the ten scores of a sample do not fill one.

A few rows at a time are turned into lines, one of each column, in scratch memory, and come back as rows.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .elementary import exp_nonpositive, log
from .isa import ISA
from .memory import address, like, load, size_of, view
from .pack import pack_panel, unpack_rows
from .simd import I64, Vectors, element_bytes, element_type

LONGEST = 32  # columns of a short row: beyond, vectors along the row are as good
ROWS = 64  # at a time
SCRATCH_BYTES = 8 * (ROWS * (LONGEST + ISA.lanes(4)) + 2 * ROWS)
VECTOR_BYTES = ISA.vector_bytes


def _each_strip(name: str, emit):
    """An intrinsic ``name(lines, count, width, out, one)`` that runs ``emit`` for each vector's width of the lines.

    ``lines`` is the address of ``count`` lines of ``width`` elements, a whole number of vectors. ``emit(v, count, at)``
    works on the strip whose element of line k is at ``at(k)``, and returns a vector, which is written to ``out``.
    """

    def codegen(context, builder, signature, arguments):
        lines, count, width, out, _ = arguments
        element = element_type(signature.args[-1])
        lanes = ISA.lanes(element_bytes(element))
        v = Vectors(builder, element)
        with cgutils.for_range(builder, builder.sdiv(width, I64(lanes))) as strip:
            first = builder.mul(strip.index, I64(lanes))
            start = v.at(v.pointer(lines), first)
            result = emit(v, count, lambda k: v.at(start, builder.mul(k, width)), lanes)
            v.store(result, v.at(v.pointer(out), first))
        return context.get_dummy_value()

    def each_strip(typingctx, lines, count, width, out, one):
        return types.void(*[types.int64] * 4, one), codegen

    each_strip.__name__ = name
    return intrinsic(each_strip)


def _emit_shift(v: Vectors, count, at, lanes):
    builder = v.builder
    top = cgutils.alloca_once_value(builder, v.load(at(I64(0)), lanes))
    with cgutils.for_range(builder, count) as line:
        value = v.load(at(line.index), lanes)
        so_far = builder.load(top)
        builder.store(builder.select(builder.fcmp_ordered(">", value, so_far), value, so_far), top)
    with cgutils.for_range(builder, count) as line:
        v.store(builder.fsub(v.load(at(line.index), lanes), builder.load(top)), at(line.index))
    return builder.load(top)


def _emit_normalize(v: Vectors, count, at, lanes):
    builder = v.builder
    total = cgutils.alloca_once_value(builder, v.zero(lanes))
    with cgutils.for_range(builder, count) as line:
        builder.store(builder.fadd(builder.load(total), v.load(at(line.index), lanes)), total)
    share = builder.fdiv(ir.Constant(v.type(lanes), [1.0] * lanes), builder.load(total))
    with cgutils.for_range(builder, count) as line:
        v.store(builder.fmul(v.load(at(line.index), lanes), share), at(line.index))
    return builder.load(total)


_shift = _each_strip("_shift", _emit_shift)  # subtracts each column's largest element, and writes it to out
_normalize = _each_strip("_normalize", _emit_normalize)  # divides each column by its sum, and writes that to out


@kernel
def _softmax_lines(x, n_rows, n_columns, width, scratch, one):
    """The softmax of ``n_rows`` <= ROWS rows at address ``x``, as the lines at the beginning of ``scratch``.

    Returns each row's largest element, and the sums of exp(x - largest).
    """
    size = size_of(one)
    tops = scratch + size * ROWS * (LONGEST + VECTOR_BYTES // size)
    totals = tops + size * ROWS
    pack_panel(x, 1, n_columns, n_columns, n_rows, scratch, width, one)
    _shift(scratch, n_columns, width, tops, one)
    lines = view(scratch, n_columns * width, one)
    for i in range(lines.size):
        lines[i] = exp_nonpositive(lines[i])
    _normalize(scratch, n_columns, width, totals, one)
    return view(tops, n_rows, one), view(totals, n_rows, one)


@kernel(inline=True)
def _width(n_rows, one):
    """Elements in a line for ``n_rows`` rows: whole vectors."""
    lanes = VECTOR_BYTES // size_of(one)
    return (n_rows + lanes - 1) // lanes * lanes


@kernel
def softmax_short_rows(x, y, begin, end, tops, totals, scratch):
    """As ``softmax.softmax_rows``, which see, for x and y of at most LONGEST columns.

    scratch : address of SCRATCH_BYTES
    """
    n_columns = x.shape[1]
    one = x.dtype.type(1)
    for first in range(begin, end, ROWS):
        n_rows = min(ROWS, end - first)
        width = _width(n_rows, one)
        highest, sums = _softmax_lines(address(x[first]), n_rows, n_columns, width, scratch, one)
        unpack_rows(scratch, width, n_columns, n_rows, address(y[first]), one)
        top, total = tops[first - begin : first - begin + n_rows], totals[first : first + n_rows]
        for n in range(n_rows):
            top[n] = highest[n]
            total[n] = sums[n]


@kernel
def xent_short_rows(x, labels, eps, share, dx, losses, n_rows, n_columns, scratch):
    """Cross-entropy of softmax, and its gradient, against labels, for rows of at most LONGEST columns.

    It is what ``softmax_xent`` computes, without weights and smoothing.

    x, dx : addresses of (N, K) elements of the type of ``share``
    labels : address of (N,) int64
    eps : float64, added to each probability before its logarithm
    losses : address of (N,) float64
    scratch : address of SCRATCH_BYTES
    """
    size = size_of(share)
    for first in range(0, n_rows, ROWS):
        rows = min(ROWS, n_rows - first)
        width = _width(rows, share)
        at = x + size * first * n_columns
        tops, totals = _softmax_lines(at, rows, n_columns, width, scratch, share)
        loss = view(losses + 8 * first, rows, 1.0)
        scores, lines = view(at, rows * n_columns, share), view(scratch, n_columns * width, share)
        for n in range(rows):
            loss[n] = totals[n]
        if eps > 0:
            for n in range(rows):
                loss[n] = lines[load(labels + 8 * (first + n)) * width + n] + eps
        for n in range(rows):
            loss[n] = log(loss[n])
        for n in range(rows):
            label = load(labels + 8 * (first + n))
            # (In float64: the largest float32 is less than the distance of two.)
            loss[n] = -loss[n] if eps > 0 else loss[n] + (like(tops[n], 1.0) - scores[n * n_columns + label])
            lines[label * width + n] -= like(1, share)
        for i in range(lines.size):
            lines[i] *= share
        unpack_rows(scratch, width, n_columns, rows, dx + size * first * n_columns, share)
