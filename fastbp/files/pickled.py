"""Pickle files of weights, such as the book's: dicts of NumPy arrays by name, and nothing else."""

import io
import math
import pickle
import pickletools
from typing import Any, BinaryIO

import numpy as np

_KINDS = "fiub"  # real numbers and bools


class _Type:
    """Stands for a dtype while a file is read."""

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        self.name: Any = name
        self.order: Any = "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def made(self) -> np.dtype:
        """The dtype, of real numbers."""
        dtype = np.dtype(str(self.name)).newbyteorder(self.order)
        if dtype.kind not in _KINDS:
            raise ValueError(f"an array of {dtype}")
        return dtype


class _Array:
    """Stands for an array while a file is read."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.state = data, dtype, shape, "F" if fortran else "C"

    def made(self) -> np.ndarray:
        """The array, in memory of its own."""
        data, dtype, shape, order = self.state
        kind = dtype.made()
        # A product with a text of the file's would be text, as long as the file likes; reshape takes -1 for any size.
        if any(type(n) is not int or n < 0 for n in shape) or math.prod(shape) * kind.itemsize != len(data):
            raise ValueError(f"an array of shape {shape} with {len(data)} bytes")
        array = np.frombuffer(data, kind).reshape(shape, order=order)
        return array.astype(kind.newbyteorder("="), order="K")


def _array_of_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.state = data, dtype, shape, order
    return array


def _no_bytes() -> bytes:
    """What bytes of length 0 are in these files."""
    return b""


def _bytes_of_text(text: str, encoding: str) -> bytes:
    """What bytes are in files of the protocols before 3, encoded as latin1."""
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _bytes_of_text,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): dict,
}
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = _Array
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _array_of_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ValueError(f"{module}.{name}") from None


def read_pickle(file: BinaryIO) -> dict[str, Any]:
    """Return the dict that is pickled in an open binary ``file``; nothing in it is run.

    Of dicts, strings and NumPy arrays of real numbers, from any release of NumPy and by any protocol.

    Raises ValueError where anything else is in it, or where it is damaged; the message names what came.
    """
    name, content = getattr(file, "name", "file"), file.read()
    expected = f"{name} must be a pickle of a dict of dicts, strings and NumPy arrays of real numbers"
    try:
        _look_through(content)
        found = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        if type(found) is not dict:
            raise ValueError(_called(found))
        return _made(found, {})
    except Exception as error:  # a damaged pickle may raise any
        raise ValueError(f"{expected}, got {' '.join(str(error).split()) or type(error).__name__}") from None


def _look_through(content: bytes) -> None:
    """Raise where a pickle would have pickle take memory that its own size does not account for."""
    for opcode, argument, _ in pickletools.genops(content):  # which raises where a length is beyond the end
        if opcode.name.endswith("PUT") and int(argument or 0) > len(content):
            raise ValueError(f"a memo of {argument} entries")


def _made(value: Any, known: dict[int, Any]) -> Any:
    """What ``value`` stands for; ``known`` has it for those seen before, so that each is made once."""
    if id(value) in known:
        return known[id(value)]
    if type(value) is dict:
        made = known[id(value)] = {}
        made.update((_text(key), _made(item, known)) for key, item in value.items())
        return made
    if isinstance(value, _Array):
        return known.setdefault(id(value), value.made())
    return _text(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(_called(value))
    return value


def _called(value: Any) -> str:
    return "an array" if isinstance(value, _Array) else type(value).__name__
