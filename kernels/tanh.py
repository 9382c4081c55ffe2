"""The hyperbolic tangent."""

from ._jit import kernel
from .elementary import tanh
from .team import package, part_of, parts_of, spread


@kernel
def _forward(x, y, part, member):
    begin, end = part_of(x.size, part)
    x, y = x[begin:end], y[begin:end]
    for i in range(x.size):
        y[i] = tanh(x[i])


@kernel
def tanh_forward(team, x, y):
    """``y = tanh(x)``, element by element, within 4 units in the last place, numbers next to 0 included.

    x, y : (N, D) float32 or float64, C-contiguous. ``y`` is overwritten and may be ``x``.
    """
    size = x.size
    spread(team, parts_of(size), package(_forward, (x.reshape(size), y.reshape(size))))


@kernel
def _backward(dout, y, dx, part, member):
    one = y.dtype.type(1)
    begin, end = part_of(y.size, part)
    dout, y, dx = dout[begin:end], y[begin:end], dx[begin:end]
    for i in range(y.size):
        dx[i] = dout[i] * (one - y[i] * y[i])


@kernel
def tanh_backward(team, dout, y, dx):
    """``dx = dout (1 - y y)``, element by element, from the output y of the forward pass.

    dout, y, dx : (N, D) of one type, C-contiguous. ``dx`` is overwritten and may be ``dout``.
    """
    size = y.size
    job = package(_backward, (dout.reshape(size), y.reshape(size), dx.reshape(size)))
    spread(team, parts_of(size), job)


@kernel
def _backward_in_place(d, y, part, member):
    one = y.dtype.type(1)
    begin, end = part_of(d.size, part)
    d, y = d[begin:end], y[begin:end]
    for i in range(d.size):
        d[i] = d[i] * (one - y[i] * y[i])


@kernel
def tanh_backward_in_place(team, d, y):
    """The gradient ``d`` with respect to y becomes that with respect to x, by the output y of the forward pass.

    d, y : (n,) of one type, contiguous, not the same.
    """
    spread(team, parts_of(d.size), package(_backward_in_place, (d, y)))
