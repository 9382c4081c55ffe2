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


def im2col(input_data, filter_h, filter_w, stride=1, pad=0):
    """The pixels below the filter at each of its places, a row a place."""
    n, _, height, width = input_data.shape
    padded = np.pad(input_data, [(0, 0), (0, 0), (pad, pad), (pad, pad)]).astype(np.float64)
    return np.array(
        [
            padded[image, :, i : i + filter_h, j : j + filter_w].reshape(-1)
            for image in range(n)
            for i in range(0, height + 2 * pad - filter_h + 1, stride)
            for j in range(0, width + 2 * pad - filter_w + 1, stride)
        ]
    )


def col2im(col, input_shape, filter_h, filter_w, stride=1, pad=0):
    """The sums of what stands for each pixel."""
    n, channels, height, width = input_shape
    padded, rows = np.zeros((n, channels, height + 2 * pad, width + 2 * pad)), iter(col)
    for image in range(n):
        for i in range(0, height + 2 * pad - filter_h + 1, stride):
            for j in range(0, width + 2 * pad - filter_w + 1, stride):
                padded[image, :, i : i + filter_h, j : j + filter_w] += next(rows).reshape(channels, filter_h, filter_w)
    return padded[:, :, pad : pad + height, pad : pad + width]
