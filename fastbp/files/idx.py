"""Reading IDX files, the format of MNIST: a magic number, the sizes, then one byte per entry."""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastbp.files._files import open_regular

IMAGES, LABELS = 2051, 2049  # magic numbers: unsigned bytes in 3 dimensions, in 1
LARGEST = 1 << 30  # bytes a header may announce; Fashion-MNIST's 47 million are the most in use
CHUNK = 1 << 20
MOST_PACKED = 1032  # bytes that gzip can make of one


class DatasetError(ValueError):
    """A data set is missing, damaged or not what its name says; one line that names the file."""


def read_idx(path: Path, magic: int) -> np.ndarray:
    """Return the entries of the IDX file ``path`` as a fresh uint8 array of the shape its header announces.

    Parameters
    ----------
    path : Path
        Decompressed with gzip if its name ends in ``.gz``; the checksum inside is checked.
    magic : IMAGES or LABELS
        What the first four bytes must hold.

    Raises
    ------
    DatasetError
        The file cannot be read, is damaged, is of another kind, or holds more or less than it announces.
        No more memory is asked for than the header announces, never more than a file of its size can hold, and never
        more than 1 GiB. Nothing but regular files is read.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if path.suffix != ".gz":
                return _read(file, path, magic, size)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read(stream, path, magic, MOST_PACKED * size)
    except EOFError:
        raise DatasetError(f"{path}: the gzip data is truncated") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path}: the gzip data is damaged: {error}") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from None


def _read(stream: BinaryIO | gzip.GzipFile, path: Path, magic: int, most: int) -> np.ndarray:
    """What ``stream`` holds, which is ``most`` bytes at the most."""
    shape = _read_header(stream, path, magic)
    size = math.prod(shape)
    if size > most:
        raise DatasetError(
            f"{path}: truncated: expected {size} bytes for shape {shape} after the header, got at most {most}"
        )
    data = np.empty(size, np.uint8)
    filled = 0
    while filled < size:
        chunk = stream.read(min(CHUNK, size - filled))
        if not chunk:
            raise DatasetError(
                f"{path}: truncated: expected {size} bytes for shape {shape} after the header, got {filled}"
            )
        data[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    if stream.read(1):  # also makes gzip compare its checksum
        raise DatasetError(f"{path}: expected {size} bytes for shape {shape} after the header, got more")
    return data.reshape(shape)


def _read_header(stream: BinaryIO | gzip.GzipFile, path: Path, magic: int) -> tuple[int, ...]:
    length = 4 * (1 + magic % 256)  # the magic's last byte is the number of dimensions
    header = stream.read(length)
    found = int.from_bytes(header[:4], "big")
    if len(header) >= 4 and found != magic:
        raise DatasetError(f"{path}: expected the IDX magic number {magic}, got {found}")
    if len(header) < length:
        raise DatasetError(f"{path}: truncated: expected a header of {length} bytes, got {len(header)}")
    shape = tuple(np.frombuffer(header, ">u4", offset=4).tolist())
    if not 0 < math.prod(shape) <= LARGEST:
        raise DatasetError(f"{path}: expected a shape of 1 to {LARGEST} bytes, got {shape}")
    return shape
