"""fastbp.book's files: MNIST in the book's forms, and pickles of weights, in which nothing else may be."""

import gzip
import io
import os
import pickle
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from fastbp import datasets
from fastbp.book import mnist, weights
from fastbp.reference.book import mnist as plain_mnist

ARRAYS = {
    "rows": np.arange(6.0).reshape(2, 3),
    "Fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "strided": np.arange(9)[::2],
    "one": np.array(2.5),
    "none": np.zeros((0, 3)),
    "big-endian": np.arange(4, dtype=">f8"),
    "bools": np.array([True, False]),
}


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """Four files in MNIST's format, of a few images."""
    rng = np.random.default_rng(0)
    for stem, n in zip(datasets.IDX_FILES, (20, 20, 8, 8), strict=True):
        shape = (n, 28, 28) if "images" in stem else (n,)
        array = rng.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
        header = np.array([2048 + array.ndim, *shape], ">u4").tobytes()
        (tmp_path / f"{stem}.gz").write_bytes(gzip.compress(header + array.tobytes()))
    monkeypatch.setenv("FASTBP_DATA_DIR", str(tmp_path))


@pytest.mark.parametrize("one_hot_label", [False, True])
@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_mnist_comes_in_the_books_forms(small_mnist, normalize, flatten, one_hot_label):
    arguments = {"normalize": normalize, "flatten": flatten, "one_hot_label": one_hot_label}
    for got, expected, n in zip(
        mnist.load_mnist(**arguments), plain_mnist.load_mnist(**arguments), (20, 8), strict=True
    ):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        x, t = got
        assert x.shape == ((n, 784) if flatten else (n, 1, 28, 28))
        assert x.dtype == (np.float32 if normalize else np.uint8)
        assert t.shape == ((n, 10) if one_hot_label else (n,))
        assert not normalize or 0 <= x.min() < 0.1 < 0.9 < x.max() <= 1


def test_a_folder_without_mnist_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTBP_DATA_DIR", str(tmp_path))
    with pytest.raises(datasets.DatasetError, match="mnist needs train-images-idx3-ubyte"):
        mnist.load_mnist()


@pytest.mark.skipif("FASTBP_DATA_DIR" not in os.environ, reason="needs MNIST in FASTBP_DATA_DIR")
def test_mnist_itself():
    (x_train, t_train), (x_test, _) = mnist.load_mnist()
    assert (x_train.shape, x_test.shape, t_train[:3].tolist()) == ((60000, 784), (10000, 784), [5, 0, 4])


# --- Pickles -----------------------------------------------------------------------------------------------


def loaded(content):
    return weights.load(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_any_protocol_and_release(name, protocol):
    array = ARRAYS[name]
    content = pickle.dumps(OrderedDict(W1=array, inner={"b1": array, "note": "text"}), protocol)
    contents = [content]
    if protocol < 4:  # whose strings have no lengths of one byte before them
        contents.append(content.replace(b"numpy._core", b"numpy.core"))
    for one in contents:
        got = loaded(one)
        assert type(got) is dict
        assert got["inner"]["note"] == "text"
        for found in (got["W1"], got["inner"]["b1"]):
            np.testing.assert_array_equal(found, array)
            assert (found.shape, found.dtype) == (array.shape, array.dtype.newbyteorder("="))
            assert found.flags.writeable


def test_what_is_dumped_is_loaded(tmp_path):
    network = {"W1": np.random.default_rng(0).standard_normal((3, 2)), "b1": np.zeros(2, np.float32)}
    with open(tmp_path / "sample_weight.pkl", "wb") as file:
        weights.dump(network, file)
    for load in (weights.load, pickle.load):
        with open(tmp_path / "sample_weight.pkl", "rb") as file:
            found = load(file)
        assert list(found) == list(network)
        for name, array in network.items():
            np.testing.assert_array_equal(found[name], array)
    for bad in ([1], {1: np.ones(2)}, {"W": 1.0}, {"W": np.array([None])}):
        with pytest.raises(TypeError, match="weights must be"):
            weights.dump(bad, io.BytesIO())


def test_what_stands_twice_is_read_once():
    """Of a dict within a dict, each twice, to a depth of 60, there would be 2^60."""
    inner = {"W": np.ones(2)}
    for _ in range(60):
        inner = {"a": inner, "b": inner}
    found = loaded(pickle.dumps(inner))
    assert found["a"] is found["b"]
    inner = {}
    inner["a"] = inner
    assert list(loaded(pickle.dumps(inner))) == ["a"]


def test_a_memo_larger_than_the_file_is_refused():
    content = pickle.dumps({"W": np.ones(2)}, 2)
    put = content.index(b"q\x00")
    with pytest.raises(ValueError, match="got a memo of 2147483647 entries"):
        loaded(content[:put] + b"r\xff\xff\xff\x7f" + content[put + 2 :])


class Crafted:
    """An array of four numbers that is said to have another shape."""

    def __init__(self, shape):
        self.shape = shape

    def __reduce__(self):
        make, arguments, (version, _, *rest) = np.ones((2, 2)).__reduce__()
        return make, arguments, (version, self.shape, *rest)


@pytest.mark.parametrize(
    "shape",
    [(-1,), (2, -1), (-2, -2), (3,), (1 << 62, 4), (2.0, 2), (float("nan"),), (float("inf"), 0), ("2", 2), 4, None],
)
@pytest.mark.parametrize("protocol", [0, 2])
def test_a_shape_that_is_not_that_of_the_bytes_is_refused(shape, protocol):
    whole = loaded(pickle.dumps({"W": Crafted((4,))}, protocol))
    np.testing.assert_array_equal(whole["W"], np.ones(4))
    with pytest.raises(ValueError, match="must be a pickle of a dict"):
        loaded(pickle.dumps({"W": Crafted(shape)}, protocol))


def test_a_shape_of_text_takes_no_memory():
    content = pickle.dumps({"W": Crafted(("2", 1 << 24))})  # whose product is a text of so many letters
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="must be a pickle of a dict"):
            loaded(content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


class Runs:
    def __reduce__(self):
        return os.system, ("echo this was run",)


REFUSED = {
    "a list": ([np.ones(2)], "got list"),
    "a number": ({"W": 1.5}, "got float"),
    "a number of NumPy's": ({"W": np.float64(1.5)}, "got numpy.*scalar"),
    "a name that is no text": ({1: np.ones(2)}, "got int"),
    "objects": ({"W": np.array([None])}, "got an array of object"),
    "texts": ({"W": np.array(["a"])}, "got an array of <U1"),
    "complex numbers": ({"W": np.ones(2, complex)}, "got an array of complex128"),
    "records": ({"W": np.zeros(2, [("a", float)])}, "got .*"),
    "a function": ({"W": print}, r"got (builtins|__builtin__)\.print"),
    "what runs a command": ({"W": Runs()}, r"got (posix|nt)\.system"),
    "an array alone": (np.ones(2), "got an array"),
    "nothing": (None, "got NoneType"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused(name, protocol, capfd):
    content, got = REFUSED[name]
    expected = "file must be a pickle of a dict of dicts, strings and NumPy arrays of real numbers, "
    with pytest.raises(ValueError, match=expected + got) as error:
        loaded(pickle.dumps(content, protocol))
    assert "\n" not in str(error.value)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_damaged_pickles_are_refused(protocol, tmp_path):
    content = pickle.dumps({"W1": np.arange(50.0), "b1": np.ones(3)}, protocol)
    whole = loaded(content)
    rng = np.random.default_rng(protocol)
    for cut in range(0, len(content) - 1, 7):
        with pytest.raises(ValueError, match="must be a pickle of"):
            loaded(content[:cut])
    for place in rng.integers(0, len(content), 200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(0, 8))
        try:
            found = loaded(bytes(damaged))
        except ValueError as error:
            assert "must be a pickle of" in str(error)
        else:
            assert set(map(type, found.values())) <= {np.ndarray, str, dict}
    assert list(whole) == ["W1", "b1"]
    path = tmp_path / "net.pkl"
    path.write_bytes(content[:-9])
    with open(path, "rb") as file, pytest.raises(ValueError, match=r"net\.pkl must be a pickle of a dict"):
        weights.load(file)
