"""Convolution of images (N, C, H, W) with filters (F, C, KH, KW): the output, and its gradients.

``y[n, f, i, j] = b[f] + sum over c, k, l of w[f, c, k, l] x[n, c, stride i + k - pad, stride j + l - pad]``, where
``x`` is 0 outside. Plans of ``convolution_plan`` say how. What members of a team share are images, bands of them and
filters; no bit of an output depends on who does what. Gradients of filters and bias are added up in parts that follow
from the shape alone, and these in their order.
"""

from typing import NamedTuple

import numpy as np

from ._jit import kernel
from .convolution_plan import CORRELATION_TAPS, GRADIENT_TAPS, Correlation, WeightGradient
from .convolution_tile import (
    MOST_ROWS,
    TAP_WIDTH,
    VECTORS,
    SumOfPlaces,
    SumOfTaps,
    sum_places,
    sum_taps,
)
from .elementwise import call_function
from .gemm import NOTHING, RELU
from .instructions import operands, operation
from .isa import ZERO_BYTES
from .memory import INFINITY, float_of_bits, like, load, local, size_of, view
from .planes import Planes, copy_back, copy_image, fill_with_zeros
from .program import LR
from .reduce import row_sum
from .team import machine_of, package, scratch_of, spread

_PLANES_OF_CORRELATION = len(Correlation._fields)
_PLANES_OF_GRADIENT = len(WeightGradient._fields)
_N_PLANES = len(Planes._fields)


@kernel(inline=True)
def _shares(team, units, tiles, work):
    """Into how many parts units of images are dealt, and tiles of rows: by how much ``work`` there is."""
    machine = machine_of(team)
    if work < machine.parallel_flops:
        return 1, 1
    many = machine.many_parts
    of_units = min(units, many)
    return of_units, min(tiles, (many + of_units - 1) // of_units)


@kernel
def _correlate_part(plan, x, weights, start, y, epilogue, n_units, of_units, of_tiles, team, number, part, member):
    n, p = operands(Correlation, plan), operands(Planes, plan + 8 * _PLANES_OF_CORRELATION)
    function, kept = epilogue
    one, floor = like(1, number), like(0.0 if function == RELU else -INFINITY, number)
    size, scratch = size_of(one), scratch_of(team, member)
    unit, share = part // of_tiles, part % of_tiles
    n_tiles = (n.rows + MOST_ROWS - 1) // MOST_ROWS
    first, last = n_tiles * share // of_tiles, n_tiles * (share + 1) // of_tiles
    taps = plan + 8 * CORRELATION_TAPS
    places, panel = taps + 16 * n.depth, scratch + size * n.panel
    for u in range(n_units * unit // of_units, n_units * (unit + 1) // of_units):
        image, first_row = u // n.bands, u % n.bands * n.band
        row = min(first_row, n.places_h - n.band)  # the last band has as many rows as others: some are not its own
        source = x + size * image * n.image
        if n.in_place:
            source += size * row * n.line
        else:
            copy_image(source, p, row, scratch, one)
            source = scratch
        for tile in range(first, last):
            # Rows are dealt evenly: a tile of few has little to do between its loads.
            begin, end = n.rows * tile // n_tiles, n.rows * (tile + 1) // n_tiles
            place = n.out_first + n.out_step * first_row * n.out_width
            out = y + size * ((image * n.rows + begin) * n.out_plane + place)
            target = out if n.direct else panel
            out_row = n.out_plane if n.direct else n.panel_row
            start_at, start_row = (scratch - ZERO_BYTES, 0) if start == NOTHING else (start + size * begin, 1)
            tiles, fewer = n.vectors // VECTORS, n.vectors % VECTORS
            shape = local(SumOfTaps(tiles, fewer, places, n.depth, taps, n.weight_row, out_row, start_row))
            weights_at = weights + size * begin * n.weight_row
            sum_taps(n.tiles, end - begin, shape, weights_at, source, target, start_at, floor)
            for r in range(end - begin):
                own = panel + size * (r * n.panel_row + (first_row - row) * n.line)
                below, lines = out + size * r * n.out_plane, min(n.band, n.places_h - first_row)
                if not n.direct:
                    copy_back(own, n.line, lines, n.places_w, below, n.out_width, n.out_step, one)
                if function > RELU:
                    other = below if kept == NOTHING else kept + (below - y)
                    call_function(function, below, other, lines * n.places_w, number)


@kernel
def correlate(team, plan, x, weights, start, y, n_images, epilogue, number):
    """Sums of weights times what lies below, for all images; see ``convolution_plan.Correlation``.

    x, y : addresses of images and of outputs, which are written to
    weights : address of the filters
    start : address of what each row of an output begins with, or NOTHING for zeros
    epilogue, number : ``(f, kept)`` and the number of f: LINEAR, RELU, or the address of a function of ``activations``
        that the output is put through, and what it takes beside, laid out as the output, or NOTHING for the output
        itself; LINEAR where an output is done in steps
    """
    n = operands(Correlation, plan)
    units, tiles = n_images * n.bands, (n.rows + MOST_ROWS - 1) // MOST_ROWS
    work = 2 * units * n.vectors * n.lanes * n.rows * n.depth
    of_units, of_tiles = _shares(team, units, tiles, work)
    arguments = (plan, x, weights, start, y, epilogue, units, of_units, of_tiles, team, number)
    spread(team, of_units * of_tiles, package(_correlate_part, arguments))


@kernel(inline=True)
def parts_of_gradient(n, n_images):
    """In how many parts a ``WeightGradient`` is added up."""
    return max(1, min(n.parts, n_images * n.bands))


@kernel
def _gradient_part(plan, x, d, partial, n_units, n_parts, of_tiles, team, one, part, member):
    n, of_x = operands(WeightGradient, plan), operands(Planes, plan + 8 * _PLANES_OF_GRADIENT)
    of_d = operands(Planes, plan + 8 * (_PLANES_OF_GRADIENT + _N_PLANES))
    size, scratch = size_of(one), scratch_of(team, member)
    part, share = part // of_tiles, part % of_tiles
    rows, taps = n.rows, n.taps
    first, last = n.row_tiles * share // of_tiles, n.row_tiles * (share + 1) // of_tiles
    begin_row, end_row = first * rows, min(n.filters, last * rows)
    at_taps = plan + 8 * GRADIENT_TAPS
    places = at_taps + 16 * n.depth
    block = rows * TAP_WIDTH
    total = partial + size * part * (n.filters + n.row_tiles * n.tap_tiles * block)
    of_bias, of_tile = view(total, n.filters, one), total + size * n.filters
    for f in range(begin_row, end_row):
        of_bias[f] = like(0, one)
    fill_with_zeros(of_tile + size * first * n.tap_tiles * block, (last - first) * n.tap_tiles * block, one)
    x_unit = n.x_image if n.x_in_place else of_x.image
    d_image = n.filters * n.places_h * n.places_w
    d_unit = d_image if n.d_in_place else of_d.image
    d_copies = scratch + (0 if n.x_in_place else size * n.group * of_x.image)
    begin, end = n_units * part // n_parts, n_units * (part + 1) // n_parts
    for u in range(begin, end, n.group):
        units = min(n.group, end - u)
        image, row = u // n.bands, u % n.bands * n.band
        x_at, d_at = x + size * image * n.x_image, d + size * (image * d_image + row * n.places_w)
        there = min(n.band, n.places_h - row)
        for i in range(units):
            for f in range(begin_row, end_row):
                at = d_at + size * (i * d_image + f * n.places_h * n.places_w)
                of_bias[f] += row_sum(at, there * n.places_w, one)
        if not n.x_in_place:
            for i in range(units):
                copy_image(x_at + size * i * n.x_image, of_x, row, scratch + size * i * of_x.image, one)
            x_at = scratch
        if not n.d_in_place:
            for i in range(units):
                at = d + size * (image + i) * d_image
                copy_image(at, of_d, row, d_copies + size * i * of_d.image, one)
            d_at = d_copies
        vectors = there * n.vectors_of_line if n.vectors_of_line > 0 else n.vectors
        for f in range(first, last):
            d_rows = d_at + size * f * rows * n.d_row
            for t in range(n.tap_tiles):
                last_row, last_tap = min(rows, n.filters - f * rows) - 1, min(taps, n.depth - t * taps) - 1
                shape = local(SumOfPlaces(last_row, last_tap, units, vectors, places, n.d_row, d_unit, x_unit))
                out = of_tile + size * (f * n.tap_tiles + t) * block
                sum_places(n.tiles, n.tile, shape, d_rows, x_at, at_taps + 16 * t * taps, out)


@kernel
def _sum_of_places(n, p, x, d, n_images, f, t, one):
    """The gradient of element ``t`` of filter ``f`` over the places that there are; NaN as soon as it is.

    ``n`` is a ``WeightGradient``, ``p`` the ``Planes`` of its images.
    """
    size_h, size_w = n.filter_h, n.filter_w
    c, down, right = t // (size_h * size_w), t // size_w % size_h - p.top, t % size_w - p.left
    area, of_image = n.places_h * n.places_w, p.height * p.width
    total = 0.0
    for image in range(n_images):
        dout = view(d + size_of(one) * (image * n.filters + f) * area, area, one)
        pixels = view(x + size_of(one) * (image * p.channels + c) * of_image, of_image, one)
        for i in range(n.places_h):
            row = i * p.stride + down
            for j in range(n.places_w):
                column = j * p.stride + right
                if row >= 0 and row < p.height and column >= 0 and column < p.width:
                    total += np.float64(dout[i * n.places_w + j]) * np.float64(pixels[row * p.width + column])
                else:
                    total += np.float64(dout[i * n.places_w + j]) * 0.0
            if total != total:
                return like(total, one)
    return like(total, one)


@kernel(inline=True)
def added_up(partial, n_parts, of_part, one):
    """The sums of ``of_part`` elements that each part has at the address ``partial``, added up in the first's place."""
    sums = view(partial, of_part, one)
    for part in range(1, n_parts):
        own = view(partial + size_of(one) * part * of_part, of_part, one)
        for i in range(sums.size):
            sums[i] += own[i]
    return sums


@kernel(inline=True)
def write_bias(db, filters, sums, rate, adds):
    """What ``gradient_of_filters`` does at ``db``, by the first of the ``sums``."""
    if db != NOTHING:
        bias = view(db, filters, rate)
        for f in range(filters):
            bias[f] = (bias[f] if adds else like(0, rate)) + rate * sums[f]


@kernel
def gradient_of_filters(team, plan, x, d, partial, n_images, rate, adds, dw, db):
    """The gradients of filters and bias by that with respect to the output; see ``convolution_plan.WeightGradient``.

    x, d : addresses of images, and of the gradients with respect to outputs
    partial : address of room for ``convolution_plan.elements_of_parts``, overwritten
    rate, adds : what gradients are multiplied by, and whether they are added to what stands there
    dw, db : addresses of theirs, which are written to; that of the bias may be NOTHING
    """
    n, one = operands(WeightGradient, plan), rate
    units, n_parts = n_images * n.bands, parts_of_gradient(n, n_images)
    rows, taps = n.rows, n.taps
    work = 2 * units * n.filters * n.depth * n.band * n.places_w
    of_tiles = 1
    if work >= machine_of(team).parallel_flops:
        of_tiles = min(n.row_tiles, (machine_of(team).many_parts + n_parts - 1) // n_parts)
    arguments = (plan, x, d, partial, units, n_parts, of_tiles, team, one)
    spread(team, n_parts * of_tiles, package(_gradient_part, arguments))
    of_part = n.filters + n.row_tiles * n.tap_tiles * rows * TAP_WIDTH
    sums = added_up(partial, n_parts, of_part, one)
    write_bias(db, n.filters, sums, rate, adds)
    of_x = operands(Planes, plan + 8 * _PLANES_OF_GRADIENT)
    filters = view(dw, n.filters * n.depth, one)
    for f in range(n.filters):
        for t in range(n.depth):
            tile = f // rows * n.tap_tiles + t // taps
            found = sums[n.filters + (tile * rows + f % rows) * TAP_WIDTH + t % taps]
            if found != found:
                # Between lines of places there are zeros, which a pixel that is not finite makes NaN of.
                found = _sum_of_places(n, of_x, x, d, n_images, f, t, one)
            at = f * n.depth + t
            filters[at] = (filters[at] if adds else like(0, one)) + rate * found


class Convolution(NamedTuple):
    """y = f(x * W + b): x (N, C, H, W), W (F, C, KH, KW), b (F,) or NOTHING; f as in ``gemm``'s epilogue."""

    x: int
    W: int
    b: int
    y: int
    images: int
    plan: int
    function: int
    number: float


class ConvolutionInputGradient(NamedTuple):
    """dx, or where W moves in steps those of its rows and columns that the plan is for, and what f makes of them."""

    dy: int
    W: int
    dx: int
    images: int
    plan: int
    function: int
    kept: int
    number: float


class ConvolutionWeightGradient(NamedTuple):
    """dW and db, the latter or NOTHING; added to what stands there if ``adds``; a step of descent if ``descends``."""

    x: int
    dy: int
    dW: int
    db: int
    images: int
    plan: int
    partial: int
    adds: int
    descends: int


@operation(Convolution)
def convolve(team, row, step, one):
    """Run ``Convolution``."""
    i = operands(Convolution, row)
    correlate(team, i.plan, i.x, i.W, i.b, i.y, i.images, (i.function, NOTHING), like(i.number, one))


@operation(ConvolutionInputGradient)
def convolve_back(team, row, step, one):
    """Run ``ConvolutionInputGradient``."""
    i = operands(ConvolutionInputGradient, row)
    correlate(team, i.plan, i.dy, i.W, NOTHING, i.dx, i.images, (i.function, i.kept), like(i.number, one))


@operation(ConvolutionWeightGradient)
def gradient_of_convolution(team, row, step, one):
    """Run ``ConvolutionWeightGradient``."""
    i = operands(ConvolutionWeightGradient, row)
    rate = like(-float_of_bits(load(step + 8 * LR)) if i.descends else 1.0, one)
    gradient_of_filters(team, i.plan, i.x, i.dy, i.partial, i.images, rate, i.adds + i.descends > 0, i.dW, i.db)
