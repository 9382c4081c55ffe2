"""What the book's scripts do beside the usual: biases of other shapes, single columns, its keywords."""

import numpy as np
import pytest
from strategies import FLOATS, assert_same_bits, assert_within, eps

import fastbp
from fastbp import reference

BIASES = {
    "(1, O)": np.arange(3.0)[None],
    "(1,)": np.array([0.5]),
    "(1, 1)": np.array([[0.5]]),
    "()": np.array(0.5),
    "float": 0.5,
    "int": 2,
    "numpy number": np.float64(0.5),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BIASES)
def test_a_bias_of_any_shape_is_broadcast(name, dtype):
    rng, b = np.random.default_rng(0), BIASES[name]
    x, W, dout = (rng.standard_normal(shape).astype(dtype) for shape in ((4, 5), (5, 3), (4, 3)))
    ours, plain = fastbp.Affine(W, b), reference.Affine(W, b)
    for got, expected in zip(
        (ours.forward(x), ours.backward(dout), ours.dW, ours.db),
        (plain.forward(x), plain.backward(dout), plain.dW, plain.db),
        strict=True,
    ):
        assert got.dtype == expected.dtype
        assert_within(got, expected, 32 * eps(dtype))


def test_the_books_update_trains_a_bias_row():
    def trained(library):
        rng = np.random.default_rng(0)
        params = {"W": rng.standard_normal((5, 3)), "b": np.zeros((1, 3))}
        layer, loss = library.Affine(params["W"], params["b"]), library.SoftmaxWithLoss()
        x, t = rng.standard_normal((8, 5)), rng.integers(0, 3, 8)
        for _ in range(10):
            loss.forward(layer.forward(x), t)
            layer.backward(loss.backward())
            params["W"] -= 0.1 * layer.dW
            params["b"] -= 0.1 * layer.db
        return params["b"]

    assert_within(trained(fastbp), trained(reference), 64 * eps(np.float64))


@pytest.mark.parametrize("name", BIASES)
def test_in_a_network_every_output_has_a_bias_of_its_own(name):
    W, b = np.random.default_rng(0).standard_normal((5, 3)), BIASES[name]
    x = np.random.default_rng(1).standard_normal((4, 5))
    net = fastbp.Sequential([fastbp.Affine(W.copy(), b)])
    assert net.params["b1"].shape == (3,)
    assert_within(net.predict(x), x @ W + b, 32 * eps(np.float64))
    net.fit(x, [0, 1, 2, 0], epochs=1, progress=False)
    assert len(set(net.params["b1"].tolist())) == 3


@pytest.mark.parametrize("shape", [(2,), (4, 1), (4, 3), (3, 1), (1, 1, 3), (0,)])
def test_other_biases_are_an_error(shape):
    with pytest.raises(ValueError, match=r"b must have one element for each column of W of shape .* or one for all"):
        fastbp.Affine(np.ones((5, 3)), np.ones(shape)).forward(np.ones((4, 5)))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_column_of_inputs_may_come_as_a_vector(n):
    x, W, b = np.arange(1.0, n + 1), np.array([[1.0, 10.0]]), np.array([0.5, 0])
    ours, plain = fastbp.Affine(W, b), reference.Affine(W, b)
    dout = np.random.default_rng(0).standard_normal((n, 2))
    out = ours.forward(x)
    assert_same_bits(out, plain.forward(x))
    np.testing.assert_array_equal(out, x[:, None] * [1, 10] + [0.5, 0])
    assert ours.original_x_shape == (n,)
    assert ours.x.shape == (n, 1)
    assert_within(ours.backward(dout), plain.backward(dout), 1e-13)
    assert_within(ours.dW, plain.dW, 1e-13)
    assert_same_bits(fastbp.Sequential([fastbp.Affine(W, b)]).predict(x), out)


def test_dropout_ratio_is_the_books_word_for_p():
    layer = fastbp.Dropout(dropout_ratio=0.25, seed=3)
    assert (layer.p, layer.dropout_ratio, repr(layer)) == (0.25, 0.25, "Dropout(p=0.25)")
    x = np.ones((10, 10))
    assert_same_bits(layer.forward(x), fastbp.Dropout(0.25, seed=3).forward(x))
    layer.dropout_ratio = 0.5
    assert layer.p == 0.5
    with pytest.raises(ValueError, match=r"dropout_ratio must be a finite number in 0\.\.1, got 1.5"):
        fastbp.Dropout(dropout_ratio=1.5)
    with pytest.raises(TypeError, match=r"p and dropout_ratio are names of one number, got 0\.3 and 0\.4"):
        fastbp.Dropout(0.3, dropout_ratio=0.4)


def test_a_network_with_the_books_dropout_is_saved(tmp_path):
    layers = [fastbp.Affine(np.eye(3), np.zeros(3)), fastbp.Dropout(dropout_ratio=0.25)]
    fastbp.Sequential(layers).save(tmp_path / "net.safetensors")
    assert fastbp.load(tmp_path / "net.safetensors").layers["Dropout1"].p == 0.25
