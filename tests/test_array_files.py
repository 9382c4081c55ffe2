"""Arrays from .npy and .npz files: what is taken, where the bounds are, and what the system says."""

import io
import struct
import zipfile

import numpy as np
import pytest

from fastbp.files.idx import MOST_PACKED
from fastbp.tables import _arrays
from fastbp.tables._arrays import Npz, read_npy
from fastbp.tables._errors import DataError

X = np.arange(6.0).reshape(2, 3)


def npy(array, version=(1, 0)):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def npz(path, content, pack=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", pack) as archive:
        archive.writestr("x.npy", content)
    return Npz(str(path))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("array", [X, X[:0], X[:, :0], np.array(2.5), np.array(["a"])], ids=lambda a: str(a.shape))
def test_arrays_of_any_shape_and_version_are_read(tmp_path, array, version):
    (tmp_path / "x.npy").write_bytes(npy(array, version))
    found = [npz(tmp_path / "a.npz", npy(array, version)).read("x")]
    if array.size:  # nothing cannot be mapped into memory
        found.append(read_npy(str(tmp_path / "x.npy")))
    for one in found:
        np.testing.assert_array_equal(one, array)
        assert one.dtype == array.dtype


@pytest.mark.parametrize("pack", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zeros_may_be_packed_as_small_as_can_be(tmp_path, pack):
    zeros = np.zeros((100_000, 3))
    assert not npz(tmp_path / "a.npz", npy(zeros), pack).read("x").any()


def test_an_array_may_take_all_memory_that_there_is_and_no_more(tmp_path, monkeypatch):
    file, size = npz(tmp_path / "a.npz", npy(X)), len(npy(X))
    monkeypatch.setattr(_arrays, "memory", lambda: size)
    np.testing.assert_array_equal(file.read("x"), X)
    monkeypatch.setattr(_arrays, "memory", lambda: size - 1)
    with pytest.raises(DataError, match="more memory than there is"):
        file.read("x")


@pytest.mark.parametrize(("more", "message"), [(0, "is damaged: float64 of shape"), (1, "bytes cannot unpack to so m")])
def test_an_archive_may_say_that_it_holds_what_one_of_its_size_can_hold(tmp_path, more, message):
    path = tmp_path / "a.npz"
    npz(path, npy(X))
    with zipfile.ZipFile(path) as archive:
        member = archive.infolist()[0]
    said, size = struct.pack("<I", member.file_size), MOST_PACKED * member.compress_size + more
    assert path.read_bytes().count(said) == 2
    path.write_bytes(path.read_bytes().replace(said, struct.pack("<I", size)))
    with pytest.raises(DataError, match=message):
        Npz(str(path)).read("x")


def test_what_the_system_says_of_a_file_is_said(tmp_path):
    file = npz(tmp_path / "a.npz", npy(X))
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    with pytest.raises(FileNotFoundError, match=r"a\.npz"):
        file.read("x")


def test_a_place_out_of_range_is_damage(tmp_path, monkeypatch):
    file = npz(tmp_path / "a.npz", npy(X))

    def opened(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(zipfile, "ZipFile", opened)
    with pytest.raises(DataError, match=r"a\.npz is no \.npz file: \[Errno 22\] Invalid argument$"):
        file.read("x")


def test_no_memory_is_no_damage(tmp_path, monkeypatch):
    file = npz(tmp_path / "a.npz", npy(X))

    def read(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np.lib.format, "read_array", read)
    with pytest.raises(MemoryError):
        file.read("x")
