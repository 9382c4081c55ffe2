"""A safetensors file of float arrays with a description in JSON and a checksum over every byte.

The description is the one entry of the file's metadata (their order would be another in each process). It holds the
SHA-256 of the whole file, taken with zeros in the digest's own place; so no byte of the file can change unnoticed.
What is read is checked here before it is handed to the safetensors library, and nothing of it is ever run.
"""

import hashlib
import json
import math
import os
import re
from typing import Any, BinaryIO

import numpy as np

from fastbp.files._file_kinds import kind_of
from fastbp.files._files import open_regular, write_whole

KEY = "fastbp"
VERSION = 1
ZEROS = "0" * 64
ITEM_SIZES = {"F32": 4, "F64": 8}
LONGEST_HEADER = 1 << 17  # bytes, and a 64th of the file: parsed, JSON takes up to 40 times its length
BEGINNING = 1000  # bytes by which a file of another kind is recognised
WHAT_IS_ONE = "a model is what net.save or fastbp train --save writes"


class ModelFileError(ValueError):
    """A file is no model of fastbp, or damaged, changed, cut short, or of another version. A ValueError."""


def longest_header(file_size: int) -> int:
    return LONGEST_HEADER + file_size // 64


def write(path: str | os.PathLike, description: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Write C-contiguous float32 and float64 ``tensors`` and a ``description`` that JSON can hold, whole or not at all.

    The same content gives the same bytes. Raises ValueError for a description that is too long, or has NaN or
    infinities; TypeError for one that JSON cannot hold; OSError.
    """
    data = _encoded(description, tensors)
    at = data.index(ZEROS.encode())  # the header begins with the metadata, and these with version and digest
    view = memoryview(data)
    write_whole(path, view[:at], _digest(view, at), view[at + len(ZEROS) :])


def check_room(description: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """ValueError where ``write`` would find the description too long."""
    _encoded(description, tensors)


def _encoded(description: dict[str, Any], tensors: dict[str, np.ndarray]) -> bytes:
    """A file's bytes, with zeros for its digest."""
    from safetensors.numpy import save

    text = json.dumps({"version": VERSION, "sha256": ZEROS} | description, allow_nan=False, separators=(",", ":"))
    data = save(tensors, {KEY: text})
    header = int.from_bytes(data[:8], "little")
    if header > longest_header(len(data)):
        raise ValueError(
            f"the description of the network, with all that is extra, is too long for a file of {len(data)} bytes: "
            f"{header} bytes, at most {longest_header(len(data))}"
        )
    return data


def read(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the description and the tensors of a file that ``write`` has written.

    Takes no more memory than twice the file's size, apart from what its header takes (at most ``longest_header``).
    Raises ModelFileError for any other file, OSError for one that cannot be read or is no regular one.
    """
    with open_regular(path) as file:
        try:
            return _read(file)
        except ModelFileError as error:
            raise ModelFileError(f"{os.fspath(path)!s}: {error}") from error.__cause__


def _read(file: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    size = os.fstat(file.fileno()).st_size
    beginning = file.read(8)
    length = int.from_bytes(beginning, "little")
    if length > size - 8:
        beginning += file.read(BEGINNING)
        kind = None if beginning[8:9] == b"{" else kind_of(beginning)  # behind a length, a header begins so
        if kind is not None:
            raise ModelFileError(f"no model file but {kind}; {WHAT_IS_ONE}")
        raise ModelFileError(f"no model file, or cut short: a header of {length} bytes in a file of {size}")
    if length > longest_header(size):
        raise ModelFileError(f"the header is too long: {length} bytes, at most {longest_header(size)}")
    header = file.read(length)
    table = _object("the header", header)
    metadata = table.pop("__metadata__", None)
    if not isinstance(metadata, dict) or list(metadata) != [KEY] or not isinstance(metadata[KEY], str):
        raise ModelFileError(
            "no model file of fastbp, but of safetensors: fastbp.from_torch takes the arrays that "
            f"safetensors.numpy.load_file reads from it; {WHAT_IS_ONE}"
        )
    description = _object("the description", metadata[KEY])
    version, digest = description.pop("version", None), description.pop("sha256", None)
    if type(version) is not int or version != VERSION:
        raise ModelFileError(f"written in version {version!r:.80} of the format; this fastbp reads version {VERSION}")
    _check_table(table, size - 8 - length)

    file.seek(0)
    data = file.read(size)
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ModelFileError("the checksum is missing")
    at = data.find(digest.encode())
    # The header is what was looked at, also where somebody writes to the file meanwhile.
    if data[8 : 8 + length] != header or _digest(memoryview(data), at) != digest.encode():
        raise ModelFileError("changed or damaged: the content does not fit its checksum")
    try:
        return description, load(data)
    except SafetensorError as error:
        raise ModelFileError(f"damaged: {error}") from error


def _digest(data: memoryview, at: int) -> bytes:
    """SHA-256 in hexadecimal digits of ``data``, in which the digits themselves, from ``at`` on, count as zeros."""
    digest = hashlib.sha256(data[:at])
    digest.update(ZEROS.encode())
    digest.update(data[at + len(ZEROS) :])
    return digest.hexdigest().encode()


def _object(what: str, text: str | bytes) -> dict[str, Any]:
    """The JSON object that ``text`` is."""
    try:
        text = text if isinstance(text, str) else text.decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"no model file, or damaged: {what} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"no model file: {what} is no JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name occurs twice")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _check_table(table: dict[str, Any], size: int) -> None:
    """Raise ModelFileError unless the tensors of ``table`` fill ``size`` bytes one after the other, without gaps."""
    ends = []
    for name, entry in table.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise ModelFileError(f"damaged: the entry of {name!r:.80} is {entry!r:.80}")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
            raise ModelFileError(f"{name!r:.80} must be of {' or '.join(ITEM_SIZES)}, got {dtype!r:.80}")
        if not _are_sizes(shape) or len(shape) > 4:
            raise ModelFileError(f"the shape of {name!r:.80} must be at most four sizes, got {shape!r:.80}")
        if not _are_sizes(offsets) or len(offsets) != 2:
            raise ModelFileError(f"the offsets of {name!r:.80} must be two sizes, got {offsets!r:.80}")
        if offsets[1] - offsets[0] != math.prod(shape) * ITEM_SIZES[dtype]:
            raise ModelFileError(f"{name!r:.80} of shape {shape} and {dtype} does not fit its offsets, {offsets}")
        ends.append(offsets)
    at = 0
    for begin, end in sorted(ends):
        if begin != at:
            raise ModelFileError(f"tensors overlap or leave a gap: one begins at byte {begin}, the last ended at {at}")
        at = end
    if at != size:
        raise ModelFileError(f"cut short or too long: the tensors take {at} bytes, the file has {size} for them")


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)
