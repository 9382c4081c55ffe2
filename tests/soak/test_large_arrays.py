"""Arrays of more than 2^31 elements and rows: numbers that do not fit 32 bits, in every place that counts them.

The samples are a file that is almost all hole, so that they cost neither memory nor disk; results are up to 9 GB.
"""

import numpy as np
import pytest

import fastbp
from fastbp.kernels.batch import shuffle

MANY = 2**31
COLUMNS = 1024
ROWS = MANY // COLUMNS + 5
BYTES_NEEDED = 12 << 30
pytestmark = pytest.mark.soak


def available():
    """Bytes of memory that are free or can be had."""
    try:
        with open("/proc/meminfo") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))
    except OSError:
        return 0


@pytest.fixture
def spacious():
    if available() < BYTES_NEEDED:
        pytest.skip("needs 12 GB of memory")


def holes(path, shape, dtype):
    """Zeros in a file that takes no room, a few elements at the begin, around 2^31 and at the end set to 1 ... 7."""
    x = np.memmap(path, dtype, "w+", shape=shape)
    flat = x.reshape(-1)
    spots = [0, MANY // 2, MANY - 1, MANY, MANY + 1, flat.size - 2, flat.size - 1]
    flat[spots] = np.arange(1, 8)
    return x, spots


def test_a_function_of_each_element(tmp_path, spacious):
    x, spots = holes(tmp_path / "x", (ROWS * COLUMNS,), np.float32)
    y = fastbp.sigmoid(x)
    np.testing.assert_array_equal(y[spots], fastbp.sigmoid(np.arange(1, 8, dtype=np.float32)))
    y[spots] = 0.5
    assert all((part == 0.5).all() for part in np.array_split(y, 1000))


def test_products_of_many_rows(tmp_path, spacious):
    x, spots = holes(tmp_path / "x", (ROWS, COLUMNS), np.float32)
    rng = np.random.default_rng(0)
    W = rng.integers(-8, 9, (COLUMNS, 3)).astype(np.float32)
    layer = fastbp.Affine(W, np.zeros(3, np.float32))
    rows = sorted({spot // COLUMNS for spot in spots})
    y = layer.forward(x)
    np.testing.assert_array_equal(y[rows], np.asarray(x[rows]) @ W)
    y[rows] = 0
    assert not y.any()
    dout = np.zeros((ROWS, 3), np.float32)
    dout[rows] = rng.integers(-8, 9, (len(rows), 3))
    dx = layer.backward(dout)
    np.testing.assert_array_equal(layer.dW, np.asarray(x[rows]).T @ dout[rows])
    np.testing.assert_array_equal(dx[rows], dout[rows] @ W.T)
    dx[rows] = 0
    assert not any(part.any() for part in np.array_split(dx, 1000))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_batches_of_samples_that_lie_anywhere(tmp_path, dtype):
    """The same bits as those of the batches' samples alone, in the order in which they were drawn."""
    x = np.memmap(tmp_path / "x", dtype, "w+", shape=(ROWS, COLUMNS))
    rng = np.random.default_rng(0)
    t = rng.integers(0, 5, ROWS)
    nets = [fastbp.mlp([COLUMNS, 16, 5], dtype=np.float32, seed=0) for _ in range(2)]
    begun = nets[0].fit(x, t, max_steps=0, seed=3, progress=False).state
    order = np.empty(ROWS, np.int64)
    shuffle(order, begun.seed, 0)
    order = order[: 32 * 20]
    for row in order:
        x[row] = rng.integers(0, 9, COLUMNS)
    nets[0].fit(x, t, max_steps=20, resume=begun, progress=False)
    nets[1].fit(np.asarray(x[order]), t[order], shuffle=False, progress=False)
    assert nets[0].params["W1"].tobytes() == nets[1].params["W1"].tobytes()


def test_more_rows_than_32_bits_count(tmp_path, spacious):
    x, spots = holes(tmp_path / "x", (MANY + 7, 1), np.uint8)
    net = fastbp.Sequential([fastbp.Affine(np.array([[2.0]], np.float32), np.ones(1, np.float32))], "mse")
    y = net.predict(x)
    np.testing.assert_array_equal(y[spots, 0], 2 * np.asarray(x[spots, 0], np.float32) + 1)
    y[spots] = 1
    assert all((part == 1).all() for part in np.array_split(y, 1000))
