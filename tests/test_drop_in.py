"""The book's layers and functions as its readers know them: one test per promise.

SoftmaxWithLoss has a file of its own, and so have TwoLayerNet, the arithmetic layers and bad input.
"""

import copy
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    FLOAT_DTYPES,
    FLOATS,
    INTEGERS,
    LAYOUTS,
    SHAPES,
    SOME,
    affine_shapes,
    assert_same_bits,
    assert_within,
    contiguous,
    eps,
    hostile,
    normal,
)

import fastbp
from fastbp import reference

ATTRIBUTES = {
    "Affine": ("x", "dW", "db", "original_x_shape"),
    "Relu": ("mask",),
    "Sigmoid": ("out",),
    "Softmax": (),
    "SoftmaxWithLoss": ("loss", "y", "t"),
}
LAYERS = tuple(ATTRIBUTES)
N, D = 6, 5  # every layer below takes x and dout of (N, D): Affine gets a square W


def make(name, dtype=np.float64, library=fastbp):
    if name != "Affine":
        return getattr(library, name)()
    rng = np.random.default_rng(1)
    return library.Affine(rng.standard_normal((D, D)).astype(dtype), rng.standard_normal(D).astype(dtype))


def batch(rows=N, seed=2, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal((2, rows, D)).astype(dtype)
    return x, rng.integers(0, D, rows), dout


def step(layer, x, t, dout):
    """One forward and one backward of any layer: everything that comes back."""
    if hasattr(layer, "loss"):
        return layer.forward(x, t), layer.backward()
    answers = layer.forward(x), layer.backward(dout)
    return (*answers, layer.dW, layer.db) if hasattr(layer, "dW") else answers


def derivative(f, x, direction):
    """The derivative of ``f`` at ``x`` along ``direction``, by central difference; errs by about h**2."""
    h = np.cbrt(eps(np.float64))
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


DIFFERENCE_TOLERANCE = 100 * eps(np.float64) ** (2 / 3)  # 100 h**2, for sums of a few dozen terms of size 1


# --- Affine -----------------------------------------------------------------------------------------------


def test_affine_holds_the_arrays_it_was_given():
    W, b = np.ones((2, 3)), np.ones(3)
    layer = fastbp.Affine(W, b)
    assert layer.W is W
    assert layer.b is b
    step(layer, np.ones((4, 2)), None, np.ones((4, 3)))
    assert layer.W is W
    assert layer.b is b


def test_affine_is_trained_by_updating_its_params_in_place():
    params = {"W": np.full((2, 3), 2.0), "b": np.full(3, 5.0)}
    layer = fastbp.Affine(params["W"], params["b"])
    layer.forward(np.ones((1, 2)))
    params["W"] -= 1.0
    params["b"] -= 2.0
    np.testing.assert_array_equal(layer.forward(np.ones((1, 2))), [[5.0, 5.0, 5.0]])


def test_affine_backward_uses_the_weights_as_they_are_then():
    W = np.full((2, 3), 2.0)
    layer = fastbp.Affine(W, np.zeros(3))
    layer.forward(np.ones((1, 2)))
    W *= 10.0
    np.testing.assert_array_equal(layer.backward(np.ones((1, 3))), [[60.0, 60.0]])


def test_affine_honours_a_new_array_assigned_to_W_or_b():
    layer = fastbp.Affine(np.ones((2, 3)), np.zeros(3))
    layer.forward(np.ones((1, 2)))
    W, b = np.full((4, 2), 3.0), np.full(2, 1.0)
    layer.W, layer.b = W, b
    assert layer.W is W
    assert layer.b is b
    np.testing.assert_array_equal(layer.forward(np.ones((1, 4))), [[13.0, 13.0]])
    np.testing.assert_array_equal(layer.backward(np.ones((1, 2))), [[6.0] * 4])
    assert layer.dW.shape == (4, 2)


def test_affine_attributes_after_each_call_are_the_books():
    x = np.arange(48.0).reshape(2, 3, 2, 4)
    layer = fastbp.Affine(np.ones((24, 5)), np.zeros(5))
    layer.forward(x)
    assert layer.original_x_shape == (2, 3, 2, 4)
    np.testing.assert_array_equal(layer.x, x.reshape(2, 24))
    assert layer.dW is None
    assert layer.db is None
    dout = np.arange(10.0).reshape(2, 5)
    layer.backward(dout)
    np.testing.assert_array_equal(layer.dW, x.reshape(2, 24).T @ dout)
    np.testing.assert_array_equal(layer.db, [5.0, 7.0, 9.0, 11.0, 13.0])


def test_affine_takes_a_single_sample():
    x, dout = np.array([1.0, 2.0]), np.array([1.0, 10.0, 100.0])
    W = np.arange(6.0).reshape(2, 3)
    layer = fastbp.Affine(W, np.full(3, 0.5))
    np.testing.assert_array_equal(layer.forward(x), [6.5, 9.5, 12.5])
    assert layer.original_x_shape == (2,)
    np.testing.assert_array_equal(layer.backward(dout), [210.0, 543.0])
    np.testing.assert_array_equal(layer.dW, [[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]])
    np.testing.assert_array_equal(layer.db, dout)


@pytest.mark.parametrize("shape", [(3, 8), (3, 2, 4), (3, 2, 2, 2), (1, 1, 2, 4)])
def test_affine_flattens_images_and_gives_dx_their_shape_back(shape):
    rng = np.random.default_rng(0)
    x, W, b = rng.standard_normal(shape), rng.standard_normal((8, 5)), rng.standard_normal(5)
    dout = rng.standard_normal((shape[0], 5))
    images, rows = fastbp.Affine(W, b), fastbp.Affine(W, b)
    assert_same_bits(images.forward(x), rows.forward(x.reshape(shape[0], 8)))
    dx = images.backward(dout)
    assert dx.shape == shape
    assert_same_bits(dx.reshape(shape[0], 8), rows.backward(dout))
    assert_same_bits(images.dW, rows.dW)


@given(st.data(), affine_shapes(), FLOAT_DTYPES)
def test_affine_agrees_with_the_reference(data, shapes, dtype):
    x_shape, (inputs, outputs) = shapes
    single = len(x_shape) == 1 and inputs != 1  # (N,) are N samples of one input
    samples = 1 if single else x_shape[0]
    out_shape = (outputs,) if single else (samples, outputs)
    x, dout = data.draw(normal(x_shape, dtype)), data.draw(normal(out_shape, dtype))
    W, b = data.draw(normal((inputs, outputs), dtype)), data.draw(normal(outputs, dtype))
    out, dx, dW, db = step(fastbp.Affine(W, b), x, None, dout)
    assert {a.dtype for a in (out, dx, dW, db)} == {np.dtype(dtype)}

    wide = [a.astype(np.float64) for a in (W, b, x, dout)]
    exact_out, exact_dx, exact_dW, exact_db = step(reference.Affine(*wide[:2]), wide[2], None, wide[3])
    # In whatever order n products are added, the sum errs by at most n + 2 eps of the sum of their sizes;
    # the reference, in float64, may err as much itself.
    unit = eps(dtype) + eps(np.float64)
    W, b, x, dout = (np.abs(a) for a in wide)
    x, dout = x.reshape(samples, inputs), dout.reshape(samples, outputs)
    assert_within(out, exact_out, (inputs + 3) * unit * (x @ W + b).reshape(out_shape))
    assert_within(dx, exact_dx, (outputs + 2) * unit * (dout @ W.T).reshape(x_shape))
    assert_within(dW, exact_dW, (samples + 2) * unit * (x.T @ dout))
    assert_within(db, exact_db, (samples + 2) * unit * dout.sum(axis=0))


@pytest.mark.parametrize("shape", [(D,), (N, D), (N, 1, D, 1)])
def test_affine_gradients_agree_with_central_differences(shape):
    rng = np.random.default_rng(3)
    x, W, b = rng.standard_normal(shape), rng.standard_normal((D, 4)), rng.standard_normal(4)
    layer = fastbp.Affine(W, b)
    dout = rng.standard_normal(layer.forward(x).shape)
    dx = layer.backward(dout)
    at = {"x": x, "W": W, "b": b}
    for name, gradient in {"x": dx, "W": layer.dW, "b": layer.db}.items():
        direction = rng.standard_normal(at[name].shape)

        def loss(value, name=name):
            arrays = at | {name: value}
            return np.sum(fastbp.Affine(arrays["W"], arrays["b"]).forward(arrays["x"]) * dout)

        numeric = derivative(loss, at[name], direction)
        assert abs(np.sum(gradient * direction) - numeric) <= DIFFERENCE_TOLERANCE * N * D, name


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", [(6, 5, 5), (1, 64, 10), (100, 784, 50), (65, 130, 257)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_affine_weights_in_any_layout_are_shared_and_give_the_same_bits(layout, sizes, dtype):
    rows, inputs, outputs = sizes
    rng = np.random.default_rng(4)
    x, dout = (
        rng.standard_normal((rows, inputs)).astype(dtype),
        rng.standard_normal((rows, outputs)).astype(dtype),
    )
    W = LAYOUTS[layout](rng.standard_normal((inputs, outputs)).astype(dtype))
    b = LAYOUTS[layout](rng.standard_normal(outputs).astype(dtype))
    odd, plain = fastbp.Affine(W, b), fastbp.Affine(contiguous(W), contiguous(b))
    for got, expected in zip(step(odd, x, None, dout), step(plain, x, None, dout), strict=True):
        assert_same_bits(got, expected)
    assert odd.W is W
    assert odd.b is b
    if W.flags.writeable:
        W -= 0.5 * odd.dW
        plain.W -= 0.5 * plain.dW
        assert_same_bits(odd.forward(x), plain.forward(x))
        assert_same_bits(odd.backward(dout), plain.backward(dout))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_affine_batches_of_usual_size_in_any_layout_give_the_same_bits(layout, dtype):
    rng = np.random.default_rng(16)
    x = LAYOUTS[layout](rng.standard_normal((100, 784)).astype(dtype))
    dout = LAYOUTS[layout](rng.standard_normal((100, 50)).astype(dtype))
    W, b = rng.standard_normal((784, 50)).astype(dtype), np.zeros(50, dtype)
    got = step(fastbp.Affine(W, b), x, None, dout)
    expected = step(fastbp.Affine(W, b), contiguous(x), None, contiguous(dout))
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("w_dtype", FLOATS)
@pytest.mark.parametrize("x_dtype", [*FLOATS, *INTEGERS, np.bool_])
def test_affine_result_dtypes_follow_numpy(x_dtype, w_dtype):
    x = (np.arange(12).reshape(3, 4) % 2).astype(x_dtype)
    W, b = np.arange(8).reshape(4, 2).astype(w_dtype), np.array([1, 2], w_dtype)
    layer = fastbp.Affine(W, b)
    out = layer.forward(x)
    expected = np.dot(x, W) + b
    assert_same_bits(out, expected)
    assert_same_bits(layer.backward(expected), np.dot(expected, W.T))
    assert_same_bits(layer.dW, np.dot(x.T, expected))
    assert_same_bits(layer.db, expected.sum(axis=0))


@pytest.mark.parametrize("b_dtype", FLOATS)
@pytest.mark.parametrize("dout_dtype", FLOATS)
def test_affine_promotes_with_the_dtypes_of_b_and_dout_too(b_dtype, dout_dtype):
    x, W = np.ones((3, 4), np.float32), np.ones((4, 2), np.float32)
    layer = fastbp.Affine(W, np.zeros(2, b_dtype))
    assert layer.forward(x).dtype == b_dtype
    assert layer.backward(np.ones((3, 2), dout_dtype)).dtype == dout_dtype
    assert layer.dW.dtype == dout_dtype
    assert layer.db.dtype == dout_dtype


@pytest.mark.parametrize("narrow", ["x", "W"])
def test_affine_of_float32_with_float64_is_computed_to_float64_accuracy(narrow):
    rng = np.random.default_rng(5)
    x, W, b = rng.standard_normal((7, 30)), rng.standard_normal((30, 9)), rng.standard_normal(9)
    x, W = (x.astype(np.float32), W) if narrow == "x" else (x, W.astype(np.float32))
    dout = rng.standard_normal((7, 9))
    answers = step(fastbp.Affine(W, b), x, None, dout)
    exact = step(reference.Affine(W.astype(np.float64), b), x.astype(np.float64), None, dout)
    for got, expected in zip(answers, exact, strict=True):
        assert got.dtype == np.float64
        # 30 products, whose sizes add up to 30 or so: n + 2 eps of that, where float32 would err by 1e9 eps.
        assert_within(got, expected, 32 * 30 * eps(np.float64))


def test_affine_takes_integer_weights():
    layer = fastbp.Affine(np.array([[1, 2], [3, 4]]), np.array([10, 20]))
    np.testing.assert_array_equal(layer.forward(np.array([[1, 1], [0, 1]])), [[14, 26], [13, 24]])


# --- Relu -------------------------------------------------------------------------------------------------


@given(st.data(), SHAPES, FLOAT_DTYPES)
def test_relu_is_the_reference_bit_for_bit_for_any_values_and_shape(data, shape, dtype):
    x, dout = data.draw(hostile(shape, dtype)), data.draw(hostile(shape, dtype))
    layer = fastbp.Relu()
    out = layer.forward(x)
    assert_same_bits(out, np.where(x <= 0, dtype(0), x))
    assert_same_bits(layer.mask, x <= 0)
    dx = layer.backward(dout)
    assert_same_bits(dx, np.where(x <= 0, dtype(0), dout))
    plain = reference.Relu()
    assert_same_bits(out, plain.forward(x))
    assert_same_bits(dx, plain.backward(dout.copy()))


def test_relu_mask_is_true_where_x_is_not_positive():
    layer = fastbp.Relu()
    layer.forward(np.array([[1.0, -0.5], [-2.0, 3.0], [0.0, -0.0]]))
    assert layer.mask.dtype == np.bool_
    np.testing.assert_array_equal(layer.mask, [[False, True], [True, False], [True, True]])


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_keeps_nan_as_the_books_mask_does(dtype):
    layer = fastbp.Relu()
    out = layer.forward(np.array([np.nan, -1.0] * 20, dtype))
    np.testing.assert_array_equal(out, [np.nan, 0.0] * 20)
    np.testing.assert_array_equal(layer.mask, [False, True] * 20)
    np.testing.assert_array_equal(layer.backward(np.full(40, 7, dtype)), [7.0, 0.0] * 20)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 5.0])
def test_relu_dx_is_exactly_zero_where_masked_whatever_dout_is(value, dtype):
    x = np.resize(np.array([-1.0, 0.0, -0.0, -np.inf], dtype), 37)
    layer = fastbp.Relu()
    layer.forward(x)
    assert_same_bits(layer.backward(np.full(37, value, dtype)), np.zeros(37, dtype))


@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
def test_relu_keeps_an_integer_dtype(dtype):
    x = np.array([[0, 1, 2], [3, 0, 1]]).astype(dtype)
    layer = fastbp.Relu()
    assert_same_bits(layer.forward(x), x)
    np.testing.assert_array_equal(layer.mask, x == 0)
    dout = np.full((2, 3), 1.5, np.float32)
    assert_same_bits(layer.backward(dout), np.where(x == 0, np.float32(0), dout))


def test_relu_of_negative_integers_is_zero():
    assert_same_bits(fastbp.Relu().forward(np.array([-3, 0, 4])), np.array([0, 0, 4]))


def test_relu_leaves_dout_as_it_was():
    layer = fastbp.Relu()
    layer.forward(np.array([-1.0, 1.0]))
    dout = np.array([2.0, 3.0])
    dx = layer.backward(dout)
    np.testing.assert_array_equal(dout, [2.0, 3.0])
    assert not np.shares_memory(dx, dout)


@pytest.mark.parametrize("changed", ["x", "out"])
def test_relu_remembers_its_mask_when_x_or_out_is_changed_afterwards(changed):
    x = np.array([[-1.0, 2.0], [3.0, -4.0]])
    layer = fastbp.Relu()
    out = layer.forward(x)
    {"x": x, "out": out}[changed][...] *= -1
    np.testing.assert_array_equal(layer.backward(np.ones((2, 2))), [[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(layer.mask, [[True, False], [False, True]])


# --- Sigmoid ----------------------------------------------------------------------------------------------


@given(st.data(), SHAPES, FLOAT_DTYPES)
def test_sigmoid_agrees_with_the_reference(data, shape, dtype):
    x, dout = data.draw(normal(shape, dtype, scale=4)), data.draw(normal(shape, dtype))
    out, dx = step(fastbp.Sigmoid(), x, None, dout)
    plain = reference.Sigmoid()
    exact = plain.forward(x.astype(np.float64))
    assert out.dtype == dx.dtype == dtype
    # out: 4 ulp for ours, 3 for exp, sum and quotient of the reference. dx: those of out, twice since 1 - out
    # errs by as much, and three roundings more.
    assert_within(out, exact, (4 * eps(dtype) + 3 * eps(np.float64)) * exact)
    size = np.abs(dout.astype(np.float64)) * exact
    assert_within(dx, plain.backward(dout.astype(np.float64)), 17 * eps(dtype) * size)


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.float32, -87, 20), (np.float64, -708, 40)])
def test_sigmoid_keeps_relative_accuracy_of_4_ulp_in_its_far_tails(dtype, low, high):
    x = np.concatenate([np.linspace(low, high, 4001), np.linspace(-2, 2, 1001), [-80, -87]]).astype(dtype)
    out, dx = step(fastbp.Sigmoid(), x, None, np.ones_like(x))
    wide = x.astype(np.longdouble if dtype is np.float64 else np.float64)
    exact = 1 / (1 + np.exp(-wide))
    ulps = 4 if eps(wide.dtype) < eps(dtype) else 7  # exact itself is 3 off where there is nothing wider
    assert_within(out, exact, ulps * np.spacing(exact.astype(dtype)))
    tail = x < -1  # 1 - out loses nothing here: dx stays relatively accurate too
    assert_within(dx[tail], (exact * (1 - exact))[tail], 12 * eps(dtype) * exact[tail])


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_is_exact_at_zero_infinity_and_nan(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1000.0, 1e30, -1e30], dtype)
    out = fastbp.Sigmoid().forward(x)
    np.testing.assert_array_equal(out, [0.5, 0.5, 1.0, 0.0, np.nan, 1.0, 1.0, 0.0])


def test_sigmoid_out_is_what_forward_returned():
    layer = fastbp.Sigmoid()
    x = np.array([[-1.0, 0.0, 2.0]])
    out = layer.forward(x).copy()
    x[...] = 0
    assert_same_bits(layer.out, out)


@pytest.mark.parametrize("function", [lambda x: fastbp.Sigmoid().forward(x), fastbp.sigmoid])
@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
def test_sigmoid_accepts_integers_and_bools(dtype, function):
    x = np.array([0, 1, 2, 5], dtype)
    out = function(x)
    if x.dtype.itemsize >= 4:  # NumPy's exp of a smaller integer is a smaller float
        assert out.dtype == np.float64
    assert_within(out, 1 / (1 + np.exp(-x.astype(np.float64))), 4 * eps(out.dtype))


# --- Softmax and the functions ----------------------------------------------------------------------------


@given(st.data(), st.one_of(st.tuples(SOME), st.tuples(SOME, SOME)), FLOAT_DTYPES)
def test_softmax_layer_agrees_with_its_formula(data, shape, dtype):
    x, dout = data.draw(normal(shape, dtype, scale=3)), data.draw(normal(shape, dtype))
    y, dx = step(fastbp.Softmax(), x, None, dout)
    assert y.dtype == dx.dtype == dtype
    wide = x.astype(np.longdouble)
    exact = np.exp(wide - wide.max(axis=-1, keepdims=True))
    exact /= exact.sum(axis=-1, keepdims=True)
    # Rounding score - maximum costs half an eps of it, the sum of K terms K eps, exp and division a few.
    unit = eps(dtype) * (6 + shape[-1] + np.ptp(x, axis=-1, keepdims=True))
    assert_within(y, exact, unit * exact)
    wide = dout.astype(np.longdouble)
    mean = np.sum(wide * exact, axis=-1, keepdims=True)
    size = np.abs(wide) + np.sum(np.abs(wide) * exact, axis=-1, keepdims=True)
    assert_within(dx, exact * (wide - mean), 2 * unit * exact * size)


@pytest.mark.parametrize("shape", [(5,), (4, 7), (1, 3)])
def test_softmax_then_the_gradient_of_the_cross_entropy_is_softmax_with_loss(shape):
    x = np.random.default_rng(6).standard_normal(shape)
    t = np.zeros(shape)
    t[..., 2] = 1
    fused, layer = fastbp.SoftmaxWithLoss(), fastbp.Softmax()
    fused.forward(x, t)
    y = layer.forward(x)
    batch_size = t.shape[0]
    assert_within(layer.backward(-t / y / batch_size), fused.backward(), 16 * eps(np.float64) / batch_size)


def test_softmax_gradient_agrees_with_central_differences():
    rng = np.random.default_rng(7)
    x, dout, direction = rng.standard_normal((3, N, D))
    layer = fastbp.Softmax()
    layer.forward(x)
    numeric = derivative(lambda x: np.sum(fastbp.Softmax().forward(x) * dout), x, direction)
    assert abs(np.sum(layer.backward(dout) * direction) - numeric) <= DIFFERENCE_TOLERANCE * N


@pytest.mark.parametrize("name", ["Relu", "Sigmoid"])
def test_elementwise_gradients_agree_with_central_differences(name):
    rng = np.random.default_rng(8)
    x, dout, direction = rng.standard_normal((3, N, D))
    x += np.sign(x)  # away from the kink of ReLU
    layer = make(name)
    layer.forward(x)
    numeric = derivative(lambda x: np.sum(make(name).forward(x) * dout), x, direction)
    assert abs(np.sum(layer.backward(dout) * direction) - numeric) <= DIFFERENCE_TOLERANCE * N * D


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("soft", [fastbp.softmax, lambda x: fastbp.Softmax().forward(x)])
def test_softmax_is_safe_for_huge_scores_and_minus_infinity(soft, dtype):
    x = np.array([[1e4, -1e4, 1e4], [-np.inf, 0, -np.inf], [-1e4, -1e4, -np.inf]], dtype)
    np.testing.assert_array_equal(soft(x), [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0.5, 0]])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(D,), (N, D)])
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "relu"])
def test_functions_give_what_the_layers_give(name, shape, dtype):
    x = np.random.default_rng(9).standard_normal(shape).astype(dtype)
    out = getattr(fastbp, name)(x)
    assert_same_bits(out, getattr(fastbp, name.capitalize())().forward(x))
    assert_within(out, getattr(reference, name)(x.astype(np.float64)), 16 * eps(dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "relu"])
def test_functions_take_any_layout_and_leave_it_as_it_was(name, layout):
    x = LAYOUTS[layout](np.random.default_rng(15).standard_normal((N, D)))
    before = contiguous(x)
    assert_same_bits(getattr(fastbp, name)(x), getattr(fastbp, name)(before))
    assert_same_bits(x, before)


@pytest.mark.parametrize("name", ["sigmoid", "relu"])
def test_functions_take_python_numbers(name):
    for x in (-1.5, 0.0, 2.0):
        out = getattr(fastbp, name)(x)
        assert np.shape(out) == ()
        assert_within(out, getattr(reference, name)(x), 4 * eps(np.float64))


def test_relu_function_keeps_nan():
    np.testing.assert_array_equal(fastbp.relu(np.array([np.nan, -1.0, 1.0])), [np.nan, 0.0, 1.0])


@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_cross_entropy_error_is_the_books(shape, one_hot):
    y = np.random.default_rng(10).dirichlet(np.ones(4), shape[:-1])
    labels = np.array([2, 0, 3])[: 1 if len(shape) == 1 else 3]
    t = np.eye(4)[labels].reshape(shape) if one_hot else labels
    picked = y.reshape(-1, 4)[np.arange(len(labels)), labels]
    expected = np.mean(-np.log(picked + 1e-7))
    assert_within(fastbp.cross_entropy_error(y, t), expected, 8 * eps(np.float64) * max(1, expected))


def test_cross_entropy_error_of_a_certain_mistake_is_finite():
    expected = -np.log(1e-7)
    assert_within(fastbp.cross_entropy_error(np.array([1.0, 0.0]), np.array([0, 1])), expected, 1e-14)


@pytest.mark.parametrize("x", [np.array([3.0, 4.0]), np.arange(6.0).reshape(2, 3), np.ones((3, 2)).T])
def test_numerical_gradient_perturbs_the_array_in_place_and_restores_it(x):
    before, owner = x.copy(), x
    # As in the book's networks, f ignores its argument and reads the array it closes over.
    gradient = fastbp.numerical_gradient(lambda _: np.sum(owner**2), x)
    assert gradient.shape == x.shape
    # A central difference of a square is exact but for rounding: eps of f over 2h = 2e-4.
    assert_within(gradient, 2 * before, 8 * eps(np.float64) * np.sum(before**2) / 2e-4)
    assert_same_bits(x, before)


# --- Every layer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_attributes_are_none_before_the_first_forward(name):
    layer = make(name)
    assert {attribute: getattr(layer, attribute) for attribute in ATTRIBUTES[name]} == dict.fromkeys(ATTRIBUTES[name])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_and_float64_stays_float64(name, dtype):
    out, *gradients = step(make(name, dtype), *batch(dtype=dtype))
    assert name == "SoftmaxWithLoss" or out.dtype == dtype
    assert {gradient.dtype for gradient in gradients} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", ["Affine", "Relu", "Sigmoid", "Softmax"])
def test_dout_may_be_of_integers(name):
    x, t, dout = batch()
    dout = np.round(4 * dout)
    expected = step(make(name), x, t, dout)
    for got, value in zip(step(make(name), x, t, dout.astype(int)), expected, strict=True):
        np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize("which", ["x", "dout", "both"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), rows=SOME, dtype=FLOAT_DTYPES)
def test_inputs_of_any_layout_give_the_bits_of_a_contiguous_copy(name, layout, which, data, rows, dtype):
    x, dout = data.draw(normal((rows, D), dtype)), data.draw(normal((rows, D), dtype))
    t = data.draw(st.lists(st.integers(0, D - 1), min_size=rows, max_size=rows))
    x = x if which == "dout" else LAYOUTS[layout](x)
    dout = dout if which == "x" else LAYOUTS[layout](dout)
    got = step(make(name, dtype), x, np.array(t), dout)
    expected = step(make(name, dtype), contiguous(x), np.array(t), contiguous(dout))
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (4, 6)])
@pytest.mark.parametrize("name", ["Relu", "Sigmoid"])
def test_transposed_images_give_the_bits_of_a_contiguous_copy(name, shape):
    x = np.random.default_rng(11).standard_normal(shape).swapaxes(0, -1)
    for a, b in zip(step(make(name), x, None, x), step(make(name), *[contiguous(x)] * 3), strict=True):
        assert_same_bits(a, b)


def test_affine_flattens_transposed_images_as_numpy_does():
    images = np.random.default_rng(12).standard_normal((3, 4, 2, 5)).transpose(0, 2, 3, 1)
    W, b = np.random.default_rng(13).standard_normal((40, 6)), np.zeros(6)
    dout = np.ones((3, 6))
    got = step(fastbp.Affine(W, b), images, None, dout)
    expected = step(fastbp.Affine(W, b), contiguous(images), None, dout)
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("name", LAYERS)
def test_every_call_returns_fresh_arrays(name):
    layer = make(name)
    x, t, dout = batch()
    first = step(layer, x, t, dout)
    kept = copy.deepcopy(first)
    second = step(layer, -x, t, 2 * dout)
    own = [x, t, dout, *(getattr(layer, p) for p in ("W", "b") if hasattr(layer, p))]
    for i, array in enumerate(first):
        assert_same_bits(array, kept[i])
        assert not any(np.shares_memory(array, other) for other in [*own, *second, *first[:i]])


@pytest.mark.parametrize("name", LAYERS)
def test_backward_twice_gives_the_same(name):
    layer = make(name)
    x, t, dout = batch()
    first = step(layer, x, t, dout)[1]
    assert_same_bits(layer.backward(*[] if name == "SoftmaxWithLoss" else [dout]), first)


@pytest.mark.parametrize("name", LAYERS)
def test_batch_size_may_change_from_call_to_call(name):
    layer = make(name)
    for rows in (4, 1, 9, 2, 33):
        data = batch(rows, seed=rows)
        for got, fresh in zip(step(layer, *data), step(make(name), *data), strict=True):
            assert_same_bits(got, fresh)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LAYERS)
def test_the_callers_arrays_are_never_written(name, dtype):
    layer = make(name, dtype)
    arrays = [*batch(dtype=dtype), *(getattr(layer, p) for p in ("W", "b") if hasattr(layer, p))]
    before = copy.deepcopy(arrays)
    step(layer, *arrays[:3])
    for array, saved in zip(arrays, before, strict=True):
        assert_same_bits(array, saved)


@pytest.mark.parametrize("name", LAYERS)
def test_the_state_of_np_random_is_untouched(name):
    before = np.random.get_state()
    step(make(name), *batch())
    after = np.random.get_state()
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize("name", LAYERS)
def test_arguments_go_by_the_books_keyword_names(name):
    x, t, dout = batch()
    layer, plain = make(name), make(name)
    if name == "Affine":
        layer = fastbp.Affine(W=plain.W, b=plain.b)
    if name == "SoftmaxWithLoss":
        answers = layer.forward(x=x, t=t), layer.backward(dout=1)
    else:
        answers = layer.forward(x=x), layer.backward(dout=dout)
    for got, expected in zip(answers, step(plain, x, t, dout), strict=False):
        assert_same_bits(got, expected)


def test_functions_go_by_the_books_keyword_names():
    x, t, _ = batch()
    for name in ("softmax", "sigmoid", "relu"):
        assert_same_bits(getattr(fastbp, name)(x=x), getattr(fastbp, name)(x))
    y = fastbp.softmax(x)
    assert fastbp.cross_entropy_error(y=y, t=t) == fastbp.cross_entropy_error(y, t)
    np.testing.assert_allclose(fastbp.numerical_gradient(f=np.sum, x=x), 1, rtol=1e-6)


class CountingAffine(fastbp.Affine):
    def __init__(self, W, b):
        super().__init__(W, b)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return 2 * super().forward(x)


def test_layers_can_be_subclassed():
    x, _, dout = batch()
    plain = make("Affine")
    layer = CountingAffine(plain.W, plain.b)
    assert_same_bits(layer.forward(x), 2 * plain.forward(x))
    assert_same_bits(layer.backward(dout), plain.backward(dout))
    assert layer.calls == 1
    assert pickle.loads(pickle.dumps(layer)).calls == 1


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("clone", [lambda a: pickle.loads(pickle.dumps(a)), copy.deepcopy])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_can_be_pickled_and_deep_copied(name, clone, used):
    layer = make(name)
    x, t, dout = batch()
    if used:
        step(layer, x, t, dout)
    twin = clone(layer)
    assert type(twin) is type(layer)
    for attribute in ATTRIBUTES[name]:
        np.testing.assert_array_equal(getattr(twin, attribute), getattr(layer, attribute))
    if used:
        arguments = [] if name == "SoftmaxWithLoss" else [dout]
        assert_same_bits(twin.backward(*arguments), layer.backward(*arguments))
    for got, expected in zip(step(twin, -x, t, dout), step(layer, -x, t, dout), strict=True):
        assert_same_bits(got, expected)


@pytest.mark.parametrize("name", LAYERS)
def test_a_subclass_may_extend_forward_and_backward(name):
    base = getattr(fastbp, name)

    class Logged(base):
        def forward(self, *arguments):
            self.seen = [np.shape(arguments[0])]
            return super().forward(*arguments)

        def backward(self, *dout):
            self.seen.append("backward")
            return super().backward(*dout)

    plain = make(name)
    layer = Logged(plain.W, plain.b) if name == "Affine" else Logged()
    for got, expected in zip(step(layer, *batch()), step(plain, *batch()), strict=True):
        assert_same_bits(got, expected)
    assert layer.seen == [(N, D), "backward"]


def test_a_deep_copied_affine_has_weights_of_its_own():
    layer = make("Affine")
    x = batch()[0]
    expected = layer.forward(x)
    twin = copy.deepcopy(layer)
    twin.W[...] = 0
    twin.b[...] = 7
    assert_same_bits(layer.forward(x), expected)
    np.testing.assert_array_equal(twin.forward(x), np.full((N, D), 7.0))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_can_be_given_extra_attributes(name):
    layer = make(name)
    layer.note = "mine"
    step(layer, *batch())
    assert copy.deepcopy(layer).note == layer.note == "mine"


def test_a_deep_copied_network_still_trains_through_its_own_params():
    net = {"params": {"W": np.ones((2, 2)), "b": np.zeros(2)}}
    net["layer"] = fastbp.Affine(net["params"]["W"], net["params"]["b"])
    net["layer"].forward(np.ones((1, 2)))
    twin = copy.deepcopy(net)
    twin["params"]["W"] -= 1
    np.testing.assert_array_equal(twin["layer"].forward(np.ones((1, 2))), [[0.0, 0.0]])
    np.testing.assert_array_equal(net["layer"].forward(np.ones((1, 2))), [[2.0, 2.0]])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", ["Relu", "Sigmoid"])
def test_a_chain_of_layers_agrees_with_torch(activation, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's import says is not ours
        torch = pytest.importorskip("torch")
    rng = np.random.default_rng(14)
    x, t = rng.standard_normal((19, 12)).astype(dtype), rng.integers(0, 7, 19)
    weights = [rng.standard_normal(s).astype(dtype) for s in ((12, 21), 21, (21, 7), 7)]
    first, second = fastbp.Affine(*weights[:2]), fastbp.Affine(*weights[2:])
    middle, last = getattr(fastbp, activation)(), fastbp.SoftmaxWithLoss(eps=0)
    loss = last.forward(second.forward(middle.forward(first.forward(x))), t)
    dx = first.backward(middle.backward(second.backward(last.backward())))

    tensors = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in (x, *weights)]
    tx, W1, b1, W2, b2 = tensors
    hidden = getattr(torch, activation.lower())(tx @ W1 + b1)
    exact = torch.nn.functional.cross_entropy(hidden @ W2 + b2, torch.tensor(t))
    exact.backward()
    # The scores, sums of 21 products, reach about 30: a few dozen eps of rounding, passed on to the rest.
    tolerance = 50 * eps(dtype)
    assert_within(loss, exact.detach().numpy(), tolerance)
    for got, tensor in zip((dx, first.dW, first.db, second.dW, second.db), tensors, strict=True):
        assert got.dtype == dtype
        assert_within(got, tensor.grad.numpy(), tolerance)


# --- A script written against the book's classes ----------------------------------------------------------

SCRIPT = """
from collections import OrderedDict

import numpy as np

from BOOK import Affine, Relu, Sigmoid, SoftmaxWithLoss


class Network:
    def __init__(self, n_in, n_hidden, n_out, std=0.1):
        self.params = {
            "W1": std * np.random.randn(n_in, n_hidden),
            "b1": np.zeros(n_hidden),
            "W2": std * np.random.randn(n_hidden, n_out),
            "b2": np.zeros(n_out),
        }
        self.layers = OrderedDict()
        self.layers["Affine1"] = Affine(self.params["W1"], self.params["b1"])
        self.layers["Activation"] = {"relu": Relu, "sigmoid": Sigmoid}[activation]()
        self.layers["Affine2"] = Affine(self.params["W2"], self.params["b2"])
        self.last = SoftmaxWithLoss()

    def scores(self, x):
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def gradient(self, x, t):
        loss = self.last.forward(self.scores(x), t)
        dout = self.last.backward(1)
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grad = {}
        for i in "12":
            grad["W" + i] = self.layers["Affine" + i].dW
            grad["b" + i] = self.layers["Affine" + i].db
        return loss, grad


np.random.seed(20)
network = Network(images.shape[1], 50, 10)
losses = []
for _ in range(100):
    rows = np.random.choice(len(images), 100)
    loss, grad = network.gradient(images[rows], targets[rows])
    losses.append(loss)
    for key in network.params:
        network.params[key] -= 0.1 * grad[key]
accuracy = np.mean(network.scores(images).argmax(axis=1) == labels)
"""


@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_a_book_script_prints_the_same_losses_with_only_its_import_changed(digits, activation, dtype, one_hot):
    images, labels = digits
    images = images if dtype is np.uint8 else (images / 16).astype(dtype)
    inputs = {"images": images, "labels": labels, "targets": np.eye(10)[labels] if one_hot else labels}
    runs = {}
    for library in ("fastbp.reference", "fastbp"):
        runs[library] = inputs | {"activation": activation}
        exec(SCRIPT.replace("BOOK", library), runs[library])
    book, ours = runs.values()
    np.testing.assert_allclose(ours["losses"], book["losses"], rtol=0, atol=1e-6)
    assert ours["accuracy"] == book["accuracy"]
    assert ours["losses"][-1] < ours["losses"][0]
