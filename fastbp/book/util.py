"""The book's ``common/util.py``: curves, shuffling, and the arrays that convolutions become products by. In NumPy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics._arguments import integer
from fastbp.basics._check import as_real

__all__ = ["col2im", "conv_output_size", "im2col", "np", "shuffle_dataset", "smooth_curve"]

WINDOW = 11  # samples that a smoothed one is a mean of


def smooth_curve(x: ArrayLike) -> np.ndarray:
    """Return the curve ``x`` (N,) as means over 11 samples by a Kaiser window, mirrored at its ends; N at least 11."""
    x = as_real("x", x)
    if x.ndim != 1 or len(x) < WINDOW:
        raise ValueError(f"x must be (N,) of at least {WINDOW} samples, got shape {x.shape}")
    mirrored = np.concatenate([x[WINDOW - 1 : 0 : -1], x, x[-1:-WINDOW:-1]])
    weights = np.kaiser(WINDOW, 2)
    around = WINDOW // 2
    return np.convolve(weights / weights.sum(), mirrored, mode="valid")[around:-around]


def shuffle_dataset(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of the samples ``x`` and their targets ``t`` in one order, drawn from ``np.random``."""
    if len(x) != len(t):
        raise ValueError(f"t must hold a target for each of the {len(x)} samples in x, got {len(t)}")
    order = np.random.permutation(len(x))
    return x[order], t[order]


def conv_output_size(input_size: int, filter_size: int, stride: int = 1, pad: int = 0) -> float:
    """Return ``(input_size + 2 pad - filter_size) / stride + 1``: no whole number where the stride leaves a rest."""
    places("filter_size", input_size, filter_size, stride, pad)
    return (input_size + 2 * pad - filter_size) / stride + 1


def im2col(input_data: ArrayLike, filter_h: int, filter_w: int, stride: int = 1, pad: int = 0) -> np.ndarray:
    """Return a row for each place where a filter is laid on an image: the pixels below it.

    Parameters
    ----------
    input_data : (N, C, H, W) array of real numbers
        Images of C channels.
    filter_h, filter_w : int
        Size of the filter, at most that of the padded image.
    stride, pad : int
        Pixels from one place to the next, and zeros around the image.

    Returns
    -------
    col : (N OH OW, C filter_h filter_w) array
        Rows by image, then by row and column of the output; columns by channel, then by row and column of the filter.
        Of the dtype of floating-point images (the book's is float64), float64 for others.

    Raises
    ------
    ValueError
        For images of other than four dimensions, a filter larger than the padded image, a stride below 1 and a pad
        below 0.
    """
    images = as_real("input_data", input_data)
    if images.ndim != 4:
        raise ValueError(f"input_data must be images (N, C, H, W), got shape {images.shape}")
    n, channels, height, width = images.shape
    places_h = places("filter_h", height, filter_h, stride, pad)
    places_w = places("filter_w", width, filter_w, stride, pad)
    padded = np.pad(images, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (filter_h, filter_w), (2, 3))[:, :, ::stride, ::stride]
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * places_h * places_w, channels * filter_h * filter_w)
    return rows if rows.dtype.kind == "f" else rows.astype(np.float64)


def col2im(
    col: ArrayLike, input_shape: Sequence[int], filter_h: int, filter_w: int, stride: int = 1, pad: int = 0
) -> np.ndarray:
    """Return images of ``input_shape`` (N, C, H, W): each pixel the sum of what stands for it in ``col``.

    The other arguments are those of ``im2col``, whose transpose this is, not its inverse: a pixel below several places
    of the filter is added up.

    Raises
    ------
    ValueError
        As ``im2col`` does, and where ``col`` is not what that makes of such images.
    """
    if len(input_shape) != 4:
        raise ValueError(f"input_shape must be that of images, (N, C, H, W), got {tuple(input_shape)}")
    n, channels, height, width = input_shape
    places_h = places("filter_h", height, filter_h, stride, pad)
    places_w = places("filter_w", width, filter_w, stride, pad)
    col, expected = as_real("col", col), (n * places_h * places_w, channels * filter_h * filter_w)
    if col.shape != expected:
        raise ValueError(f"col must be {expected} for images of shape {tuple(input_shape)}, got shape {col.shape}")
    parts = col.reshape(n, places_h, places_w, channels, filter_h, filter_w).transpose(4, 5, 0, 3, 1, 2)
    dtype = col.dtype if col.dtype.kind == "f" else np.float64
    padded = np.zeros((n, channels, height + 2 * pad, width + 2 * pad), dtype)
    for i in range(filter_h):
        for j in range(filter_w):
            below = padded[:, :, i::stride, j::stride][:, :, :places_h, :places_w]
            below += parts[i, j]
    return padded[:, :, pad : pad + height, pad : pad + width]


def places(name: str, size: int, filter_size: int, stride: int, pad: int) -> int:
    """How many places there are for a filter along one side of an image; ``name`` is that of its size there."""
    integer("stride", stride, 1)
    integer("pad", pad, 0)
    if integer(name, filter_size, 1) > size + 2 * pad:
        raise ValueError(f"{name} must be at most {size + 2 * pad}, the size of the padded image, got {filter_size}")
    return (size + 2 * pad - filter_size) // stride + 1
