"""Affine map of rows: ``y = x W + b`` and its gradients."""

from ._jit import kernel
from .gemm import NO_EPILOGUE, NOTHING, gemm
from .memory import address, like, local


@kernel(inline=True)
def _columns(w):
    """The strides of a (K, N) array as gemm wants them of B: address, from k to k, from column to column."""
    size = w.itemsize
    # A stride of a single row or column means nothing; as 1 or the row's length it keeps the copy simple.
    by_row = w.strides[0] // size if w.shape[0] > 1 else w.shape[1]
    by_column = w.strides[1] // size if w.shape[1] > 1 else 1
    return address(w), by_row, by_column


@kernel
def affine_forward(team, x, w, b, y):
    """``y = x W + b``.

    x : (N, I), C-contiguous
    w : (I, O) with one of its strides an element
    b : (O,), or (0,) to add nothing
    y : (N, O), C-contiguous, overwritten
    """
    n_rows, n_inputs = x.shape
    n_outputs = w.shape[1]
    gemm(
        team,
        (n_rows, n_outputs, n_inputs),
        (address(x), n_inputs, 1),
        _columns(w),
        (address(y), n_outputs),
        (address(b) if b.size else NOTHING, 0),
        x.dtype.type(1),
        NO_EPILOGUE,
    )


@kernel
def affine_backward(team, dout, x, w, dx, dw, db):
    """``dx = dout W.T``, ``dw = x.T dout``, ``db = sum of the rows of dout``.

    dout : (N, O), x : (N, J), C-contiguous
    w : (I, O) with one of its strides an element
    dx : (N, I), dw : (J, O), db : (O,), C-contiguous, overwritten
    """
    n_rows, n_outputs = dout.shape
    n_inputs, n_columns = w.shape[0], x.shape[1]
    one = x.dtype.type(1)
    zeros = (NOTHING, 0)
    at_w, by_row, by_column = _columns(w)
    a = (address(dout), n_outputs, 1)
    gemm(
        team,
        (n_rows, n_inputs, n_outputs),
        a,
        (at_w, by_column, by_row),
        (address(dx), n_inputs),
        zeros,
        one,
        NO_EPILOGUE,
    )
    a = (address(x), 1, n_columns)
    b = (address(dout), n_outputs, 1)
    gemm(team, (n_columns, n_outputs, n_rows), a, b, (address(dw), n_outputs), zeros, one, NO_EPILOGUE)
    ones = (local(like(1, one)), 0, 0)
    gemm(team, (1, n_outputs, n_rows), ones, b, (address(db), 0), zeros, one, NO_EPILOGUE)
