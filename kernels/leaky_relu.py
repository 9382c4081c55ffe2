"""Leaky ReLU: x where it is positive or NaN, else a fixed part of it."""

from ._jit import kernel
from .team import package, part_of, parts_of, spread


@kernel
def _forward(x, slope, y, mask, part, member):
    zero = x.dtype.type(0)
    begin, end = part_of(x.size, part)
    x, y, mask = x[begin:end], y[begin:end], mask[begin:end]
    for i in range(x.size):
        masked = x[i] <= zero
        mask[i] = masked
        y[i] = slope * x[i] if masked else x[i]


@kernel
def leaky_relu_forward(team, x, slope, y, mask):
    """``mask = x <= 0``, ``y = slope x where mask, else x``, element by element; NaN stays.

    x, y : (N, D) float32 or float64, mask : (N, D) bool; C-contiguous. ``y`` and ``mask`` are overwritten.
    slope : number of the type of ``x``
    """
    size = x.size
    job = package(_forward, (x.reshape(size), slope, y.reshape(size), mask.reshape(size)))
    spread(team, parts_of(size), job)


@kernel
def _backward(dout, mask, slope, dx, part, member):
    begin, end = part_of(dout.size, part)
    dout, mask, dx = dout[begin:end], mask[begin:end], dx[begin:end]
    for i in range(dout.size):
        dx[i] = slope * dout[i] if mask[i] else dout[i]


@kernel
def leaky_relu_backward(team, dout, mask, slope, dx):
    """``dx = slope dout where mask, else dout``, element by element.

    dout, dx : (N, D) of one type, mask : (N, D) bool; C-contiguous. ``dx`` is overwritten and may be ``dout``.
    slope : number of the type of ``dout``
    """
    size = dout.size
    job = package(_backward, (dout.reshape(size), mask.reshape(size), slope, dx.reshape(size)))
    spread(team, parts_of(size), job)
