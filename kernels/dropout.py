"""Dropout: each element kept with a given probability, and then scaled so that its mean stays."""

import numpy as np

from ._jit import kernel
from .entry import integer, number, operand
from .memory import view
from .random import BITS, key_of, random_bits
from .team import package, part_of, parts_of, spread


@kernel(inline=True)
def _scale(keep):
    """What a kept element is multiplied with; 0 where nothing is kept."""
    return 1.0 / keep if keep > 0 else 0.0


@kernel
def _forward(x, keep, key, y, mask, part, member):
    zero, scale = x.dtype.type(0), x.dtype.type(_scale(keep))
    limit = np.int64(keep * 2.0**BITS)
    begin, end = part_of(x.size, part)
    x, y, mask = x[begin:end], y[begin:end], mask[begin:end]
    for i in range(x.size):
        kept = random_bits(key, begin + i) < limit
        mask[i] = kept
        y[i] = x[i] * scale if kept else zero


@kernel
def dropout_forward(team, x, keep, key, y, mask):
    """``y = x / keep where mask, else 0``, whatever x is there, with ``mask`` drawn under ``key``.

    Element i of the mask, counted in memory order, is ``random_bits(key, i) < keep 2^53``: it depends on ``key``, i and
    ``keep`` alone, not on the shape, the type of ``x`` or the threads. A new mask takes a new key: ``key_of(seed,
    stream, step)``, with a stream for each layer and a step for each call.

    x, y : (N, D) float32 or float64, mask : (N, D) bool, True where kept; C-contiguous. ``y`` and ``mask`` are
        overwritten; ``y`` may be ``x``.
    keep : float64 in 0..1, the probability to keep an element
    key : int64
    """
    size = x.size
    job = package(_forward, (x.reshape(size), keep, key, y.reshape(size), mask.reshape(size)))
    spread(team, parts_of(size), job)


@kernel
def _backward(dout, mask, keep, dx, part, member):
    zero, scale = dout.dtype.type(0), dout.dtype.type(_scale(keep))
    begin, end = part_of(dout.size, part)
    dout, mask, dx = dout[begin:end], mask[begin:end], dx[begin:end]
    for i in range(dout.size):
        scaled = dout[i] * scale  # of any element: without masked loads, a loop that may not read is not vectorised
        dx[i] = scaled if mask[i] else zero


@kernel
def dropout_backward(team, dout, mask, keep, dx):
    """``dx = dout / keep where mask, else 0``, element by element, whatever ``dout`` is where dropped.

    dout, dx : (N, D) of one type, mask : (N, D) bool; C-contiguous. ``dx`` is overwritten and may be ``dout``.
    keep : float64, as in the forward pass
    """
    size = dout.size
    job = package(_backward, (dout.reshape(size), mask.reshape(size), keep, dx.reshape(size)))
    spread(team, parts_of(size), job)


@kernel(by_address=True)
def drop(team, operands, one):
    """``dropout_forward`` under ``key_of(seed, stream, step)``, in the form of an ``Entry``.

    Operands: x, keep, seed, stream, step; made: y, mask.
    """
    x, rows, columns = operand(operands, 0)
    y, mask, n = operand(operands, 5)[0], operand(operands, 6)[0], rows * columns
    key = key_of(integer(operands, 2), integer(operands, 3), integer(operands, 4))
    arguments = (view(x, n, one), number(operands, 1), key, view(y, n, one), view(mask, n, True))
    spread(team, parts_of(n), package(_forward, arguments))
    return 1


@kernel(by_address=True)
def drop_backward(team, operands, one):
    """``dropout_backward``, in the form of an ``Entry``. Operands: dout, mask, keep; made: dx."""
    dout, rows, columns = operand(operands, 0)
    mask, dx, n = operand(operands, 1)[0], operand(operands, 3)[0], rows * columns
    arguments = (view(dout, n, one), view(mask, n, True), number(operands, 2), view(dx, n, one))
    spread(team, parts_of(n), package(_backward, arguments))
    return 1
