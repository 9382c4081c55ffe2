"""The plain layers: the book's figures and quirks, and gradients against central differences."""

import math

import numpy as np
import pytest

from fastbp import reference
from fastbp.reference import (
    Affine,
    Relu,
    Sigmoid,
    Softmax,
    SoftmaxWithLoss,
    TwoLayerNet,
    cross_entropy_error,
    numerical_gradient,
    relu,
    sigmoid,
    softmax,
)

EPS = float(np.finfo(np.float64).eps)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def assert_gradient(f, x, dx, atol=1e-8):
    """``dx`` is the gradient of ``f`` at ``x``, by central differences, which are off by h**2 = 1e-8."""
    np.testing.assert_allclose(dx, numerical_gradient(lambda _: f(), x), rtol=1e-6, atol=atol)


# ---- functions -----------------------------------------------------------------------------------------


def test_sigmoid_of_known_values():
    np.testing.assert_allclose(sigmoid(np.array([0.0, math.log(3), -math.log(3)])), [0.5, 0.75, 0.25], rtol=4 * EPS)


def test_sigmoid_overflows_silently_to_zero():
    np.testing.assert_array_equal(sigmoid(np.array([-1000.0, -np.inf, np.inf, np.nan])), [0, 0, 1, np.nan])
    assert sigmoid(np.float32(-100)) == 0


def test_relu_keeps_nan():
    np.testing.assert_array_equal(relu(np.array([-1.0, 0.0, 2.0, np.nan, -np.inf])), [0, 0, 2, np.nan, 0])


def test_softmax_is_shares_of_exp_along_the_last_axis():
    x = np.log([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]])
    np.testing.assert_allclose(softmax(x), [[1 / 8, 2 / 8, 5 / 8], [1 / 3] * 3], rtol=8 * EPS)
    np.testing.assert_allclose(softmax(x[0]), [1 / 8, 2 / 8, 5 / 8], rtol=8 * EPS)


def test_softmax_takes_scores_of_any_size():
    np.testing.assert_array_equal(softmax(np.array([1e4, -1e4, -np.inf])), [1, 0, 0])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64])
@pytest.mark.parametrize("function", [softmax, sigmoid])
def test_integers_go_to_float64_without_wrapping(function, dtype):
    x = np.array([1, 0, 1], dtype)
    np.testing.assert_array_equal(function(x), function(x.astype(np.float64)))
    assert function(x).dtype == np.float64


def test_cross_entropy_adds_1e_7_within_the_logarithm():
    y, t = np.array([[0.1, 0.9], [1.0, 0.0]]), np.array([1, 1])
    expected = -(math.log(0.9 + 1e-7) + math.log(1e-7)) / 2
    assert cross_entropy_error(y, t) == pytest.approx(expected, rel=4 * EPS)
    assert cross_entropy_error(y, np.array([[0, 1], [0, 1]])) == pytest.approx(expected, rel=4 * EPS)


def test_cross_entropy_of_one_sample():
    y = np.array([0.2, 0.7, 0.1])
    expected = -math.log(0.7 + 1e-7)
    assert cross_entropy_error(y, np.array([0, 1, 0])) == pytest.approx(expected, rel=4 * EPS)
    assert cross_entropy_error(y, np.array([1])) == pytest.approx(expected, rel=4 * EPS)


def test_cross_entropy_of_rows_weighs_every_class():
    y = np.array([[0.2, 0.7, 0.1]])
    expected = -0.4 * math.log(0.2 + 1e-7) - 0.6 * math.log(0.7 + 1e-7)
    assert cross_entropy_error(y, np.array([[0.4, 0.6, 0.0]])) == pytest.approx(expected, rel=4 * EPS)


# ---- layers --------------------------------------------------------------------------------------------


def test_affine_by_hand():
    layer = Affine(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([10.0, 20.0, 30.0]))
    np.testing.assert_array_equal(layer.forward(np.array([[1.0, 2.0], [0.0, 1.0]])), [[19, 32, 45], [14, 25, 36]])
    dx = layer.backward(np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]]))
    np.testing.assert_array_equal(dx, [[4, 10], [4, 10]])
    np.testing.assert_array_equal(layer.dW, [[1, 0, 1], [2, 2, 2]])
    np.testing.assert_array_equal(layer.db, [1, 2, 1])


def test_affine_flattens_images_and_dx_has_their_shape():
    x, W, dout = normal(4, 2, 3, 5), normal(30, 6), normal(4, 6)
    images, rows = Affine(W, np.zeros(6)), Affine(W, np.zeros(6))
    np.testing.assert_array_equal(images.forward(x), rows.forward(x.reshape(4, 30)))
    assert images.x.shape == (4, 30)
    assert images.original_x_shape == (4, 2, 3, 5)
    np.testing.assert_array_equal(images.backward(dout), rows.backward(dout).reshape(4, 2, 3, 5))
    np.testing.assert_array_equal(images.dW, rows.dW)


def test_affine_of_one_sample_is_that_of_a_batch_of_one():
    x, W, b, dout = normal(4), normal(4, 3), normal(3), normal(3)
    one, batch = Affine(W, b), Affine(W, b)
    out, dx = one.forward(x), one.backward(dout)
    np.testing.assert_allclose(out, batch.forward(x[None])[0], rtol=8 * EPS)
    np.testing.assert_allclose(dx, batch.backward(dout[None])[0], rtol=8 * EPS)
    np.testing.assert_array_equal(one.dW, batch.dW)
    np.testing.assert_array_equal(one.db, batch.db)


@pytest.mark.parametrize("shape", [(0, 6), (0, 2, 3)])
def test_affine_of_no_rows(shape):
    layer = Affine(normal(6, 4), normal(4))
    assert layer.forward(np.ones(shape)).shape == (0, 4)
    assert layer.backward(np.ones((0, 4))).shape == shape
    np.testing.assert_array_equal(layer.dW, np.zeros((6, 4)))


def test_affine_gradients():
    x, W, b, dout = normal(3, 4), normal(4, 2, seed=1), normal(2, seed=2), normal(3, 2, seed=3)
    layer = Affine(W, b)

    def f():
        return np.sum(dout * Affine(W, b).forward(x))

    layer.forward(x)
    assert_gradient(f, x, layer.backward(dout))
    assert_gradient(f, W, layer.dW)
    assert_gradient(f, b, layer.db)


def test_relu_masks_and_leaves_both_arrays_alone():
    layer = Relu()
    x, dout = (
        np.array([[1.0, -0.5, 0.0], [-2.0, 3.0, np.nan]]),
        np.array([[1.0, np.nan, np.inf], [4.0, 5.0, 6.0]]),
    )
    kept = dout.copy()
    np.testing.assert_array_equal(layer.forward(x), [[1, 0, 0], [0, 3, np.nan]])
    np.testing.assert_array_equal(layer.mask, [[False, True, True], [True, False, False]])
    np.testing.assert_array_equal(layer.backward(dout), [[1, 0, 0], [0, 5, 6]])
    np.testing.assert_array_equal(x, [[1, -0.5, 0], [-2, 3, np.nan]])
    np.testing.assert_array_equal(dout, kept)


@pytest.mark.parametrize("layer_type", [Sigmoid, Softmax])
def test_gradients_of_smooth_layers(layer_type):
    x, dout = normal(3, 5), normal(3, 5, seed=1)
    layer = layer_type()
    layer.forward(x)
    assert_gradient(lambda: np.sum(dout * layer_type().forward(x)), x, layer.backward(dout))


def test_softmax_and_the_gradient_of_the_cross_entropy_make_softmax_with_loss():
    x, t = normal(6, 4), np.eye(4)[[0, 3, 1, 1, 2, 0]]
    layer, fused = Softmax(), SoftmaxWithLoss()
    y = layer.forward(x)
    fused.forward(x, t)
    np.testing.assert_allclose(layer.backward(-t / y / 6), fused.backward(), rtol=0, atol=8 * EPS)


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (Affine(1, 2), ["x", "original_x_shape", "dW", "db"]),
        (Relu(), ["mask"]),
        (Sigmoid(), ["out"]),
        (Softmax(), ["y"]),
        (SoftmaxWithLoss(), ["loss", "y", "t"]),
    ],
)
def test_attributes_are_none_before_the_first_forward(layer, names):
    assert [getattr(layer, name) for name in names] == [None] * len(names)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_their_dtype(dtype):
    x, t = normal(3, 4).astype(dtype), np.array([0, 1, 2])
    affine = Affine(normal(4, 4).astype(dtype), np.zeros(4, dtype))
    loss = SoftmaxWithLoss()
    for layer in (affine, Relu(), Sigmoid(), Softmax()):
        assert layer.forward(x).dtype == dtype
        assert layer.backward(x).dtype == dtype
    assert loss.forward(x, t).dtype == dtype
    assert loss.backward().dtype == dtype
    assert affine.dW.dtype == affine.db.dtype == dtype
    assert Affine(np.ones((4, 4)), np.ones(4)).forward(x).dtype == np.float64


# ---- SoftmaxWithLoss -----------------------------------------------------------------------------------


def test_the_books_single_sample():
    layer = SoftmaxWithLoss()
    assert layer.forward(np.array([1, 8, 3]), np.array([0, 1, 0])) == 0.007620616629495912
    np.testing.assert_array_equal(layer.backward().round(8), [0.00030165, -0.00253058, 0.00222893])
    assert layer.loss == 0.007620616629495912
    np.testing.assert_array_equal(layer.t, [0, 1, 0])
    np.testing.assert_array_equal(layer.y, softmax(np.array([1.0, 8.0, 3.0])))


def test_dx_is_divided_by_the_length_of_t():
    x = normal(4, 3)
    layer = SoftmaxWithLoss()
    layer.forward(x, np.array([2, 0, 1, 1]))
    dx = layer.backward()
    np.testing.assert_array_equal(dx, (softmax(x) - np.eye(3)[[2, 0, 1, 1]]) / 4)
    layer.forward(x, np.eye(3)[[2, 0, 1, 1]])
    np.testing.assert_array_equal(layer.backward(), dx)
    layer.forward(x[0], np.array([0, 0, 1]))
    np.testing.assert_allclose(layer.backward(), (softmax(x[0]) - [0, 0, 1]) / 3, rtol=4 * EPS)
    layer.forward(x[0], np.array([2]))
    np.testing.assert_allclose(layer.backward(), softmax(x[0]) - [0, 0, 1], rtol=4 * EPS)


@pytest.mark.parametrize("eps", [0, 1e-7])
def test_dout_is_not_looked_at(eps):
    layer = SoftmaxWithLoss(eps=eps)
    layer.forward(normal(2, 3), np.array([0, 1]))
    np.testing.assert_array_equal(layer.backward(dout=2), layer.backward())


@pytest.mark.parametrize("t", [np.array([2, 0, 1]), np.eye(4)[[2, 0, 1]], softmax(normal(3, 4, seed=9))])
def test_gradient_of_the_exact_loss(t):
    x = normal(3, 4)
    layer = SoftmaxWithLoss(eps=0)
    layer.forward(x, t)
    assert_gradient(lambda: SoftmaxWithLoss(eps=0).forward(x, t), x, layer.backward())


def test_exact_loss_of_huge_scores():
    x = np.array([[1e4, 0.0, -1e4], [0.0, 0.0, -np.inf]])
    layer = SoftmaxWithLoss(eps=0)
    assert layer.forward(x, np.array([2, 0])) == pytest.approx((2e4 + math.log(2)) / 2, rel=4 * EPS)
    assert layer.forward(x, np.eye(3)[[2, 0]]) == pytest.approx((2e4 + math.log(2)) / 2, rel=4 * EPS)
    assert SoftmaxWithLoss().forward(x, np.array([2, 0])) < 10, "the book's is cut off at -log(1e-7)"


def test_exact_loss_of_soft_targets():
    x, t = np.log([[1.0, 3.0], [1.0, 1.0]]), np.array([[0.5, 0.5], [0.2, 0.8]])
    expected = -(0.5 * math.log(1 / 4) + 0.5 * math.log(3 / 4) + math.log(1 / 2)) / 2
    assert SoftmaxWithLoss(eps=0).forward(x, t) == pytest.approx(expected, rel=8 * EPS)
    expected = -0.5 * math.log(1 / 4) - 0.5 * math.log(3 / 4)
    assert SoftmaxWithLoss(eps=0).forward(x[0], t[0]) == pytest.approx(expected, rel=8 * EPS)


# ---- network -------------------------------------------------------------------------------------------


def test_gradient_check_of_the_network():
    net = TwoLayerNet(20, 50, 10, seed=1)
    x, t = np.random.default_rng(2).random((3, 20)), np.array([7, 0, 4])
    grads, numeric = net.gradient(x, t), net.numerical_gradient(x, t)
    assert list(grads) == list(numeric) == ["W1", "b1", "W2", "b2"]
    for name, grad in grads.items():
        # The loss has its 1e-7 beside probabilities near 0.1, the gradient has not: 1e-6 of it.
        np.testing.assert_allclose(grad, numeric[name], rtol=2e-6, atol=1e-10, err_msg=name)
        assert np.abs(grad).max() > 1e-4, name


def test_network_layers_share_the_params():
    net = TwoLayerNet(4, 3, 2, seed=0)
    assert list(net.layers) == ["Affine1", "Relu1", "Affine2"]
    assert isinstance(net.lastLayer, SoftmaxWithLoss)
    x = normal(5, 4)
    net.params["b2"] -= [1.0, 2.0]
    hidden = np.maximum(0, x @ net.params["W1"])
    np.testing.assert_allclose(net.predict(x), hidden @ net.params["W2"] - [1, 2], atol=8 * EPS)


def test_network_accuracy_of_classes_and_one_hot_rows():
    net = TwoLayerNet(4, 3, 2, weight_init_std=1, seed=0)
    x = normal(8, 4)
    right = np.argmax(net.predict(x), axis=1)
    t = np.where(np.arange(8) < 6, right, 1 - right)
    assert net.accuracy(x, t) == 0.75
    assert net.accuracy(x, np.eye(2)[t]) == 0.75


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_network_weights_follow_seed_std_and_dtype(dtype):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    net, twin, other = (TwoLayerNet(300, 40, 10, 0.5, dtype=dtype, seed=seed) for seed in (3, 3, 4))
    assert {p.dtype for p in net.params.values()} == {np.dtype(dtype)}
    assert net.params["W1"].std() == pytest.approx(0.5, rel=0.05)  # 12,000 draws: 0.65 % one sigma
    assert not net.params["b1"].any()
    np.testing.assert_array_equal(net.params["W2"], twin.params["W2"])
    assert not np.array_equal(net.params["W1"], other.params["W1"])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_public_names_are_there():
    for name in reference.__all__:
        assert getattr(reference, name).__name__ == name
