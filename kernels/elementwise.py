"""Functions of ``activations``, called through their addresses: over arrays shared among a team, and over rows.

Calling through an address keeps a function out of the machine code of all who may apply it: what no network uses is not
compiled, and a new function compiles nothing else again.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .entry import extra, number, operand
from .machine import FIXED
from .memory import like, size_of, view
from .simd import I64, element_type
from .team import package, part_of, parts_of, spread

BLOCK = FIXED.function_block


@intrinsic
def call_function(typingctx, function, first, second, n, number):
    """Call the kernel of ``activations``, a function or a ``_back``, at an address."""

    def codegen(context, builder, signature, arguments):
        form = ir.FunctionType(ir.VoidType(), [I64, I64, I64, element_type(signature.args[-1])])
        builder.call(builder.inttoptr(arguments[0], form.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, number), codegen


@kernel(inline=True)
def _copy(source, target, begin, end, number):
    """Copy the elements ``begin`` to ``end`` from one address to the other, unless they are the same."""
    if source != target:
        size = size_of(number)
        given, copied = (
            view(source + size * begin, end - begin, number),
            view(target + size * begin, end - begin, number),
        )
        for i in range(copied.size):
            copied[i] = given[i]


@kernel
def _forward(function, x, y, n, number, part, member):
    begin, end = part_of(n, part)
    moved = size_of(number) * begin
    call_function(function, x + moved, y + moved, end - begin, number)


@kernel
def apply_function(team, function, x, y, n, number):
    """``y = f(x)`` for ``n`` elements from the addresses ``x`` and ``y`` on, which are the same or do not overlap."""
    spread(team, parts_of(n), package(_forward, (function, x, y, n, number)))


@kernel
def _backward(function, dy, kept, dx, n, number, part, member):
    begin, end = part_of(n, part)
    size = size_of(number)
    for at in range(begin, end, BLOCK):
        stop = min(at + BLOCK, end)
        _copy(dy, dx, at, stop, number)
        call_function(function, dx + size * at, kept + size * at, stop - at, number)


@kernel
def apply_function_back(team, function, dy, kept, dx, n, number):
    """The gradient with respect to x, at ``dx``, of that with respect to y, at ``dy``, which may be the same place.

    ``function`` is that of a ``_back``, and what it needs stands at ``kept``; ``n`` elements each.
    """
    spread(team, parts_of(n), package(_backward, (function, dy, kept, dx, n, number)))


@kernel(by_address=True)
def function_forward(team, operands, one):
    """``apply_function``. Operands: x, number; made: y; beside them the function. In the form of an ``Entry``."""
    x, rows, columns = operand(operands, 0)
    apply_function(team, extra(operands, 0), x, operand(operands, 2)[0], rows * columns, like(number(operands, 1), one))
    return 1


@kernel(by_address=True)
def function_backward(team, operands, one):
    """``apply_function_back``. Operands: dy, kept, number; made: dx; beside them the function. As ``Entry`` has it."""
    dy, rows, columns = operand(operands, 0)
    kept, dx = operand(operands, 1)[0], operand(operands, 3)[0]
    apply_function_back(team, extra(operands, 0), dy, kept, dx, rows * columns, like(number(operands, 2), one))
    return 1
