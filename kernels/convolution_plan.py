"""How a convolution is computed: what follows from its shape alone, decided once, in plain Python.

``forward`` and each part of ``input_gradient`` are a ``Correlation``: rows of an output, each the sum of weights times
what lies below. The gradient with respect to the input is one of the output's gradient with the filters turned around;
with a stride, every ``stride``-th row and column of it is one of its own, since it meets other elements of the filter.
``weight_gradient`` is a ``WeightGradient``. Each is an array of words, as kernels read them: the fields of the
NamedTuple and then its tables. None of what is decided here changes a bit, except what a ``WeightGradient`` adds up in
one go, which follows from the shape.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .convolution_tile import FEWER_VECTORS, MOST_ROWS, TAP_SHAPES, TAP_WIDTH, VECTORS, convolution_tiles
from .isa import ISA, SCRATCH_BYTES
from .machine import FIXED
from .planes import Planes

IMAGE_BYTES, GROUP_BYTES = FIXED.image_bytes, FIXED.group_bytes


class Shape(NamedTuple):
    """Of a convolution: images (channels, height, width), filters (filters, channels, filter_h, filter_w)."""

    channels: int
    height: int
    width: int
    filters: int
    filter_h: int
    filter_w: int
    stride: int
    pad: int

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of the output."""
        return (
            (self.height + 2 * self.pad - self.filter_h) // self.stride + 1,
            (self.width + 2 * self.pad - self.filter_w) // self.stride + 1,
        )


class Correlation(NamedTuple):
    """Words of sums of weights times what lies below, for ``rows`` rows of an output at ``places_h`` x ``places_w``.

    An image is done in ``bands`` of ``band`` rows of places, the last of which begin where as many are left. It is read
    where it lies if ``in_place``, and the output is written to its place at once if ``direct``, else to a panel whose
    rows lie ``panel_row`` apart. An output has rows ``out_plane`` apart, its places from ``out_first`` on, every
    ``out_step``-th of lines of ``out_width``. Then come pairs of offsets: ``depth`` taps, ``vectors`` places.
    """

    rows: int
    places_h: int
    places_w: int
    band: int
    bands: int
    in_place: int
    direct: int
    image: int
    line: int
    panel: int
    panel_row: int
    out_plane: int
    out_first: int
    out_width: int
    out_step: int
    weight_row: int
    depth: int
    vectors: int
    tiles: int
    lanes: int


class WeightGradient(NamedTuple):
    """Words of sums of the output's gradient times what lies below each of its places, for all images.

    Images, or bands of them where one band does not do, are dealt to ``parts``, and in each of these ``group`` at a
    time are added up. Lines of places are read where they lie if ``d_in_place``, and ``x_in_place``. Sums are left in
    ``row_tiles`` times ``tap_tiles`` tiles of ``rows`` x ``taps``, which are TAP_SHAPES[``tile``]. Then come pairs of
    offsets: ``depth`` taps, ``vectors`` places, of which a line has ``vectors_of_line``, or 0 where all are to be
    computed.
    """

    filters: int
    filter_h: int
    filter_w: int
    places_h: int
    places_w: int
    band: int
    bands: int
    x_in_place: int
    d_in_place: int
    x_image: int
    d_row: int
    group: int
    parts: int
    tile: int
    rows: int
    taps: int
    row_tiles: int
    tap_tiles: int
    depth: int
    vectors: int
    vectors_of_line: int
    tiles: int


_N_PLANES = len(Planes._fields)
CORRELATION_TAPS = len(Correlation._fields) + _N_PLANES
GRADIENT_TAPS = len(WeightGradient._fields) + 2 * _N_PLANES


def planes_for(source: tuple[int, int, int], stride: int, first: tuple[int, int], size: tuple[int, int], lanes: int):
    """Planes of ``size`` for images ``source``, their rows and columns counted from ``first`` on; zeros in common."""
    channels, height, width = source
    (top, left), (rows, columns) = first, size
    common = min(max(0, left), max(0, columns - width - left)) if stride == 1 else 0
    pitch = columns - common
    plane = rows * pitch + common
    image = channels * stride**2 * plane + VECTORS * lanes
    return Planes(channels, height, width, stride, top, left, rows, pitch, plane, image)


def refuse(needed: int) -> None:
    """ValueError where more bytes of scratch memory are needed than a member has."""
    if needed > SCRATCH_BYTES:
        raise ValueError(
            f"images must be so small that the rows that one row of the output is made of take {SCRATCH_BYTES} bytes "
            f"with their zeros, got {needed}"
        )


def _band(rows: int, bytes_of: Callable[[int], int]) -> int:
    """How many of so many rows of places are done at once: as many as fit, of so many bytes each number of them."""
    return max(1, bisect_right(range(1, rows + 1), IMAGE_BYTES, key=bytes_of))


def _correlation(
    source: tuple[int, int, int],
    stride: int,
    first: tuple[int, int],
    reach: tuple[int, int],
    taps: list[tuple[int, int, int, int, int]],
    rows: int,
    weight_row: int,
    places: tuple[int, int],
    out: tuple[int, int, int, int],
    dtype: np.dtype,
) -> np.ndarray:
    """Words of a ``Correlation``.

    ``source`` images become planes, of which ``reach`` rows and columns are needed for one place; ``taps`` are a
    weight's offset, a channel, a phase (as a plane of the channel), and a row and column from a place on; ``out`` is
    the size of an output's plane, the first of its elements, and the step from one to the next.
    """
    item, lanes = dtype.itemsize, ISA.lanes(dtype.itemsize)
    (height, width), (out_size, out_first, out_width, step) = places, out

    def planes_of(band: int) -> Planes:
        return planes_for(source, stride, first, (band + reach[0] - 1, width + reach[1] - 1), lanes)

    p = planes_of(height)
    lies_as_it_must = stride == 1 and first == (0, 0) and (p.rows, p.pitch) == source[1:]
    for in_place in (True, False) if lies_as_it_must else (False,):
        direct = step == 1 and out_size == height * width and (width % lanes == 0 or (in_place and p.pitch == width))

        if direct and (0 if in_place else item * p.image) > IMAGE_BYTES:
            direct = False  # what a band has in common with the one before must not be written twice
        panel = 0 if direct else MOST_ROWS

        def needed(band: int, in_place: bool = in_place, panel: int = panel) -> int:
            copied = 0 if in_place else planes_of(band).image
            return item * max(copied, panel * (band * p.pitch + VECTORS * lanes))

        band = _band(height, needed)
        if (band - 1) * p.pitch + width >= lanes:
            break
    copied = not in_place
    if copied:
        p = planes_of(band)
    if width % lanes == 0 and direct:
        pairs = [(i * p.pitch + j, i * width + j) for i in range(band) for j in range(0, width, lanes)]
    else:
        length = (band - 1) * p.pitch + width
        last = length - lanes if in_place or direct else length  # nothing is read or written behind the last place
        pairs = [(min(at, last), min(at, last)) for at in range(0, length, lanes)]
    left = len(pairs) % VECTORS  # the last are done more than once, to be as many as a tile has
    pairs += pairs[-1:] * ((FEWER_VECTORS if 0 < left <= FEWER_VECTORS else VECTORS) - left if left else 0)
    panel_row = pairs[-1][1] + lanes
    refuse(item * (copied * p.image + (not direct) * MOST_ROWS * panel_row))
    if in_place:
        p = p._replace(plane=source[1] * source[2], image=source[0] * source[1] * source[2])
    words = Correlation(
        rows=rows,
        places_h=height,
        places_w=width,
        band=band,
        bands=-(-height // band),
        in_place=in_place,
        direct=direct,
        image=source[0] * source[1] * source[2],
        line=p.pitch,
        panel=copied * p.image,
        panel_row=panel_row,
        out_plane=out_size,
        out_first=out_first,
        out_width=out_width,
        out_step=step,
        weight_row=weight_row,
        depth=len(taps),
        vectors=len(pairs),
        tiles=convolution_tiles(dtype.type(1)),
        lanes=lanes,
    )
    offsets = offsets_of(taps, p)
    return np.array([*words, *p, *offsets, *(number for pair in pairs for number in pair)], np.int64)


def offsets_of(taps: list[tuple[int, int, int, int, int]], p: Planes) -> list[int]:
    """The pairs of offsets of taps: of the weight, and of what it meets."""
    pairs = (
        (weight, (c * p.stride**2 + phase) * p.plane + row * p.pitch + column) for weight, c, phase, row, column in taps
    )
    return [number for pair in pairs for number in pair]


def taps_of(s: Shape) -> list[tuple[int, int, int, int, int]]:
    """Of a filter, in the order of its elements."""
    n = s.stride
    return [
        ((c * s.filter_h + i) * s.filter_w + j, c, i % n * n + j % n, i // n, j // n)
        for c in range(s.channels)
        for i in range(s.filter_h)
        for j in range(s.filter_w)
    ]


def reach_of(s: Shape) -> tuple[int, int]:
    """Rows and columns of planes that a filter covers."""
    return -(-s.filter_h // s.stride), -(-s.filter_w // s.stride)


@lru_cache(maxsize=256)
def forward(s: Shape, dtype: np.dtype) -> np.ndarray:
    """Words of the ``Correlation`` that computes the output."""
    places = s.places
    weights = s.channels * s.filter_h * s.filter_w
    out = places[0] * places[1], 0, places[1], 1
    source = s.channels, s.height, s.width
    return _correlation(
        source, s.stride, (s.pad, s.pad), reach_of(s), taps_of(s), s.filters, weights, places, out, dtype
    )


@lru_cache(maxsize=256)
def input_gradient(s: Shape, dtype: np.dtype) -> list[np.ndarray]:
    """Words of the ``Correlation`` of each part of the gradient with respect to the images.

    With ``i = stride m + a`` a row of the padded image, ``dx[i] = sum_t dout[m - t] w[a + stride t]``, and columns
    likewise.
    """
    source = s.filters, *s.places
    size = s.filter_h * s.filter_w
    parts = []
    for a in range(s.stride):
        for b in range(s.stride):
            # Those rows and columns of the part that are not padding.
            (m0, m1), (n0, n1) = (
                (-(-(s.pad - phase) // s.stride), (s.pad + length - 1 - phase) // s.stride + 1)
                for phase, length in ((a, s.height), (b, s.width))
            )
            if m1 <= m0 or n1 <= n0:
                continue
            rows, columns = range(a, s.filter_h, s.stride), range(b, s.filter_w, s.stride)
            reach = max(1, len(rows)), max(1, len(columns))
            taps = [
                (f * s.channels * size + i * s.filter_w + j, f, 0, reach[0] - 1 - t, reach[1] - 1 - u)
                for f in range(s.filters)
                for t, i in enumerate(rows)
                for u, j in enumerate(columns)
            ]
            first = (s.stride * m0 + a - s.pad) * s.width + s.stride * n0 + b - s.pad
            out = s.height * s.width, first, s.width, s.stride
            begin = reach[0] - 1 - m0, reach[1] - 1 - n0
            parts.append(_correlation(source, 1, begin, reach, taps, s.channels, size, (m1 - m0, n1 - n0), out, dtype))
    return parts


@lru_cache(maxsize=256)
def weight_gradient(s: Shape, dtype: np.dtype) -> np.ndarray:
    """Words of the ``WeightGradient``."""
    item, lanes = dtype.itemsize, ISA.lanes(dtype.itemsize)
    (height, width), reach, source = s.places, reach_of(s), (s.channels, s.height, s.width)
    first, taps = (s.pad, s.pad), taps_of(s)

    def planes_of(band: int) -> tuple[Planes, Planes]:
        x = planes_for(source, s.stride, first, (band + reach[0] - 1, width + reach[1] - 1), lanes)
        length = -(-((band - 1) * x.pitch + width) // lanes) * lanes
        plane = max(length, band * x.pitch)
        d = Planes(s.filters, height, width, 1, 0, 0, band, x.pitch, plane, s.filters * plane)
        return x, d

    x, d = planes_of(height)
    one_line = (x.rows, x.pitch) == source[1:] == (height, width) and s.stride == 1 and height * width % lanes == 0
    d_in_place = one_line or width % lanes == 0
    x_in_place = d_in_place and s.stride == 1 and s.pad == 0

    def needed(band: int) -> int:
        x, d = planes_of(band)
        return item * ((not x_in_place) * x.image + (not d_in_place) * d.image)

    band = height if x_in_place else _band(height, needed)
    x, d = planes_of(band)
    refuse(needed(band))
    if x_in_place:
        x = x._replace(plane=s.height * s.width, image=s.channels * s.height * s.width)
    bands = -(-height // band)
    in_one_go = item * (x.image + (s.filters * height * width if d_in_place else d.image))
    if one_line:
        places = [(at, at) for at in range(0, height * width, lanes)]
    elif d_in_place:
        places = [(i * width + j, i * x.pitch + j) for i in range(band) for j in range(0, width, lanes)]
    else:
        places = [(at, at) for at in range(0, (band - 1) * x.pitch + width, lanes)]
    tile = min(range(len(TAP_SHAPES)), key=lambda n: math.prod((*TAP_SHAPES[n], *_tiles(s.filters, len(taps), n))))
    row_tiles, tap_tiles = _tiles(s.filters, len(taps), tile)
    words = WeightGradient(
        filters=s.filters,
        filter_h=s.filter_h,
        filter_w=s.filter_w,
        places_h=height,
        places_w=width,
        band=band,
        bands=bands,
        x_in_place=x_in_place,
        d_in_place=d_in_place,
        x_image=s.channels * s.height * s.width,
        d_row=height * width if d_in_place else d.plane,
        group=1 if bands > 1 else max(1, GROUP_BYTES // in_one_go),
        parts=min(FIXED.slice_parts, max(1, FIXED.partial_elements // (s.filters * len(taps)))),
        tile=tile,
        rows=TAP_SHAPES[tile][0],
        taps=TAP_SHAPES[tile][1],
        row_tiles=row_tiles,
        tap_tiles=tap_tiles,
        depth=len(taps),
        vectors=len(places),
        vectors_of_line=width // lanes if d_in_place and not one_line else 0,
        tiles=convolution_tiles(dtype.type(1)),
    )
    offsets = [*offsets_of(taps, x), *(number for pair in places for number in pair)]
    return np.array([*words, *x, *d, *offsets], np.int64)


def _tiles(rows: int, taps: int, number: int) -> tuple[int, int]:
    """How many tiles of gradients of a shape there are, in rows and in taps."""
    return -(-rows // TAP_SHAPES[number][0]), -(-taps // TAP_SHAPES[number][1])


def elements_of_parts(words: np.ndarray, n_images: int) -> int:
    """How many elements the sums of all parts of a ``WeightGradient`` have."""
    n = WeightGradient(*words[: len(WeightGradient._fields)].tolist())
    of_part = n.filters + n.row_tiles * n.tap_tiles * n.rows * TAP_WIDTH
    return max(1, min(n.parts, n_images * n.bands)) * of_part
