"""The form of model files: how long a header may be, and a file that somebody writes to while it is read."""

import struct

import numpy as np
import pytest

from fastbp.files import _tensor_file
from fastbp.files._tensor_file import ModelFileError

TENSORS = {"W": np.arange(116, dtype=np.float32)}
LONGEST = (1 << 17) + 2088  # of a header in a file of 64 * 2088 bytes, as one with these tensors is then


def header_of(path):
    return int.from_bytes(path.read_bytes()[:8], "little")


def test_a_header_may_be_as_long_as_is_said_and_no_longer(tmp_path):
    path = tmp_path / "m"
    _tensor_file.write(path, {"extra": ""}, TENSORS)
    description = {"extra": "x" * (LONGEST - header_of(path))}
    _tensor_file.write(path, description, TENSORS)
    assert (header_of(path), path.stat().st_size) == (LONGEST, 64 * 2088)
    found, tensors = _tensor_file.read(path)
    assert found == description
    np.testing.assert_array_equal(tensors["W"], TENSORS["W"])

    longer = {"extra": description["extra"] + "x" * 8}
    for write in (_tensor_file.check_room, lambda *given: _tensor_file.write(path, *given)):
        with pytest.raises(ValueError, match=f"is too long for a file of {64 * 2088 + 8} bytes: {LONGEST + 8} bytes"):
            write(longer, TENSORS)
    whole = path.read_bytes()
    path.write_bytes(struct.pack("<Q", LONGEST + 8) + whole[8 : 8 + LONGEST] + b" " * 8 + whole[8 + LONGEST :])
    with pytest.raises(ModelFileError, match=f"the header is too long: {LONGEST + 8} bytes, at most {LONGEST}"):
        _tensor_file.read(path)


@pytest.mark.parametrize("n", [3, 10])
def test_a_header_that_is_a_few_bytes_longer_than_the_file_is_told(tmp_path, n):
    (tmp_path / "m").write_bytes(struct.pack("<Q", n) + b"{}")
    with pytest.raises(ModelFileError, match=f"no model file, or cut short: a header of {n} bytes in a file of 10$"):
        _tensor_file.read(tmp_path / "m")


@pytest.mark.parametrize("comes", ["another description", "fewer bytes"])
def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path, monkeypatch, comes):
    """What is looked at says "badd", and what comes in its place has a checksum that fits."""
    path, check = tmp_path / "m", _tensor_file._check_table
    long = {"extra": "x" * 180_000 + "good"}, {"W": np.zeros(1 << 20, np.float32)}  # longer than what is buffered
    _tensor_file.write(path, *long)
    whole = path.read_bytes()

    def meanwhile(*given):
        path.write_bytes(whole if comes == "another description" else whole[:-1])
        check(*given)

    path.write_bytes(whole.replace(b"good", b"badd") if comes == "another description" else whole)
    monkeypatch.setattr(_tensor_file, "_check_table", meanwhile)
    with pytest.raises(ModelFileError, match="changed or damaged"):
        _tensor_file.read(path)
