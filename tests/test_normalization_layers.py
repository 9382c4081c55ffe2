"""BatchNormalization, LayerNormalization and Scale as layers: as the book's, as torch's, and what they refuse."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FLOATS, INTEGERS, LAYOUTS, assert_same_bits, assert_within, eps

import fastbp
from fastbp import reference

KINDS = ("BatchNormalization", "LayerNormalization", "Scale")
kinds = pytest.mark.parametrize("kind", KINDS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def made(kind, k, dtype=np.float64, module=fastbp, seed=0, **options):
    rng = np.random.default_rng(seed)
    gamma, beta = (1 + 0.3 * rng.standard_normal(k)).astype(dtype), rng.standard_normal(k).astype(dtype)
    return getattr(module, kind)(gamma, beta, **options)


def gradients(layer):
    return [getattr(layer, f"d{name}") for name in layer.parameters]


@pytest.mark.filterwarnings("ignore:BatchNormalization expects at least two samples")
@kinds
@given(n=st.integers(1, 40), k=st.integers(1, 40), dtype=st.sampled_from(FLOATS), seed=st.integers(0, 2**32 - 1))
def test_forward_and_backward_are_those_of_the_reference(kind, n, k, dtype, seed):
    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal((n, k)).astype(dtype), rng.standard_normal((n, k)).astype(dtype)
    options = {} if kind == "Scale" else {"eps": 0.1}
    layer = made(kind, k, dtype, seed=seed, **options)
    other = made(kind, k, dtype, reference, seed=seed, **options)
    for name in layer.parameters:
        setattr(other, name, getattr(other, name).astype(np.float64))
    tolerance = 64 * eps(dtype)
    assert_within(layer.forward(x), y := other.forward(x.astype(np.float64)), tolerance * max(1, np.abs(y).max()))
    dx, expected = layer.backward(dout), other.backward(dout.astype(np.float64))
    assert dx.dtype == dtype
    assert_within(dx, expected, tolerance * max(1, np.abs(expected).max()))
    for name in layer.parameters:
        own, expected = getattr(layer, f"d{name}"), getattr(other, f"d{name}")
        assert own.dtype == dtype
        assert_within(own, expected, tolerance * n)


@dtypes
@pytest.mark.parametrize("columns", ["channels", "pixels"])
@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (2, 5, 1, 3), (3, 1, 7, 7), (9, 4, 1, 1), (1, 2, 3, 3)])
@pytest.mark.filterwarnings("ignore:BatchNormalization expects at least two samples")
def test_images_are_normalised_by_channel_or_as_in_the_book_by_pixel(shape, columns, dtype):
    k = shape[1] if columns == "channels" else int(np.prod(shape[1:]))
    layer, other = made("BatchNormalization", k, dtype, eps=0.1), made("BatchNormalization", k, np.float64, reference)
    other.eps, other.gamma, other.beta = 0.1, layer.gamma.astype(np.float64), layer.beta.astype(np.float64)
    rng, tolerance = np.random.default_rng(1), 256 * eps(dtype)
    for train_flg in (True, True, False):
        x, dout = (1 + rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
        y, dx = layer.forward(x, train_flg), layer.backward(dout)
        assert (y.dtype, dx.dtype) == (dtype, dtype)
        assert_within(y, other.forward(x.astype(np.float64), train_flg), tolerance)
        assert_within(dx, other.backward(dout.astype(np.float64)), tolerance)
        for name in ("dgamma", "dbeta", "running_mean", "running_var"):
            assert_within(getattr(layer, name), getattr(other, name), 8 * tolerance)
        if columns == "channels" and train_flg and len(x) > 1:  # that each channel is what it says
            plain = (y.astype(np.float64) - layer.beta.reshape(-1, 1, 1)) / layer.gamma.reshape(-1, 1, 1)
            np.testing.assert_allclose(plain.mean(axis=(0, 2, 3)), 0, atol=tolerance)


def test_the_books_layer_can_be_replaced():
    """Positional arguments, running statistics from zeros, and train_flg, as in the book's common/layers.py."""
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((7, 4)), rng.standard_normal((7, 4))
    own, books = (m.BatchNormalization(np.ones(4), np.zeros(4), 0.8) for m in (fastbp, reference))
    assert own.running_mean is None
    for _ in range(3):
        np.testing.assert_allclose(own.forward(x, train_flg=True), books.forward(x, train_flg=True), rtol=1e-13)
        np.testing.assert_allclose(own.backward(dout), books.backward(dout), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(own.running_mean, books.running_mean, rtol=1e-14)
    np.testing.assert_allclose(own.running_var, books.running_var, rtol=1e-14)
    np.testing.assert_allclose(own.forward(x, train_flg=False), books.forward(x, train_flg=False), rtol=1e-13)
    np.testing.assert_allclose(own.backward(dout), books.backward(dout), rtol=1e-13)
    images = x.reshape(7, 1, 2, 2)
    assert own.forward(images).shape == own.backward(dout.reshape(images.shape)).shape == images.shape


def test_before_training_running_statistics_are_zeros_as_in_the_book():
    layer = fastbp.BatchNormalization(np.ones(3), np.zeros(3))
    np.testing.assert_allclose(layer.predict(np.ones((2, 3))), 1 / np.sqrt(10e-7), rtol=1e-14)
    assert layer.running_mean is None  # which predict leaves alone


@dtypes
def test_batch_normalization_is_that_of_torch_over_several_batches(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    layer = made("BatchNormalization", 5, dtype, running_var=np.ones(5, dtype), eps=1e-5)
    theirs = torch.nn.BatchNorm1d(5, dtype=getattr(torch, np.dtype(dtype).name))
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(layer.gamma))
        theirs.bias.copy_(torch.tensor(layer.beta))
    n, expected_var = 24, np.ones(5)
    for _ in range(4):
        x, dout = (3 + rng.standard_normal((n, 5))).astype(dtype), rng.standard_normal((n, 5)).astype(dtype)
        given = torch.tensor(x, requires_grad=True)
        y = theirs(given)
        y.backward(torch.tensor(dout))
        np.testing.assert_allclose(layer.forward(x), y.detach().numpy(), rtol=0, atol=200 * eps(dtype))
        np.testing.assert_allclose(layer.backward(dout), given.grad.numpy(), rtol=0, atol=200 * eps(dtype))
        expected_var = 0.9 * expected_var + 0.1 * x.astype(np.float64).var(axis=0)
    np.testing.assert_allclose(layer.running_mean, theirs.running_mean.numpy(), rtol=20 * eps(dtype))
    np.testing.assert_allclose(layer.running_var, expected_var, rtol=20 * eps(dtype))
    # Theirs is the variance of a sample; both have kept 0.9^4 of the ones they began with.
    kept = 0.9**4
    ratio = (theirs.running_var.numpy() - kept) / (layer.running_var - kept)
    np.testing.assert_allclose(ratio, n / (n - 1), rtol=200 * eps(dtype))
    theirs.eval()
    theirs.running_var.copy_(torch.tensor(layer.running_var))
    np.testing.assert_allclose(
        layer.predict(x), theirs(torch.tensor(x)).detach().numpy(), rtol=0, atol=200 * eps(dtype)
    )


@kinds
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_the_same_bits(kind, layout):
    x = np.random.default_rng(0).standard_normal((6, 5))
    x = np.ascontiguousarray(LAYOUTS["zero stride"](x)) if layout == "zero stride" else x
    layer = made(kind, 5)
    assert_same_bits(made(kind, 5).forward(LAYOUTS[layout](x)), y := layer.forward(x))
    other = made(kind, 5)
    other.forward(x)
    assert_same_bits(
        other.backward(LAYOUTS[layout](y)), layer.backward(contiguous := np.ascontiguousarray(LAYOUTS[layout](y)))
    )
    assert contiguous.shape == x.shape


@kinds
@pytest.mark.parametrize("dtype", [*INTEGERS, np.float16])
def test_other_types_give_what_numpy_gives(kind, dtype):
    x = np.arange(12).reshape(4, 3).astype(dtype)
    layer = made(kind, 3, np.float16 if dtype == np.float16 else np.float64)
    assert layer.forward(x).dtype == (np.float16 if dtype == np.float16 else np.float64)


@kinds
def test_a_single_sample_and_no_sample(kind):
    layer = made(kind, 3)
    if kind == "BatchNormalization":
        with pytest.warns(RuntimeWarning, match=r"expects at least two samples while training, got x of shape \(3,\)"):
            assert layer.forward(np.ones(3)).tolist() == layer.beta.tolist()
        with pytest.raises(ValueError, match=r"x must hold at least one sample while training, got shape \(0, 3\)"):
            layer.forward(np.ones((0, 3)))
        assert layer.forward(np.ones((0, 3)), train_flg=False).shape == (0, 3)
    else:
        assert_same_bits(layer.forward(np.arange(3.0)), layer.forward(np.arange(3.0)[None])[0])
        assert layer.forward(np.ones((0, 3))).shape == (0, 3)
    assert layer.backward(np.ones((0, 3))).shape == (0, 3)
    assert [g.tolist() for g in gradients(layer)] == [[0.0] * 3] * 2


@kinds
def test_what_is_refused(kind):
    layer, name = made(kind, 3), "factor" if kind == "Scale" else "gamma"
    with pytest.raises(RuntimeError, match=f"{kind}.backward was called before forward"):
        layer.backward(np.ones((2, 3)))
    for shape in ((2, 4), (4,), (), (2, 3, 2)):
        with pytest.raises(ValueError, match=rf"x of shape .* does not fit {name} of shape \(3,\)"):
            layer.forward(np.ones(shape))
    with pytest.raises(TypeError, match="x must hold real numbers"):
        layer.forward(np.array([["a", "b", "c"]]))
    layer.forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"dout must have the shape of x, \(2, 3\), got \(3, 3\)"):
        layer.backward(np.ones((3, 3)))
    setattr(layer, name, np.ones(4))
    with pytest.raises(ValueError, match=rf"\w+ must have the shape of {name}, \(4,\), got \(3,\)|does not fit"):
        layer.backward(np.ones((2, 3)))
    setattr(layer, name, np.ones((3, 1)))
    with pytest.raises(ValueError, match=rf"{name} must be \(K,\), a number for each column, got shape \(3, 1\)"):
        layer.forward(np.ones((2, 3)))


@kinds
def test_arrays_are_held_against_the_factor_that_was_taken(kind):
    """Not against what another thread, or the conversion of the next array, has put in its place meanwhile."""
    name, other = ("factor", "shift") if kind == "Scale" else ("gamma", "beta")

    class Swaps:
        def __array__(self, dtype=None, copy=None):
            setattr(layer, name, np.ones(2))
            return np.ones(2)

    layer = getattr(fastbp, kind)(np.ones(5), Swaps())
    with pytest.raises(ValueError, match=rf"{other} must have the shape of {name}, \(5,\), got \(2,\)"):
        layer.forward(np.ones((3, 5)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"momentum": 1.5}, ValueError, "momentum must be a finite number in 0..1, got 1.5"),
        ({"momentum": "0.9"}, TypeError, "momentum must be a finite number"),
        ({"eps": 0}, ValueError, "eps must be a finite number above 0, got 0"),
        ({"running_var": -np.ones(3)}, ValueError, "running_var must be at least 0, got -1.0"),
        ({"running_mean": np.ones(4)}, ValueError, r"running_mean must have the shape of gamma, \(3,\), got \(4,\)"),
    ],
)
def test_settings_that_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        made("BatchNormalization", 3, **options).predict(np.ones((2, 3)))


def test_predict_leaves_the_pass_of_training_alone():
    x, dout = np.random.default_rng(0).standard_normal((2, 6, 3))
    layer, other = made("BatchNormalization", 3), made("BatchNormalization", 3)
    for one in (layer, other):
        one.forward(x)
    running = copy.deepcopy(layer.running_mean)
    layer.predict(5 * x)
    assert_same_bits(layer.running_mean, running)
    assert_same_bits(layer.backward(dout), other.backward(dout))


def test_running_statistics_of_any_form_move():
    x = np.random.default_rng(0).standard_normal((6, 3))
    expected = made("BatchNormalization", 3, running_mean=np.zeros(3), running_var=np.ones(3))
    expected.forward(x)
    read_only = np.ones(3)
    read_only.flags.writeable = False
    for var in (np.ones(3, int), [1, 1, 1], read_only):
        layer = made("BatchNormalization", 3, running_var=var)
        layer.forward(x)
        np.testing.assert_array_equal(layer.running_var, expected.running_var)
    assert read_only.tolist() == [1, 1, 1]


def test_scale_says_whether_it_trains():
    layer = made("Scale", 3, trained=False)
    assert (layer.parameters, layer.buffers, layer.trained) == ((), ("factor", "shift"), False)
    assert repr(layer) == "Scale(3, trained=False)"
    assert made("Scale", 3).parameters == ("factor", "shift")
    with pytest.raises(AttributeError):
        layer.trained = True
    with pytest.raises(TypeError, match="trained must be True or False"):
        made("Scale", 3, trained="no")


def test_a_gradient_that_fails_leaves_the_running_statistics_as_they_were():
    net = fastbp.mlp([4, 6, 3], normalization="batch", seed=0)
    before = {name: buffer.copy() for name, buffer in net.buffers.items()}
    with pytest.raises(ValueError, match=r"t\[4\] is 3, outside 0\.\.2"):
        net.gradient(np.eye(5, 4), [0, 1, 2, 0, 3])
    for name, buffer in net.buffers.items():
        assert_same_bits(buffer, before[name])
