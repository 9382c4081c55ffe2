"""Pooling as layers: the largest number, and the mean, of windows on images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check, _team
from fastbp.basics._address import address_of
from fastbp.basics._attributes import left, remembered, setting
from fastbp.kernels import pooling as of
from fastbp.kernels.convolution_plan import Shape
from fastbp.kernels.gemm import LINEAR
from fastbp.kernels.instructions import ActivationGradient
from fastbp.kernels.pooling import (
    average_pooling,
    average_pooling_back,
    dtype_of_places,
    max_pooling,
    max_pooling_back,
    pool_plan,
)
from fastbp.layers._images import (
    as_image_shape,
    as_images,
    as_one,
    as_pair,
    c_of_windows,
    pad_setting,
    sizes_of_windows,
    stride_setting,
    window_on,
)
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

# In NumPy.
WINDOWS = """\
size, stride, pad = (int(pool_h), int(pool_w)), int(stride), int(pad)
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    windows = np.lib.stride_tricks.sliding_window_view(x, size, (2, 3))[:, :, ::stride, ::stride]
"""


class _Pooling(Layer):
    """Images (N, C, H, W) to (N, C, OH, OW), one number for each window of ``pool_h`` x ``pool_w`` pixels."""

    remembers = ("_last",)
    takes_images = True

    pool_h: int = setting(stride_setting)
    pool_w: int = setting(stride_setting)
    stride: int = setting(stride_setting)
    pad: int = setting(pad_setting)

    def __init__(self, pool_h: int, pool_w: int, stride: int | None = None, pad: int = 0) -> None:
        self.pool_h, self.pool_w = pool_h, pool_w
        if stride is None and self.pool_h != self.pool_w:
            raise ValueError(f"stride must be given for a window that is no square, got {pool_h} x {pool_w}")
        self.stride = pool_h if stride is None else stride
        self.pad = pad

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(C, OH, OW), for images (C, H, W)."""
        channels, height, width = as_image_shape(shape)
        window_on(shape, (self.pool_h, self.pool_w), self.pad, "a window")
        return channels, *Shape(1, height, width, 1, self.pool_h, self.pool_w, self.stride, self.pad).places

    def _plan(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The plan for images (C, H, W)."""
        return pool_plan(*shape[1:], (self.pool_h, self.pool_w), self.stride, self.pad, dtype)

    def _begun(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.dtype]:
        """The plan, the images ready for a kernel, room for the output, and the type that it is returned in."""
        out_shape = self.out_shape(images.shape[1:])
        inputs, dtype = _check.operand("x", images)
        y = np.empty((len(images), *out_shape), inputs.dtype)
        return self._plan(images.shape[1:], y.dtype), inputs, y, dtype

    def sizes(self, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> dict[str, int]:
        """Those of images, windows and output."""
        return sizes_of_windows(shape, out_shape, (self.pool_h, self.pool_w), self.stride, self.pad)

    def _kept_plan(self, p: Lowering, shape: tuple[int, ...]) -> int:
        """The address of the plan for images (C, H, W) in a program."""
        name = f"{self.pool_h}x{self.pool_w},stride={self.stride},pad={self.pad}"
        return p.keep_as(name, self._plan(shape, p.dtype))

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self.pool_h}, {self.pool_w}, stride={self.stride}, pad={self.pad})"


class MaxPooling(_Pooling):
    """The largest number of each window: the book's Pooling, ``torch.nn.MaxPool2d``.

    Around the images lie zeros, as in the book, which count as numbers do: unlike PyTorch's, where nothing around an
    image is ever the largest. Of equal numbers the first is the largest, as for NumPy's argmax, and NaN is larger than
    any number.

    Parameters
    ----------
    pool_h, pool_w : int of at least 1
        Size of a window.
    stride : int of at least 1, or None
        Pixels from one window to the next, down and to the right; None for the size of a square window.
    pad : int of at least 0
        Zeros around the images.

    Attributes
    ----------
    x : (N, C, H, W) array or None
        The images of the last ``forward``; None before the first.
    arg_max : (N, C, OH, OW) array of integers, or None
        Which number of its window was the largest, counted from 0 row by row.
    """

    torch = "MaxPool2d", {}
    numpy = WINDOWS + "    return windows.max(axis=(4, 5))"
    c = c_of_windows(
        "0", ("n", "n + 1"), "if (k + l == 0 || value > found || value != value)\n" + " " * 32 + "found = value;"
    )

    x: np.ndarray | None = remembered(0)
    arg_max: np.ndarray | None = remembered(1)
    _last: tuple[Any, Any] = left((None, None))

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the largest numbers (N, C, OH, OW) of the windows of images ``x`` (N, C, H, W).

        OH = (H + 2 pad - pool_h) // stride + 1, and OW likewise. Of the dtype of ``x``, float64 for integers. Raises
        ValueError for ``x`` of other dimensions and windows larger than the padded images, TypeError for what is no
        array of real numbers.
        """
        images = as_images(x)
        plan, inputs, y, dtype = self._begun(images)
        places = np.empty(y.shape, dtype_of_places(self.pool_h, self.pool_w))
        at = (address_of(array) for array in (plan, inputs, y, places))
        max_pooling(_team.address(), *at, len(images) * images.shape[1], y.dtype.type(1))
        self._last = images, places
        return _check.of_type(y, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: that of a window goes to its largest number.

        What goes to a zero around the image is lost.

        Raises
        ------
        ValueError
            Unless ``dout`` has the shape of the last ``forward``'s result.
        RuntimeError
            Before the first ``forward``.
        TypeError
            For what is no array of real numbers.
        """
        images, given = self._last
        if images is None or given is None:
            raise _check.not_before_forward(self)
        images, dout = as_images(images), _check.as_real("dout", dout)
        shape = len(images), *self.out_shape(images.shape[1:])
        _check.same_shape("dout", dout, shape, "the output")
        places = np.asarray(given)
        n_taps = self.pool_h * self.pool_w
        _check.same_shape("arg_max", places, shape, "the output")
        if places.dtype.kind not in "iu" or (places.size and not 0 <= places.min() <= places.max() < n_taps):
            raise ValueError(f"arg_max must hold integers in 0..{n_taps - 1}, got {places.dtype}")
        d, dtype = _check.operand("dout", dout)
        places = _check.ready(places, dtype_of_places(self.pool_h, self.pool_w))
        dx = np.empty(images.shape, d.dtype)
        plan = self._plan(images.shape[1:], d.dtype)
        at = (address_of(array) for array in (plan, d, places, dx))
        max_pooling_back(_team.address(), *at, len(images) * images.shape[1], d.dtype.type(1))
        return _check.of_type(dx, dtype)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the pooling, which keeps where the largest numbers are."""
        out, n_planes = self.out_shape(x.shape), p.rows * x.shape[0]
        columns, plan = math.prod(out), self._kept_plan(p, x.shape)
        y, n = p.buffer((self, "y"), columns), p.rows * columns
        places = p.buffer((self, "places"), columns, dtype_of_places(self.pool_h, self.pool_w))
        p.emit(of.MaxPooling(x.address, y, places, n_planes, plan))
        pooled = Operand(y, out)
        # Of a function whose derivative goes by its output, that at the largest number is known here: there is less of
        # it, and who comes next may do it. Where windows overlap, a sum is put through it, which stays with the sum.
        if x.slope[1] == x.address and self.stride >= max(self.pool_h, self.pool_w):
            function, _, number = x.take_slope()
            pooled.slope = function, y, number

        def backward(dy: int, wanted: bool) -> int:
            function, kept, number = pooled.take_slope()
            if function != LINEAR:
                p.emit(ActivationGradient(function, dy, kept, n, number))
            dx = p.buffer((self, "dx"), x.columns)
            p.emit(of.MaxPoolingGradient(dy, places, dx, n_planes, plan))
            return dx

        p.on_backward(self, backward)
        return pooled

    def onnx_on(self, node: Any, x: str, shape: tuple[int, ...]) -> str:
        """ONNX's MaxPool; zeros around an image, which that has not, a Conv with filters of one 1 puts there."""
        if self.pad:
            x = node("Conv", x, np.ones((shape[0], 1, 1, 1)), group=shape[0], pads=[self.pad] * 4)
        return node("MaxPool", x, kernel_shape=[self.pool_h, self.pool_w], strides=[self.stride] * 2)

    def to_module(self, nn: Any) -> Any:
        """A MaxPool2d, with zeros around the images one of fastbp's own."""
        window, options = (self.pool_h, self.pool_w), {"stride": self.stride, "padding": self.pad}
        if not self.pad:
            return nn.MaxPool2d(window, **options)
        from fastbp.layers._torch_modules import MaxPool2d

        return MaxPool2d(window, **options)

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """From a MaxPool2d; TypeError for dilation, rounding up, indices, and padding, which is not zeros there."""
        pad = as_one(module, "padding")
        own = not type(module).__module__.startswith("torch.")
        if module.ceil_mode or module.return_indices or as_one(module, "dilation") != 1 or (pad and not own):
            raise TypeError(
                f"{module!r} has dilation, ceil_mode, return_indices or padding that MaxPooling does not have "
                "(around an image, MaxPooling has zeros)"
            )
        return cls(*as_pair("kernel_size", module.kernel_size), as_one(module, "stride"), pad)


class AveragePooling(_Pooling):
    """The mean of each window, ``torch.nn.AvgPool2d``; zeros around the images count.

    Parameters
    ----------
    pool_h, pool_w : int of at least 1
        Size of a window.
    stride : int of at least 1, or None
        Pixels from one window to the next, down and to the right; None for the size of a square window.
    pad : int of at least 0
        Zeros around the images.
    """

    torch = "AvgPool2d", {}
    numpy = WINDOWS + "    return windows.mean(axis=(4, 5))"
    c = c_of_windows("0", ("n", "n + 1"), "found += value;", "found / (REAL)(window_height * window_width)")

    _last: tuple[int, ...] | None = None  # the shape of x

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the means (N, C, OH, OW) of the windows of images ``x`` (N, C, H, W).

        OH = (H + 2 pad - pool_h) // stride + 1, and OW likewise. Of the dtype of ``x``, float64 for integers. Raises
        ValueError for ``x`` of other dimensions and windows larger than the padded images, TypeError for what is no
        array of real numbers.
        """
        images = as_images(x)
        plan, inputs, y, dtype = self._begun(images)
        at = (address_of(array) for array in (plan, inputs, y))
        average_pooling(_team.address(), *at, len(images) * images.shape[1], y.dtype.type(1))
        self._last = images.shape
        return _check.of_type(y, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: an equal share of that of each window.

        Raises
        ------
        ValueError
            Unless ``dout`` has the shape of the last ``forward``'s result.
        RuntimeError
            Before the first ``forward``.
        TypeError
            For what is no array of real numbers.
        """
        shape = self._last
        if shape is None:
            raise _check.not_before_forward(self)
        dout = _check.as_real("dout", dout)
        _check.same_shape("dout", dout, (shape[0], *self.out_shape(shape[1:])), "the output")
        d, dtype = _check.operand("dout", dout)
        dx, plan = np.empty(shape, d.dtype), self._plan(shape[1:], d.dtype)
        at = (address_of(array) for array in (plan, d, dx))
        average_pooling_back(_team.address(), *at, shape[0] * shape[1], d.dtype.type(1))
        return _check.of_type(dx, dtype)

    def lower(self, p: Lowering, x: Operand) -> Operand:
        """Write the pooling."""
        out, n_planes = self.out_shape(x.shape), p.rows * x.shape[0]
        plan, y = self._kept_plan(p, x.shape), p.buffer((self, "y"), math.prod(out))
        p.emit(of.AveragePooling(x.address, y, n_planes, plan))

        def backward(dy: int, wanted: bool) -> int:
            dx = p.buffer((self, "dx"), x.columns)
            p.emit(of.AveragePoolingGradient(dy, dx, n_planes, plan))
            return dx

        p.on_backward(self, backward)
        return Operand(y, out)

    def onnx(self, node: Any, x: str) -> str:
        """ONNX's AveragePool, which counts the zeros."""
        window, options = [self.pool_h, self.pool_w], {"strides": [self.stride] * 2, "pads": [self.pad] * 4}
        return node("AveragePool", x, kernel_shape=window, count_include_pad=1, **options)

    def to_module(self, nn: Any) -> Any:
        """An AvgPool2d."""
        return nn.AvgPool2d((self.pool_h, self.pool_w), stride=self.stride, padding=self.pad)

    @classmethod
    def from_module(cls, module: Any) -> Layer:
        """From an AvgPool2d; TypeError for rounding up, a divisor of its own, and zeros that do not count."""
        pad = as_one(module, "padding")
        if module.ceil_mode or module.divisor_override or (pad and not module.count_include_pad):
            raise TypeError(
                f"{module!r} has ceil_mode, a divisor or padding that does not count: AveragePooling has none of these"
            )
        return cls(*as_pair("kernel_size", module.kernel_size), as_one(module, "stride"), pad)
