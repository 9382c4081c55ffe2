"""What ``backward`` makes of attributes that were set, or written into, since ``forward``: what the book makes of them,
or an error that names them, and never an access outside an array.
"""

import copy
import warnings

import numpy as np
import pytest
from strategies import assert_same_bits, assert_within, eps

import fastbp
from fastbp import reference
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand


def rng():
    return np.random.default_rng(0)


X, T = rng().standard_normal((4, 5)), np.array([0, 4, 2, 1])
W, B = rng().standard_normal((5, 3)), rng().standard_normal(3)
P = reference.sigmoid(X)


def normal(*shape):
    return np.random.default_rng(1).standard_normal(shape)


# Layer, arguments of forward, what is set, arguments of backward: the plain layers compute with it.
CASES = {
    "Affine x": ((W, B), (X,), {"x": normal(4, 5)}, (normal(4, 3),)),
    "Affine x of another width": ((W, B), (X,), {"x": normal(4, 9)}, (normal(4, 3),)),
    "Affine x as a list": ((W, B), (X,), {"x": normal(4, 5).tolist()}, (normal(4, 3),)),
    "Affine W": ((W, B), (X,), {"W": normal(5, 3)}, (normal(4, 3),)),
    "Affine W of more outputs": ((W, B), (X,), {"W": normal(5, 7), "b": np.zeros(7)}, (normal(4, 7),)),
    "Affine original_x_shape": ((W, B), (X,), {"original_x_shape": (2, 2, 5)}, (normal(4, 3),)),
    "Affine x and shape": ((W, B), (X,), {"x": normal(2, 5), "original_x_shape": (2, -1)}, (normal(2, 3),)),
    "Relu mask": ((), (X,), {"mask": normal(4, 5) > 0}, (normal(4, 5),)),
    "Relu mask of another shape": ((), (X,), {"mask": normal(2, 2) > 0}, (normal(2, 2),)),
    "LeakyRelu mask": ((), (X,), {"mask": normal(4, 5) > 0}, (normal(4, 5),)),
    "LeakyRelu slope": ((), (X,), {"slope": 0.3}, (normal(4, 5),)),
    "Dropout mask": ((0.25, 3), (X,), {"mask": normal(4, 5) > 0}, (normal(4, 5),)),
    "Sigmoid out": ((), (X,), {"out": normal(7, 2)}, (normal(7, 2),)),
    "Sigmoid out of integers": ((), (X,), {"out": np.arange(4)}, (normal(4),)),
    "Tanh out": ((), (X,), {"out": normal(7, 2)}, (normal(7, 2),)),
    "Softmax y": ((), (X,), {"y": normal(7, 2)}, (normal(7, 2),)),
    "SoftmaxWithLoss y": ((), (X, T), {"y": normal(4, 5)}, ()),
    "SoftmaxWithLoss y of more classes": ((), (X, T), {"y": normal(4, 50)}, ()),
    "SoftmaxWithLoss t": ((), (X, T), {"t": T[::-1]}, ()),
    "SoftmaxWithLoss t of int8": ((), (X, T), {"t": T.astype(np.int8)}, ()),
    "SoftmaxWithLoss rows for labels": ((), (X, T), {"t": normal(4, 5)}, ()),
    "SoftmaxWithLoss labels for rows": ((), (X, P), {"t": T}, ()),
    "SoftmaxWithLoss y and t": ((), (X, T), {"y": normal(2, 3), "t": np.array([2, 0])}, ()),
    "SoftmaxWithLoss of a sample": ((), (X, T), {"y": normal(3), "t": np.array([0, 1, 0])}, ()),
    "SoftmaxWithLoss loss": ((), (X, T), {"loss": "nothing"}, ()),
    "SoftmaxWithLoss smoothed": ((1e-7, 0.1), (X, T), {"t": T[::-1]}, ()),
    "SoftmaxWithLoss eps 0": ((0,), (X, P), {"t": np.abs(normal(4, 5))}, ()),
    "MeanSquaredError t": ((), (X, X), {"t": normal(4, 5)}, ()),
    "MeanSquaredError y and t": ((), (X, X), {"y": normal(7), "t": normal(7)}, ()),
    "SigmoidWithLoss y": ((), (X, P), {"y": normal(4, 5)}, ()),
    "BinaryCrossEntropy y": ((), (P, P), {"y": np.full((4, 5), 0.3)}, ()),
}


def names(layer):
    return [name for name in ("dW", "db") if hasattr(layer, name)]


@pytest.mark.parametrize("case", CASES)
def test_what_is_set_is_computed_with_as_the_plain_layers_do(case):
    made_of, given, values, dout = CASES[case]
    results = []
    for library in (fastbp, reference):
        layer = getattr(library, case.split()[0])(*made_of)
        layer.forward(*given)
        for name, value in values.items():
            setattr(layer, name, np.array(value) if library is reference and name == "x" else value)
        results.append([layer.backward(*dout), *(getattr(layer, name) for name in names(layer))])
    for got, expected in zip(*results, strict=True):
        assert_within(got, expected, 16 * eps(np.float64) * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("case", ["labels", "rows", "weights", "x", "mask"])
def test_what_is_written_into_an_array_counts(case):
    """As in the book, but for labels: those that are indexed by were looked at before."""
    x, t, weights = X.copy(), T.copy(), np.ones(4)
    if case == "x":
        layer, plain = fastbp.Affine(W, B), reference.Affine(W, B)
        layer.forward(x), plain.forward(x)
        x[...] = 2
        layer.backward(normal(4, 3)), plain.backward(normal(4, 3))
        assert_within(layer.dW, plain.dW, 1e-13)
        return
    if case == "mask":
        layer = fastbp.Relu()
        layer.forward(x)
        layer.mask[...] = True
        assert not layer.backward(x).any()
        return
    t = np.eye(5)[t] if case == "rows" else t
    layer = fastbp.SoftmaxWithLoss()
    layer.forward(x, t, sample_weight=weights)
    if case == "weights":
        weights[...] = 2
    else:
        t[...] = t[::-1].copy()
    expected = fastbp.SoftmaxWithLoss()
    expected.forward(x, T if case == "labels" else t, sample_weight=weights)
    assert_same_bits(layer.backward(), expected.backward())


def test_shapes_that_were_set_in_place_are_seen():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer NumPys would rather not
        layer = fastbp.SoftmaxWithLoss()
        layer.forward(X, T)
        layer.y.shape = 5, 4
        with pytest.raises(ValueError, match=r"t of shape \(4,\) does not fit y of shape \(5, 4\)"):
            layer.backward()
        layer = fastbp.Affine(W, B)
        layer.forward(X)
        layer.x.shape = 10, 2
        with pytest.raises(ValueError, match="does not fit the x of the last forward"):
            layer.backward(normal(10, 3))
        layer = fastbp.Affine(W, B)
        layer.forward(X.astype(np.float32))
        layer.x.shape = 2, 10
        layer.original_x_shape = 2, 5
        layer.backward(normal(2, 3))
        assert_within(layer.dW, X.reshape(2, 10).T @ normal(2, 3), 1e-5)


def test_a_backward_needs_no_forward_where_all_of_it_was_set():
    layer = fastbp.SoftmaxWithLoss()
    layer.y, layer.t = P, T
    assert_within(layer.backward(), (P - np.eye(5)[T]) / 4, 4 * eps(np.float64))
    layer = fastbp.Affine(W, B)
    layer.x, layer.original_x_shape = X, X.shape
    layer.backward(normal(4, 3))
    assert_within(layer.dW, X.T @ normal(4, 3), 1e-13)


LARGE = np.random.default_rng(2).random((1000, 10))
ERRORS = [
    # The first three ended the process.
    ("SoftmaxWithLoss", (), (X, T), {"y": LARGE}, (), r"t of shape \(4,\) does not fit y of shape \(1000, 10\)"),
    ("SoftmaxWithLoss", (), (X, T), {"y": normal(4, 2)}, (), r"t\[1\] is 4, outside 0\.\.1"),
    (
        "Affine",
        (normal(400, 5), np.zeros(5)),
        (normal(30, 400),),
        {"x": normal(30, 4), "W": normal(4, 5)},
        (normal(30, 5),),
        r"W of shape \(4, 5\) does not fit the x of the last forward, \(30, 400\): dx is of shape \(30, 4\)",
    ),
    ("SoftmaxWithLoss", (), (X, T), {"t": [0, 1, 2, 5]}, (), r"t\[3\] is 5, outside 0\.\.4"),
    ("SoftmaxWithLoss", (), (X, T), {"t": [0, 1, 2, -1]}, (), r"t\[3\] is -1, outside 0\.\.4"),
    ("SoftmaxWithLoss", (), (X, T), {"t": [0, 1]}, (), r"t of shape \(2,\) does not fit y of shape \(4, 5\)"),
    ("SoftmaxWithLoss", (), (X, T), {"t": "cats"}, (), "t must hold real numbers"),
    ("SoftmaxWithLoss", (), (X, T), {"y": np.ones((4, 5), complex)}, (), "y must hold real numbers"),
    ("SoftmaxWithLoss", (), (X, T), {"y": np.ones((2, 2, 5))}, (), r"y must be \(N, K\) or \(K,\)"),
    ("SoftmaxWithLoss", (), (X, T), {"y": np.ones((0, 5))}, (), r"y must be \(N, K\) or \(K,\)"),
    ("SoftmaxWithLoss", (), (X, T), {"y": [[1, 2], [3]]}, (), "y must be an array or lists of one length"),
    (
        "SoftmaxWithLoss",
        (),
        (X, T, np.ones(4)),
        {"y": normal(2, 5), "t": [0, 1]},
        (),
        r"sample_weight must hold one number for each of the 2 samples, got shape \(4,\)",
    ),
    ("MeanSquaredError", (), (X, X), {"y": LARGE}, (), r"t of shape \(4, 5\) does not fit y of shape \(1000, 10\)"),
    ("MeanSquaredError", (), (X, X), {"t": LARGE}, (), r"t of shape \(1000, 10\) does not fit y of shape \(4, 5\)"),
    ("BinaryCrossEntropy", (), (P, P), {"y": np.ones(())}, (), r"y must be \(N, K\) or \(N,\)"),
    ("Affine", (W, B), (X,), {"x": normal(2, 5)}, (normal(4, 3),), r"dout must have the shape of the output, \(2, 3\)"),
    ("Affine", (W, B), (X,), {"x": np.ones((2, 2, 5))}, (normal(4, 3),), r"x must be \(N, I\) or \(I,\)"),
    ("Affine", (W, B), (X,), {"x": 3}, (normal(4, 3),), r"x must be \(N, I\) or \(I,\), got shape \(\)"),
    ("Affine", (W, B), (X,), {"W": normal(5, 3, 2)}, (normal(4, 3),), "W must have two dimensions"),
    ("Affine", (W, B), (X,), {"b": normal(4)}, (normal(4, 3),), "b must have one element for each column of W"),
    (
        "Affine",
        (W, B),
        (X,),
        {"original_x_shape": "all"},
        (normal(4, 3),),
        "does not fit the x of the last forward, all",
    ),
    ("Relu", (), (X,), {"mask": np.zeros((4, 5))}, (X,), "mask must hold bools, got dtype float64"),
    ("Relu", (), (X,), {"mask": np.zeros((9, 9), bool)}, (X,), r"dout must have the shape of x, \(9, 9\)"),
    ("LeakyRelu", (), (X,), {"mask": 1}, (X,), "mask must hold bools"),
    ("Dropout", (), (X,), {"mask": [0, 1]}, (X,), "mask must hold bools"),
    ("Dropout", (), (X,), {"mask": np.zeros((9, 9), bool)}, (X,), r"dout must have the shape of x, \(9, 9\)"),
    ("Sigmoid", (), (X,), {"out": LARGE}, (X,), r"dout must have the shape of x, \(1000, 10\)"),
    ("Tanh", (), (X,), {"out": "warm"}, (X,), "out must hold real numbers"),
    ("Softmax", (), (X,), {"y": np.ones(())}, (np.ones(()),), "y must have at least one class"),
    ("Softmax", (), (X,), {"y": np.ones((2, 0))}, (np.ones((2, 0)),), "y must have at least one class"),
    ("MulLayer", (), (X, X), {"y": normal(3)}, (X,), r"x and y must broadcast, got shapes \(4, 5\) and \(3,\)"),
    ("MulLayer", (), (X, X), {"y": None}, (X,), "MulLayer.backward needs x and y: call forward first"),
]


@pytest.mark.parametrize(("name", "made_of", "given", "values", "dout", "message"), ERRORS)
def test_what_cannot_be_computed_with_is_named(name, made_of, given, values, dout, message):
    layer = getattr(fastbp, name)(*made_of)
    layer.forward(*given)
    for attribute, value in values.items():
        setattr(layer, attribute, value)
    before = [copy.copy(getattr(layer, attribute)) for attribute in names(layer)]
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        layer.backward(*dout)
    for attribute, value in zip(names(layer), before, strict=True):
        np.testing.assert_array_equal(getattr(layer, attribute), value)


@pytest.mark.parametrize(
    ("name", "attribute", "value", "error", "message"),
    [
        ("Dropout", "p", 1.5, ValueError, r"p must be a finite number in 0\.\.1, got 1.5"),
        ("Dropout", "dropout_ratio", -1, ValueError, r"dropout_ratio must be a finite number in 0\.\.1, got -1"),
        ("Dropout", "step", -1, ValueError, r"step must be an integer in 0\.\."),
        ("LeakyRelu", "slope", "a", TypeError, "slope must be a finite number, got 'a'"),
        ("SoftmaxWithLoss", "eps", True, TypeError, "eps must be a finite number of at least 0, got True"),
        (
            "SoftmaxWithLoss",
            "label_smoothing",
            2,
            ValueError,
            r"label_smoothing must be a finite number in 0\.\.1, got 2",
        ),
    ],
)
def test_options_are_checked_when_they_are_set(name, attribute, value, error, message):
    layer = getattr(fastbp, name)()
    before = getattr(layer, attribute)
    with pytest.raises(error, match=message):
        setattr(layer, attribute, value)
    assert getattr(layer, attribute) == before


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"W": np.ones((5, 3))}, RuntimeError, "a parameter was set while the network was about to train"),
        ({"b": np.ones(3)}, RuntimeError, "a parameter was set while the network was about to train"),
        ({"b": 1.0}, RuntimeError, "a parameter was set while the network was about to train"),
        ({"W": "view of one row", "b": None}, RuntimeError, r"W of shape \(1, 3\) does not fit the 5 outputs"),
        ({"W": None}, TypeError, "W must hold real numbers"),
    ],
)
def test_no_program_is_written_with_addresses_outside_the_vector_of_parameters(values, error, message):
    """Which alone is kept for as long as the program; between binding and writing, another thread may set W or b."""
    net = fastbp.Sequential([fastbp.Affine(W, B)])
    parameters = net._binding().vector
    p, layer = Lowering(parameters, np.zeros_like(parameters), 4), net.layers["Affine1"]
    for name, value in values.items():
        setattr(layer, name, layer.W[:1] if isinstance(value, str) else value)
    with pytest.raises(error, match=message):
        layer.lower(p, Operand(0, (5,)))


@pytest.mark.parametrize("name", ["Dropout", "LeakyRelu", "SoftmaxWithLoss", "MeanSquaredError", "Affine"])
def test_copies_remember_what_the_layer_did(name):
    layer = getattr(fastbp, name)(*((W, B) if name == "Affine" else ()))
    layer.forward(*((X, T) if name == "SoftmaxWithLoss" else (X, X) if name == "MeanSquaredError" else (X,)))
    dout = (normal(4, 3),) if name == "Affine" else () if "Loss" in name or "Error" in name else (X,)
    assert_same_bits(copy.deepcopy(layer).backward(*dout), layer.backward(*dout))
