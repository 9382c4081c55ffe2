"""Arrays that compiled code takes as they are, and all others, which a layer looks at itself: the same from both."""

import warnings

import numpy as np
import pytest
from strategies import assert_same_bits

import fastbp

RNG = np.random.default_rng(0)
X, DOUT, W, B = (RNG.standard_normal(shape) for shape in ((6, 5), (6, 3), (5, 3), (3,)))
T, SHARES = RNG.integers(0, 5, 6), RNG.dirichlet(np.ones(5), 6)

# What makes a layer, arguments of its forward, and of its backward.
CASES = {
    "Affine": (lambda dtype: fastbp.Affine(W.astype(dtype), B.astype(dtype)), (X,), (DOUT,)),
    "Affine without bias": (lambda dtype: fastbp.Affine(W.astype(dtype), None), (X,), (DOUT,)),
    "Relu": (lambda _: fastbp.Relu(), (X,), (X,)),
    "LeakyRelu": (lambda _: fastbp.LeakyRelu(0.2), (X,), (X,)),
    "Sigmoid": (lambda _: fastbp.Sigmoid(), (X,), (X,)),
    "Gelu": (lambda _: fastbp.Gelu("tanh"), (X,), (X,)),
    "Dropout": (lambda _: fastbp.Dropout(0.3, seed=1), (X,), (X,)),
    "Softmax": (lambda _: fastbp.Softmax(), (X,), (X,)),
    "SoftmaxWithLoss of labels": (lambda _: fastbp.SoftmaxWithLoss(), (X, T), ()),
    "SoftmaxWithLoss of shares": (lambda _: fastbp.SoftmaxWithLoss(0, 0.1), (X, SHARES), (2.0,)),
    "MeanSquaredError": (lambda _: fastbp.MeanSquaredError(), (X, SHARES), ()),
    "Huber": (lambda _: fastbp.Huber(0.3), (X, SHARES), (3,)),
    "SigmoidWithLoss": (lambda _: fastbp.SigmoidWithLoss(), (X, SHARES), ()),
    "AddLayer": (lambda _: fastbp.AddLayer(), (X, SHARES), (X,)),
    "MulLayer": (lambda _: fastbp.MulLayer(), (X, SHARES), (X,)),
}
OTHERS = {
    "Fortran's order": np.asfortranarray,
    "apart": lambda x: np.repeat(x, 2, axis=0)[::2],
    "of another byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "a subclass": lambda x: x.view(type("Own", (np.ndarray,), {})),
}


def in_type(dtype, arguments):
    return [x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in arguments]


def results(layer, given, dout):
    """What forward and backward give, and leave in the layer; at the second call all is compiled."""
    for _ in range(2):
        if isinstance(layer, fastbp.Dropout):
            layer.step = 0
        forward, backward = layer.forward(*given), layer.backward(*dout)
    left = [getattr(layer, name) for name in ("dW", "db", "mask", "out", "loss") if hasattr(layer, name)]
    return [forward, *(backward if isinstance(backward, tuple) else [backward]), *left]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_both_ways_give_the_same_bits_and_types(case, dtype, other):
    make, given, dout = CASES[case]
    given, dout = in_type(dtype, given), in_type(dtype, dout)
    expected = results(make(dtype), given, dout)
    convert = OTHERS[other]
    got = results(make(dtype), *([convert(x) if np.ndim(x) else x for x in those] for those in (given, dout)))
    for one, another in zip(got, expected, strict=True):
        if another is None:
            assert one is None
            continue
        assert isinstance(one, type(another))
        assert_same_bits(np.asarray(one), np.asarray(another))
        assert np.asarray(one).dtype == np.asarray(another).dtype


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fastbp.Affine(W, B).forward(X[:, :4].copy()), r"x of shape \(6, 4\) does not fit W of shape \(5, 3\)"),
        (lambda: fastbp.Affine(W, B[:2].copy()).forward(X), "b must have one element for each column of W"),
        (lambda: fastbp.SoftmaxWithLoss().forward(X, T + 3), r"t\[\d\] is \d, outside 0\.\.4"),
        (lambda: fastbp.SoftmaxWithLoss().forward(X, T - 4), r"t\[\d\] is -\d, outside 0\.\.4"),
        (lambda: fastbp.SoftmaxWithLoss().forward(X, -SHARES), r"t\[0, 0\] is -.*, where a share .* not be negative"),
        (lambda: fastbp.SoftmaxWithLoss().forward(X[:0], T[:0]), "of a batch and classes that are not empty"),
        (lambda: fastbp.MeanSquaredError().forward(X, X[:5]), r"t of shape \(5, 5\) does not fit x of shape \(6, 5\)"),
        (lambda: fastbp.MeanSquaredError().forward(X[:0], X[:0]), "of samples that are not empty"),
        (lambda: fastbp.cross_entropy_error(SHARES, T + 3), r"t\[\d\] is \d, outside 0\.\.4"),
        (lambda: fastbp.cross_entropy_error(SHARES, -SHARES), "where a share of a class must not be negative"),
        (lambda: fastbp.softmax(X[:, :0].copy()), "x must have at least one class along its last axis"),
    ],
)
def test_what_does_not_fit_is_named_once_all_is_compiled_too(call, message):
    for dtype in (np.float32, np.float64):
        fastbp.Affine(W.astype(dtype), B.astype(dtype)).forward(X.astype(dtype))
        fastbp.softmax(X.astype(dtype))
    for t in (T, SHARES):
        fastbp.SoftmaxWithLoss().forward(X, t), fastbp.cross_entropy_error(SHARES, t)
    fastbp.MeanSquaredError().forward(X, X)
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            call()


def test_labels_are_those_that_were_looked_at():
    """Whatever is written into ``y`` and ``t``, or becomes of their shapes, between the passes."""
    layer, t = fastbp.SoftmaxWithLoss(), T.copy()
    y = fastbp.softmax(X)
    layer.forward(X, t)
    expected = layer.backward()
    t[:] = 10**12
    assert_same_bits(layer.backward(), expected)
    layer.y.resize((6, 2), refcheck=False)
    with pytest.raises(ValueError, match=r"t\[0\] is 1000000000000, outside 0\.\.1"):
        layer.backward()
    assert y.shape == X.shape


def test_a_layer_keeps_the_shape_of_what_it_was_given():
    x, layer = X.copy(), fastbp.Affine(W, B)
    gelu = fastbp.Gelu()
    expected = [one.forward(x) for one in (layer, gelu)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer NumPys would rather not have shapes set
        x.shape = 5, 6
    assert layer.x.shape == gelu.x.shape == (6, 5)
    assert layer.backward(np.ones_like(expected[0])).shape == (6, 5)
    assert gelu.backward(np.ones_like(expected[1])).shape == (6, 5)


def test_an_activation_whose_number_is_an_integer_is_that_of_the_float():
    class Steeper(fastbp.LeakyRelu):
        number = 2

    class Gelu(fastbp.Gelu):
        number = 1

    for own, plain in ((Steeper(2), fastbp.LeakyRelu(2)), (Gelu(), fastbp.Gelu())):
        assert_same_bits(own.forward(X), plain.forward(X))
        assert_same_bits(own.backward(X), plain.backward(X))
