"""Numbers as source code."""

import re
from collections.abc import Iterator

import numpy as np


def hex_number(value: float) -> str:
    """A finite number exactly, as C99, Python's ``float.fromhex`` and others read it.

    >>> hex_number(np.float32(0.1)), hex_number(-2.0), hex_number(0.0)
    ('0x1.99999ap-4', '-0x1p+1', '0x0p+0')
    """
    return re.sub(r"\.?0*p", "p", float(value).hex())


def number_lines(array: np.ndarray, ending: str = "", indent: str = "    ") -> Iterator[str]:
    """The numbers of an array, in C order, each with ``ending``, in lines of at most 120 characters."""
    n = 6 if array.dtype == np.float32 else 4
    numbers = [hex_number(value) + ending for value in array.ravel().tolist()]
    for begin in range(0, len(numbers), n):
        yield indent + " ".join(numbers[begin : begin + n])
