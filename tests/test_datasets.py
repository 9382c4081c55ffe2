"""The data sets, and what is said when their files are missing, damaged or not what they should be."""

import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastbp import datasets
from fastbp.files import idx as idx_files
from fastbp.files.idx import IMAGES, LABELS, DatasetError, read_idx

X_TRAIN, T_TRAIN, X_TEST, T_TEST = (f"{stem}.gz" for stem in datasets.IDX_FILES)
SHAPES = {X_TRAIN: (20, 4, 3), T_TRAIN: (20,), X_TEST: (5, 4, 3), T_TEST: (5,)}


def content(name, shape=None, seed=0):
    shape = shape or SHAPES[name]
    return np.random.default_rng(seed).integers(0, 10 if len(shape) == 1 else 256, shape, dtype=np.uint8)


def idx(array):
    """The bytes of an IDX file."""
    header = [2048 + array.ndim, *array.shape]
    return np.array(header, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    """A small data set of four whole files."""
    for name in SHAPES:
        (tmp_path / name).write_bytes(gzip.compress(idx(content(name))))
    return tmp_path


def refused(folder, match):
    with pytest.raises(DatasetError, match=match) as error:
        datasets.mnist(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- digits --------------------------------------------------------------------------------------------


def test_digits_are_those_of_scikit_learn():
    data, known = datasets.digits(), pytest.importorskip("sklearn.datasets").load_digits()
    np.testing.assert_array_equal(data.x_test, known.data[::5])
    np.testing.assert_array_equal(data.t_test, known.target[::5])
    np.testing.assert_array_equal(data.x_train, np.delete(known.data, np.s_[::5], axis=0))
    np.testing.assert_array_equal(data.t_train, np.delete(known.target, np.s_[::5]))


def test_digits_come_as_pixels_and_classes():
    data = datasets.digits()
    assert data.name == "digits"
    assert data.x_train.shape == (1437, 64)
    assert data.x_test.shape == (360, 64)
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert data.t_train.dtype == data.t_test.dtype == np.intp
    assert data.x_train.max() * data.scale == 1.0
    counts = np.bincount(data.t_train) + np.bincount(data.t_test)
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as published


def test_digits_are_fresh_each_time():
    datasets.digits().x_train[:] = 0
    assert datasets.digits().x_train.any()


def test_a_data_set_is_frozen():
    with pytest.raises(AttributeError):
        datasets.digits().scale = 1.0


def test_source_and_licence_stand_beside_the_digits():
    text = (Path(datasets.__file__).with_name("data") / "README.md").read_text()
    assert "CC BY 4.0" in text
    assert "Alpaydin" in text


# ---- IDX files that are right --------------------------------------------------------------------------


def test_mnist_from_four_files(folder):
    data = datasets.mnist(folder)
    assert data.name == "mnist"
    np.testing.assert_array_equal(data.x_train, content(X_TRAIN).reshape(20, 12))
    np.testing.assert_array_equal(data.t_train, content(T_TRAIN))
    np.testing.assert_array_equal(data.x_test, content(X_TEST).reshape(5, 12))
    np.testing.assert_array_equal(data.t_test, content(T_TEST))
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert data.t_train.dtype == data.t_test.dtype == np.intp
    assert data.scale == 1 / 255
    assert data.x_train.flags.writeable


def test_files_may_be_unpacked_and_the_folder_a_string(folder):
    expected = datasets.mnist(folder)
    for name in (X_TRAIN, T_TEST):
        packed = folder / name
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    data = datasets.mnist(str(folder))
    np.testing.assert_array_equal(data.x_train, expected.x_train)
    np.testing.assert_array_equal(data.t_test, expected.t_test)


@pytest.mark.parametrize(("load", "name"), [(datasets.mnist, "mnist"), (datasets.fashion_mnist, "fashion-mnist")])
def test_the_folder_may_hold_one_folder_for_each_data_set(tmp_path, load, name):
    (tmp_path / name).mkdir()
    for file in SHAPES:
        (tmp_path / name / file).write_bytes(gzip.compress(idx(content(file))))
    data = load(tmp_path)
    assert data.name == name
    np.testing.assert_array_equal(data.x_test, content(X_TEST).reshape(5, 12))


@pytest.mark.skipif("FASTBP_DATA_DIR" not in os.environ, reason="FASTBP_DATA_DIR names no folder with the data")
@pytest.mark.parametrize(
    ("load", "mean", "first"),
    [(datasets.mnist, 33.318, [5, 0, 4, 1, 9]), (datasets.fashion_mnist, 72.940, [9, 0, 0, 3, 0])],
)
def test_the_real_files(load, mean, first):
    data = load(os.environ["FASTBP_DATA_DIR"])
    assert data.x_train.shape == (60_000, 784)
    assert data.x_test.shape == (10_000, 784)
    assert data.x_train.mean() == pytest.approx(mean, abs=0.001)
    assert data.t_train[:5].tolist() == first
    np.testing.assert_array_equal(np.bincount(data.t_test) > 800, [True] * 10)


# ---- IDX files that are missing, damaged or wrong ------------------------------------------------------


def test_a_missing_folder_is_told_with_the_four_files(tmp_path):
    message = refused(tmp_path / "nowhere", "nowhere, which is not a folder")
    assert all(name in message for name in SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_missing_file_is_told_with_the_four_files(folder, name):
    (folder / name).unlink()
    message = refused(folder, f"mnist needs .* in .*{folder.name}, where {name} is missing")
    assert all(name in message for name in SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_damaged_file_is_named(folder, name):
    packed = bytearray((folder / name).read_bytes())
    packed[-8] ^= 1  # of the checksum of the content
    (folder / name).write_bytes(packed)
    refused(folder, f"{name}: the gzip data is damaged: CRC check failed")


def test_any_flipped_bit_is_noticed_or_does_no_harm(folder):
    whole, expected = (folder / T_TRAIN).read_bytes(), content(T_TRAIN)
    noticed = 0
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / T_TRAIN).write_bytes(flipped)
        try:
            np.testing.assert_array_equal(read_idx(folder / T_TRAIN, LABELS), expected)
        except DatasetError:
            noticed += 1
    assert noticed >= 8 * (len(whole) - 10)  # gzip's own header of 10 bytes has a time and flags


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_cut_anywhere_is_noticed(folder, packed):
    path = folder / T_TRAIN
    whole = path.read_bytes()
    if not packed:
        path.unlink()
        path, whole = path.with_suffix(""), gzip.decompress(whole)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(folder, f"{path.name}: .*(truncated|Not a gzipped file)")


def test_a_file_that_is_no_gzip_is_named(folder):
    (folder / X_TEST).write_bytes(b"<html>not found</html>")
    refused(folder, f"{X_TEST}: the gzip data is damaged: Not a gzipped file")


def test_bytes_after_the_end_are_an_error(folder):
    (folder / X_TEST).write_bytes(gzip.compress(idx(content(X_TEST)) + b"\0"))
    refused(folder, rf"{X_TEST}: expected 60 bytes for shape \(5, 4, 3\) after the header, got more")
    (folder / X_TEST).write_bytes(gzip.compress(idx(content(X_TEST))) + b"more")
    refused(folder, f"{X_TEST}: the gzip data is damaged")


@pytest.mark.parametrize("size", [4, 100, 2500])
def test_what_comes_after_the_announced_bytes_is_told_however_they_are_read(folder, monkeypatch, size):
    monkeypatch.setattr(idx_files, "CHUNK", 1000)
    path = folder / T_TEST.removesuffix(".gz")
    for extra in (b"", b"\0", bytes(2500)):
        labels = content(T_TEST, (size,))
        path.write_bytes(idx(labels) + extra)
        if not extra:
            np.testing.assert_array_equal(read_idx(path, LABELS), labels)
        else:
            with pytest.raises(DatasetError, match=f"expected {size} bytes for .* got more"):
                read_idx(path, LABELS)


def test_a_single_label_is_a_file(folder):
    path = folder / T_TEST.removesuffix(".gz")
    path.write_bytes(idx(np.array([7], np.uint8)))
    assert read_idx(path, LABELS).tolist() == [7]


@pytest.mark.parametrize("size", [4, 5])
def test_a_magic_number_alone_is_looked_at(folder, size):
    path = folder / T_TEST.removesuffix(".gz")
    path.write_bytes(idx(content(T_TEST))[:size])
    with pytest.raises(DatasetError, match="expected the IDX magic number 2051, got 2049"):
        read_idx(path, IMAGES)
    with pytest.raises(DatasetError, match=f"expected a header of 8 bytes, got {size}"):
        read_idx(path, LABELS)


def test_a_wrong_magic_number_is_named(folder):
    (folder / X_TRAIN).write_bytes((folder / T_TRAIN).read_bytes())
    refused(folder, f"{X_TRAIN}: expected the IDX magic number 2051, got 2049")
    (folder / X_TRAIN).write_bytes(gzip.compress(b"\x93NUMPY" + bytes(100)))
    refused(folder, f"{X_TRAIN}: expected the IDX magic number 2051, got {0x934E554D}")


@pytest.mark.parametrize(("count", "got"), [(21, "240"), (30_000_000, r"at most \d+")])
def test_a_count_above_the_content_is_truncation(folder, count, got):
    data = bytearray(idx(content(X_TRAIN)))
    data[4:8] = count.to_bytes(4, "big")
    (folder / X_TRAIN).write_bytes(gzip.compress(data))
    refused(folder, rf"{X_TRAIN}: truncated: expected {12 * count} bytes for shape \({count}, 4, 3\) .* got {got}$")


@pytest.mark.parametrize("shape", [(0, 4, 3), (5, 0, 3), (2**32 - 1,) * 3, (2**20, 2**10, 2)])
def test_a_shape_without_sense_is_refused_before_any_memory_is_asked_for(folder, shape):
    (folder / X_TEST).write_bytes(gzip.compress(np.array([IMAGES, *shape], ">u4").tobytes()))
    message = refused(folder, f"{X_TEST}: expected a shape of 1 to 1073741824 bytes, got ")
    assert message.endswith(f"{shape}")


def test_as_many_labels_as_images(folder):
    (folder / T_TEST).write_bytes(gzip.compress(idx(content(T_TEST, (6,)))))
    refused(folder, f"{T_TEST}: expected a label for each of 5 images, got 6")


@pytest.mark.parametrize("label", [10, 255])
def test_a_label_outside_0_to_9_is_named(folder, label):
    labels = content(T_TRAIN)
    labels[[7, 9]] = label
    (folder / T_TRAIN).write_bytes(gzip.compress(idx(labels)))
    refused(folder, rf"{T_TRAIN}: label 7 is {label}, outside 0\.\.9")


def test_train_and_test_images_have_one_size(folder):
    (folder / X_TEST).write_bytes(gzip.compress(idx(content(X_TEST, (5, 3, 4)))))
    refused(folder, rf"{X_TEST}: expected images of \(4, 3\) pixels as in {X_TRAIN}, got \(3, 4\)")


def test_a_folder_in_place_of_a_file_is_named(folder):
    (folder / X_TEST).unlink()
    (folder / X_TEST).mkdir()
    refused(folder, f"{X_TEST}: cannot be read: it is a folder, not a regular file")


def test_a_fifo_in_place_of_a_file_is_not_waited_for(folder):
    (folder / X_TEST).unlink()
    os.mkfifo(folder / X_TEST)
    refused(folder, f"{X_TEST}: cannot be read: it is not a regular file")


@pytest.mark.parametrize("packed", [True, False])
def test_no_room_is_made_for_more_than_a_file_of_its_size_can_hold(folder, packed):
    data = np.array([IMAGES, 1 << 10, 1 << 10, 1 << 10], ">u4").tobytes()
    path = folder / (X_TEST if packed else X_TEST.removesuffix(".gz"))
    path.write_bytes(gzip.compress(data) if packed else data)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=r"expected 1073741824 bytes for .* got at most"):
            read_idx(path, IMAGES)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_dataset_error_is_a_value_error():
    assert issubclass(datasets.DatasetError, ValueError)
