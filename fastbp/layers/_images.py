"""What the layers for images (N, C, H, W) have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.basics import _arguments, _check


def as_images(x: Any) -> np.ndarray:
    """``x`` as an array (N, C, H, W) of its own; ValueError for one of other dimensions, TypeError for no numbers."""
    x = _check.as_real("x", x)
    if x.ndim != 4:
        raise ValueError(f"x must be images (N, C, H, W), got shape {x.shape}")
    return x


def as_image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape of one image (C, H, W); ValueError for a sample of other dimensions."""
    if len(shape) != 3:
        raise ValueError(f"images (C, H, W) are expected, got samples of shape {shape}")
    channels, height, width = shape
    return channels, height, width


def window_on(shape: tuple[int, ...], window: tuple[int, int], pad: int, name: str) -> None:
    """ValueError where a ``window``, a filter or a pool, is larger than the padded images (C, H, W)."""
    padded = shape[-2] + 2 * pad, shape[-1] + 2 * pad
    if window[0] > padded[0] or window[1] > padded[1]:
        raise ValueError(
            f"{name} of {window[0]} x {window[1]} must be no larger than the padded images, {padded[0]} x {padded[1]}"
        )


C_WINDOW = """\
    for (size_t n = 0; n < out_channels; n++)
        for (size_t i = 0; i < out_height; i++)
            for (size_t j = 0; j < out_width; j++) {
                REAL found = @begin;
                for (size_t c = @first; c < @past; c++)
                    for (size_t k = 0; k < window_height; k++)
                        for (size_t l = 0; l < window_width; l++) {
                            const size_t row = i * step + k, column = j * step + l; /* of the padded image */
                            const int inside = row >= zeros && row < height + zeros && column >= zeros
                                && column < width + zeros;
                            const REAL value = inside ? x[(c * height + row - zeros) * width + column - zeros] : 0;
                            @take
                        }
                y[(n * out_height + i) * out_width + j] = @end;
            }
"""
"""What layers of windows are in C: what is found begins, which channels it is of, what is done with each value, and
what it ends as."""


def c_of_windows(begin: str, channels: tuple[str, str], take: str, end: str = "found") -> str:
    """The body of a function of C that goes over windows; see ``C_WINDOW``."""
    marks = {"@begin": begin, "@first": channels[0], "@past": channels[1], "@take": take, "@end": end}
    text = C_WINDOW
    for mark, code in marks.items():
        text = text.replace(mark, code)
    return text


def sizes_of_windows(
    shape: tuple[int, ...], out_shape: tuple[int, ...], window: tuple[int, ...], stride: int, pad: int
) -> dict[str, int]:
    """The sizes that ``C_WINDOW`` asks for."""
    names = "height", "width", "out_channels", "out_height", "out_width", "window_height", "window_width"
    sizes = dict(zip(names, (*shape[1:], *out_shape, *window), strict=True))
    return {"channels": shape[0]} | sizes | {"step": stride, "zeros": pad}


def as_pair(name: str, value: Any) -> tuple[int, int]:
    """Height and width, of a number for both or a pair, as PyTorch has them."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    return pair[0], pair[1]


def as_one(module: Any, name: str) -> int:
    """An attribute of a module that must be the same down and to the right; TypeError where it is not."""
    value = getattr(module, name)
    down, right = as_pair(name, value) if not isinstance(value, str) else (value, None)
    if down != right:
        raise TypeError(f"{module!r} has {name}={value!r}: one number for both directions is supported")
    return down


def stride_setting(name: str, value: Any) -> int:
    return _arguments.integer(name, value, 1)


def pad_setting(name: str, value: Any) -> int:
    return _arguments.integer(name, value, 0)
