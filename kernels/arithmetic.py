"""Sums and products of arrays, element by element, and their gradients.

Kernels in the form of an ``Entry``; arrays are of one shape.
"""

from ._jit import kernel
from .entry import operand
from .memory import size_of, view
from .team import package, part_of, parts_of, spread


@kernel(inline=True)
def _piece(x, n, one, part):
    """The elements of a part, of ``n`` from the address ``x`` on."""
    begin, end = part_of(n, part)
    return view(x + size_of(one) * begin, end - begin, one)


@kernel
def _sums(x, y, out, n, one, part, member):
    x, y, out = _piece(x, n, one, part), _piece(y, n, one, part), _piece(out, n, one, part)
    for i in range(out.size):
        out[i] = x[i] + y[i]


@kernel
def _products(x, y, out, n, one, part, member):
    x, y, out = _piece(x, n, one, part), _piece(y, n, one, part), _piece(out, n, one, part)
    for i in range(out.size):
        out[i] = x[i] * y[i]


@kernel
def _copies(x, first, second, n, one, part, member):
    x, first, second = _piece(x, n, one, part), _piece(first, n, one, part), _piece(second, n, one, part)
    for i in range(x.size):
        first[i] = x[i]
    for i in range(x.size):
        second[i] = x[i]


@kernel(inline=True)
def _of_two(team, function, operands, one):
    """Share a function of two arrays among a team. Operands: x, y; made: out."""
    x, rows, columns = operand(operands, 0)
    y, out, n = operand(operands, 1)[0], operand(operands, 2)[0], rows * columns
    spread(team, parts_of(n), package(function, (x, y, out, n, one)))


@kernel(by_address=True)
def add(team, operands, one):
    """Operands: x, y; made: x + y."""
    _of_two(team, _sums, operands, one)
    return 1


@kernel(by_address=True)
def multiply(team, operands, one):
    """Operands: x, y; made: x y."""
    _of_two(team, _products, operands, one)
    return 1


@kernel(by_address=True)
def add_backward(team, operands, one):
    """Operands: dout, x, y; made: dx and dy, which are dout."""
    dout, rows, columns = operand(operands, 0)
    dx, dy, n = operand(operands, 3)[0], operand(operands, 4)[0], rows * columns
    spread(team, parts_of(n), package(_copies, (dout, dx, dy, n, one)))
    return 1


@kernel(by_address=True)
def multiply_backward(team, operands, one):
    """Operands: dout, x, y; made: dx = dout y, dy = dout x."""
    dout, rows, columns = operand(operands, 0)
    x, y, n = operand(operands, 1)[0], operand(operands, 2)[0], rows * columns
    spread(team, parts_of(n), package(_products, (dout, y, operand(operands, 3)[0], n, one)))
    spread(team, parts_of(n), package(_products, (dout, x, operand(operands, 4)[0], n, one)))
    return 1
