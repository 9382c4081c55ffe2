"""Layers for images (N, C, H, W): every window is looked at by itself."""

from typing import Any

import numpy as np

from fastbp.reference.functions import floats

__all__ = ["AveragePooling", "Convolution", "Flatten", "MaxPooling"]


def windows(x, window, stride, pad):
    """The images with zeros around, and for each place (i, j) of a window where it lies in them."""
    height, width = window
    around = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    rows = range(0, around.shape[2] - height + 1, stride)
    columns = range(0, around.shape[3] - width + 1, stride)
    places = {
        (i, j): (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
        for i, top in enumerate(rows)
        for j, left in enumerate(columns)
    }
    return around, places, (len(rows), len(columns))


def inside(around, pad):
    """What is not padding."""
    return around[:, :, pad : around.shape[2] - pad, pad : around.shape[3] - pad]


class Convolution:
    """``b[f] +`` the sum of filter ``f`` times the window, for each window."""

    def __init__(self, W, b, stride=1, pad=0):
        self.W, self.b = W, b
        self.stride, self.pad = stride, pad
        self.x: Any = None
        self.dW: Any = None
        self.db: Any = None

    def forward(self, x):
        """(N, C, H, W) to (N, F, OH, OW)."""
        self.x = floats(x)
        around, places, size = windows(self.x, self.W.shape[2:], self.stride, self.pad)
        y = np.zeros((len(around), len(self.W), *size)) + np.reshape(self.b, (-1, 1, 1))
        for (i, j), window in places.items():
            y[:, :, i, j] += np.tensordot(around[window], self.W, ((1, 2, 3), (1, 2, 3)))
        return y

    def backward(self, dout):
        """(N, F, OH, OW) to (N, C, H, W); leaves dW and db."""
        around, places, _ = windows(self.x, self.W.shape[2:], self.stride, self.pad)
        dx, self.dW = np.zeros(around.shape), np.zeros(self.W.shape)
        self.db = dout.sum(axis=(0, 2, 3))
        for (i, j), window in places.items():
            self.dW += np.tensordot(dout[:, :, i, j], around[window], (0, 0))
            dx[window] += np.tensordot(dout[:, :, i, j], self.W, (1, 0))
        return inside(dx, self.pad)


class Pooling:
    """One number for each window."""

    def __init__(self, pool_h, pool_w, stride=None, pad=0):
        self.pool_h, self.pool_w = pool_h, pool_w
        self.stride, self.pad = stride or pool_h, pad
        self.x: Any = None
        self.arg_max: Any = None

    def windows(self):
        """Those of ``x``, and room for an output."""
        around, places, size = windows(self.x, (self.pool_h, self.pool_w), self.stride, self.pad)
        return around, places, np.zeros((*around.shape[:2], *size))


class MaxPooling(Pooling):
    """The largest number of each window, the first of several; NaN where there is one."""

    def forward(self, x):
        """(N, C, H, W) to (N, C, OH, OW)."""
        self.x = floats(x)
        around, places, y = self.windows()
        self.arg_max = np.zeros(y.shape, int)
        for (i, j), window in places.items():
            numbers = around[window].reshape(*around.shape[:2], self.pool_h * self.pool_w)
            self.arg_max[:, :, i, j] = numbers.argmax(axis=2)
            y[:, :, i, j] = numbers.max(axis=2)
        return y

    def backward(self, dout):
        """(N, C, OH, OW) to (N, C, H, W)."""
        around, places, _ = self.windows()
        dx = np.zeros(around.shape)
        for (i, j), window in places.items():
            taps = np.arange(self.pool_h * self.pool_w) == self.arg_max[:, :, i, j, None]
            dx[window] += (taps * dout[:, :, i, j, None]).reshape(dx[window].shape)
        return inside(dx, self.pad)


class AveragePooling(Pooling):
    """The mean of each window."""

    def forward(self, x):
        """(N, C, H, W) to (N, C, OH, OW)."""
        self.x = floats(x)
        around, places, y = self.windows()
        for (i, j), window in places.items():
            y[:, :, i, j] = around[window].mean(axis=(2, 3))
        return y

    def backward(self, dout):
        """(N, C, OH, OW) to (N, C, H, W)."""
        around, places, _ = self.windows()
        dx = np.zeros(around.shape)
        for (i, j), window in places.items():
            dx[window] += dout[:, :, i, j, None, None] / (self.pool_h * self.pool_w)
        return inside(dx, self.pad)


class Flatten:
    """Samples as rows."""

    def __init__(self):
        self.shape: Any = None

    def forward(self, x):
        """(N, ...) to (N, I)."""
        self.shape = np.shape(x)
        return np.reshape(x, (len(x), -1))

    def backward(self, dout):
        """(N, I) to (N, ...)."""
        return np.reshape(dout, self.shape)
