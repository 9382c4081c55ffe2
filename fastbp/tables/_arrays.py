"""Arrays from .npy and .npz files, whose headers are compared with what the files hold before anything is taken."""

import io
import math
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import numpy as np

from fastbp.files.idx import MOST_PACKED
from fastbp.tables._errors import DataError, check_file, no_such
from fastbp.tables._memory import memory, shown_size

T = TypeVar("T")
LARGEST_HEADER = 10_000  # bytes, NumPy's own bound


def read_npy(path: str) -> np.ndarray:
    """The array in the file, mapped into memory and read-only; DataError where there is none."""
    check_file(path)

    def read() -> np.ndarray:
        with open(path, "rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            _check_header(path, file, size)
        return np.load(path, mmap_mode="r")

    return _tried(path, read)


class Npz:
    """The arrays in an .npz file.

    Attributes
    ----------
    names : of the arrays
    """

    def __init__(self, path: str) -> None:
        check_file(path)
        self._path = path
        with _opened(path) as archive:
            self.names = [name.removesuffix(".npy") for name in archive.namelist()]

    def read(self, name: str) -> np.ndarray:
        """The array of that name; DataError where there is none, or it does not fit into memory."""
        if name not in self.names:
            raise DataError(f"{self._path}: {no_such('array', name, self.names)}")
        called = f"{self._path}: array {name!r}"

        def read() -> np.ndarray:
            with _opened(self._path) as archive:
                member = archive.infolist()[self.names.index(name)]
                if member.file_size > memory():
                    raise DataError(f"{called} unpacks to {shown_size(member.file_size)}, more memory than there is")
                packed = member.compress_size
                if member.compress_type == zipfile.ZIP_DEFLATED and member.file_size > MOST_PACKED * packed:
                    raise DataError(f"{called} is damaged: {packed} bytes cannot unpack to so many")
                with archive.open(member) as file:
                    _check_header(called, file, member.file_size)
                with archive.open(member) as file:
                    return np.lib.format.read_array(file, allow_pickle=False)

        return _tried(called, read)


def _opened(path: str) -> zipfile.ZipFile:
    return _tried(path, lambda: zipfile.ZipFile(path), "no .npz file")


def _check_header(called: str, file: BinaryIO | Any, size: int) -> None:
    """DataError unless the file of ``size`` bytes holds the array that its header tells of, and no more."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = read(file, LARGEST_HEADER)
    except ValueError:
        raise DataError(f"{called} is damaged: its header cannot be read") from None
    if dtype.hasobject:
        raise DataError(f"{called} holds Python objects, which are not loaded: save it as numbers or text")
    there = size - file.tell()
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != there:
        raise DataError(f"{called} is damaged: {dtype} of shape {shape} in {there} bytes")


def _tried(called: str, read: Callable[[], T], damage: str = "damaged") -> T:
    try:
        return read()
    except (DataError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy's reader of headers have a dozen of them for a damaged file
        if isinstance(error, OSError) and error.filename is not None:  # of the system; others are a place out of range
            raise
        raise DataError(f"{called} is {damage}: {' '.join(str(error).split()) or type(error).__name__:.200}") from None
