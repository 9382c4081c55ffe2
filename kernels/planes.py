"""Images copied into planes, in which what lies below a filter is found at constant offsets, and back.

A plane has rows ``pitch`` elements apart, with the zeros around the image in it; where a row ends with zeros and the
next begins with some, these are the same. To a filter that moves in steps of ``stride``, an image is ``stride`` times
``stride`` planes a channel, each of every ``stride``-th row and column, on which it moves in steps of 1.
"""

from typing import NamedTuple

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel
from .isa import ISA
from .memory import like, size_of, view
from .simd import I64, Vectors, element_bytes, element_type

FEW_VECTORS = 4  # in a line that is copied without a loop


class Planes(NamedTuple):
    """How an image (channels, height, width) becomes planes of ``rows`` rows, ``plane`` elements in all.

    Row i and column j of the padded image, from 0 on, are ``i - top`` and ``j - left`` of the image; what that has not
    is 0. ``image`` elements hold all planes of an image, and as many zeros behind as a vector may read.
    """

    channels: int
    height: int
    width: int
    stride: int
    top: int
    left: int
    rows: int
    pitch: int
    plane: int
    image: int


@intrinsic
def copy_lines(typingctx, source, source_row, target, target_row, rows, columns, one):
    """Copy ``rows`` lines of ``columns`` elements, and nothing else; they lie so many elements apart."""

    def codegen(context, builder, signature, arguments):
        source, source_row, target, target_row, rows, columns, _ = arguments
        element = element_type(one)
        v, lanes = Vectors(builder, element), ISA.lanes(element_bytes(element))
        source, target = v.pointer(source), v.pointer(target)
        whole = builder.sdiv(columns, I64(lanes))
        last = builder.sub(columns, I64(lanes))

        def lines(copy_line):
            with cgutils.for_range(builder, rows) as row:
                line, out = (
                    v.at(at, builder.mul(row.index, apart))
                    for at, apart in ((source, source_row), (target, target_row))
                )
                copy_line(line, out)

        def copy_vectors(n):
            def copy(line, out):
                for at in [I64(lanes * j) for j in range(n)] + [last]:
                    v.store(v.load(v.at(line, at), lanes), v.at(out, at))

            return copy

        def copy_any(line, out):
            with cgutils.for_range(builder, whole) as vector:
                at = builder.mul(vector.index, I64(lanes))
                v.store(v.load(v.at(line, at), lanes), v.at(out, at))
            v.store(v.load(v.at(line, last), lanes), v.at(out, last))

        def copy_elements(line, out):
            with cgutils.for_range(builder, columns) as element:
                builder.store(v.scalar(v.at(line, element.index)), v.at(out, element.index))

        def copy_short(short):
            """Lines of less than two vectors of ``short`` lanes: the first and the last so many elements."""

            def copy(line, out):
                for at in I64(0), builder.sub(columns, I64(short)):
                    v.store(v.load(v.at(line, at), short), v.at(out, at))

            return copy

        end = builder.append_basic_block("end")
        forms = [*map(copy_vectors, range(1, FEW_VECTORS + 1)), copy_any]
        below, *blocks = [builder.append_basic_block(f"vectors{n}") for n in range(len(forms) + 1)]
        switch = builder.switch(whole, blocks[-1])
        switch.add_case(I64(0), below)
        for n, block in enumerate(blocks):
            if n < len(blocks) - 1:
                switch.add_case(I64(n + 1), block)
            builder.position_at_end(block)
            lines(forms[n])
            builder.branch(end)
        builder.position_at_end(below)
        for short in [n for n in (lanes // 2, lanes // 4, lanes // 8) if n > 1]:
            long_enough = builder.append_basic_block(f"of_{short}")
            shorter = builder.append_basic_block(f"below_{short}")
            builder.cbranch(builder.icmp_signed(">=", columns, I64(short)), long_enough, shorter)
            builder.position_at_end(long_enough)
            lines(copy_short(short))
            builder.branch(end)
            builder.position_at_end(shorter)
        lines(copy_elements)
        builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, one), codegen


@kernel(inline=True)
def _between(n, lowest, highest):
    return min(max(n, lowest), highest)


@kernel
def copy_image(image, p, first_row, target, one):
    """Write the planes of the image at an address, from row ``first_row`` of each plane on, to ``target``.

    ``p`` is a ``Planes``.
    """
    size, s = size_of(one), p.stride
    of_channel = s * s * p.plane
    fill_with_zeros(target + size * p.channels * of_channel, p.image - p.channels * of_channel, one)
    for c in range(p.channels):
        # One channel after the other, so that the zeros are still in the first cache when the lines come.
        planes = target + size * c * of_channel
        fill_with_zeros(planes, of_channel, one)
        for a in range(s):
            # Rows m with 0 <= s (first_row + m) + a - top < height, and columns likewise.
            top, bottom = p.top - a - s * first_row, p.top + p.height - a - s * first_row
            m0, m1 = _between(-(-top // s), 0, p.rows), _between(-(-bottom // s), 0, p.rows)
            for b in range(s):
                left, right = p.left - b, p.left + p.width - b
                n0, n1 = _between(-(-left // s), 0, p.pitch), _between(-(-right // s), 0, p.pitch)
                there = planes + size * ((a * s + b) * p.plane + m0 * p.pitch + n0)
                here = image + size * ((c * p.height + s * m0 - top) * p.width + s * n0 - left)
                if s == 1:
                    copy_lines(here, p.width, there, p.pitch, m1 - m0, n1 - n0, one)
                    continue
                for m in range(m1 - m0):
                    _take_every(here + size * m * s * p.width, s, there + size * m * p.pitch, n1 - n0, one)


@kernel(inline=True)
def fill_with_zeros(target, n, one):
    """Write ``n`` zeros of the type of ``one`` to an address."""
    filled = view(target, n, one)
    for i in range(filled.size):
        filled[i] = like(0, one)


@kernel(inline=True)
def _take_every(source, s, target, n, one):
    """``target[i] = source[s i]`` for ``n`` elements."""
    if n <= 0:
        return
    line, out = view(source, (n - 1) * s + 1, one), view(target, n, one)
    if s == 2:
        for i in range(out.size):
            out[i] = line[2 * i]
    else:
        for i in range(out.size):
            out[i] = line[s * i]


@kernel
def copy_back(panel, panel_row, rows, columns, target, target_row, step, one):
    """Write ``rows`` x ``columns`` elements of a panel to every ``step``-th element of every ``step``-th row."""
    if step == 1:
        copy_lines(panel, panel_row, target, target_row, rows, columns, one)
        return
    size = size_of(one)
    for i in range(rows):
        line = view(panel + size * i * panel_row, columns, one)
        out = view(target + size * i * step * target_row, (columns - 1) * step + 1, one)
        for j in range(line.size):
            out[j * step] = line[j]
