"""fastbp.book's functions, gradients and utilities: as their plain twins, and what they refuse."""

import numpy as np
import pytest
from strategies import FLOATS, GEOMETRIES, INTEGERS, LAYOUTS, assert_within, eps

from fastbp.book import functions, gradient, util
from fastbp.reference.book import functions as plain
from fastbp.reference.book import gradient as plain_gradient
from fastbp.reference.book import util as plain_util

OF_ONE = ["identity_function", "step_function", "sigmoid", "sigmoid_grad", "relu", "relu_grad", "softmax"]
SHAPES = [(5, 4), (4,), (2, 3, 4), (0, 3), ()]
geometries = pytest.mark.parametrize(("shape", "size", "stride", "pad"), GEOMETRIES)


def normal(*shape, dtype=np.float64, seed=0):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OF_ONE)
def test_a_function_is_that_of_its_twin(name, shape, dtype):
    if name == "softmax" and 0 in (np.prod(shape), len(shape)):
        pytest.skip("of nothing")
    x = normal(*shape, dtype=dtype)
    x.reshape(-1)[:1] = 0  # where steps and slopes jump
    got, expected = getattr(functions, name)(x), getattr(plain, name)(x.astype(np.float64))
    assert got.shape == shape
    assert got.dtype == (np.dtype(int) if name == "step_function" else dtype)
    assert_within(got, expected, 8 * eps(dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OF_ONE)
def test_functions_take_any_layout(name, layout):
    x = LAYOUTS[layout](normal(6, 4))
    assert_within(getattr(functions, name)(x), getattr(plain, name)(x), 8 * eps(np.float64))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_functions_take_integers(dtype):
    x = np.arange(4).astype(dtype)
    for name in OF_ONE:
        assert_within(getattr(functions, name)(x), getattr(plain, name)(x), 8 * eps(np.float64))
    assert functions.sum_squared_error(x, x[::-1]) == 10


def test_slopes_at_0_are_the_books():
    assert functions.relu_grad(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 1, 1]
    assert functions.step_function(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 0, 1]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(7, 3), (3,), (2, 3, 4), (0,), (0, 3)])
def test_errors_of_predictions(shape, dtype):
    y, t = normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1)
    expected = plain.sum_squared_error(y.astype(np.float64), t.astype(np.float64))
    assert_within(functions.sum_squared_error(y, t), expected, 32 * eps(dtype) * max(1, expected))
    if len(shape) < 3 and y.size:
        labels = t.argmax(axis=-1)
        got, expected = functions.softmax_loss(y, labels), plain.softmax_loss(y.astype(np.float64), labels)
        assert_within(got, expected, 16 * eps(dtype))


def test_import_everything_brings_np_too():
    for module in ("functions", "gradient", "layers", "optimizer", "util"):
        got = {}
        exec(f"from fastbp.book.{module} import *", got)
        assert got["np"] is np
        assert module != "layers" or got["softmax"] is functions.softmax


def test_shapes_that_do_not_go_together():
    with pytest.raises(ValueError, match=r"t must have the shape of y, \(2, 3\), got \(3,\)"):
        functions.sum_squared_error(np.ones((2, 3)), np.ones(3))
    with pytest.raises(TypeError, match="x must hold real numbers"):
        functions.step_function(["a"])


# --- Gradients ---------------------------------------------------------------------------------------------


def test_numerical_gradients_of_points_in_rows():
    points = normal(5, 2)
    before = points.copy()
    got = gradient.numerical_gradient_2d(lambda x: np.sum(x**2), points)
    np.testing.assert_array_equal(got, plain_gradient.numerical_gradient_2d(lambda x: np.sum(x**2), points))
    np.testing.assert_allclose(got, 2 * points, atol=1e-8)
    np.testing.assert_array_equal(points, before)
    np.testing.assert_array_equal(gradient.numerical_gradient_2d(lambda x: np.sum(x**2), points[0]), got[0])
    with pytest.raises(ValueError, match=r"X must be \(N, I\), points in rows, or \(I,\), got shape \(1, 2, 3\)"):
        gradient.numerical_gradient_2d(np.sum, np.ones((1, 2, 3)))


# --- Utilities ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [11, 12, 50])
def test_a_smooth_curve(n):
    x = normal(n)
    for curve in (x, list(x), x.astype(np.float32)):
        np.testing.assert_allclose(util.smooth_curve(curve), plain_util.smooth_curve(curve), rtol=1e-6, atol=1e-7)
    for bad in (x[:10], x[None]):
        with pytest.raises(ValueError, match=r"x must be \(N,\) of at least 11 samples, got shape"):
            util.smooth_curve(bad)


@pytest.mark.parametrize("shape", [(9, 4), (9, 1, 2, 2)])
def test_data_are_shuffled_as_in_the_book(shape):
    x, t = normal(*shape), np.arange(9)
    shuffled = []
    for module in (util, plain_util):
        np.random.seed(3)
        shuffled.append(module.shuffle_dataset(x, t))
    for got, expected in zip(*shuffled, strict=True):
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(ValueError, match="t must hold a target for each of the 9 samples in x, got 8"):
        util.shuffle_dataset(x, t[:8])


@geometries
@pytest.mark.parametrize("dtype", [*FLOATS, np.uint8])
def test_images_become_rows(shape, size, stride, pad, dtype):
    images = (100 * np.abs(normal(*shape))).astype(dtype)
    got = util.im2col(images, *size, stride, pad)
    np.testing.assert_array_equal(got, plain_util.im2col(images, *size, stride, pad))
    assert got.dtype == (dtype if dtype in FLOATS else np.float64)
    swapped = np.asfortranarray(images)
    np.testing.assert_array_equal(util.im2col(swapped, *size, stride, pad), got)
    assert len(got) == shape[0] * np.prod(
        [int(util.conv_output_size(n, f, stride, pad)) for n, f in zip(shape[2:], size, strict=True)]
    )


@geometries
@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_become_images(shape, size, stride, pad, dtype):
    rows = util.im2col(normal(*shape, dtype=dtype), *size, stride, pad)
    col = normal(*rows.shape, dtype=dtype, seed=1)
    got = util.col2im(col, shape, *size, stride, pad)
    assert got.dtype == dtype
    assert_within(got, plain_util.col2im(col.astype(np.float64), shape, *size, stride, pad), 64 * eps(dtype))
    images = normal(*shape, seed=2)
    # The transpose: <im2col(x), col> = <x, col2im(col)>.
    inner = np.sum(util.im2col(images, *size, stride, pad) * col)
    assert abs(inner - np.sum(images * got)) <= 1000 * eps(dtype)


def test_the_size_of_an_output_is_the_books():
    assert util.conv_output_size(28, 5) == 24
    assert util.conv_output_size(7, 2, stride=2) == plain_util.conv_output_size(7, 2, stride=2) == 3.5


IMAGES = np.ones((1, 2, 4, 5))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((IMAGES, 5, 2), ValueError, "filter_h must be at most 4, the size of the padded image, got 5"),
        ((IMAGES, 2, 8, 1, 1), ValueError, "filter_w must be at most 7, the size of the padded image, got 8"),
        ((IMAGES, 2, 2, 0), ValueError, "stride must be an integer of at least 1, got 0"),
        ((IMAGES, 2, 2, 1, -1), ValueError, "pad must be an integer of at least 0, got -1"),
        ((IMAGES, 2.0, 2), TypeError, "filter_h must be an integer of at least 1, got 2.0"),
        ((IMAGES[0], 2, 2), ValueError, r"input_data must be images \(N, C, H, W\), got shape \(2, 4, 5\)"),
    ],
)
def test_what_im2col_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        util.im2col(*arguments)


def test_what_the_others_refuse():
    with pytest.raises(ValueError, match=r"col must be \(12, 8\) for images of .*, got shape \(12, 4\)"):
        util.col2im(np.ones((12, 4)), (1, 2, 4, 5), 2, 2)
    with pytest.raises(ValueError, match=r"input_shape must be that of images, \(N, C, H, W\), got \(4, 5\)"):
        util.col2im(np.ones((12, 4)), (4, 5), 2, 2)
    with pytest.raises(ValueError, match="filter_size must be at most 3, the size of the padded image, got 4"):
        util.conv_output_size(3, 4)
