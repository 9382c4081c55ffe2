"""What training reads: samples and targets of any type and layout, and weights of samples and classes."""

import tracemalloc

import numpy as np
import pytest
from fits import T, X, assert_close_weights, assert_same_weights, fitted, network, small, weights_differ
from strategies import FLOATS, LAYOUTS, assert_same_bits, eps


def assert_trained_as_on(x, same, **options):
    """A network trained on ``x`` ends with the bits of one trained on ``same``, and ``x`` stays as it was."""
    kept = np.array(x)
    expected, _ = fitted(small(), same)
    assert_same_weights(fitted(small(), x, **options)[0], expected)
    assert_same_bits(x, kept)


@pytest.mark.parametrize(
    "dtype",
    [bool, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float16, np.float64],
)
def test_numbers_of_any_type_train_like_float32(dtype):
    x = np.random.default_rng(0).integers(0, 2 if dtype is bool else 50, (50, 5)).astype(dtype)
    assert_trained_as_on(x, x.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_in_any_layout_train_like_a_contiguous_copy(layout, dtype):
    values = (10 * X).astype(dtype) if dtype != np.uint8 else (10 * np.abs(X)).astype(dtype)
    x = LAYOUTS[layout](values)
    assert_trained_as_on(x, np.array(x, dtype=np.float32, order="C"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_targets_in_any_layout_train_like_a_contiguous_copy(layout):
    expected, _ = fitted(small(), X, T)
    if layout != "zero stride":
        assert_same_weights(fitted(small(), X, LAYOUTS[layout](T))[0], expected)
        assert_same_weights(
            fitted(small(), X, LAYOUTS[layout](np.eye(3, dtype=np.float32)[T]))[0], fitted(small(), X, np.eye(3)[T])[0]
        )
        assert_same_weights(fitted(small(), X, LAYOUTS[layout](T.astype(np.float32)))[0], expected)


def test_lists_train_like_arrays():
    assert_same_weights(fitted(small(), X.tolist(), T.tolist())[0], fitted(small())[0])


def test_images_are_flattened():
    x = X[:, :4].reshape(50, 1, 2, 2)
    net = network(4, 8, 3)
    assert_same_weights(fitted(net, x)[0], fitted(net, x.reshape(50, 4))[0])


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("dtype", FLOATS)
def test_scale_multiplies_what_is_read(dtype, kind):
    x = np.random.default_rng(0).integers(0, 100, (50, 5)).astype(kind)
    got, history = fitted(small(dtype), x, epochs=2, scale=1 / 255)
    expected, theirs = fitted(small(dtype), x.astype(np.float64) / 255, epochs=2)
    assert_close_weights(got, expected)
    np.testing.assert_allclose(history.loss, theirs.loss, rtol=64 * eps(dtype))
    assert weights_differ(got, fitted(small(dtype), x, epochs=2)[0])


def test_scale_counts_for_validation_data_too():
    x = (10 * np.abs(X)).astype(np.uint8)
    net, history = fitted(small(), x, scale=0.1, validation_data=(x, T))
    np.testing.assert_allclose(history.val_loss, [net.loss(x, T)], rtol=1e-6)


def test_a_memory_mapped_file_of_bytes_is_read_where_it_lies(tmp_path):
    shape = (250_000, 800)  # 200 MB, of which the file holds only what is written
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=shape)
    x[-1] = 255
    x.flush()
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = network(800, 8, 3)
    t = np.zeros(shape[0], np.int64)
    tracemalloc.start()
    try:
        history = net.fit(x, t, batch_size=32, max_steps=5, scale=1 / 255, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert history.state.step == 5
    assert peak < 12 * 2**20, "more than the order of the samples, their labels, and a few batches"


def test_a_read_only_memory_mapped_file_trains_as_the_array_and_stays_as_it_is(tmp_path):
    file = tmp_path / "x.npy"
    np.save(file, (10 * np.abs(X)).astype(np.uint8))
    before = file.read_bytes()
    x = np.load(file, mmap_mode="r")
    expected, _ = fitted(small(), np.array(x), scale=0.1)
    assert_same_weights(fitted(small(), x, scale=0.1)[0], expected)
    del x
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.float32])
def test_labels_of_any_type_train_like_intp(kind):
    assert_same_weights(fitted(small(), X, T.astype(kind))[0], fitted(small())[0])


def test_one_hot_targets_train_like_labels():
    assert_close_weights(fitted(small(np.float64), X, np.eye(3)[T])[0], fitted(small(np.float64))[0])


def test_targets_and_weights_are_not_written_to():
    t, weights = np.eye(3, dtype=np.float32)[T], np.linspace(0, 1, 50, dtype=np.float32)
    kept = t.copy(), weights.copy()
    fitted(small(), X, t, sample_weight=weights)
    assert_same_bits(t, kept[0])
    assert_same_bits(weights, kept[1])


# ---- Weights of samples and classes ----


def test_a_sample_of_weight_zero_does_not_count():
    x, weights = X.copy(), np.ones(50)
    x[3], weights[3] = 1e3, 0
    same = X.copy()
    same[3] = -5
    assert_same_weights(*(fitted(small(), a, sample_weight=weights)[0] for a in (x, same)))


def test_class_weight_is_a_weight_of_each_sample_of_the_class():
    by_class = np.array([0.5, 1, 3])  # classes that are not named count 1
    got, history = fitted(small(), class_weight={0: 0.5, 2: 3})
    expected, theirs = fitted(small(), sample_weight=by_class[T])
    assert_same_weights(got, expected)
    assert weights_differ(got, fitted(small())[0])
    np.testing.assert_allclose(history.loss, theirs.loss, rtol=1e-13)


def test_class_weight_and_sample_weight_are_multiplied():
    weights = np.linspace(0.5, 2, 50)
    got, _ = fitted(small(np.float64), class_weight={1: 4}, sample_weight=weights)
    expected, _ = fitted(small(np.float64), sample_weight=weights * np.where(T == 1, 4, 1))
    assert_close_weights(got, expected)
