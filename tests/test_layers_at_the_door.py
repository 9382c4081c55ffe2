"""Mistakes that are made before any arithmetic: what is no array, and what is no option."""

import numpy as np
import pytest

import fastbp

OPTIONS = [
    (lambda: fastbp.LeakyRelu("a"), TypeError, "slope must be a finite number, got 'a'"),
    (lambda: fastbp.LeakyRelu(None), TypeError, "slope must be a finite number, got None"),
    (lambda: fastbp.SoftmaxWithLoss(True), TypeError, "eps must be a finite number of at least 0, got True"),
    (lambda: fastbp.SoftmaxWithLoss(-1), ValueError, "eps must be a finite number of at least 0, got -1"),
    (lambda: fastbp.SoftmaxWithLoss(label_smoothing="0"), TypeError, "label_smoothing must be .* in 0..1, got '0'"),
    (lambda: fastbp.Dropout("half"), TypeError, r"p must be a finite number in 0\.\.1, got 'half'"),
    (lambda: fastbp.Affine(784, 256), TypeError, r"W must be an array \(inputs, outputs\), got 784; fastbp.mlp"),
    (lambda: fastbp.Affine(np.int64(784), None), TypeError, r"W must be an array .* got (np\.int64\()?784"),
    (lambda: fastbp.Sequential([fastbp.Softmax()]), TypeError, "got Softmax: leave it out.*predict_proba"),
    (lambda: fastbp.Sequential([fastbp.Softmax]), TypeError, "got Softmax: leave it out.*predict_proba"),
]


@pytest.mark.parametrize(("make", "error", "message"), OPTIONS)
def test_options_that_are_none(make, error, message):
    with pytest.raises(error, match=message):
        make()


def affine(**arrays):
    return fastbp.Affine(**{"W": np.ones((2, 2)), "b": np.zeros(2)} | arrays)


READ = {
    "x": [
        lambda a: affine().forward(a),
        lambda a: fastbp.Relu().forward(a),
        lambda a: fastbp.LeakyRelu().forward(a),
        lambda a: fastbp.Sigmoid().forward(a),
        lambda a: fastbp.Dropout().forward(a),
        lambda a: fastbp.Softmax().forward(a),
        lambda a: fastbp.SoftmaxWithLoss().forward(a, [0, 1]),
        lambda a: fastbp.MeanSquaredError().forward(a, np.ones((2, 2))),
        lambda a: fastbp.relu(a),
        lambda a: fastbp.mlp([2, 2], seed=0).fit(a, [0, 1], progress=False),
    ],
    "t": [
        lambda a: fastbp.SoftmaxWithLoss().forward(np.ones((2, 2)), a),
        lambda a: fastbp.MeanSquaredError().forward(np.ones((2, 2)), a),
        lambda a: fastbp.mlp([2, 2], seed=0).fit(np.ones((2, 2)), a, progress=False),
    ],
    "W": [lambda a: affine(W=a).forward(np.ones((2, 2)))],
    "b": [lambda a: affine(b=a).forward(np.ones((2, 2)))],
    "sample_weight": [lambda a: fastbp.SoftmaxWithLoss().forward(np.ones((2, 2)), [0, 1], a)],
}
CALLS = [(name, call) for name, calls in READ.items() for call in calls]


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_a_masked_array_is_not_read_without_its_mask(name, call):
    with pytest.raises(TypeError, match=rf"^{name} is a masked array, .*: fill it first, as by {name}\.filled\(0\)"):
        call(np.ma.masked_less(np.ones((2, 2)), 0))


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_a_sparse_matrix_is_named(name, call):
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=rf"^{name} is a sparse matrix, .* {name}\.toarray\(\) is an array"):
        call(sparse.csr_matrix(np.eye(2)))


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_lists_of_different_lengths(name, call):
    with pytest.raises(ValueError, match=rf"^{name} must be an array or lists of one length, got lists of different"):
        call([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize("name", ["SoftmaxWithLoss", "MeanSquaredError", "SigmoidWithLoss"])
@pytest.mark.parametrize("dout", ["two", None, np.ones(3), [1, 2], {}])
def test_dout_of_a_loss_is_a_number(name, dout):
    layer = getattr(fastbp, name)()
    layer.forward(np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(TypeError, match="dout must be a number, got"):
        layer.backward(dout)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64])
def test_labels_are_taken_into_an_array_of_their_own(dtype):
    """Kernels index by them: what is written into the user's array later must not reach compiled code."""
    t = np.array([0, 2, 1], dtype)
    for loss in (fastbp.SoftmaxWithLoss(), fastbp.SoftmaxWithLoss(eps=0)):
        taken = loss.as_targets(t, (3, 3), np.dtype(np.float32))
        assert taken.dtype == np.intp
        assert not np.shares_memory(taken, t)
