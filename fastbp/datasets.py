"""The data sets to learn from: digits inside the package, MNIST and Fashion-MNIST from files or the network."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastbp.files._download import fetch
from fastbp.files.idx import IMAGES, LABELS, DatasetError, read_idx

__all__ = ["Dataset", "DatasetError", "digits", "fashion_mnist", "mnist"]

DATA_DIR = "FASTBP_DATA_DIR"  # environment variable with the folder for who names none
DIGITS_FOLD = 5  # every fifth image is for testing, so that both parts hold every writer
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images in two parts, to train on and to test with.

    Attributes
    ----------
    name : str
        As on the command line.
    x_train : (N, D) uint8
        One image a row, pixel rows one after another.
    t_train : (N,) intp
        Classes, 0..9.
    x_test : (M, D) uint8
        As ``x_train``.
    t_test : (M,) intp
        As ``t_train``.
    scale : float
        Times a pixel is in 0..1.
    """

    name: str
    x_train: np.ndarray
    t_train: np.ndarray
    x_test: np.ndarray
    t_test: np.ndarray
    scale: float

    def __repr__(self) -> str:
        train, test = (f"{len(x)} of {x.shape[1]} {x.dtype} numbers" for x in (self.x_train, self.x_test))
        return f"<Dataset {self.name!r}: {train} to train on, {test} to test with, scale {self.scale:.6g}>"


def digits() -> Dataset:
    """Return the 1,797 handwritten digits of 8x8 pixels, 0..16, that come with fastbp.

    1,437 of them are for training; every fifth, 360 in all, is for testing.

    Source and licence: ``data/README.md`` beside this file.
    """
    with np.load(Path(__file__).with_name("data") / "digits.npz") as file:
        x, t = file["images"].reshape(-1, 64), file["labels"].astype(np.intp)
    test = np.arange(len(x)) % DIGITS_FOLD == 0
    return Dataset("digits", x[~test], t[~test], x[test], t[test], scale=1 / 16)


def mnist(data_dir: str | os.PathLike | None = None) -> Dataset:
    """Return MNIST, 28x28 handwritten digits, from its four IDX files.

    Parameters
    ----------
    data_dir : path
        The folder with the files, ``.gz`` or unpacked; or one whose folder ``mnist`` has them. By default what the
        environment variable FASTBP_DATA_DIR says; without that, files are downloaded once into the user's cache folder
        by pooch (the extra ``data``), and checked against the SHA-256 of the published ones.

    Raises
    ------
    DatasetError
        A file is missing, damaged, truncated or does not go with the others, or cannot be downloaded. The message
        names it.
    ImportError
        Nothing says where the files are, and pooch is not installed.
    """
    return _idx_dataset("mnist", data_dir)


def fashion_mnist(data_dir: str | os.PathLike | None = None) -> Dataset:
    """Return Fashion-MNIST, 28x28 pictures of ten kinds of clothing: as ``mnist`` does, ``fashion-mnist``."""
    return _idx_dataset("fashion-mnist", data_dir)


def _idx_dataset(name: str, data_dir: str | os.PathLike | None) -> Dataset:
    data_dir = data_dir or os.environ.get(DATA_DIR) or fetch(name)
    x_train_path, t_train_path, x_test_path, t_test_path = _find(name, Path(data_dir))
    x_train, t_train = _read_part(x_train_path, t_train_path)
    x_test, t_test = _read_part(x_test_path, t_test_path)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DatasetError(
            f"{x_test_path}: expected images of {x_train.shape[1:]} pixels as in {x_train_path.name}, "
            f"got {x_test.shape[1:]}"
        )
    return Dataset(
        name,
        x_train.reshape(len(x_train), -1),
        t_train.astype(np.intp),
        x_test.reshape(len(x_test), -1),
        t_test.astype(np.intp),
        scale=1 / 255,
    )


def _find(name: str, folder: Path) -> list[Path]:
    """Return the four files, each ``.gz`` if there, else unpacked."""
    if not folder.is_dir():
        raise DatasetError(f"{name} needs {_all_files()} in {folder}, which is not a folder")
    if (folder / name).is_dir():
        folder = folder / name
    paths = []
    for stem in IDX_FILES:
        packed, unpacked = folder / f"{stem}.gz", folder / stem
        if not packed.exists() and not unpacked.exists():
            raise DatasetError(f"{name} needs {_all_files()} in {folder}, where {stem}.gz is missing")
        paths.append(packed if packed.exists() else unpacked)
    return paths


def _all_files() -> str:
    return ", ".join(f"{stem}.gz" for stem in IDX_FILES)


def _read_part(x_path: Path, t_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of one part, checked against each other."""
    x, t = read_idx(x_path, IMAGES), read_idx(t_path, LABELS)
    if len(x) != len(t):
        raise DatasetError(f"{t_path}: expected a label for each of {len(x)} images, got {len(t)}")
    if t.max() > 9:
        first = int(np.argmax(t > 9))
        raise DatasetError(f"{t_path}: label {first} is {t[first]}, outside 0..9")
    return x, t
