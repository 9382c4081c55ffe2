"""AddLayer and MulLayer: the book's apples, and what arrays and mistakes come to."""

import copy
import pickle

import numpy as np
import pytest

from fastbp.layers.arithmetic import AddLayer, MulLayer

LAYERS = (AddLayer, MulLayer)


def test_apples_and_oranges():
    """2 apples at 100, 3 oranges at 150, tax of a tenth: the price, and what it owes to each."""
    apple_layer, orange_layer, fruit_layer, tax_layer = MulLayer(), MulLayer(), AddLayer(), MulLayer()
    fruit = fruit_layer.forward(apple_layer.forward(100, 2), orange_layer.forward(150, 3))
    price = tax_layer.forward(fruit, 1.1)
    dfruit, dtax = tax_layer.backward(1)
    dapples, doranges = fruit_layer.backward(dfruit)
    dapple, dapple_count = apple_layer.backward(dapples)
    dorange, dorange_count = orange_layer.backward(doranges)

    assert fruit == 650
    # 1.1 is rounded, and so is each product with it: two roundings, of 2**-53 each, at most.
    assert price == pytest.approx(715, rel=2**-52, abs=0)
    assert [dapple, dapple_count, dorange, dorange_count] == pytest.approx([2.2, 110, 3.3, 165], rel=2**-51, abs=0)
    assert dtax == 650


@pytest.mark.parametrize("layer_type", LAYERS)
def test_x_and_y_are_none_and_then_what_forward_was_given(layer_type):
    layer = layer_type()
    assert layer.x is None
    assert layer.y is None
    x, y = np.ones(3), np.full(3, 2.0)
    layer.forward(x=x, y=y)
    assert layer.x is x
    assert layer.y is y


def test_arrays_go_entry_by_entry():
    x, y, dout = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]]), np.full((2, 2), 10.0)
    add, mul = AddLayer(), MulLayer()
    np.testing.assert_array_equal(add.forward(x, y), [[6, 8], [10, 12]])
    np.testing.assert_array_equal(mul.forward(x, y), [[5, 12], [21, 32]])
    np.testing.assert_array_equal(add.backward(dout), [dout, dout])
    np.testing.assert_array_equal(mul.backward(dout=dout), [10 * y, 10 * x])


@pytest.mark.parametrize("layer_type", LAYERS)
def test_callers_arrays_stay_and_answers_are_fresh(layer_type):
    layer = layer_type()
    x, y, dout = np.array([1.0, -2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0])
    kept = copy.deepcopy((x, y, dout))
    out, (dx, dy) = layer.forward(x, y), layer.backward(dout)
    for answer in (out, dx, dy):
        answer *= 100
    np.testing.assert_array_equal((x, y, dout), kept)
    assert not np.shares_memory(dx, dy)
    np.testing.assert_array_equal(
        layer.backward(dout), [dout, dout] if layer_type is AddLayer else [dout * y, dout * x]
    )


@pytest.mark.parametrize("layer_type", LAYERS)
def test_dtype_is_numpys_promotion(layer_type):
    layer = layer_type()
    small, wide = np.ones(2, np.float32), np.ones(2)
    assert layer.forward(small, small).dtype == np.float32
    assert layer.forward(small, 2).dtype == np.float32
    assert layer.forward(np.ones(2, np.uint8), wide).dtype == np.float64
    assert isinstance(layer.forward(100, 2), int)


@pytest.mark.parametrize("layer_type", LAYERS)
def test_lists_are_arrays(layer_type):
    layer = layer_type()
    out = layer.forward([1, 2], (3, 4))
    np.testing.assert_array_equal(out, [4, 6] if layer_type is AddLayer else [3, 8])
    np.testing.assert_array_equal(
        layer.backward([1, 1]), [[1, 1], [1, 1]] if layer_type is AddLayer else [[3, 4], [1, 2]]
    )


@pytest.mark.parametrize("layer_type", LAYERS)
def test_shapes_broadcast_or_are_named(layer_type):
    layer = layer_type()
    assert layer.forward(np.ones((2, 3)), np.ones(3)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"x and y must broadcast, got shapes \(2, 3\) and \(2,\)"):
        layer.forward(np.ones((2, 3)), np.ones(2))
    assert layer.y.shape == (3,), "a refused forward changes nothing"
    np.testing.assert_array_equal(layer.backward(2)[0], 2 if layer_type is AddLayer else [2, 2, 2])
    with pytest.raises(ValueError, match=r"dout must have the output's shape \(2, 3\), got \(3, 2\)"):
        layer.backward(np.ones((3, 2)))


@pytest.mark.parametrize("value", ["a", None, 1j, [object()]])
@pytest.mark.parametrize("layer_type", LAYERS)
def test_what_is_no_number_is_named(layer_type, value):
    layer = layer_type()
    with pytest.raises(TypeError, match="x must be a real number or an array of them, got "):
        layer.forward(value, 1)
    with pytest.raises(TypeError, match="y must be a real number or an array of them, got "):
        layer.forward(1, value)
    assert layer.x is None
    layer.forward(1, 2)
    with pytest.raises(TypeError, match="dout must be a real number or an array of them, got "):
        layer.backward(value)


def test_mul_backward_needs_a_forward():
    with pytest.raises(RuntimeError, match=r"MulLayer\.backward needs x and y: call forward first"):
        MulLayer().backward(1)


def test_add_backward_needs_none():
    assert AddLayer().backward(1.5) == (1.5, 1.5)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@pytest.mark.parametrize("layer_type", LAYERS)
def test_copies_go_on_alone(layer_type, clone):
    layer = layer_type()
    layer.note = "extra"
    layer.forward(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    twin = clone(layer)
    layer.forward(7, 8)
    assert twin.note == "extra"
    np.testing.assert_array_equal(twin.x, [1, 2])
    np.testing.assert_array_equal(twin.backward(1.0), [1, 1] if layer_type is AddLayer else [[3, 4], [1, 2]])
