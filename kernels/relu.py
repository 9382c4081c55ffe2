"""ReLU: x where it is positive or NaN, else 0."""

from ._jit import kernel
from .team import package, part_of, parts_of, spread


@kernel
def _forward(x, y, mask, part, member):
    zero = x.dtype.type(0)
    begin, end = part_of(x.size, part)
    x, y, mask = x[begin:end], y[begin:end], mask[begin:end]
    for i in range(x.size):
        masked = x[i] <= zero
        mask[i] = masked
        y[i] = zero if masked else x[i]


@kernel
def relu_forward(team, x, y, mask):
    """``mask = x <= 0``, ``y = 0 where mask, else x``, element by element; NaN stays.

    x, y : (N, D) float32 or float64, mask : (N, D) bool; C-contiguous. ``y`` and ``mask`` are overwritten.
    """
    size = x.size
    spread(team, parts_of(size), package(_forward, (x.reshape(size), y.reshape(size), mask.reshape(size))))


@kernel
def _backward(dout, mask, dx, part, member):
    zero = dout.dtype.type(0)
    begin, end = part_of(dout.size, part)
    dout, mask, dx = dout[begin:end], mask[begin:end], dx[begin:end]
    for i in range(dout.size):
        dx[i] = zero if mask[i] else dout[i]


@kernel
def relu_backward(team, dout, mask, dx):
    """``dx = 0 where mask, else dout``, element by element, whatever ``dout`` is where masked.

    dout, dx : (N, D) of one type, mask : (N, D) bool; C-contiguous. ``dx`` is overwritten.
    """
    size = dout.size
    spread(team, parts_of(size), package(_backward, (dout.reshape(size), mask.reshape(size), dx.reshape(size))))


@kernel
def _forward_plain(x, y, part, member):
    zero = x.dtype.type(0)
    begin, end = part_of(x.size, part)
    x, y = x[begin:end], y[begin:end]
    for i in range(x.size):
        y[i] = zero if x[i] <= zero else x[i]


@kernel
def relu_forward_plain(team, x, y):
    """``relu_forward`` without its mask. x, y : (n,) of one type, contiguous; ``y`` is overwritten and may be ``x``."""
    spread(team, parts_of(x.size), package(_forward_plain, (x, y)))


@kernel
def _backward_in_place(d, y, part, member):
    zero = d.dtype.type(0)
    begin, end = part_of(d.size, part)
    d, y = d[begin:end], y[begin:end]
    for i in range(d.size):
        d[i] = zero if y[i] <= zero else d[i]


@kernel
def relu_backward_in_place(team, d, y):
    """The gradient ``d`` with respect to y becomes that with respect to x, by the output y of the forward pass.

    y is 0 exactly where the mask is true. d, y : (n,) of one type, contiguous, not the same. (Out-of-place code that
    is given one array twice is not vectorised.)
    """
    spread(team, parts_of(d.size), package(_backward_in_place, (d, y)))
