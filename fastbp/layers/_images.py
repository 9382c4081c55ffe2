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


def stride_setting(name: str, value: Any) -> int:
    return _arguments.integer(name, value, 1)


def pad_setting(name: str, value: Any) -> int:
    return _arguments.integer(name, value, 0)
