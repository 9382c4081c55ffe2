"""What the book's utilities come to, one element at a time."""

import numpy as np

__all__ = ["col2im", "conv_output_size", "im2col", "np", "shuffle_dataset", "smooth_curve"]


def smooth_curve(x):
    """The mean of 11 samples around each, by a Kaiser window; the first and the last are mirrored at."""
    n, weights = len(x), np.kaiser(11, 2)
    curve = []
    for i in range(n):
        around = [abs(i + j) for j in range(-5, 6)]  # left of the first sample, the second comes again
        around = [k if k < n else 2 * n - 1 - k for k in around]  # right of the last, the last itself
        curve.append(sum(w * x[k] for w, k in zip(weights, around, strict=True)) / weights.sum())
    return np.array(curve)


def shuffle_dataset(x, t):
    """Both in the order of a permutation."""
    order = np.random.permutation(len(x))
    return np.array([x[i] for i in order]), np.array([t[i] for i in order])


def conv_output_size(input_size, filter_size, stride=1, pad=0):
    """The size of the output."""
    return (input_size + 2 * pad - filter_size) / stride + 1


def places(size, filter_size, stride, pad):
    """How many places a filter has along one side of an image."""
    return (size + 2 * pad - filter_size) // stride + 1


def below(i, j, stride, n_i, n_j):
    """What lies below the element (i, j) of a filter at each of its n_i x n_j places on padded images."""
    return slice(None), slice(None), slice(i, i + stride * n_i, stride), slice(j, j + stride * n_j, stride)


def im2col(input_data, filter_h, filter_w, stride=1, pad=0):
    """The pixels below the filter at each of its places, a row a place; of the dtype of floating-point images."""
    n, channels, height, width = input_data.shape
    n_i, n_j = places(height, filter_h, stride, pad), places(width, filter_w, stride, pad)
    padded = np.pad(input_data, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    dtype = input_data.dtype if input_data.dtype.kind == "f" else np.float64
    col = np.empty((n, channels, filter_h, filter_w, n_i, n_j), dtype)
    for i in range(filter_h):
        for j in range(filter_w):
            col[:, :, i, j] = padded[below(i, j, stride, n_i, n_j)]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(n * n_i * n_j, channels * filter_h * filter_w)


def col2im(col, input_shape, filter_h, filter_w, stride=1, pad=0):
    """The sums of what stands for each pixel."""
    n, channels, height, width = input_shape
    n_i, n_j = places(height, filter_h, stride, pad), places(width, filter_w, stride, pad)
    parts = col.reshape(n, n_i, n_j, channels, filter_h, filter_w).transpose(0, 3, 4, 5, 1, 2)
    padded = np.zeros((n, channels, height + 2 * pad, width + 2 * pad), col.dtype)
    for i in range(filter_h):
        for j in range(filter_w):
            padded[below(i, j, stride, n_i, n_j)] += parts[:, :, i, j]
    return padded[:, :, pad : pad + height, pad : pad + width]
