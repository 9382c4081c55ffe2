"""Convolution, pooling and Flatten as layers: as the plain ones, as NumPy says, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FLOATS, assert_within, eps

import fastbp
from fastbp.layers.convolution import Convolution
from fastbp.layers.flatten import Flatten
from fastbp.layers.pooling import AveragePooling, MaxPooling
from fastbp.reference import images as reference

dtypes = pytest.mark.parametrize("dtype", FLOATS)


@st.composite
def shapes(draw):
    """Images, and a window that fits into them with its stride and pad."""
    n, channels = draw(st.integers(0, 3)), draw(st.integers(1, 5))
    height, width, pad = draw(st.integers(1, 20)), draw(st.integers(1, 20)), draw(st.integers(0, 3))
    window = draw(st.integers(1, min(6, height + 2 * pad))), draw(st.integers(1, min(6, width + 2 * pad)))
    return (n, channels, height, width), window, draw(st.integers(1, 4)), pad


def convolution(x_shape, window, stride, pad, n_filters, dtype, seed):
    """A layer and its plain twin."""
    rng = np.random.default_rng(seed)
    W, b = rng.standard_normal((n_filters, x_shape[1], *window)).astype(dtype), rng.standard_normal(n_filters)
    own = Convolution(W, b.astype(dtype), stride, pad)
    return own, reference.Convolution(W.astype(np.float64), own.b.astype(np.float64), stride, pad)


def compare(own, plain, x, dtype, tolerance):
    """Outputs and gradients, relative to the largest that there could be."""
    y, expected = own.forward(x), plain.forward(x.astype(np.float64))
    assert y.dtype == dtype
    assert y.shape == expected.shape
    assert_within(y, expected, tolerance * max(1, np.abs(expected).max(initial=0)))
    dout = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    pairs = [(own.backward(dout), plain.backward(dout.astype(np.float64)))]
    pairs += [(getattr(own, f"d{name}"), getattr(plain, f"d{name}")) for name in own.parameters]
    for got, expected in pairs:
        assert got.dtype == dtype
        assert got.shape == expected.shape
        assert_within(got, expected, tolerance * max(1, np.abs(expected).max(initial=0)))


@given(shape=shapes(), n_filters=st.integers(1, 9), dtype=st.sampled_from(FLOATS), seed=st.integers(0, 999))
def test_a_convolution_is_that_of_the_reference(shape, n_filters, dtype, seed):
    x = np.random.default_rng(seed).standard_normal(shape[0]).astype(dtype)
    compare(*convolution(*shape, n_filters, dtype, seed), x, dtype, 256 * eps(dtype))


@pytest.mark.parametrize(
    ("x_shape", "n_filters", "window", "stride", "pad"),
    [
        ((9, 3, 28, 28), 7, (5, 5), 1, 0),  # rows of whole vectors, read and written where they lie
        ((2, 5, 40, 35), 9, (1, 1), 1, 0),  # one run of places, an odd number of them
        ((2, 8, 120, 70), 3, (3, 3), 1, 1),  # in bands of rows
        ((1, 2, 5, 9000), 3, (3, 3), 1, 0),  # in bands, read where they lie
        ((1, 2, 4, 9000), 3, (2, 8999), 1, 0),  # rows of two places
        ((2, 4, 90, 91), 3, (3, 4), 2, 1),  # in bands of every second row
        ((3, 2, 6, 6), 2, (6, 6), 1, 0),  # one place
    ],
)
def test_forms_of_a_convolution(x_shape, n_filters, window, stride, pad):
    x = np.random.default_rng(0).standard_normal(x_shape).astype(np.float32)
    compare(*convolution(x_shape, window, stride, pad, n_filters, np.float32, 0), x, np.float32, 2e-4)


@pytest.mark.parametrize(("special", "dtype"), [(np.inf, np.float32), (np.nan, np.float64)])
@pytest.mark.parametrize("pixel", [(0, 0), (0, -1), (-1, 0), (-1, -1), (3, 4)])
@pytest.mark.parametrize(
    ("x_shape", "window", "stride", "pad"),
    [
        ((3, 2, 7, 7), (3, 3), 1, 1),
        ((2, 1, 28, 28), (5, 5), 1, 0),
        ((2, 3, 9, 10), (3, 2), 2, 0),
        ((2, 3, 9, 10), (3, 2), 2, 1),
        ((2, 2, 16, 16), (3, 3), 1, 1),
        ((2, 8, 120, 70), (3, 3), 1, 1),  # in bands
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the plain layer
def test_numbers_that_are_not_finite_go_where_they_go_in_numpy(x_shape, window, stride, pad, pixel, special, dtype):
    rng = np.random.default_rng(0)
    own, plain = convolution(x_shape, window, stride, pad, 4, dtype, 0)
    plain_x = rng.standard_normal(x_shape).astype(dtype)
    plain_dout = rng.standard_normal(own.forward(plain_x).shape).astype(dtype)
    for of_x in (True, False):
        x, dout = plain_x.copy(), plain_dout.copy()
        (x if of_x else dout)[(1, 0, *pixel)] = special
        pairs = [(own.forward(x), plain.forward(x.astype(np.float64)))]
        pairs += [(own.backward(dout), plain.backward(dout.astype(np.float64)))]
        pairs += [(own.dW, plain.dW), (own.db, plain.db)]
        for got, expected in pairs:
            finite = np.isfinite(expected)
            np.testing.assert_array_equal(got[~finite], expected[~finite])
            assert_within(got[finite], expected[finite], 256 * eps(dtype) * np.abs(expected[finite]).max(initial=1))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_weight_that_is_not_finite_meets_every_pixel_of_its_channel(stride):
    W = np.ones((2, 2, 2, 2))
    W[1, 0, 0, 0] = np.inf
    layer = Convolution(W, np.zeros(2), stride)
    y = layer.forward(np.ones((1, 2, 6, 5)))
    dx = layer.backward(np.ones(y.shape))[0]
    assert np.isfinite(dx[1]).all()
    reached = np.zeros((6, 5), bool)
    reached[::stride, ::stride] = True
    np.testing.assert_array_equal(~np.isfinite(dx[0]), reached)
    reached[::stride, ::stride][: y.shape[2], : y.shape[3]] = False
    assert np.isnan(dx[0][reached]).all()


@given(shape=shapes(), dtype=st.sampled_from(FLOATS), kind=st.sampled_from(["MaxPooling", "AveragePooling"]))
def test_pooling_is_that_of_the_reference(shape, dtype, kind):
    x_shape, window, stride, pad = shape
    x = np.random.default_rng(0).integers(-3, 4, x_shape).astype(dtype)  # of which many are equal
    own = {"MaxPooling": MaxPooling, "AveragePooling": AveragePooling}[kind](*window, stride, pad)
    plain = getattr(reference, kind)(*window, stride, pad)
    compare(own, plain, x, dtype, 8 * eps(dtype))
    if kind == "MaxPooling":
        np.testing.assert_array_equal(own.arg_max, plain.arg_max)


@dtypes
def test_the_largest_is_the_first_and_nan_is_larger(dtype):
    x = np.random.default_rng(0).integers(0, 3, (3, 2, 9, 9)).astype(dtype)
    x[x == 1] = np.nan
    own, plain = MaxPooling(3, 3, 1), reference.MaxPooling(3, 3, 1)
    np.testing.assert_array_equal(own.forward(x), plain.forward(x))
    np.testing.assert_array_equal(own.arg_max, plain.arg_max)


@dtypes
@pytest.mark.parametrize("kind", ["MaxPooling", "AveragePooling"])
@pytest.mark.parametrize("height", [2, 5])
@pytest.mark.parametrize("width", [2, 3, 4, 7, 9, 16, 17, 24, 31, 32, 33, 46, 64, 67])
def test_windows_of_two_that_move_by_two(width, height, kind, dtype):
    rng = np.random.default_rng(width)
    x = rng.choice([-2, -1, 0, 1, 2, np.nan, np.inf], (3, 2, height, width)).astype(dtype)
    own, plain = (
        {"MaxPooling": MaxPooling, "AveragePooling": AveragePooling}[kind](2, 2),
        getattr(reference, kind)(2, 2),
    )
    np.testing.assert_array_equal(own.forward(x), plain.forward(x))
    if kind == "MaxPooling":
        np.testing.assert_array_equal(own.arg_max, plain.arg_max)
    dout = rng.choice([-2, -1, 0.5, 3], own.forward(x).shape).astype(dtype)
    dx = own.backward(dout)
    np.testing.assert_array_equal(dx, plain.backward(dout))
    assert not np.signbit(own.backward(-np.zeros_like(dout))).any()  # a sum that begins with 0


def test_the_usual_window_needs_no_room():
    x = np.random.default_rng(0).standard_normal((1, 1, 2200, 2200)).astype(np.float32)
    with pytest.raises(ValueError, match="images must be so small"):
        MaxPooling(2, 2, 1).forward(x)
    np.testing.assert_array_equal(MaxPooling(2, 2).forward(x), x.reshape(1, 1, 1100, 2, 1100, 2).max((3, 5)))


def test_a_window_of_more_than_a_byte_tells():
    x = np.random.default_rng(0).standard_normal((2, 1, 20, 23)).astype(np.float32)
    own, plain = MaxPooling(17, 18, 2), reference.MaxPooling(17, 18, 2)
    compare(own, plain, x, np.float32, 8 * eps(np.float32))
    np.testing.assert_array_equal(own.arg_max, plain.arg_max)
    assert own.arg_max.dtype == np.int32


def test_gradients_are_those_of_central_differences():
    rng = np.random.default_rng(0)
    x, W, b = rng.standard_normal((2, 2, 6, 5)), rng.standard_normal((3, 2, 3, 2)), rng.standard_normal(3)
    layer = Convolution(W, b, stride=2, pad=1)
    weights = rng.standard_normal(layer.forward(x).shape)
    dx = layer.backward(weights)
    for array, gradient in ((x, dx), (W, layer.dW), (b, layer.db)):
        found = fastbp.numerical_gradient(lambda _: float((layer.forward(x) * weights).sum()), array)
        np.testing.assert_allclose(gradient, found, rtol=1e-6, atol=1e-7)


def test_other_numbers_and_layouts_are_taken():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((3, 2, 3, 3)).astype(np.float32)
    layer = Convolution(W[::-1], None, pad=1)
    pixels = rng.integers(0, 256, (2, 6, 7, 2), np.uint8).transpose(0, 3, 1, 2)
    expected = Convolution(np.ascontiguousarray(W[::-1]), None, pad=1).forward(np.ascontiguousarray(pixels))
    np.testing.assert_array_equal(layer.forward(pixels), expected)
    assert expected.dtype == np.float32
    layer.backward(expected)
    assert layer.db is None
    assert MaxPooling(2, 2).forward(pixels).dtype == np.float64


def test_flatten_and_back():
    layer, x = Flatten(), np.arange(24.0).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(layer.forward(x), x.reshape(2, 12))
    np.testing.assert_array_equal(layer.backward(x.reshape(2, 12)), x)
    with pytest.raises(ValueError, match=r"dout must have the shape of the output, \(2, 12\), got \(2, 3, 4\)"):
        layer.backward(x.reshape(2, 3, 4))
    assert layer.forward(x[0, 0, 0]).shape == (2,)
    with pytest.raises(ValueError, match="x must have at least one dimension, got a number"):
        layer.forward(1.0)


IMAGES = np.zeros((2, 3, 5, 6))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Convolution(1.0, None), r"W must be an array \(filters, channels, height, width\), got 1.0"),
        (lambda: Convolution(np.ones((1, 3, 1, 1)), None, stride=0), "stride must be an integer of at least 1, got 0"),
        (lambda: Convolution(np.ones((1, 3, 1, 1)), None, pad=-1), "pad must be an integer of at least 0, got -1"),
        (lambda: MaxPooling(0, 2), "pool_h must be an integer of at least 1, got 0"),
        (lambda: MaxPooling(2, 3), "stride must be given for a window that is no square, got 2 x 3"),
        (
            lambda: Convolution(np.ones((3, 5)), None).forward(IMAGES),
            r"W must have four dimensions, .* got shape \(3, 5\)",
        ),
        (
            lambda: Convolution(np.ones((4, 2, 3, 3)), None).forward(IMAGES),
            r"W of shape \(4, 2, 3, 3\) is for images of 2 channels, got 3",
        ),
        (
            lambda: Convolution(np.ones((4, 3, 3, 3)), np.ones(3)).forward(IMAGES),
            r"b must have one element for each filter of W of shape \(4, 3, 3, 3\), got shape \(3,\)",
        ),
        (
            lambda: Convolution(np.ones((4, 3, 8, 3)), None, pad=1).forward(IMAGES),
            "a filter of 8 x 3 must be no larger than the padded images, 7 x 8",
        ),
        (
            lambda: Convolution(np.ones((4, 3, 3, 3)), None).forward(IMAGES[0]),
            r"x must be images \(N, C, H, W\), got shape \(3, 5, 6\)",
        ),
        (
            lambda: AveragePooling(6, 6).forward(IMAGES),
            "a window of 6 x 6 must be no larger than the padded images, 5 x 6",
        ),
        (lambda: MaxPooling(2, 2).forward(IMAGES[0]), r"x must be images \(N, C, H, W\), got shape \(3, 5, 6\)"),
        (
            lambda: Convolution(np.ones((1, 300, 3, 3)), None, pad=1).forward(np.zeros((1, 300, 3, 9000))),
            "images must be so small that the rows that one row of the output is made of take .* bytes",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize(
    "layer",
    [Convolution(np.ones((1, 3, 2, 2)), None), MaxPooling(2, 2), AveragePooling(2, 2), Flatten()],
    ids=lambda layer: type(layer).__name__,
)
def test_backward_asks_for_a_forward_and_a_gradient_that_fits(layer):
    with pytest.raises(RuntimeError, match="backward was called before forward"):
        layer.backward(IMAGES)
    layer.forward(IMAGES)
    with pytest.raises(ValueError, match=r"dout must have the shape of the output, .* got \(2, 9, 9, 9\)"):
        layer.backward(np.zeros((2, 9, 9, 9)))


def test_arg_max_that_was_set_is_looked_at():
    layer = MaxPooling(2, 2)
    y = layer.forward(IMAGES)
    layer.arg_max = np.full(y.shape, 4)
    with pytest.raises(ValueError, match=r"arg_max must hold integers in 0\.\.3"):
        layer.backward(y)


@pytest.mark.parametrize("stride", [1, 2])
def test_any_number_of_threads_gives_the_same_bits(stride):
    rng = np.random.default_rng(0)
    x, W = rng.standard_normal((13, 8, 20, 20)).astype(np.float32), rng.standard_normal((20, 8, 3, 3))
    layer, results = Convolution(W.astype(np.float32), np.ones(20, np.float32), stride, pad=1), []
    before = fastbp.get_num_threads()
    for threads in (1, 2):
        fastbp.set_num_threads(threads)
        y = layer.forward(x)
        results.append((y, layer.backward(y), layer.dW, layer.db))
    fastbp.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
