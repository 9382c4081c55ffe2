"""The fully connected layer."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check, _team
from fastbp.basics._arguments import shown
from fastbp.basics._attributes import derived, left, remembered
from fastbp.basics._tensor import array_of_tensor
from fastbp.kernels import instructions as of
from fastbp.kernels.affine import affine_backward, affine_forward, affine_gradients
from fastbp.kernels.entry import Entry
from fastbp.kernels.gemm import LINEAR, NOTHING
from fastbp.layers._layer import Layer
from fastbp.layers._weighted import Weighted
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

FORWARD = Entry(affine_forward, "NI IO' O=None -> NO")
BACKWARD = Entry(affine_backward, "NO NI IO' O=None -> NI IO O")
GRADIENTS = Entry(affine_gradients, "NO NI IO' O=None -> IO O")
BACKWARD_OF_ANY_WIDTH = Entry(affine_backward, "NO NJ IO' O=None -> NI JO O")


class Affine(Weighted):
    """``x W + b`` as a layer.

    The parameters are kept by reference: what is written into them in place counts at the next call. In a network every
    bias becomes one of shape (O,).

    Parameters
    ----------
    W : (I, O) array of real numbers
        In any layout.
    b : (O,) array of real numbers, or None
        None for a layer without bias; as in NumPy, (1, O) is the same, and one number, also (1,), is added to all
        outputs.

    Attributes
    ----------
    W : (I, O) array
        A new one may be assigned.
    b : (O,) array, number or None
        A new one may be assigned.
    x : (N, I) array or None
        The rows of the last ``forward``, (I,) for a single sample; None before the first.
    original_x_shape : tuple of int or None
        The shape that ``x`` came in.
    dW : (I, O) array or None
        The gradient of ``W`` from the last ``backward``; None before the first.
    db : (O,) array or None
        The gradient of ``b``: the sum of the rows of ``dout`` whatever the shape of ``b``, as in the book.
    """

    remembers = ("_last",)
    flattens_images = True
    torch = "Linear", {"weight": "W", "bias": "b"}
    c = """\
    /* y = x W + b, where W has a row for each input; b may be NULL. */
    for (size_t o = 0; o < n_outputs; o++)
        y[o] = b ? b[o] : 0;
    for (size_t i = 0; i < n_inputs; i++)
        for (size_t o = 0; o < n_outputs; o++)
            y[o] += x[i] * W[i * n_outputs + o];
"""

    x: np.ndarray | None = remembered(0)
    original_x_shape: tuple[int, ...] | None = remembered(1)
    # And x once more, as it was and as the kernels took it; the shape once more where the two are the same (N, I).
    _last: tuple[Any, Any, Any, Any, Any] = left((None, None, None, None, None))

    def __init__(self, W: np.ndarray, b: np.ndarray | float | None) -> None:
        if isinstance(W, (int, float, np.number)):
            raise TypeError(
                f"W must be an array (inputs, outputs), got {shown(W)}; fastbp.mlp([inputs, outputs]) makes a network "
                "with weights of its own"
            )
        self.W = W
        self.b: Any = b
        self.dW: np.ndarray | None = None
        self.db: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x W + b``.

        Parameters
        ----------
        x : (N, I), (I,) or (N, C, H, W) array of real numbers
            (I,) is a single sample; (N, C, H, W) has C H W = I, and its rows are flattened. Where I is 1, (N,) are N
            samples, as in the book.

        Returns
        -------
        out : (N, O) array, or (O,) for a single sample
            Its dtype is that of NumPy's ``x @ W + b``, float64 for integers.

        Raises
        ------
        ValueError
            Where shapes do not fit.
        TypeError
            For what is no array of real numbers.
        """
        out = FORWARD.call(_team.address, x, self.W, self.b)
        if out is None:
            return self._forward(x)
        rows = _check.own_view(x)
        shape = rows.shape
        self._last = rows, shape, rows, rows, shape
        return out

    def _forward(self, x: ArrayLike) -> np.ndarray:
        """``forward`` of what is not, or not yet, as the kernel takes it."""
        x = _check.as_real("x", x)
        W, b = self.checked_parameters()
        flat = x.ndim > 2 or (x.ndim == 1 and len(W) == 1)
        rows = x.reshape(x.shape[0], math.prod(x.shape[1:])) if flat else x
        if rows.ndim == 0 or rows.shape[-1] != W.shape[0]:
            raise ValueError(
                f"x of shape {x.shape} does not fit W of shape {W.shape}: x must have {W.shape[0]} inputs a sample"
            )
        dtype = _check.result_type(x, W, b)
        kind = _check.computed_in(dtype)
        inputs = _check.as_rows(_check.ready(rows, kind))
        _team.learn(kind)
        out = FORWARD(_team.address, inputs, _weights(W, kind), _check.ready(b, kind) if b.size else None)
        self._last = rows, x.shape, rows, inputs, None
        if rows.ndim == 1:
            out = out[0]
        return _check.of_type(out, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, in the shape that ``x`` came in, and set ``dW`` and ``db``.

        ``dout`` has the shape of the last ``forward``'s result; the gradients are ``dx = dout W.T``, ``dW = x.T dout``
        and ``db``, the sum of the rows of ``dout``. ``x``, ``W`` and ``original_x_shape`` are taken as they are now,
        set since ``forward`` or not.

        Raises
        ------
        ValueError
            Where shapes do not fit.
        RuntimeError
            Before the first ``forward``.
        """
        x, shape, before, _, of_rows = self._last
        if x is before and shape is of_rows:
            made = BACKWARD.call(_team.address, dout, x, self.W, self.b)
            if made is not None:
                dx, self.dW, db = made
                self.db = None if self.b is None else db
                return dx
        return self._backward(dout)

    def leave_gradients(self, dout: ArrayLike) -> None:
        """Set ``dW`` and ``db`` as ``backward`` does, without the gradient with respect to ``x``."""
        if type(self).backward is not Affine.backward:
            return super().leave_gradients(dout)
        x, shape, before, _, of_rows = self._last
        if x is before and shape is of_rows:
            made = GRADIENTS.call(_team.address, dout, x, self.W, self.b)
            if made is not None:
                self.dW, db = made
                self.db = None if self.b is None else db
                return None
        self._backward(dout, wanted=False)
        return None

    def _backward(self, dout: ArrayLike, *, wanted: bool = True) -> Any:
        """``backward`` of what is not, or not yet, as the kernel takes it; whether dx is ``wanted``."""
        given, shape, before, inputs, _ = self._last
        if given is None or shape is None:
            raise _check.not_before_forward(self)
        x, dout = _check.as_real("x", given), _check.as_real("dout", dout)
        W, _ = self.checked_parameters()
        if x.ndim not in (1, 2):
            raise ValueError(f"x must be (N, I) or (I,), got shape {x.shape}")
        _check.same_shape("dout", dout, (*x.shape[:-1], W.shape[1]), "the output")
        kind = _check.computed_in(_check.result_type(dout, x, W))
        if given is not before or inputs.dtype != kind or inputs.shape != (x.shape if x.ndim == 2 else (1, x.size)):
            inputs = _check.as_rows(_check.ready(x, kind))
        rows = _check.as_rows(_check.ready(dout, kind))
        _team.learn(kind)
        arguments, fits, dx = (_team.address, rows, inputs, _weights(W, kind), None), inputs.shape[1] == len(W), None
        if wanted or not fits:
            dx, dW, db = (BACKWARD if fits else BACKWARD_OF_ANY_WIDTH)(*arguments)
            dx = _check.of_type(_shaped(dx, shape, W), _check.result_type(dout, W))
        else:
            dW, db = GRADIENTS(*arguments)
        self.dW = _check.of_type(dW, _check.result_type(x, dout))
        self.db = None if self.b is None else _check.of_type(db, _check.result_type(dout))
        return dx

    @classmethod
    def of_width(cls, n: int, dtype: np.dtype) -> Layer:
        """One with as many outputs, whose weights are 0.1."""
        return cls(np.full((n, n), 0.1, dtype), np.zeros(n, dtype))

    @property
    def n_inputs(self) -> int:
        """Numbers in an input sample, as many as ``W`` has rows."""
        return self.W.shape[0]

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(O,), for samples of any shape with I numbers in all: they are flattened."""
        if self.W.shape[0] != math.prod(shape):
            columns = " x ".join(map(str, shape))
            raise ValueError(f"W of shape {self.W.shape} does not fit the {columns} outputs of the layers before")
        return self.W.shape[1:]

    def with_scaled_inputs(self, scale: float) -> Layer:
        """One whose weights are ``scale W``."""
        W, _ = self.checked_parameters()
        return Affine((W * np.float64(scale)).astype(W.dtype), self.b)

    def with_scaled_outputs(self, mean: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> Layer:
        """One whose weights are ``W factor``, and whose bias has the rest, computed in the types of all of these."""
        W, b = self.checked_parameters()
        bias = ((b if b.size else 0) - mean) * factor + shift
        return Affine((W * factor).astype(W.dtype), bias.astype(W.dtype))

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the product; its gradient with respect to ``x`` is put through the slope of ``x`` as it is computed."""
        own_W, own_b = self.checked_parameters()
        W, b = p.place_of(own_W), p.place_of(own_b) if own_b.size else NOTHING
        n_inputs, n_outputs = own_W.shape
        if n_inputs != x.columns:
            raise RuntimeError(f"W of shape {own_W.shape} does not fit the {x.columns} outputs of what is before it")
        n_rows = p.rows
        y = p.buffer((self, "y"), n_outputs)
        plan = p.plan((n_rows, n_outputs, n_inputs), (n_inputs, 1), (n_outputs, 1))
        p.emit(of.AffineForward(x.address, W, b, y, plan, function=LINEAR, number=0.0))

        def backward(dy: int, wanted: bool) -> int:
            dx = p.buffer((self, "dx"), n_inputs) if wanted else NOTHING
            if wanted:
                plan = p.plan((n_rows, n_inputs, n_outputs), (n_outputs, 1), (1, n_outputs), alone=True)
                p.emit(of.AffineInputGradient(dy, W, dx, plan, *x.take_slope()))
            plan = p.plan(
                (n_inputs, n_outputs, n_rows), (1, n_inputs), (n_outputs, 1), adds_rows=p.fused_step or p.adds
            )
            plan_of_sum = p.plan((1, n_outputs, n_rows), (0, 0), (n_outputs, 1))
            if p.fused_step:
                p.emit(of.AffineStep(x.address, dy, W, b, plan, plan_of_sum))
            else:
                dW, db = p.gradient_of(own_W), p.gradient_of(own_b) if own_b.size else NOTHING
                p.emit(of.AffineWeightGradient(x.address, dy, dW, db, plan, plan_of_sum, p.adds))
            return dx

        p.on_backward(self, backward)
        return Operand(y, (n_outputs,))

    @derived
    def numpy(self) -> str:
        """The product, with the bias where there is one."""
        return "x @ W" if self.b is None else "x @ W + b"

    def onnx(self, node: Any, x: str) -> str:
        """ONNX's Gemm, which takes ``W`` as it is here."""
        return node("Gemm", x, self.W, *([] if self.b is None else [self.b]))

    def to_module(self, nn: Any) -> Any:
        """A Linear without memory of its own: its arrays are assigned."""
        return nn.Linear(*self.W.shape, bias=self.b is not None, device="meta")

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """From a Linear: a view of its weights, transposed."""
        bias = module.bias
        return cls(array_of_tensor("weight", module.weight).T, None if bias is None else array_of_tensor("bias", bias))

    def checked_parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """``W`` (I, O) and ``b`` (O,) as they are now, in arrays of their own; b has no elements where there is none.

        Raises ValueError where they do not fit, TypeError for what is no array of real numbers.
        """
        W, given = _check.as_real("W", self.W), self.b
        if W.ndim != 2:
            raise ValueError(f"W must have two dimensions, (inputs, outputs), got shape {W.shape}")
        if given is None:
            return W, np.empty(0, W.dtype)
        b = _check.as_real("b", given)
        if b.shape != W.shape[1:]:
            if b.shape != (1, W.shape[1]) and not (b.size == 1 and b.ndim <= 2):
                raise ValueError(
                    f"b must have one element for each column of W of shape {W.shape}, or one for all, "
                    f"got shape {b.shape}"
                )
            if type(given) in (int, float):  # which has no type of its own in NumPy's promotion
                b = b.astype(_check.result_type(W))
            b = np.array(np.broadcast_to(b, (1, W.shape[1]))[0])
        return W, b

    def __repr__(self) -> str:
        bias = "" if self.b is not None else ", without bias"
        return f"Affine{np.shape(self.W)}"[:-1] + f"{bias})"


def _shaped(dx: np.ndarray, shape: tuple[int, ...], W: np.ndarray) -> np.ndarray:
    try:
        return dx.reshape(shape)
    except (ValueError, TypeError):
        raise ValueError(
            f"W of shape {W.shape} does not fit the x of the last forward, {shape}: dx is of shape {dx.shape}"
        ) from None


def _weights(W: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``W`` for a kernel: itself in C or in Fortran order, else a copy."""
    # (NumPy's flags.farray is true of some arrays in neither order.)
    if type(W) is np.ndarray and W.dtype == dtype and W.flags.f_contiguous and W.flags.behaved:
        return W
    return _check.ready(W, dtype)
