"""Numbers and text as source code."""

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


LONGEST_STRING = 1000  # bytes of one in C, where compilers need to take no more than 4095
LITERAL = frozenset(c for c in range(0x20, 0x7F) if chr(c) not in '"\\?')  # bytes that mean themselves in a string


def c_string(text: str) -> str:
    r"""``text`` in UTF-8 as a string of C: no byte of it, nor a trigraph, can end the string or mean anything else.

    >>> print(c_string('a"; x'), c_string("??/"), c_string("ä"))
    "a\042; x" "\077\077/" "\303\244"
    """
    data = text.encode(errors="backslashreplace")
    if len(data) > LONGEST_STRING:
        data = data[: LONGEST_STRING - 3] + b"..."
    return '"' + "".join(chr(c) if c in LITERAL else f"\\{c:03o}" for c in data) + '"'


def comment(text: str) -> str:
    """Lines of ``text`` with nothing in them that could end a comment of C or a docstring of Python.

    >>> comment("Affine1  (2, 3) */ x")
    'Affine1  (2, 3) __ x'
    """
    return re.sub(r"[^\w \n.,:;()+=-]", "_", text, flags=re.ASCII)
