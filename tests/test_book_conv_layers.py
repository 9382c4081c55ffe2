"""fastbp.book's Convolution and Pooling: the numbers and the attributes of their plain twins, and what they refuse."""

import copy
import pickle

import numpy as np
import pytest
from strategies import FLOATS, GEOMETRIES, LAYOUTS, assert_same_bits, assert_within, eps

from fastbp.book import layers
from fastbp.layers.convolution import Convolution
from fastbp.layers.pooling import MaxPooling
from fastbp.reference.book import layers as plain

geometries = pytest.mark.parametrize(("shape", "size", "stride", "pad"), GEOMETRIES)
FILTERS = 4


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def convolutions(shape, size, stride, pad, dtype=np.float64):
    """Ours, and the plain one in float64."""
    W, b = normal(FILTERS, shape[1], *size, dtype=dtype, seed=1), normal(FILTERS, dtype=dtype, seed=2)
    return layers.Convolution(W, b, stride, pad), plain.Convolution(W.astype(float), b.astype(float), stride, pad)


def test_their_arithmetic_is_that_of_fastbp():
    for own, theirs in ((layers.Convolution, Convolution), (layers.Pooling, MaxPooling)):
        assert issubclass(own, theirs)
        assert own.forward is theirs.forward
        assert own.backward is theirs.backward
        assert own.is_lowered()


@geometries
@pytest.mark.parametrize("dtype", FLOATS)
def test_convolution_is_that_of_its_twin(shape, size, stride, pad, dtype):
    own, twin = convolutions(shape, size, stride, pad, dtype)
    assert own.x is own.col is own.col_W is own.dW is None
    x = normal(*shape, dtype=dtype)
    out, expected = own.forward(x), twin.forward(x.astype(float))
    dout = normal(*out.shape, dtype=dtype, seed=3)
    dx, expected_dx = own.backward(dout), twin.backward(dout.astype(float))
    tolerance = 500 * eps(dtype)
    for got, other in ((out, expected), (dx, expected_dx), (own.dW, twin.dW), (own.db, twin.db)):
        assert got.dtype == dtype
        assert_within(got, other, tolerance)
    np.testing.assert_array_equal(own.x, x)
    for name in ("col", "col_W"):
        np.testing.assert_array_equal(getattr(own, name), getattr(twin, name))
        assert getattr(own, name).dtype == dtype


@geometries
@pytest.mark.parametrize("dtype", FLOATS)
def test_pooling_is_that_of_its_twin(shape, size, stride, pad, dtype):
    own, twin = layers.Pooling(*size, stride, pad), plain.Pooling(*size, stride, pad)
    assert own.x is own.arg_max is None
    x = normal(*shape, dtype=dtype).round(1)  # with equal numbers in a window
    out, expected = own.forward(x), twin.forward(x)
    np.testing.assert_array_equal(out, expected)
    dout = normal(*out.shape, dtype=dtype, seed=3)
    assert out.dtype == own.backward(dout).dtype == dtype
    assert_within(own.backward(dout), twin.backward(dout), 16 * eps(dtype))
    np.testing.assert_array_equal(own.arg_max, twin.arg_max)


def test_the_windows_of_a_pooling_lie_2_apart_unless_told():
    assert (layers.Pooling(3, 3).stride, layers.Pooling(3, 2).stride) == (2, 2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_of_any_layout(layout):
    x = LAYOUTS[layout](normal(6, 20)).reshape(6, 1, 4, 5)
    for own, twin in (convolutions(x.shape, (2, 3), 1, 1), (layers.Pooling(2, 2), plain.Pooling(2, 2))):
        out = own.forward(x)
        assert_within(out, twin.forward(x), 1e-13)
        dout = LAYOUTS[layout](normal(6, out.size // 6)).reshape(out.shape)
        assert_within(own.backward(dout), twin.backward(dout), 1e-13)


def test_gradients_agree_with_central_differences():
    x, dout, direction = normal(2, 2, 5, 5), normal(2, FILTERS, 3, 3, seed=4), normal(2, 2, 5, 5, seed=5)
    layer, _ = convolutions(x.shape, (3, 3), 2, 1)

    def slope(array, along):
        def loss(step):
            array[...] += step * along
            value = np.sum(layer.forward(x) * dout)
            array[...] -= step * along
            return value

        return (loss(1e-5) - loss(-1e-5)) / 2e-5

    layer.forward(x)
    dx = layer.backward(dout)
    assert abs(np.sum(dx * direction) - slope(x, direction)) < 1e-7
    for p, dp in ((layer.W, layer.dW), (layer.b, layer.db)):
        along = normal(*p.shape, seed=6)
        assert abs(np.sum(dp * along) - slope(p, along)) < 1e-7


def test_gradients_of_filters_alone_have_the_same_bits():
    layer, _ = convolutions((2, 3, 6, 5), (3, 2), 1, 1, np.float32)
    dout = normal(*layer.forward(normal(2, 3, 6, 5, dtype=np.float32)).shape, dtype=np.float32)
    layer.backward(dout)
    dW, db, layer.dW = layer.dW, layer.db, None
    assert layer.leave_gradients(dout) is None
    assert_same_bits(layer.dW, dW)
    assert_same_bits(layer.db, db)


def test_copies_keep_what_a_layer_remembers():
    x = normal(2, 1, 6, 6)
    for layer in (convolutions(x.shape, (3, 3), 1, 0)[0], layers.Pooling(2, 2)):
        dout = layer.forward(x)
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert_same_bits(twin.backward(dout), layer.backward(dout))


IMAGES = np.ones((2, 3, 4, 5))
W = np.ones((2, 3, 3, 3))
BAD = {
    "channels": (lambda: layers.Convolution(W, np.zeros(2)).forward(IMAGES[:, 1:]), r"3 channels, got 2"),
    "a large filter": (lambda: layers.Convolution(W, np.zeros(2)).forward(IMAGES[:, :, :2]), "3 x 3 .* 2 x 5"),
    "a wide filter": (lambda: layers.Convolution(np.ones((2, 3, 2, 8)), np.zeros(2), 1, 1).forward(IMAGES), "6 x 7"),
    "a large window": (lambda: layers.Pooling(5, 2).forward(IMAGES), "5 x 2 .* 4 x 5"),
    "stride 0": (lambda: layers.Convolution(W, np.zeros(2), 0), "stride must be an integer of at least 1, got 0"),
    "pad below 0": (lambda: layers.Convolution(W, np.zeros(2), 1, -1), "pad must be an integer of at least 0, got -1"),
    "stride 0 of windows": (lambda: layers.Pooling(2, 2, 0), "stride must be an integer of at least 1, got 0"),
    "pad below 0 of windows": (lambda: layers.Pooling(2, 2, 2, -1), "pad must be an integer of at least 0, got -1"),
    "no window": (lambda: layers.Pooling(0, 2), "pool_h must be an integer of at least 1, got 0"),
    "an image alone": (lambda: layers.Convolution(W, np.zeros(2)).forward(IMAGES[0]), r"\(N, C, H, W\).*\(3, 4, 5\)"),
    "an image alone to pool": (lambda: layers.Pooling(2, 2).forward(IMAGES[0]), r"\(N, C, H, W\).*\(3, 4, 5\)"),
    "a matrix for filters": (lambda: layers.Convolution(W[0, 0], np.zeros(2)).forward(IMAGES), r"W must .*\(3, 3\)"),
    "another bias": (lambda: layers.Convolution(W, np.zeros(3)).forward(IMAGES), r"b must .* got shape \(3,\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_told_in_one_line(name):
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_backward_before_forward_and_of_another_shape():
    for layer in (layers.Convolution(W, np.zeros(2)), layers.Pooling(2, 2)):
        with pytest.raises(RuntimeError, match="backward was called before forward"):
            layer.backward(IMAGES)
        layer.forward(IMAGES)
        with pytest.raises(ValueError, match=r"dout must have the shape of the output, .* got \(2, 3, 4, 5\)"):
            layer.backward(IMAGES)
