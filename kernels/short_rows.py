"""Softmax of short rows: vectors go across rows, since the ten scores of a sample do not fill one.

A few rows at a time are turned into lines, one of each column, in scratch memory, and come back as rows.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .elementary import exp_nonpositive, log
from .isa import ISA, VECTOR_BYTES
from .machine import FIXED
from .memory import address, like, size_of, view
from .pack import pack_panel, unpack_rows
from .simd import I32, I64, Vectors, element_type

LONGEST = FIXED.short_row
ROWS = 64  # at a time
SHORT_ROWS_BYTES = 8 * (ROWS * (LONGEST + ISA.lanes(4)) + 4 * ROWS)


class _Strip:
    """The columns of some lines that fill a vector, and the labels of these columns where there are any."""

    def __init__(self, v: Vectors, lines, count, width, first, labels=None) -> None:
        self.v, self.count, self.labels = v, count, labels
        self.lanes = ISA.lanes(v.bytes)
        self._start, self._width = v.at(v.pointer(lines), first), width

    def first(self):
        """The first line."""
        return self.v.load(self._start, self.lanes)

    def lines(self, change) -> None:
        """Replace each line by what ``change`` makes of it, and of the mask of the columns whose label it is.

        None leaves it.
        """
        v, builder = self.v, self.v.builder
        with cgutils.for_range(builder, self.count) as line:
            at, mine = v.at(self._start, builder.mul(line.index, self._width)), None
            if self.labels is not None:
                mine = builder.icmp_signed("==", self.labels, v.splat(builder.trunc(line.index, I32), self.lanes))
            changed = change(v.load(at, self.lanes), mine)
            if changed is not None:
                v.store(changed, at)

    def variable(self, value):
        """A place for a vector, which begins as ``value``."""
        return cgutils.alloca_once_value(self.v.builder, value)


def _labels(v: Vectors, labels, first, count):
    """Those of the ``count`` int64 at address ``labels`` that belong to the strip from ``first`` on, as int32."""
    builder, lanes = v.builder, ISA.lanes(v.bytes)
    words = Vectors(builder, ir.DoubleType())
    there = v.first_lanes(builder.sub(count, first), lanes)
    bits = words.load(words.at(words.pointer(labels), first), lanes, there)
    return builder.trunc(builder.bitcast(bits, ir.VectorType(I64, lanes)), ir.VectorType(I32, lanes))


def _each_strip(name: str, emit, of_labels: bool):
    """An intrinsic that runs ``emit(strip, number)`` for each vector's width of some lines, and writes what it returns.

    That is one vector for ``name(lines, count, width, out, number)``, and two, the second to ``picked``, for
    ``name(lines, count, width, out, labels, n_labels, picked, number)``. ``lines`` is the address of ``count`` lines of
    ``width`` elements of the type of ``number``, a whole number of vectors.
    """

    def codegen(context, builder, signature, arguments):
        (lines, count, width, out, *more), number = arguments[:-1], arguments[-1]
        v = Vectors(builder, element_type(signature.args[-1]))
        lanes = ISA.lanes(v.bytes)
        with cgutils.for_range(builder, builder.sdiv(width, I64(lanes))) as loop:
            first = builder.mul(loop.index, I64(lanes))
            labels = _labels(v, more[0], first, more[1]) if of_labels else None
            result, picked = emit(_Strip(v, lines, count, width, first, labels), number)
            v.store(result, v.at(v.pointer(out), first))
            if of_labels:
                v.store(picked, v.at(v.pointer(more[2]), first))
        return context.get_dummy_value()

    def each_strip(typingctx, lines, count, width, out, number):
        return types.void(*[types.int64] * 4, number), codegen

    def each_strip_of_labels(typingctx, lines, count, width, out, labels, n_labels, picked, number):
        return types.void(*[types.int64] * 7, number), codegen

    chosen = each_strip_of_labels if of_labels else each_strip
    chosen.__name__ = name
    return intrinsic(chosen)


def _pick(strip: _Strip, picked, value, mine) -> None:
    """Keep the ``value`` of the line whose columns are ``mine``."""
    if mine is not None:
        builder = strip.v.builder
        builder.store(builder.select(mine, value, builder.load(picked)), picked)


def _emit_shift(strip: _Strip, number):
    """Subtract from each column its largest element. Returns that, and what stood in the line of the label."""
    v, builder = strip.v, strip.v.builder
    top, picked = (strip.variable(value) for value in (strip.first(), v.zero(strip.lanes)))

    def look(value, mine):
        so_far = builder.load(top)
        builder.store(builder.select(builder.fcmp_ordered(">", value, so_far), value, so_far), top)
        _pick(strip, picked, value, mine)

    strip.lines(look)
    strip.lines(lambda value, mine: builder.fsub(value, builder.load(top)))
    return builder.load(top), builder.load(picked)


def _emit_normalize(strip: _Strip, number):
    """Divide each column by its sum, and make of these the gradient, times ``number``, where there are labels.

    Returns the sum, and the probability of the label.
    """
    v, builder = strip.v, strip.v.builder
    total, picked = (strip.variable(v.zero(strip.lanes)) for _ in range(2))
    ones = ir.Constant(v.type(strip.lanes), [1.0] * strip.lanes)

    def add(value, mine):
        builder.store(builder.fadd(builder.load(total), value), total)

    def finish(value, mine):
        value = builder.fmul(value, share)
        _pick(strip, picked, value, mine)
        if mine is None:
            return value
        return builder.fmul(builder.select(mine, builder.fsub(value, ones), value), v.splat(number, strip.lanes))

    strip.lines(add)
    share = builder.fdiv(ones, builder.load(total))
    strip.lines(finish)
    return builder.load(total), builder.load(picked)


_shift = _each_strip("_shift", _emit_shift, of_labels=False)
_normalize = _each_strip("_normalize", _emit_normalize, of_labels=False)
_shift_of_labels = _each_strip("_shift_of_labels", _emit_shift, of_labels=True)
_gradient_of_labels = _each_strip("_gradient_of_labels", _emit_normalize, of_labels=True)


@kernel(inline=True)
def _places(scratch, one):
    """Where in the scratch memory, behind the lines, there is room for numbers of each row.

    They are its largest score, the sum of exp, the score of its label and the probability of that.
    """
    size = size_of(one)
    first = scratch + size * ROWS * (LONGEST + VECTOR_BYTES // size)
    return first, first + size * ROWS, first + 2 * size * ROWS, first + 3 * size * ROWS


@kernel(inline=True)
def _exp_lines(lines, n_columns, width, one):
    values = view(lines, n_columns * width, one)
    for i in range(values.size):
        values[i] = exp_nonpositive(values[i])


@kernel(inline=True)
def _width(n_rows, one):
    """Elements in a line for ``n_rows`` rows: whole vectors."""
    lanes = VECTOR_BYTES // size_of(one)
    return (n_rows + lanes - 1) // lanes * lanes


@kernel
def softmax_short_rows(x, y, begin, end, tops, totals, scratch):
    """As ``softmax.softmax_rows``, which see, for x and y of at most LONGEST columns.

    scratch : address of SHORT_ROWS_BYTES
    """
    n_columns = x.shape[1]
    one = x.dtype.type(1)
    for first in range(begin, end, ROWS):
        n_rows = min(ROWS, end - first)
        width = _width(n_rows, one)
        at_tops, at_totals, _, _ = _places(scratch, one)
        pack_panel(address(x[first]), 1, n_columns, n_columns, n_rows, scratch, width, one)
        _shift(scratch, n_columns, width, at_tops, one)
        _exp_lines(scratch, n_columns, width, one)
        _normalize(scratch, n_columns, width, at_totals, one)
        unpack_rows(scratch, width, n_columns, n_rows, address(y[first]), one)
        highest, sums = view(at_tops, n_rows, one), view(at_totals, n_rows, one)
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
    scratch : address of SHORT_ROWS_BYTES
    """
    size = size_of(share)
    at_tops, at_totals, at_scores, at_probabilities = _places(scratch, share)
    for first in range(0, n_rows, ROWS):
        rows = min(ROWS, n_rows - first)
        width = _width(rows, share)
        at, of_rows = size * first * n_columns, labels + 8 * first
        pack_panel(x + at, 1, n_columns, n_columns, rows, scratch, width, share)
        _shift_of_labels(scratch, n_columns, width, at_tops, of_rows, rows, at_scores, share)
        _exp_lines(scratch, n_columns, width, share)
        _gradient_of_labels(scratch, n_columns, width, at_totals, of_rows, rows, at_probabilities, share)
        unpack_rows(scratch, width, n_columns, rows, dx + at, share)
        loss = view(losses + 8 * first, rows, 1.0)
        if eps > 0:
            probabilities = view(at_probabilities, rows, share)
            for n in range(rows):
                loss[n] = -log(probabilities[n] + eps)
        else:
            tops, totals, scores = (
                view(at_tops, rows, share),
                view(at_totals, rows, share),
                view(at_scores, rows, share),
            )
            for n in range(rows):
                totals[n] = log(totals[n])
            for n in range(rows):  # (In float64: the largest float32 is less than the distance of two.)
                loss[n] = like(totals[n], 1.0) + (like(tops[n], 1.0) - like(scores[n], 1.0))
