"""Many rows are predicted in blocks, between which Ctrl-C is heard, and to the same bits."""

import numpy as np
import pytest

import fastbp
from fastbp.basics import _blocks


class LayerByLayer(fastbp.Sequential):
    """Of a gradient of its own, so that ``predict`` goes through the layers."""

    def gradient(self, x, t):
        raise NotImplementedError


@pytest.mark.parametrize("n", [1023, 1024, 1025, 1535, 1536, 1537, 5000])
def test_every_row_is_in_one_block_of_at_least_the_least_size(set_numbers, n):
    set_numbers(predict_work=1)
    x, sizes = np.arange(2.0 * n).reshape(n, 2), []

    def function(rows):
        sizes.append(len(rows))
        return rows * 2

    assert np.array_equal(_blocks.in_blocks(function, x, 10), x * 2)
    assert sum(sizes) == n
    assert set(sizes[:-1]) <= {512}
    assert 512 <= sizes[-1] < 1024 or n == 1023


@pytest.mark.parametrize("x", [[[1.0, 2.0]], np.ones(2000), np.ones((1200, 1, 2))], ids=["list", "(N,)", "images"])
def test_other_forms_are_left_whole(set_numbers, x):
    set_numbers(predict_work=1)
    assert _blocks.in_blocks(lambda whole: whole, x, 10) is x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [[3, 2], [7, 1], [60, 100, 10], [784, 50, 33, 10], [300, 600, 5]], ids=str)
def test_the_bits_are_those_of_all_rows_at_once(set_numbers, sizes, dtype):
    rng = np.random.default_rng(0)
    net = fastbp.mlp(sizes, seed=0, dtype=dtype)
    x = rng.standard_normal((1700, sizes[0])).astype(dtype)
    whole = net.predict(x)
    set_numbers(predict_work=1)
    for cls in (fastbp.Sequential, LayerByLayer):
        assert cls(net.layers.values()).predict(x).tobytes() == whole.tobytes()


def test_an_interrupt_is_heard_between_two_blocks(set_numbers):
    set_numbers(predict_work=1)
    blocks = []

    def function(rows):
        blocks.append(len(rows))
        if len(blocks) == 2:
            raise KeyboardInterrupt
        return rows

    with pytest.raises(KeyboardInterrupt):
        _blocks.in_blocks(function, np.ones((5000, 2)), 10)
    assert blocks == [512, 512]


def test_the_loss_of_many_rows_can_be_followed_by_backward_as_in_the_book(set_numbers):
    set_numbers(predict_work=1)
    net = fastbp.mlp([3, 4, 2], seed=0)
    x, t = np.ones((1700, 3), np.float32), np.zeros(1700, int)
    net.loss(x, t)
    dout = net.loss_layer.backward()
    for layer in reversed(net.layers.values()):
        dout = layer.backward(dout)
    assert dout.shape == x.shape
