"""The fully connected layer."""

import math

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _check, _team
from fastbp._layer import Layer, Operand
from fastbp._lowering import Lowering
from fastbp.kernels import instructions as of
from fastbp.kernels.affine import affine_backward, affine_forward
from fastbp.kernels.gemm import LINEAR, NOTHING


class Affine(Layer):
    """``x W + b`` as a layer.

    Parameters
    ----------
    W : (I, O) array of real numbers, in any layout
    b : (O,) array of real numbers, or None for a layer without bias

    Both are kept by reference: what is written into them in place counts at the next call.

    Attributes
    ----------
    W, b : the parameters; a new array may be assigned
    x : (N, I), the rows of the last ``forward``; (I,) for a single sample
    original_x_shape : the shape that ``x`` came in
    dW, db : gradients of the shapes of ``W`` and ``b``, from the last ``backward``

    All but the parameters are None before the first ``forward``, the gradients before the first ``backward``.
    """

    parameters = ("W", "b")
    fuses_step = True

    def __init__(self, W: np.ndarray, b: np.ndarray | None) -> None:
        self.W, self.b = W, b
        self.x: np.ndarray | None = None
        self._x: np.ndarray | None = None  # x as the kernels took it
        self.original_x_shape: tuple[int, ...] | None = None
        self.dW: np.ndarray | None = None
        self.db: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x W + b``.

        Parameters
        ----------
        x : (N, I); (I,), a single sample; or (N, C, H, W) with C H W = I, whose rows are flattened

        Returns
        -------
        out : (N, O), or (O,) for a single sample. Its dtype is that of NumPy's ``x @ W + b``, float64 for integers.

        Raises ValueError where shapes do not fit, TypeError for what is no array of real numbers.
        """
        x = _check.as_real("x", x)
        W, b = self.checked_parameters()
        rows = x if x.ndim <= 2 else x.reshape(x.shape[0], math.prod(x.shape[1:]))
        if rows.ndim == 0 or rows.shape[-1] != W.shape[0]:
            raise ValueError(
                f"x of shape {x.shape} does not fit W of shape {W.shape}: x must have {W.shape[0]} inputs a sample"
            )
        dtype = _check.result_type(x, W, b)
        kind = _check.computed_in(dtype)
        inputs = _check.as_rows(_check.ready(rows, kind))
        out = np.empty((len(inputs), W.shape[1]), kind)
        affine_forward(_team.address_for(kind), inputs, _weights(W, kind), _check.ready(b, kind), out)
        self.x, self._x, self.original_x_shape = rows, inputs, x.shape
        if rows.ndim == 1:
            out = out[0]
        return _check.of_type(out, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, in the shape that ``x`` came in, and set ``dW`` and ``db``.

        ``dout`` has the shape of the last ``forward``'s result; the gradients are ``dx = dout W.T``, ``dW = x.T dout``
        and ``db``, the sum of the rows of ``dout``.

        Raises ValueError where shapes do not fit, RuntimeError before the first ``forward``.
        """
        if self.x is None or self._x is None or self.original_x_shape is None:
            raise _check.not_before_forward(self)
        W, _ = self.checked_parameters()
        dout = _check.as_real("dout", dout)
        _check.same_shape("dout", dout, (*self.x.shape[:-1], W.shape[1]), "the output")
        if self.x.shape[-1] != W.shape[0]:
            raise ValueError(f"W of shape {W.shape} does not fit the x of the last forward, {self.original_x_shape}")
        kind = _check.computed_in(_check.result_type(dout, self.x, W))
        x, rows = _check.ready(self._x, kind), _check.as_rows(_check.ready(dout, kind))
        dx, dW, db = np.empty(x.shape, kind), np.empty(W.shape, kind), np.empty(W.shape[1], kind)
        affine_backward(_team.address_for(kind), rows, x, _weights(W, kind), dx, dW, db)
        self.dW = _check.of_type(dW, _check.result_type(self.x, dout))
        self.db = None if self.b is None else _check.of_type(db, _check.result_type(dout))
        return _check.of_type(dx.reshape(self.original_x_shape), _check.result_type(dout, W))

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        n_inputs, n_outputs = self.W.shape
        if math.prod(shape) != n_inputs:
            raise ValueError(
                f"W of shape {self.W.shape} does not fit the {math.prod(shape)} outputs of the layer before"
            )
        return (n_outputs,)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the product; its gradient with respect to ``x`` is put through the slope of ``x`` as it is computed."""
        n_inputs, n_outputs = self.W.shape
        W, b = self.W.ctypes.data, NOTHING if self.b is None else self.b.ctypes.data
        sizes = p.rows, n_inputs, n_outputs
        y = p.buffer((self, "y"), n_outputs)
        p.emit(of.AffineForward(x.address, W, b, y, *sizes, function=LINEAR, number=0.0))

        def backward(dy: int, wanted: bool) -> int:
            dx = p.buffer((self, "dx"), n_inputs) if wanted else NOTHING
            if wanted:
                function, kept, number = x.take_slope()
                p.emit(of.AffineInputGradient(dy, W, dx, *sizes, function, kept, number))
            if p.fused_step:
                p.emit(of.AffineStep(x.address, dy, W, b, *sizes))
            else:
                db = NOTHING if self.b is None else p.gradient_of(self.b)
                p.emit(of.AffineWeightGradient(x.address, dy, p.gradient_of(self.W), db, *sizes, p.adds))
            return dx

        p.on_backward(self, backward)
        return Operand(y, (n_outputs,))

    def checked_parameters(self) -> tuple[np.ndarray, np.ndarray]:
        W = _check.as_real("W", self.W)
        b = np.empty(0, W.dtype) if self.b is None else _check.as_real("b", self.b)
        if W.ndim != 2:
            raise ValueError(f"W must have two dimensions, (inputs, outputs), got shape {W.shape}")
        if self.b is not None and b.shape != W.shape[1:]:
            raise ValueError(f"b must have one element for each column of W of shape {W.shape}, got shape {b.shape}")
        return W, b

    def __repr__(self) -> str:
        bias = "" if self.b is not None else ", without bias"
        return f"Affine{np.shape(self.W)}"[:-1] + f"{bias})"


def _weights(W: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``W`` for a kernel: itself in C or in Fortran order, else a copy."""
    # (NumPy's flags.farray is true of some arrays in neither order.)
    if type(W) is np.ndarray and W.dtype == dtype and W.flags.f_contiguous and W.flags.behaved:
        return W
    return _check.ready(W, dtype)
