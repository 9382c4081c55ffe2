"""Affine map of rows: ``y = x W + b`` and its gradients."""

from ._jit import kernel
from .entry import operand, strides_of
from .gemm import NO_EPILOGUE, NOTHING, gemm, is_known
from .memory import like, local
from .row_sums import add_up_rows, is_short


@kernel(by_address=True)
def affine_forward(team, operands, one):
    """``y = x W + b``.

    Operands: x (N, I), w (I, O) in either order, b (O,) or None; made: y (N, O). In the form of an ``Entry``; returns 0
    where the team does not know the product.
    """
    if not is_known(team, one):
        return 0
    x, n_rows, n_inputs = operand(operands, 0)
    w, _, n_outputs = operand(operands, 1)
    b, y = operand(operands, 2)[0], operand(operands, 3)[0]
    by_row, by_column = strides_of(operands, 1)
    shape = n_rows, n_outputs, n_inputs
    gemm(team, shape, (x, n_inputs, 1), (w, by_row, by_column), (y, n_outputs), (b, 0), one, NO_EPILOGUE)
    return 1


@kernel(by_address=True)
def affine_backward(team, operands, one):
    """``dx = dout W.T``, ``dw = x.T dout``, ``db = sum of the rows of dout``.

    Operands: dout (N, O), x (N, J), w (I, O) in either order, b, which is not read; made: dx (N, I), dw (J, O),
    db (O,). In the form of an ``Entry``; returns 0 where the team does not know the product.
    """
    if not is_known(team, one):
        return 0
    dout, n_rows, n_outputs = operand(operands, 0)
    w, n_inputs, _ = operand(operands, 2)
    dx = operand(operands, 4)[0]
    by_row, by_column = strides_of(operands, 2)
    shape, zeros = (n_rows, n_inputs, n_outputs), (NOTHING, 0)
    gemm(team, shape, (dout, n_outputs, 1), (w, by_column, by_row), (dx, n_inputs), zeros, one, NO_EPILOGUE, 1)
    _gradients(team, operands, 5, one)
    return 1


@kernel(by_address=True)
def affine_gradients(team, operands, one):
    """``affine_backward`` without dx: made are dw and db."""
    if not is_known(team, one):
        return 0
    _gradients(team, operands, 4, one)
    return 1


@kernel
def _gradients(team, operands, made, one):
    """``dw`` and ``db`` of the operands of ``affine_backward``; they are those of number ``made`` and the next."""
    dout, n_rows, n_outputs = operand(operands, 0)
    x, _, n_columns = operand(operands, 1)
    dw, db = operand(operands, made)[0], operand(operands, made + 1)[0]
    zeros, b = (NOTHING, 0), (dout, n_outputs, 1)
    shape = n_columns, n_outputs, n_rows
    gemm(team, shape, (x, 1, n_columns), b, (dw, n_outputs), zeros, one, NO_EPILOGUE)
    if is_short(n_rows, n_outputs):
        add_up_rows(dout, n_rows, n_outputs, db, NOTHING, one)
    else:
        ones = (local(like(1, one)), 0, 0)
        gemm(team, (1, n_outputs, n_rows), ones, b, (db, 0), zeros, one, NO_EPILOGUE)
