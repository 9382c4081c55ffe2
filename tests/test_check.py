"""The form in which kernels get an array: plain, contiguous, native, of one type with what stands beside it."""

import numpy as np
import pytest
from strategies import LAYOUTS, assert_same_bits

import fastbp
from fastbp.basics import _check

X = np.arange(6, dtype=np.float32).reshape(2, 3)
TYPES = [np.float16, np.float32, np.float64, np.int8, np.bool_]


class Named(np.ndarray):
    """A subclass of NumPy's arrays, which compiled code does not know."""


def is_ready(x, dtype):
    return type(x) is np.ndarray and x.dtype == dtype and x.flags.carray


def test_a_subclass_becomes_a_plain_array_and_a_plain_one_stays():
    found = _check.ready(X.view(Named), X.dtype)
    assert is_ready(found, X.dtype)
    assert_same_bits(found, X)
    assert _check.ready(X, X.dtype) is X


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("one", TYPES)
@pytest.mark.parametrize("other", TYPES)
def test_two_operands_are_of_one_type_and_any_layout_becomes_a_kernels(layout, which, one, other):
    given = [X.astype(one), X.astype(other)]
    for n in which:
        given[n] = LAYOUTS[layout](given[n])
    expected = np.result_type(one, other)
    expected = expected if expected.kind == "f" else np.dtype(np.float64)
    *found, dtype = _check.operands(("dout", "y"), *given)
    assert dtype == expected
    for got, array in zip(found, given, strict=True):
        assert is_ready(got, np.float32 if expected == np.float16 else expected)
        np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("layer", [fastbp.Sigmoid, fastbp.Tanh, fastbp.Softmax, fastbp.Relu])
def test_what_is_computed_in_float32_is_returned_in_float16(layer):
    layer, x = layer(), X.astype(np.float16)
    y = layer.forward(x)
    assert (y.dtype, layer.backward(y).dtype) == (np.float16, np.float16)
    assert layer.backward(y.astype(np.float64)).dtype == np.float64
