"""Leaky ReLU: x where it is positive or NaN, else a fixed part of it."""

from ._jit import kernel
from .entry import number, operand
from .memory import like, size_of, view
from .team import package, part_of, parts_of, spread


@kernel
def _forward(x, slope, y, mask, n, part, member):
    zero = like(0, slope)
    begin, end = part_of(n, part)
    size = size_of(slope)
    x, y = view(x + size * begin, end - begin, slope), view(y + size * begin, end - begin, slope)
    mask = view(mask + begin, end - begin, True)
    for i in range(x.size):
        masked = x[i] <= zero
        mask[i] = masked
        y[i] = slope * x[i] if masked else x[i]


@kernel(by_address=True)
def leaky_relu_forward(team, operands, one):
    """``mask = x <= 0``, ``y = slope x where mask, else x``, element by element; NaN stays.

    Operands: x, slope; made: y, mask. In the form of an ``Entry``.
    """
    x, rows, columns = operand(operands, 0)
    y, mask, n = operand(operands, 2)[0], operand(operands, 3)[0], rows * columns
    spread(team, parts_of(n), package(_forward, (x, like(number(operands, 1), one), y, mask, n)))
    return 1


@kernel
def _backward(dout, mask, slope, dx, n, part, member):
    begin, end = part_of(n, part)
    size = size_of(slope)
    dout, dx = view(dout + size * begin, end - begin, slope), view(dx + size * begin, end - begin, slope)
    mask = view(mask + begin, end - begin, True)
    for i in range(dout.size):
        dx[i] = slope * dout[i] if mask[i] else dout[i]


@kernel(by_address=True)
def leaky_relu_backward(team, operands, one):
    """``dx = slope dout where mask, else dout``, element by element.

    Operands: dout, mask, slope; made: dx. In the form of an ``Entry``.
    """
    dout, rows, columns = operand(operands, 0)
    mask, dx, n = operand(operands, 1)[0], operand(operands, 3)[0], rows * columns
    spread(team, parts_of(n), package(_backward, (dout, mask, like(number(operands, 2), one), dx, n)))
    return 1
