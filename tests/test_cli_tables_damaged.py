"""Damaged files, and files made to do harm: one line, no traceback, and no more memory than the file is worth."""

import io
import struct
import zipfile

import numpy as np
import pytest
from cli_runs import refused

from fastbp.tables import _arrays

pytest.importorskip("polars")

X, T = np.random.default_rng(0).random((20, 3)), np.arange(20) % 2


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def npy(array=X, shape=None, dtype=None):
    """The bytes of an .npy file whose header says ``shape`` and ``dtype``."""
    file = io.BytesIO()
    header = {"descr": dtype or array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + array.tobytes()


def npz(name, x, t=None):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", x)
        archive.writestr("t.npy", npy(T) if t is None else t)


HARMFUL = {
    "a shape larger than the file": (npy(shape=(10**12, 3)), "is damaged: float64 of shape (1000000000000, 3) in 480"),
    "a shape that overflows": (npy(shape=(2**40, 2**40)), "is damaged: float64 of shape"),
    "a negative shape": (npy(shape=(-20, -3)), "is damaged: float64 of shape (-20, -3) in 480 bytes"),
    "a shape of NaN": (npy().replace(b"(20, 3)", b"(nan,3)"), "is damaged: its header cannot be read"),
    "a shape of infinity": (npy().replace(b"(20, 3), }", b"(1e999,),}"), "is damaged: its header cannot be read"),
    "some negative sizes": (npy(shape=(-20, -3, 1)), "is damaged: float64 of shape (-20, -3, 1) in 480 bytes"),
    "fewer bytes": (npy()[:-8], "is damaged: float64 of shape (20, 3) in 472 bytes"),
    "objects": (npy(dtype="|O"), "holds Python objects, which are not loaded: save it as numbers or text"),
    "no header": (b"\x93NUMPY\x01\x00", "is damaged: its header cannot be read"),
    "a header that is code": (npy().replace(b"(20, 3)", b"exit(3)"), "is damaged: its header cannot be read"),
    "something else": (b"hello", "is damaged: "),
    "a version of the future": (npy().replace(b"NUMPY\x01", b"NUMPY\x09"), "is damaged: "),
}


@pytest.mark.parametrize("content", HARMFUL)
def test_arrays_that_do_harm_are_told_in_one_line(capsys, folder, content):
    array, message = HARMFUL[content]
    (folder / "x.npy").write_bytes(array)
    np.save("t.npy", T)
    npz("a.npz", array)
    told = refused(capsys, "train", "--data", "x.npy", "--target", "t.npy")
    assert told.startswith(f"fastbp: x.npy {message}")
    assert refused(capsys, "train", "--data", "a.npz").startswith(f"fastbp: a.npz: array 'x' {message}")


@pytest.mark.parametrize("size", [0, 1, 30, 200, -100, -1])
@pytest.mark.parametrize("name", ["a.npz", "x.npy", "a.parquet"])
def test_files_that_are_cut_off_are_told_in_one_line(capsys, folder, name, size):
    polars = pytest.importorskip("polars")
    np.savez("a.npz", x=X, t=T)
    np.save("x.npy", X)
    np.save("t.npy", T)
    polars.DataFrame({"x": X[:, 0], "t": T}).write_parquet("a.parquet")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:size])
    target = {"a.npz": [], "x.npy": ["--target", "t.npy"], "a.parquet": ["--target", "t"]}[name]
    message = refused(capsys, "train", "--data", name, *target)
    assert message.startswith(f"fastbp: {name}")
    expected = ["empty"] if size == 0 else ["damaged", "cannot be read", "no .npz file"]
    assert any(words in message for words in expected)


def test_an_array_that_unpacks_to_more_than_memory_is_not_unpacked(capsys, monkeypatch):
    npz("a.npz", npy(np.zeros((10_000, 3))))
    monkeypatch.setattr(_arrays, "memory", lambda: 200_000)
    message = refused(capsys, "train", "--data", "a.npz")
    assert "a.npz: array 'x' unpacks to 0.2 MiB, more memory than there is" in message


def test_no_room_is_made_for_more_than_an_archive_of_its_size_can_hold(capsys, folder):
    n = 50_000_000
    npz("a.npz", npy(X, shape=(n, 3)))
    said, size = len(npy(X)), len(npy(X)) + 24 * n - X.nbytes
    content = (folder / "a.npz").read_bytes()
    (folder / "a.npz").write_bytes(content.replace(struct.pack("<I", said), struct.pack("<I", size)))
    assert "bytes cannot unpack to so many" in refused(capsys, "train", "--data", "a.npz")


def test_an_archive_that_lies_about_its_sizes_is_told(capsys, folder):
    npz("a.npz", npy(np.zeros((10_000, 3))))
    content = (folder / "a.npz").read_bytes()
    size = struct.pack("<I", len(npy(np.zeros((10_000, 3)))))
    (folder / "a.npz").write_bytes(content.replace(size, struct.pack("<I", 600)))
    assert "a.npz: array 'x' is damaged: " in refused(capsys, "train", "--data", "a.npz")


def test_a_column_that_is_neither_numbers_nor_text_is_told(capsys):
    polars = pytest.importorskip("polars")
    polars.DataFrame({"x": [[1, 2]] * 20, "b": [b"\xff"] * 20, "a": X[:, 0], "t": T}).write_parquet("a.parquet")
    for name, kind in (("x", "List"), ("b", "Binary")):
        other = {"x": "b", "b": "x"}[name]
        message = refused(capsys, "train", "--data", "a.parquet", "--target", "t", "--drop", other)
        assert f"column '{name}' holds {kind}" in message
        assert "neither numbers nor text: leave it out with --drop" in message
