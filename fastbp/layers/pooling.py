"""Pooling as layers: the largest number, and the mean, of windows on images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _check, _team
from fastbp.basics._address import address_of
from fastbp.basics._attributes import remembered, setting
from fastbp.kernels import pooling as of
from fastbp.kernels.convolution_plan import Shape
from fastbp.kernels.pooling import (
    average_pooling,
    average_pooling_back,
    dtype_of_places,
    max_pooling,
    max_pooling_back,
    pool_plan,
)
from fastbp.layers._images import as_image_shape, as_images, pad_setting, stride_setting, window_on
from fastbp.layers._layer import Layer
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand


class _Pooling(Layer):
    """Images (N, C, H, W) to (N, C, OH, OW), one number for each window of ``pool_h`` x ``pool_w`` pixels."""

    remembers = ("_last",)

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

    @classmethod
    def of_width(cls, n: int, dtype: np.dtype) -> Layer:
        return cls(1, 1)

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

    x: np.ndarray | None = remembered(0)
    arg_max: np.ndarray | None = remembered(1)
    _last: tuple[Any, Any] = (None, None)

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the largest numbers (N, C, OH, OW) of the windows of images ``x`` (N, C, H, W).

        OH = (H + 2 pad - pool_h) // stride + 1, and OW likewise. Of the dtype of ``x``, float64 for integers. Raises
        ValueError for ``x`` of other dimensions and windows larger than the padded images, TypeError for what is no
        array of real numbers.
        """
        images = as_images(x)
        out_shape = self.out_shape(images.shape[1:])
        inputs, dtype = _check.operand("x", images)
        y = np.empty((len(images), *out_shape), inputs.dtype)
        places = np.empty(y.shape, dtype_of_places(self.pool_h, self.pool_w))
        plan, n_planes = self._plan(images.shape[1:], y.dtype), len(images) * images.shape[1]
        at = (address_of(array) for array in (plan, inputs, y, places))
        max_pooling(_team.address(), *at, n_planes, y.dtype.type(1))
        self._last = images, places
        return _check.of_type(y, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: that of a window goes to its largest number.

        What goes to a zero around the image is lost. Raises ValueError unless ``dout`` has the shape of the last
        ``forward``'s result, RuntimeError before the first ``forward``, TypeError for what is no array of real numbers.
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
        n, plan = int(np.prod(out)), p.keep(self._plan(x.shape, p.dtype))
        y = p.buffer((self, "y"), n)
        places = p.buffer((self, "places"), n, dtype_of_places(self.pool_h, self.pool_w))
        p.emit(of.MaxPooling(x.address, y, places, n_planes, plan))

        def backward(dy: int, wanted: bool) -> int:
            dx = p.buffer((self, "dx"), x.columns)
            p.emit(of.MaxPoolingGradient(dy, places, dx, n_planes, plan))
            return dx

        p.on_backward(self, backward)
        return Operand(y, out)


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

    _last: tuple[int, ...] | None = None  # the shape of x

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the means (N, C, OH, OW) of the windows of images ``x`` (N, C, H, W).

        OH = (H + 2 pad - pool_h) // stride + 1, and OW likewise. Of the dtype of ``x``, float64 for integers. Raises
        ValueError for ``x`` of other dimensions and windows larger than the padded images, TypeError for what is no
        array of real numbers.
        """
        images = as_images(x)
        out_shape = self.out_shape(images.shape[1:])
        inputs, dtype = _check.operand("x", images)
        y = np.empty((len(images), *out_shape), inputs.dtype)
        plan, n_planes = self._plan(images.shape[1:], y.dtype), len(images) * images.shape[1]
        at = (address_of(array) for array in (plan, inputs, y))
        average_pooling(_team.address(), *at, n_planes, y.dtype.type(1))
        self._last = images.shape
        return _check.of_type(y, dtype)

    def backward(self, dout: ArrayLike) -> np.ndarray:
        """Return the gradient with respect to ``x``: an equal share of that of each window.

        Raises ValueError unless ``dout`` has the shape of the last ``forward``'s result, RuntimeError before the first
        ``forward``, TypeError for what is no array of real numbers.
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
        plan, y = p.keep(self._plan(x.shape, p.dtype)), p.buffer((self, "y"), int(np.prod(out)))
        p.emit(of.AveragePooling(x.address, y, n_planes, plan))

        def backward(dy: int, wanted: bool) -> int:
            dx = p.buffer((self, "dx"), x.columns)
            p.emit(of.AveragePoolingGradient(dy, dx, n_planes, plan))
            return dx

        p.on_backward(self, backward)
        return Operand(y, out)
