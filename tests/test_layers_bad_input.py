"""Bad input to the layers: a clear error before anything changes, or the answer NumPy gives."""

import copy
import re

import numpy as np
import pytest
from strategies import FLOATS, assert_same_bits, eps

import fastbp
from fastbp import reference

ATTRIBUTES = ("W", "b", "x", "original_x_shape", "dW", "db", "mask", "out", "loss", "y", "t")
WRONG_KINDS = {
    "complex": (lambda shape: np.ones(shape, complex), "complex"),
    "object": (lambda shape: np.ones(shape, object), "object"),
    "str": (lambda shape: np.full(shape, "1"), "str|<U"),
    "longdouble": (lambda shape: np.ones(shape, np.longdouble), "longdouble|float128|float96"),
}
if np.dtype(np.longdouble) == np.dtype(np.float64):
    del WRONG_KINDS["longdouble"]


def affine():
    return fastbp.Affine(np.arange(10.0).reshape(5, 2), np.arange(2.0))


LAYERS = {"Affine": affine} | {
    name: getattr(fastbp, name) for name in ("Relu", "Sigmoid", "Softmax", "SoftmaxWithLoss")
}
WITH_DOUT = [name for name in LAYERS if name != "SoftmaxWithLoss"]


def good(name):
    """Arguments of a forward and of the backward after it."""
    x = np.random.default_rng(0).standard_normal((4, 5))
    if name == "SoftmaxWithLoss":
        return (x, np.array([0, 4, 2, 1])), ()
    return (x,), (np.ones((4, 2 if name == "Affine" else 5)),)


def used(name):
    layer = LAYERS[name]()
    forward, backward = good(name)
    layer.forward(*forward)
    layer.backward(*backward)
    return layer


def state(layer):
    return {name: copy.deepcopy(getattr(layer, name)) for name in ATTRIBUTES if hasattr(layer, name)}


def says(*parts):
    """A pattern for a message that holds all the parts, in any order; shapes are given as tuples."""
    parts = [re.escape(str(part)) if isinstance(part, tuple) else part for part in parts]
    return "(?s)" + "".join(f"(?=.*(?:{part}))" for part in parts)


def named(argument):
    return rf"(?<![\w'.]){argument}(?![\w'])"


def rejects(layer, error, message, call, *arguments):
    """``call`` raises, and nothing has changed: no attribute of the layer, no argument."""
    before, passed = state(layer), copy.deepcopy(arguments)
    with pytest.raises(error, match=message):
        call(*arguments)
    after = state(layer)
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    for argument, saved in zip(arguments, passed, strict=True):
        np.testing.assert_array_equal(argument, saved)


def rejects_forward(name, error, message, *arguments):
    """A fresh layer stays fresh; a used one goes on as if the call had not been made."""
    fresh = LAYERS[name]()
    rejects(fresh, error, message, fresh.forward, *arguments)
    with pytest.raises(RuntimeError, match="forward"):
        fresh.backward(*good(name)[1])
    layer = used(name)
    expected = layer.backward(*good(name)[1])
    rejects(layer, error, message, layer.forward, *arguments)
    assert_same_bits(layer.backward(*good(name)[1]), expected)


# --- Shapes that do not fit -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 6), (6,), (5, 4), (4, 0), (0, 6), (1,)])
def test_x_of_another_width_than_W(shape):
    rejects_forward("Affine", ValueError, says(named("x"), shape, (5, 2)), np.ones(shape))


def test_images_of_another_size_than_W():
    # The last axis alone would fit: it is the flattened image that does not.
    rejects_forward("Affine", ValueError, says(named("x"), r"\(4, 3, 1, 5\)|\(4, 15\)", (5, 2)), np.ones((4, 3, 1, 5)))


def test_x_without_an_axis_into_affine():
    rejects_forward("Affine", ValueError, says(named("x"), (5, 2)), np.array(1.0))


@pytest.mark.parametrize("shape", [(4, 3), (3, 2), (2, 4), (8,), (2,), (1, 2), (4, 2, 1), (4, 1), (0, 2)])
def test_dout_of_another_shape_than_affines_output(shape):
    layer = used("Affine")
    rejects(layer, ValueError, says(named("dout"), shape, (4, 2)), layer.backward, np.ones(shape))


@pytest.mark.parametrize("shape", [(5, 4), (4, 4), (3, 5), (20,), (5,), (1, 5), (4, 1), (2, 10), (0, 5)])
@pytest.mark.parametrize("name", ["Relu", "Sigmoid", "Softmax"])
def test_dout_of_another_shape_than_the_output(name, shape):
    layer = used(name)
    rejects(layer, ValueError, says(named("dout"), shape, (4, 5)), layer.backward, np.ones(shape))


def test_W_exchanged_for_another_shape_between_forward_and_backward():
    layer = used("Affine")
    layer.W = np.ones((7, 2))
    rejects(layer, ValueError, says((7, 2)), layer.backward, np.ones((4, 2)))


@pytest.mark.parametrize(
    ("x_shape", "t_shape"),
    [
        ((4, 10), (3,)),
        ((4, 10), (5,)),
        ((4, 10), (0,)),
        ((4, 10), (3, 10)),
        ((4, 10), (10, 4)),
        ((4, 10), (40,)),
        ((4, 10), (4, 9)),
        ((1, 3), (3,)),
        ((10,), (9,)),
        ((10,), (2,)),
    ],
)
def test_t_of_another_length_than_x(x_shape, t_shape):
    message = says(named("t"), x_shape, t_shape)
    rejects_forward("SoftmaxWithLoss", ValueError, message, np.ones(x_shape), np.zeros(t_shape, int))


@pytest.mark.parametrize(("y_shape", "t_shape"), [((4, 10), (3,)), ((4, 10), (5, 10)), ((10,), (9,))])
def test_t_of_another_length_than_y_in_cross_entropy_error(y_shape, t_shape):
    with pytest.raises(ValueError, match=says(named("t"), y_shape, t_shape)):
        fastbp.cross_entropy_error(np.full(y_shape, 0.1), np.zeros(t_shape, int))


@pytest.mark.parametrize("shape", [(), (5,), (5, 2, 1), (1, 5, 2)])
def test_W_that_is_not_a_matrix(shape):
    x, dout = good("Affine")[0][0], np.ones((4, 2))
    with pytest.raises(ValueError, match=says(named("W"), shape)):
        fastbp.Affine(np.ones(shape), np.ones(2)).forward(x)
    layer = used("Affine")
    before = layer.dW.copy()
    with pytest.raises(ValueError, match=says(named("W"), shape)):
        layer.W = np.ones(shape)
        layer.backward(dout)
    assert_same_bits(layer.dW, before)


@pytest.mark.parametrize("shape", [(3,), (5,), (0,), (2, 2), (3, 2), (4, 2)])
def test_b_of_another_width_than_W(shape):
    with pytest.raises(ValueError, match=says(named("b"), shape, (5, 2))):
        fastbp.Affine(np.ones((5, 2)), np.ones(shape)).forward(np.ones((4, 5)))
    layer = used("Affine")
    before = layer.x.copy()
    with pytest.raises(ValueError, match=says(named("b"), shape, (5, 2))):
        layer.b = np.ones(shape)
        layer.forward(np.zeros((4, 5)))
    np.testing.assert_array_equal(layer.x, before)


# --- Kinds of numbers that do not fit ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", WRONG_KINDS)
@pytest.mark.parametrize("name", LAYERS)
def test_x_of_a_wrong_kind(name, kind):
    wrong, word = WRONG_KINDS[kind]
    rejects_forward(name, TypeError, says(named("x"), word), wrong((4, 5)), *good(name)[0][1:])


@pytest.mark.parametrize("kind", WRONG_KINDS)
@pytest.mark.parametrize("name", WITH_DOUT)
def test_dout_of_a_wrong_kind(name, kind):
    wrong, word = WRONG_KINDS[kind]
    layer = used(name)
    rejects(layer, TypeError, says(named("dout"), word), layer.backward, wrong(good(name)[1][0].shape))


@pytest.mark.parametrize("shape", [(4,), (4, 5)])
@pytest.mark.parametrize("kind", WRONG_KINDS)
def test_t_of_a_wrong_kind(kind, shape):
    wrong, word = WRONG_KINDS[kind]
    rejects_forward("SoftmaxWithLoss", TypeError, says(named("t"), word), np.ones((4, 5)), wrong(shape))
    with pytest.raises(TypeError, match=says(named("t"), word)):
        fastbp.cross_entropy_error(np.full((4, 5), 0.2), wrong(shape))


@pytest.mark.parametrize("kind", WRONG_KINDS)
@pytest.mark.parametrize("argument", ["W", "b"])
def test_weights_of_a_wrong_kind(argument, kind):
    wrong, word = WRONG_KINDS[kind]
    arrays = {"W": np.ones((5, 2)), "b": np.ones(2)}
    arrays[argument] = wrong(arrays[argument].shape)
    with pytest.raises(TypeError, match=says(named(argument), word)):
        fastbp.Affine(**arrays).forward(np.ones((4, 5)))


@pytest.mark.parametrize("kind", WRONG_KINDS)
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "relu"])
def test_functions_of_a_wrong_kind(name, kind):
    wrong, word = WRONG_KINDS[kind]
    with pytest.raises(TypeError, match=says(named("x"), word)):
        getattr(fastbp, name)(wrong((4, 5)))


# --- Labels -----------------------------------------------------------------------------------------------

BAD_LABELS = [10, 11, -1, -10, 2**31, 2**32 + 1, 2**63 - 1, -(2**63)]


def assert_rejects_label(t, message):
    rejects_forward("SoftmaxWithLoss", ValueError, message, np.ones((20, 10)), t)
    with pytest.raises(ValueError, match=message):
        fastbp.cross_entropy_error(np.full((20, 10), 0.1), t)


@pytest.mark.parametrize("where", [0, 17, 19])
@pytest.mark.parametrize("label", BAD_LABELS)
def test_a_label_outside_its_classes_is_an_error_at_forward(label, where):
    t = np.zeros(20, np.int64)
    t[where] = label
    assert_rejects_label(t, rf"t\[{where}\] is {label}, outside 0\.\.9")


@pytest.mark.parametrize(("label", "dtype"), [(-1, np.int8), (255, np.uint8), (2**64 - 1, np.uint64)])
def test_a_label_outside_its_classes_in_other_integer_dtypes(label, dtype):
    t = np.zeros(20, dtype)
    t[17] = label
    assert_rejects_label(t, rf"t\[17\] is {label}, outside 0\.\.9")


@pytest.mark.parametrize("x_shape", [(1, 3), (3,)])
def test_a_label_outside_its_classes_for_one_sample(x_shape):
    for t in ([3], [-1]):
        rejects_forward("SoftmaxWithLoss", ValueError, "outside 0..2", np.ones(x_shape), np.array(t))
    rejects_forward("SoftmaxWithLoss", ValueError, "outside 0..2", np.ones((1, 3)), np.array([[3]]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("label", [0.5, 1e-6, np.nan, np.inf, -np.inf, -0.5])
def test_labels_that_are_not_integral(label, dtype):
    t = np.zeros(20, dtype)
    t[17] = label
    assert_rejects_label(t, named("t"))


# --- Calls out of order -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*LAYERS, "MulLayer"])
def test_backward_before_forward(name):
    layer = fastbp.MulLayer() if name == "MulLayer" else LAYERS[name]()
    arguments = (1.0,) if name == "MulLayer" else good(name)[1]
    rejects(layer, RuntimeError, "(?=.*backward)(?=.*forward)", layer.backward, *arguments)


# --- Empty batches ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(0, 5), (0, 1, 5), (0, 5, 1, 1)])
def test_an_empty_batch_through_affine(shape, dtype):
    layer = fastbp.Affine(np.ones((5, 2), dtype), np.ones(2, dtype))
    layer.forward(np.ones((3, 5), dtype))
    layer.backward(np.ones((3, 2), dtype))
    assert_same_bits(layer.forward(np.ones(shape, dtype)), np.zeros((0, 2), dtype))
    assert_same_bits(layer.backward(np.ones((0, 2), dtype)), np.zeros(shape, dtype))
    assert_same_bits(layer.dW, np.zeros((5, 2), dtype))
    assert_same_bits(layer.db, np.zeros(2, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0), (0, 2, 4, 4)])
@pytest.mark.parametrize("name", ["Relu", "Sigmoid"])
def test_an_empty_batch_through_an_elementwise_layer(name, shape, dtype):
    layer = LAYERS[name]()
    empty = np.ones(shape, dtype)
    assert_same_bits(layer.forward(empty), empty)
    assert_same_bits(layer.backward(empty), empty)
    assert (layer.mask if name == "Relu" else layer.out).shape == shape
    assert_same_bits(getattr(fastbp, name.lower())(empty), empty)


@pytest.mark.parametrize("dtype", FLOATS)
def test_an_empty_batch_through_softmax(dtype):
    layer = fastbp.Softmax()
    empty = np.ones((0, 5), dtype)
    assert_same_bits(layer.forward(empty), empty)
    assert_same_bits(layer.backward(empty), empty)
    assert_same_bits(fastbp.softmax(empty), empty)


@pytest.mark.parametrize("t", [np.zeros(0, int), np.zeros((0, 5))])
def test_the_loss_of_an_empty_batch_is_an_error_that_says_so(t):
    rejects_forward("SoftmaxWithLoss", ValueError, "empty", np.ones((0, 5)), t)
    with pytest.raises(ValueError, match="empty"):
        fastbp.cross_entropy_error(np.ones((0, 5)), t)


# --- NaN and infinity propagate as in NumPy ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("argument", ["x", "W", "b", "dout"])
def test_affine_propagates_nan_and_infinity(argument, value, dtype):
    rng = np.random.default_rng(1)
    arrays = {"x": (19, 23), "W": (23, 18), "b": (18,), "dout": (19, 18)}
    arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in arrays.items()}
    arrays["W"][:, 3] = 0  # times infinity: nan
    arrays[argument][-1] = value  # one entry of b, a whole row of the others
    arrays[argument].flat[0] = value
    answers = []
    for library in (fastbp, reference):
        layer = library.Affine(arrays["W"], arrays["b"])
        with np.errstate(invalid="ignore"):
            answers.append((layer.forward(arrays["x"]), layer.backward(arrays["dout"]), layer.dW, layer.db))
    for got, expected in zip(*answers, strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        np.testing.assert_array_equal(got[np.isinf(expected)], expected[np.isinf(expected)])
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
    assert not all(np.isfinite(got).all() for got in answers[0])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["Relu", "Sigmoid"])
def test_elementwise_layers_propagate_nan_and_infinity(name, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 1.0], dtype)
    layer = LAYERS[name]()
    np.testing.assert_array_equal(layer.forward(x)[:3], [np.nan, np.inf if name == "Relu" else 1, 0])
    layer.forward(np.ones(4, dtype))
    np.testing.assert_array_equal(layer.backward(x)[:3], [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["Softmax", "SoftmaxWithLoss", "softmax"])
def test_softmax_propagates_nan_and_infinity_within_the_row(name, value, dtype):
    x = np.zeros((3, 4), dtype)
    x[1, 2] = value
    if name == "SoftmaxWithLoss":
        layer = LAYERS[name]()
        assert np.isnan(layer.forward(x, [0, 0, 0]))
        y = layer.y
        assert np.isnan(layer.backward()[1]).all()
    else:
        y = fastbp.softmax(x) if name == "softmax" else LAYERS[name]().forward(x)
    assert np.isnan(y[1]).all()
    np.testing.assert_array_equal(y[[0, 2]], np.full((2, 4), 0.25))


def test_a_row_of_minus_infinity_is_nan():
    y = fastbp.softmax(np.array([[-np.inf, -np.inf], [0.0, 0.0]]))
    np.testing.assert_array_equal(y, [[np.nan, np.nan], [0.5, 0.5]])


def test_overflow_gives_infinity():
    big = np.full((1, 4), 1e200)
    layer = fastbp.Affine(big.T, np.zeros(1))
    np.testing.assert_array_equal(layer.forward(big), [[np.inf]])
    assert fastbp.Sigmoid().forward(np.array([-1e200]))[0] <= eps(np.float64)
