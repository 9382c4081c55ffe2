"""``mlp``: networks from their sizes."""

import numpy as np
import pytest
from strategies import assert_same_bits

import fastbp


def small(**options):
    return fastbp.mlp([4, 7, 3], **{"seed": 0} | options)


@pytest.mark.parametrize(
    ("activation", "kind", "gain"),
    [
        ("relu", fastbp.Relu, 2),
        ("leaky_relu", fastbp.LeakyRelu, 2),
        ("sigmoid", fastbp.Sigmoid, 1),
        ("tanh", fastbp.Tanh, 1),
    ],
)
def test_mlp_has_the_layers_and_the_initial_weights_of_its_activation(activation, kind, gain):
    net = fastbp.mlp([784, 200, 100, 10], activation, seed=0)
    assert [type(layer) for layer in net.layers.values()] == [fastbp.Affine, kind] * 2 + [fastbp.Affine]
    for name, inputs in (("W1", 784), ("W2", 200), ("W3", 100)):
        W, std = net.params[name], np.sqrt(gain / inputs)
        # Of n normal numbers the deviation strays by std / sqrt(2n), the mean by std / sqrt(n); five of those.
        assert abs(W.std() - std) < 5 * std / np.sqrt(2 * W.size)
        assert abs(W.mean()) < 5 * std / np.sqrt(W.size)
    assert not any(net.params[f"b{n}"].any() for n in (1, 2, 3))


def test_mlp_is_relu_float32_and_softmax_cross_entropy_unless_told():
    net = fastbp.mlp([4, 7, 3])
    assert {p.dtype for p in net.params.values()} == {np.dtype(np.float32)}
    assert type(net.layers["Relu1"]) is fastbp.Relu
    assert type(net.loss_layer) is fastbp.SoftmaxWithLoss
    assert net.loss_layer.eps == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float64"])
def test_mlp_has_the_dtype_asked_for(dtype):
    net = fastbp.mlp([4, 7, 3], dtype=dtype)
    assert {p.dtype for p in net.params.values()} == {np.dtype(dtype)}


def test_mlp_without_hidden_layers_is_one_affine():
    assert list(fastbp.mlp([4, 3]).layers) == ["Affine1"]


def test_mlp_takes_sizes_as_numpy_integers():
    assert fastbp.mlp(np.array([4, 7, 3])).params["W1"].shape == (4, 7)


def test_mlp_takes_a_loss():
    loss = fastbp.MeanSquaredError()
    assert fastbp.mlp([4, 3], loss=loss).loss_layer is loss


def test_mlp_of_the_same_seed_has_the_same_weights_and_of_another_seed_others():
    first, again, other = small(seed=5), small(seed=5), small(seed=6)
    for name in ("W1", "W2"):
        assert_same_bits(first.params[name], again.params[name])
        assert not np.array_equal(first.params[name], other.params[name])
        assert not np.array_equal(small(seed=None).params[name], small(seed=None).params[name])


@pytest.mark.parametrize("seed", [None, 0])
def test_mlp_leaves_the_state_of_np_random_as_it_is(seed):
    before = np.random.get_state()
    small(seed=seed)
    after = np.random.get_state()
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("softmax", fastbp.SoftmaxWithLoss), ("sigmoid", fastbp.SigmoidWithLoss), ("mse", fastbp.MeanSquaredError)],
)
def test_mlp_takes_a_loss_by_name(name, kind):
    loss = small(loss=name).loss_layer
    assert type(loss) is kind
    assert getattr(loss, "eps", 0) == 0


def test_mlp_takes_a_scale():
    assert small(scale=1 / 255).scale == 1 / 255


def test_mlp_drops_hidden_units_only_and_changes_no_weights():
    net = fastbp.mlp([4, 7, 6, 3], "tanh", dropout=0.2, seed=0)
    assert list(net.layers) == ["Affine1", "Tanh1", "Dropout1", "Affine2", "Tanh2", "Dropout2", "Affine3"]
    plain = fastbp.mlp([4, 7, 6, 3], "tanh", seed=0)
    for name, p in net.params.items():
        assert_same_bits(p, plain.params[name])
    assert [net.layers[f"Dropout{n}"].p for n in (1, 2)] == [0.2, 0.2]
    assert [net.layers[f"Dropout{n}"].seed for n in (1, 2)] == [None, None]


def test_mlp_takes_a_dropout_for_each_hidden_layer_whose_masks_are_those_of_the_seed_of_fit():
    nets = [fastbp.mlp([4, 7, 6, 3], dropout=[0, 0.3], seed=5) for _ in range(2)]
    assert list(nets[0].layers) == ["Affine1", "Relu1", "Affine2", "Relu2", "Dropout1", "Affine3"]
    x, t = np.ones((5, 4)), [0, 1, 2, 0, 1]
    first, second = (net.fit(x, t, epochs=3, seed=1, progress=False) for net in nets)
    assert first.loss == second.loss
    for name, parameter in nets[0].params.items():
        assert_same_bits(parameter, nets[1].params[name])
    assert fastbp.mlp([4, 3], dropout=0.5).layers.keys() == {"Affine1"}


# ---- What it refuses ----


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (([4],), ValueError, r"sizes must be at least two integers of at least 1, got \[4\]"),
        (([],), ValueError, r"sizes must be at least two integers of at least 1, got \[\]"),
        (([4, 0],), ValueError, r"sizes\[1\] must be an integer of at least 1, got 0"),
        (([4, -3],), ValueError, r"sizes\[1\] must be an integer of at least 1, got -3"),
        (([4, 2.5],), TypeError, r"sizes\[1\] must be an integer of at least 1, got 2.5"),
        (([4, True],), TypeError, r"sizes\[1\] must be an integer of at least 1, got True"),
        (("43",), TypeError, "sizes must be at least two integers of at least 1, got '43'"),
        ((3,), TypeError, "sizes must be at least two integers of at least 1, got 3"),
        (([4, 3], "rleu"), ValueError, "activation must be one of relu, .*, got 'rleu'; did you mean 'relu'"),
        (([4, 3], "swish"), ValueError, "activation must be one of relu, leaky_relu, .*, softplus, got 'swish'"),
        (([4, 3], None), TypeError, "activation must be one of relu, leaky_relu, .*, softplus, got None"),
    ],
)
def test_mlp_refuses(arguments, error, match):
    with pytest.raises(error, match=match):
        fastbp.mlp(*arguments)


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0, got -1"),
        ({"seed": 1.5}, TypeError, "seed must be an integer of at least 0, got 1.5"),
        ({"seed": "0"}, TypeError, "seed must be an integer of at least 0, got '0'"),
        ({"seed": [-1]}, ValueError, r"seed must be an integer of at least 0, None, or what .*, got \[-1\]"),
        ({"dtype": "flaot32"}, TypeError, "dtype must be float32 or float64, got 'flaot32'"),
        (
            {"loss": "msee"},
            ValueError,
            "loss must be one of softmax, .*, huber, got 'msee'; did",
        ),
        ({"loss": 3}, TypeError, "loss must be a loss layer of fastbp, got 3"),
        ({"loss": fastbp.MeanSquaredError}, TypeError, "loss must be a loss layer of fastbp"),
        ({"scale": 0}, ValueError, "scale must be a finite number above 0, got 0"),
        ({"dropout": 1.5}, ValueError, r"dropout must be a finite number in 0\.\.1, got 1.5"),
        ({"dropout": "0.5"}, TypeError, r"dropout must be a finite number in 0\.\.1, got '0.5'"),
        ({"dropout": [0.1, -0.1]}, ValueError, r"dropout\[1\] must be a finite number in 0\.\.1, got -0.1"),
        ({"activation": {"gelu", "relu"}}, TypeError, "activation must be one of relu, .*, got {"),
        ({"dropout": {0.1, 0.2}}, TypeError, "dropout must be a finite number in 0..1, got {"),
        ({"dropout": [0.1]}, ValueError, r"dropout must be one number, or one for each of the 2 hidden layers, got"),
    ],
)
def test_mlp_refuses_settings(settings, error, match):
    with pytest.raises(error, match=f"^{match}"):
        fastbp.mlp([4, 6, 5, 3], **settings)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.longdouble, complex, object])
def test_mlp_refuses_dtypes_other_than_float32_and_float64(dtype):
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        fastbp.mlp([4, 3], dtype=dtype)
