"""The images of the book's job: MNIST where its files are, else drawn ones of the same number and size."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from fastbp import datasets

TRAIN, TEST, PIXELS, CLASSES = 60_000, 10_000, 784, 10


@dataclass(frozen=True, eq=False)
class Images:
    """uint8 pixels, (N, 784), and classes, (N,) intp; pixels times ``SCALE`` are in 0..1."""

    x_train: np.ndarray
    t_train: np.ndarray
    x_test: np.ndarray
    t_test: np.ndarray


SCALE = 1 / 255


def name() -> str:
    """What ``images`` are."""
    folder = os.environ.get("FASTBP_DATA_DIR")
    found = folder and any(Path(folder).glob("**/t10k-images-idx3-ubyte*"))
    return "MNIST" if found else "drawn images"


@lru_cache(maxsize=1)
def images() -> Images:
    """MNIST from the folder FASTBP_DATA_DIR, or images that are each class's pattern under noise."""
    if name() == "MNIST":
        data = datasets.mnist(os.environ["FASTBP_DATA_DIR"])
        return Images(data.x_train, data.t_train, data.x_test, data.t_test)
    rng = np.random.default_rng(0)
    patterns = rng.random((CLASSES, PIXELS), np.float32)
    t = rng.integers(0, CLASSES, TRAIN + TEST)
    x = np.empty((TRAIN + TEST, PIXELS), np.uint8)
    for begin in range(0, len(x), 10_000):
        rows = slice(begin, begin + 10_000)
        noise = rng.standard_normal((10_000, PIXELS), np.float32)
        x[rows] = np.clip(64 * patterns[t[rows]] + 64 + 48 * noise, 0, 255)
    return Images(x[:TRAIN], t[:TRAIN], x[TRAIN:], t[TRAIN:])


def scaled(x: np.ndarray) -> np.ndarray:
    """Pixels as float32 in 0..1."""
    return x * np.float32(SCALE)


@lru_cache(maxsize=1)
def x_train() -> np.ndarray:
    """The training images, scaled."""
    return scaled(images().x_train)
