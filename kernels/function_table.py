"""Tables of functions in machine code: one for each of many shapes, called by the number of a shape.

Numba's pipeline is paid once for all of them, and a caller that is handed the table's address has none of them in its
own machine code.
"""

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import I64, element_type


def constant_table(module: ir.Module, name: str, functions: Sequence[ir.Value]) -> ir.GlobalVariable:
    """The addresses of ``functions``, all of one type, as a constant array of ``module``."""
    table = ir.GlobalVariable(module, ir.ArrayType(functions[0].type, len(functions)), name)
    table.linkage = "internal"
    table.global_constant = True
    table.initializer = ir.Constant(table.value_type, functions)
    return table


def address_of_table(table: Callable[[ir.Module, ir.Type], ir.GlobalVariable]):
    """An intrinsic of ``one``: the address of what ``table`` makes in a module for elements of the type of ``one``."""

    @intrinsic
    def address(typingctx, one):
        def codegen(context, builder, signature, arguments):
            return builder.ptrtoint(table(builder.module, element_type(one)), I64)

        return types.int64(one), codegen

    return address


def call_entry(builder: ir.IRBuilder, table: ir.Value, place: ir.Value, arguments: Sequence[ir.Value]) -> None:
    """Call the function number ``place`` of the table at an address, which returns nothing."""
    form = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    entries = builder.inttoptr(table, form.as_pointer().as_pointer())
    builder.call(builder.load(builder.gep(entries, [place])), arguments)
