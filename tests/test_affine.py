"""Affine as the book's readers know it: what it holds, flattens and promotes, its answers and its gradients."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from single_layers import DIFFERENCE_TOLERANCE, D, N, batch, derivative, make, step
from strategies import (
    FLOAT_DTYPES,
    FLOATS,
    INTEGERS,
    LAYOUTS,
    affine_shapes,
    assert_same_bits,
    assert_within,
    contiguous,
    eps,
    normal,
)

import fastbp
from fastbp import reference


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


def test_affine_flattens_transposed_images_as_numpy_does():
    images = np.random.default_rng(12).standard_normal((3, 4, 2, 5)).transpose(0, 2, 3, 1)
    W, b = np.random.default_rng(13).standard_normal((40, 6)), np.zeros(6)
    dout = np.ones((3, 6))
    got = step(fastbp.Affine(W, b), images, None, dout)
    expected = step(fastbp.Affine(W, b), contiguous(images), None, dout)
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


def test_a_deep_copied_affine_has_weights_of_its_own():
    layer = make("Affine")
    x = batch()[0]
    expected = layer.forward(x)
    twin = copy.deepcopy(layer)
    twin.W[...] = 0
    twin.b[...] = 7
    assert_same_bits(layer.forward(x), expected)
    np.testing.assert_array_equal(twin.forward(x), np.full((N, D), 7.0))


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


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("order", "CF")
def test_gradients_of_parameters_alone_have_the_same_bits(order, dtype):
    rng = np.random.default_rng(0)
    x, W, b, dout = (rng.standard_normal(shape).astype(dtype) for shape in ((6, 5), (5, 3), (3,), (6, 3)))
    W = np.asarray(W, order=order)
    whole, alone = fastbp.Affine(W, b), fastbp.Affine(W, b)
    for inputs in (x, x[0], x.astype(np.int64)):  # the first is compiled by the last, and then taken at once
        for layer in (whole, alone):
            layer.forward(inputs)
        rows = dout if inputs.ndim == 2 else dout[0]
        whole.backward(rows)
        for _ in range(2):
            alone.dW = alone.db = None
            assert alone.leave_gradients(rows) is None
            assert_same_bits(alone.dW, whole.dW)
            assert_same_bits(alone.db, whole.db)
    with pytest.raises(ValueError, match="dout must have the shape of the output"):
        alone.leave_gradients(dout[:2])


def test_a_younger_backward_is_what_a_network_goes_through():
    class Doubled(fastbp.Affine):
        def backward(self, dout):
            return super().backward(2 * np.asarray(dout))

    rng = np.random.default_rng(0)
    W, x, t = rng.standard_normal((4, 3)), rng.standard_normal((5, 4)), np.arange(5) % 3
    plain, doubled = (
        fastbp.Sequential([cls(W.copy(), np.zeros(3))]).gradient(x, t) for cls in (fastbp.Affine, Doubled)
    )
    assert_same_bits(doubled["W1"], 2 * plain["W1"])
