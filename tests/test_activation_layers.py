"""Activations as layers and in networks: against the reference and torch, the same bits in programs, in files."""

import copy
import gc
import weakref

import numpy as np
import pytest
from strategies import FLOATS, assert_same_bits, eps

import fastbp
from fastbp import reference
from fastbp.activations import BY_NAME, CLASSES, named
from fastbp.programs._lowering import function_address

words = pytest.mark.parametrize("word", BY_NAME)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def twin(layer):
    """The same layer of the reference."""
    arguments = {name: getattr(layer, name) for name in ("slope", "alpha", "approximate") if hasattr(layer, name)}
    return getattr(reference, type(layer).__name__)(**arguments)


def numbers(dtype, shape=(40, 50)):
    return (4 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)


def network(word, dtype=np.float64, sizes=(6, 9, 7, 3), **options):
    return fastbp.mlp(sizes, word, dtype=dtype, **{"seed": 0} | options)


@words
@dtypes
@pytest.mark.parametrize("shape", [(), (7,), (3, 0), (40, 50), (2, 3, 4)], ids=str)
def test_a_layer_is_that_of_the_reference(word, dtype, shape):
    layer, x = named(word), numbers(dtype, shape)
    given, dout = x.copy(), numbers(dtype, shape) + dtype(1)
    other = twin(layer)
    y, expected = layer.forward(x), other.forward(x.astype(np.longdouble))
    assert y.dtype == dtype and y.shape == shape
    np.testing.assert_allclose(y, expected.astype(np.float64), rtol=16 * eps(dtype), atol=16 * eps(dtype))
    dx = layer.backward(dout)
    assert dx.dtype == dtype and dx.shape == shape
    wanted = other.backward(dout.astype(np.longdouble)).astype(np.float64)
    np.testing.assert_allclose(dx, wanted, rtol=16 * eps(dtype), atol=64 * eps(dtype))
    assert_same_bits(x, given)


@words
def test_integers_are_computed_in_float64_but_for_relu(word):
    y = named(word).forward(np.arange(-3, 4))
    assert y.dtype == (np.int64 if word == "relu" else np.float64)


@words
def test_a_layer_is_kept_by_nothing_that_computed_it(word):
    layer, net = named(word), network(word)
    layer.forward(numbers(np.float64))
    net.step(numbers(np.float64, (8, 6)), np.zeros(8, int))
    kept = [weakref.ref(layer), *map(weakref.ref, net.layers.values())]
    del layer, net
    gc.collect()
    assert [ref() for ref in kept if ref() is not None] == []
    known = function_address.cache_info().currsize
    network(word).step(numbers(np.float64, (8, 6)), np.zeros(8, int))
    assert function_address.cache_info().currsize == known


@words
def test_a_backward_needs_a_forward_and_the_shape_of_x(word):
    layer = named(word)
    with pytest.raises(RuntimeError, match="backward was called before forward"):
        layer.backward(np.ones(3))
    layer.forward(np.ones(3))
    with pytest.raises(ValueError, match=r"^dout must have the shape of x, \(3,\), got \(4,\)"):
        layer.backward(np.ones(4))


@pytest.mark.parametrize("word", ["gelu", "silu", "mish", "elu", "selu", "softplus"])
def test_what_a_backward_goes_by_may_be_set_and_is_looked_at_anew(word):
    layer = named(word)
    layer.forward(np.ones((4, 3)))
    kept = "out" if layer.of_output else "x"
    setattr(layer, kept, np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="dout must have the shape"):
        layer.backward(np.ones((4, 3)))
    assert layer.backward(np.ones((2, 2))).shape == (2, 2)
    setattr(layer, kept, ["a"])
    with pytest.raises(TypeError, match=f"^{kept} must hold real numbers"):
        layer.backward(np.ones(1))


@words
@dtypes
@pytest.mark.parametrize("rows", [1, 33, 2000])
def test_a_program_has_the_bits_of_the_layers(word, dtype, rows):
    net = network(word, dtype)
    x, t = numbers(dtype, (rows, 6)), np.arange(rows) % 3
    gradients, before = net.gradient(x, t), copy.deepcopy(net)
    net.step(x, t, fastbp.optimizers.Momentum(lr=1.0))
    for name, parameter in net.params.items():
        expected = before.params[name] - gradients[name]
        np.testing.assert_allclose(parameter, expected, rtol=4 * eps(dtype), atol=8 * eps(dtype))


@words
def test_gradients_of_networks_are_central_differences(word):
    net = network(word)
    x, t = numbers(np.float64, (8, 6)), np.arange(8) % 3
    numerical = net.numerical_gradient(x, t)
    for name, gradient in net.gradient(x, t).items():
        np.testing.assert_allclose(gradient, numerical[name], rtol=1e-4, atol=1e-8)


@words
def test_an_activation_first_last_and_twice(word):
    affine = fastbp.Affine(np.random.default_rng(0).standard_normal((6, 3)), np.zeros(3))
    net = fastbp.Sequential([named(word), affine, named(word), named(word)], fastbp.MeanSquaredError())
    x, t = numbers(np.float64, (8, 6)), numbers(np.float64, (8, 3))
    gradients, before = net.gradient(x, t), copy.deepcopy(net)
    net.fit(x, t, batch_size=8, optimizer=fastbp.optimizers.SGD(lr=1.0), shuffle=False, progress=False)
    for name, parameter in net.params.items():
        np.testing.assert_allclose(parameter, before.params[name] - gradients[name], rtol=1e-13, atol=1e-13)


@words
def test_a_network_is_the_same_from_a_file(word, tmp_path):
    net = network(word, np.float32)
    net.save(tmp_path / "net.safetensors")
    loaded = fastbp.load(tmp_path / "net.safetensors")
    assert repr(loaded) == repr(net)
    x = numbers(np.float32, (20, 6))
    assert_same_bits(loaded.predict(x), net.predict(x))


@words
@dtypes
def test_to_torch_and_back(word, dtype):
    torch = pytest.importorskip("torch")
    net = network(word, dtype)
    module, x = net.to_torch(), numbers(dtype, (20, 6))
    with torch.no_grad():
        theirs = module(torch.tensor(x)).numpy()
    np.testing.assert_allclose(net.predict(x), theirs, rtol=100 * eps(dtype), atol=100 * eps(dtype))
    again = fastbp.from_torch(module)
    assert repr(again) == repr(net)
    assert_same_bits(again.predict(x), net.predict(x))


def test_settings_of_torchs_modules_are_taken_over():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ELU(0.3), torch.nn.GELU("tanh"), torch.nn.Softplus())
    assert [str(layer) for layer in fastbp.from_torch(module).layers.values()][1:] == [
        "Elu(alpha=0.3)",
        "Gelu(approximate='tanh')",
        "Softplus()",
    ]
    with pytest.raises(TypeError, match="has a beta, which Softplus has not"):
        fastbp.from_torch(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Softplus(beta=2)))


@words
@dtypes
def test_the_same_bits_for_any_number_of_threads(word, dtype):
    x, t = numbers(dtype, (700, 6)), np.arange(700) % 3
    nets = [network(word, dtype, sizes=(6, 300, 200, 3)) for _ in range(3)]
    for net, threads in zip(nets, (1, 2, 3), strict=True):
        net.fit(x, t, epochs=2, batch_size=256, optimizer="adam", seed=1, threads=threads, progress=False)
    for net in nets[1:]:
        for name, parameter in net.params.items():
            assert_same_bits(parameter, nets[0].params[name])


def test_mlp_takes_one_for_each_hidden_layer():
    net = network(["gelu", "tanh"])
    assert [type(layer).__name__ for layer in net.layers.values()] == ["Affine", "Gelu", "Affine", "Tanh", "Affine"]
    with pytest.raises(ValueError, match="activation must be one name, or one for each of the 2 hidden layers"):
        network(["gelu"])
    with pytest.raises(ValueError, match=r"activation\[1\] must be one of .*, got 'gleu'; did you mean 'gelu'\?"):
        network(["relu", "gleu"])


@words
def test_estimators_take_all_of_them(word):
    ours = pytest.importorskip("fastbp.sklearn")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 6))
    t = (x[:, 0] > 0).astype(int)
    model = ours.MLPClassifier(
        (20,), activation=word, learning_rate_init=0.01, max_iter=60, tol=0, n_iter_no_change=100, random_state=0
    )
    with pytest.warns(match="Maximum iterations"):
        assert model.fit(x, t).score(x, t) > 0.9
    assert any(type(layer) is BY_NAME[word][0] for layer in model.to_network().layers.values())


def test_estimators_take_one_for_each_hidden_layer():
    ours = pytest.importorskip("fastbp.sklearn")
    x, t = np.random.default_rng(0).standard_normal((40, 3)), np.arange(40.0)
    model = ours.MLPRegressor(
        hidden_layer_sizes=(5, 4), activation=["silu", "identity"], solver="lbfgs", max_iter=20, random_state=0
    )
    with pytest.warns(match="lbfgs failed to converge"):
        model.fit(x, t)
    names = [type(layer).__name__ for layer in model.to_network().layers.values()]
    assert names == ["Affine", "Silu", "Affine", "Affine"]
    with pytest.raises(ValueError, match="activation must be one name, or one for each of the 2 hidden layers"):
        ours.MLPRegressor(hidden_layer_sizes=(5, 4), activation=["silu"]).fit(x, t)


@pytest.mark.parametrize("cls", CLASSES)
def test_too_many_arguments_are_an_error_of_the_class_that_was_written(cls):
    with pytest.raises(TypeError, match=rf"^{cls.__name__}\b.* takes "):
        cls(1, 2)


def test_every_class_is_public_and_has_a_word_and_a_twin():
    for cls in CLASSES:
        assert getattr(fastbp, cls.__name__) is cls
        assert cls.__name__ in fastbp.__all__
        assert hasattr(reference, cls.__name__)
        assert any(kind is cls for kind, _ in BY_NAME.values())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fastbp.Elu(-1), ValueError, "^alpha must be a finite number of at least 0, got -1"),
        (lambda: fastbp.Elu("1"), TypeError, "^alpha must be a finite number of at least 0, got '1'"),
        (lambda: fastbp.Gelu("erf"), ValueError, "^approximate must be one of none, tanh, got 'erf'"),
        (lambda: fastbp.Huber(0), ValueError, "^delta must be a finite number above 0, got 0"),
    ],
)
def test_settings_out_of_range(make, error, message):
    with pytest.raises(error, match=message):
        make()
