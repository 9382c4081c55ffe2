"""Convolution as a layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check, _team
from fastbp.basics._address import address_of
from fastbp.basics._arguments import shown
from fastbp.basics._attributes import left, remembered, setting
from fastbp.basics._tensor import array_of_tensor
from fastbp.kernels import convolution as of
from fastbp.kernels.convolution import correlate, gradient_of_filters
from fastbp.kernels.convolution_plan import Shape, elements_of_parts, forward, input_gradient, weight_gradient
from fastbp.kernels.gemm import LINEAR, NOTHING
from fastbp.kernels.pooled_filters import PooledWeightGradient, elements_of_pooled_parts, pooled_filters
from fastbp.kernels.pooling import MaxPoolingGradient, Pool
from fastbp.layers._images import (
    as_image_shape,
    as_images,
    as_one,
    c_of_windows,
    pad_setting,
    sizes_of_windows,
    stride_setting,
    window_on,
)
from fastbp.layers._layer import Layer
from fastbp.layers._weighted import Weighted
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import NO_EPILOGUE, Operand

PLAIN = LINEAR, NOTHING


class Convolution(Weighted):
    """Images times filters at each place, plus a bias: the book's layer, ``torch.nn.Conv2d``.

    ``y[n, f, i, j] = b[f] + sum over c, k, l of W[f, c, k, l] x[n, c, stride i + k - pad, stride j + l - pad]``, where
    ``x`` is 0 around the images. The parameters are kept by reference: what is written into them in place counts at the
    next call.

    Parameters
    ----------
    W : (F, C, KH, KW) array of real numbers
        F filters for images of C channels.
    b : (F,) array of real numbers, or None
        None for a layer without bias.
    stride : int of at least 1
        Pixels from one place of the filters to the next, down and to the right.
    pad : int of at least 0
        Zeros around the images.

    Attributes
    ----------
    x : (N, C, H, W) array or None
        The images of the last ``forward``; None before the first.
    dW : (F, C, KH, KW) array or None
        The gradient of ``W`` from the last ``backward``; None before the first.
    db : (F,) array or None
        The gradient of ``b``.
    """

    remembers = ("_last",)
    takes_images = True

    torch = "Conv2d", {"weight": "W", "bias": "b"}
    numpy = """\
stride, pad = int(stride), int(pad)
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    windows = np.lib.stride_tricks.sliding_window_view(x, W.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    y = np.tensordot(windows, W, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return y if b is None else y + b[:, None, None]"""
    c = c_of_windows(
        "b ? b[n] : 0",
        ("0", "channels"),
        "found += value * W[((n * channels + c) * window_height + k) * window_width + l];",
    )

    stride: int = setting(stride_setting)
    pad: int = setting(pad_setting)
    x: np.ndarray | None = remembered(0)
    _last: tuple[np.ndarray | None] = left((None,))

    def __init__(self, W: np.ndarray, b: np.ndarray | None, stride: int = 1, pad: int = 0) -> None:
        if isinstance(W, (int, float, np.number)):
            raise TypeError(f"W must be an array (filters, channels, height, width), got {shown(W)}")
        self.W = W
        self.b = b
        self.stride, self.pad = stride, pad
        self.dW: np.ndarray | None = None
        self.db: np.ndarray | None = None

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the convolution of the images ``x``.

        Parameters
        ----------
        x : (N, C, H, W) array of real numbers

        Returns
        -------
        out : (N, F, OH, OW) array
            OH = (H + 2 pad - KH) // stride + 1, and OW likewise. Of the dtype of NumPy's arithmetic on ``x``, ``W`` and
            ``b``, float64 for integers.

        Raises
        ------
        ValueError
            For ``x`` of other dimensions or channels, and filters larger than the padded images.
        TypeError
            For what is no array of real numbers.
        """
        images = as_images(x)
        W, b = self.checked_parameters()
        shape = self._shape(images.shape[1:], W)
        dtype = _check.result_type(images, W, b)
        kind = _check.computed_in(dtype)
        # All of these are this call's own views or copies, or new: they stay until it returns.
        inputs, W, b = (_check.ready(array, kind) for array in (images, W, b))
        out = np.empty((len(images), shape.filters, *shape.places), kind)
        plan = forward(shape, kind)
        at = address_of(plan), address_of(inputs), address_of(W), address_of(b) if b.size else NOTHING
        correlate(_team.address(), *at, address_of(out), len(images), PLAIN, kind.type(1))
        self._last = (images,)
        return _check.of_type(out, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``, and set ``dW`` and ``db``.

        ``dout`` has the shape of the last ``forward``'s result. ``x`` and ``W`` are taken as they are now. Numbers that
        are not finite go where they go in NumPy's products; only, a weight that is not finite meets every pixel of its
        channel (with a stride, every ``stride``-th), also at a border that it does not reach, as 0 times itself: NaN.

        Raises
        ------
        ValueError
            Where shapes do not fit.
        RuntimeError
            Before the first ``forward``.
        TypeError
            For what is no array of real numbers.
        """
        return self._back(dout, wanted=True)

    def leave_gradients(self, dout: ArrayLike) -> None:
        """Set ``dW`` and ``db`` as ``backward`` does, without the gradient with respect to ``x``."""
        if type(self).backward is Convolution.backward:
            self._back(dout, wanted=False)
        else:
            super().leave_gradients(dout)

    def _back(self, dout: ArrayLike, *, wanted: bool) -> Any:
        """What ``backward`` returns, if that is ``wanted``."""
        (given,) = self._last
        if given is None:
            raise _check.not_before_forward(self)
        images, dout = as_images(given), _check.as_real("dout", dout)
        W, _ = self.checked_parameters()
        shape = self._shape(images.shape[1:], W)
        _check.same_shape("dout", dout, (len(images), shape.filters, *shape.places), "the output")
        kind = _check.computed_in(_check.result_type(dout, images, W))
        x, d, filters = (_check.ready(array, kind) for array in (images, dout, W))
        dW, db = np.empty(W.shape, kind), np.empty(len(W), kind)
        team, one, n_images = _team.address(), kind.type(1), len(images)
        dx = np.empty(x.shape if wanted else 0, kind)
        for plan in input_gradient(shape, kind) if wanted else ():
            at = address_of(plan), address_of(d), address_of(filters), NOTHING, address_of(dx)
            correlate(team, *at, n_images, PLAIN, one)
        plan = weight_gradient(shape, kind)
        partial = np.empty(elements_of_parts(plan, n_images), kind)
        sums = address_of(plan), address_of(x), address_of(d), address_of(partial)
        gradient_of_filters(team, *sums, n_images, one, False, address_of(dW), address_of(db))
        self.dW = _check.of_type(dW, _check.result_type(images, dout))
        self.db = None if self.b is None else _check.of_type(db, _check.result_type(dout))
        return _check.of_type(dx, _check.result_type(dout, W))

    def checked_parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """``W`` (F, C, KH, KW) and ``b`` (F,) as they are now, in arrays of their own; b is empty where there is none.

        Raises ValueError where they do not fit, TypeError for what is no array of real numbers.
        """
        W, given = _check.as_real("W", self.W), self.b
        if W.ndim != 4 or not W.size:
            raise ValueError(
                f"W must have four dimensions, (filters, channels, height, width), none of them 0, got shape {W.shape}"
            )
        if given is None:
            return W, np.empty(0, W.dtype)
        b = _check.as_real("b", given)
        if b.shape != W.shape[:1]:
            raise ValueError(f"b must have one element for each filter of W of shape {W.shape}, got shape {b.shape}")
        return W, b

    def _shape(self, image: tuple[int, ...], W: np.ndarray) -> Shape:
        """Of the convolution of images (C, H, W); ValueError where they do not fit."""
        channels, height, width = as_image_shape(image)
        if channels != W.shape[1]:
            raise ValueError(f"W of shape {W.shape} is for images of {W.shape[1]} channels, got {channels}")
        window_on(image, W.shape[2:], self.pad, "a filter")
        n_filters, _, filter_h, filter_w = W.shape
        return Shape(channels, height, width, n_filters, filter_h, filter_w, self.stride, self.pad)

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(F, OH, OW), for images (C, H, W)."""
        W, _ = self.checked_parameters()
        return W.shape[0], *self._shape(shape, W).places

    def with_scaled_inputs(self, scale: float) -> Layer:
        """One whose filters are ``scale W``: the zeros around images stay what they are."""
        W, _ = self.checked_parameters()
        return Convolution((W * np.float64(scale)).astype(W.dtype), self.b, self.stride, self.pad)

    def with_scaled_outputs(self, mean: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> Layer | None:
        """One whose filters are ``factor W``, and whose bias has the rest; None for a number for each pixel."""
        W, b = self.checked_parameters()
        if len(W) != len(factor):
            return None
        filters, bias = W * factor[:, None, None, None], ((b if b.size else 0) - mean) * factor + shift
        return Convolution(filters.astype(W.dtype), bias.astype(W.dtype), self.stride, self.pad)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the convolution; the gradient with respect to ``x`` is put through the slope of ``x`` at once."""
        own_W, own_b = self.checked_parameters()
        W, b = p.place_of(own_W), p.place_of(own_b) if own_b.size else NOTHING
        shape, n_images = self._shape(x.shape, own_W), p.rows
        out = shape.filters, *shape.places
        said = "x".join(map(str, shape[:6])) + f",stride={shape.stride},pad={shape.pad}"
        y = p.buffer((self, "y"), math.prod(out))
        p.emit(of.Convolution(x.address, W, b, y, n_images, p.keep_as(said, forward(shape, p.dtype)), LINEAR, 0.0))

        def backward(dy: int, wanted: bool) -> int:
            dx = p.buffer((self, "dx"), x.columns) if wanted else NOTHING
            if wanted:
                plans = input_gradient(shape, p.dtype)
                slope = x.take_slope() if len(plans) == 1 else NO_EPILOGUE
                for plan in plans:
                    at = p.keep_as(said, plan)
                    p.emit(of.ConvolutionInputGradient(dy, W, dx, n_images, at, *slope))
            place = p.place_of if p.fused_step else p.gradient_of
            gradients = place(own_W), place(own_b) if own_b.size else NOTHING
            how = p.adds, p.fused_step
            if not wanted and (pooled := _behind_pooling(p, dy, shape)) is not None:
                plan, behind = pooled[0], pooled[1:]
                room = p.keep_as(said, plan), p.array((self, "sums"), (elements_of_pooled_parts(plan, p.most_rows),))
                p.emit(PooledWeightGradient(x.address, *behind, *gradients, n_images, *room, *how))
            else:
                plan = weight_gradient(shape, p.dtype)
                room = p.keep_as(said, plan), p.array((self, "partial"), (elements_of_parts(plan, p.most_rows),))
                p.emit(of.ConvolutionWeightGradient(x.address, dy, *gradients, n_images, *room, *how))
            return dx

        p.on_backward(self, backward)
        return Operand(y, out)

    def sizes(self, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> dict[str, int]:
        """Those of images, filters and output."""
        return sizes_of_windows(shape, out_shape, self.W.shape[2:], self.stride, self.pad)

    def onnx(self, node: Any, x: str) -> str:
        """ONNX's Conv, whose filters are as here."""
        bias = [] if self.b is None else [self.b]
        return node("Conv", x, self.W, *bias, strides=[self.stride] * 2, pads=[self.pad] * 4)

    def to_module(self, nn: Any) -> Any:
        """A Conv2d without memory of its own: its arrays are assigned."""
        n_filters, channels, *size = self.W.shape
        options = {"stride": self.stride, "padding": self.pad, "bias": self.b is not None}
        return nn.Conv2d(channels, n_filters, tuple(size), device="meta", **options)

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """From a Conv2d; TypeError for groups, dilation, other than zeros around, and strides that differ."""
        plain = module.groups == 1 and as_one(module, "dilation") == 1 and module.padding_mode == "zeros"
        if not plain or isinstance(module.padding, str):
            raise TypeError(f"{module!r} has groups, dilation or padding that Convolution does not have")
        bias = None if module.bias is None else array_of_tensor("bias", module.bias)
        return cls(array_of_tensor("weight", module.weight), bias, as_one(module, "stride"), as_one(module, "padding"))

    def __repr__(self) -> str:
        bias = "" if self.b is not None else ", without bias"
        return f"Convolution{np.shape(self.W)}"[:-1] + f", stride={self.stride}, pad={self.pad}{bias})"


def _behind_pooling(p: Lowering, dy: int, shape: Shape) -> tuple[np.ndarray, int, int] | None:
    """A plan that does without ``dy``, the gradient behind a max pooling, and its places; None where there is none.

    That pooling was about to make ``dy`` of its gradient, and its instruction is taken back.
    """
    last = p.last_if(MaxPoolingGradient)
    if last is None or last.dx != dy:
        return None
    pool = Pool(*p.kept_at(last.plan)[: len(Pool._fields)].tolist())
    plan = pooled_filters(shape, pool, p.dtype)
    if plan is None:
        return None
    p.take_back()
    return plan, last.dy, last.places
