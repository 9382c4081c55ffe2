"""The book's network: its names, its gradient check on real digits, and that it learns."""

import copy
import inspect
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from small_nets import examples
from strategies import FLOATS, assert_same_bits, eps

import fastbp
from fastbp import reference

KEYS = ("W1", "b1", "W2", "b2")


def small(**options):
    return fastbp.TwoLayerNet(4, 7, 3, **{"weight_init_std": 1.0, "seed": 0} | options)


def test_arguments_are_the_books():
    parameters = inspect.signature(fastbp.TwoLayerNet).parameters
    assert list(parameters)[:4] == ["input_size", "hidden_size", "output_size", "weight_init_std"]
    assert parameters["weight_init_std"].default == 0.01
    net = fastbp.TwoLayerNet(input_size=4, hidden_size=7, output_size=3)
    assert net.params["W2"].shape == (7, 3)


@pytest.mark.parametrize("dtype", FLOATS)
def test_params_have_the_books_keys_shapes_and_initial_values(dtype):
    net = fastbp.TwoLayerNet(784, 50, 10, dtype=dtype, seed=3)
    assert {key: value.shape for key, value in net.params.items()} == {
        "W1": (784, 50),
        "b1": (50,),
        "W2": (50, 10),
        "b2": (10,),
    }
    assert {value.dtype for value in net.params.values()} == {np.dtype(dtype)}
    assert not net.params["b1"].any()
    assert not net.params["b2"].any()
    W1 = net.params["W1"]
    # Of n normal numbers the deviation strays by std / sqrt(2n), the mean by std / sqrt(n); five of those.
    assert abs(W1.std() - 0.01) < 5 * 0.01 / np.sqrt(2 * W1.size)
    assert abs(W1.mean()) < 5 * 0.01 / np.sqrt(W1.size)


def test_params_are_float64_by_default():
    assert {value.dtype for value in fastbp.TwoLayerNet(4, 7, 3).params.values()} == {np.dtype(np.float64)}


def test_weight_init_std_scales_the_initial_weights():
    wide, narrow = small(weight_init_std=2.0), small(weight_init_std=0.5)
    np.testing.assert_allclose(wide.params["W1"], 4 * narrow.params["W1"], rtol=4 * eps(np.float64))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    for key in ("W1", "W2"):
        assert_same_bits(small(seed=5).params[key], small(seed=5).params[key])
        assert not np.array_equal(small(seed=5).params[key], small(seed=6).params[key])
        assert not np.array_equal(small(seed=None).params[key], small(seed=None).params[key])


@pytest.mark.parametrize("hidden", [3, 8])  # an odd number of weights leaves half a pair of normal numbers over
def test_without_a_seed_a_script_prints_the_books_digits(hidden):
    def printed(library):
        np.random.seed(1)
        net = library.TwoLayerNet(input_size=5, hidden_size=hidden, output_size=3)
        x, t = np.random.rand(40, 5), np.random.randint(0, 3, 40)
        lines = []
        for _ in range(20):
            rows = np.random.choice(40, 10)
            grads = net.gradient(x[rows], t[rows])
            for key in KEYS:
                net.params[key] -= 0.1 * grads[key]
            lines.append(f"{net.loss(x[rows], t[rows]):.10f} {net.accuracy(x, t):.3f}")
        return lines

    assert printed(fastbp) == printed(reference)


def test_without_a_seed_the_weights_are_the_books_draws():
    np.random.seed(1)
    net = fastbp.TwoLayerNet(4, 7, 3, weight_init_std=0.5)
    np.random.seed(1)
    assert_same_bits(net.params["W1"], 0.5 * np.random.randn(4, 7))
    assert_same_bits(net.params["W2"], 0.5 * np.random.randn(7, 3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_size": 0}, ValueError, "input_size must be an integer of at least 1, got 0"),
        ({"hidden_size": 2.0}, TypeError, "hidden_size must be an integer of at least 1, got 2.0"),
        ({"weight_init_std": "he"}, TypeError, "weight_init_std must be a finite number of at least 0, got 'he'"),
        ({"dtype": "flaot32"}, TypeError, "dtype must be float32 or float64, got 'flaot32'"),
        ({"dtype": int}, ValueError, "dtype must be float32 or float64"),
    ],
)
def test_arguments_that_are_none(arguments, error, message):
    with pytest.raises(error, match=message):
        fastbp.TwoLayerNet(**{"input_size": 4, "hidden_size": 7, "output_size": 3} | arguments)


def test_with_a_seed_the_state_of_np_random_is_untouched():
    before = np.random.get_state()
    net = small(seed=0)
    net.gradient(*examples())
    after = np.random.get_state()
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


def test_layers_are_an_ordered_dict_with_the_books_keys():
    net = small()
    assert isinstance(net.layers, OrderedDict)
    assert list(net.layers) == ["Affine1", "Relu1", "Affine2"]
    assert [type(layer) for layer in net.layers.values()] == [fastbp.Affine, fastbp.Relu, fastbp.Affine]
    assert type(net.lastLayer) is fastbp.SoftmaxWithLoss


def test_layers_share_the_arrays_in_params():
    net = small()
    assert net.layers["Affine1"].W is net.params["W1"]
    assert net.layers["Affine1"].b is net.params["b1"]
    assert net.layers["Affine2"].W is net.params["W2"]
    assert net.layers["Affine2"].b is net.params["b2"]


def test_predict_gives_the_scores_of_the_last_affine():
    net = small()
    x, _ = examples()
    W1, b1, W2, b2 = (net.params[key] for key in KEYS)
    expected = np.maximum(0, x @ W1 + b1) @ W2 + b2
    # Two chains of at most nine products of numbers below 10.
    np.testing.assert_allclose(net.predict(x), expected, rtol=0, atol=1000 * eps(np.float64))
    np.testing.assert_allclose(net.predict(x[0]), expected[0], rtol=0, atol=1000 * eps(np.float64))


@pytest.mark.parametrize("dtype", FLOATS)
def test_dtype_of_the_net_is_that_of_its_scores_and_gradients(dtype):
    net = small(dtype=dtype)
    x, t = examples(dtype=dtype)
    assert net.predict(x).dtype == dtype
    assert {value.dtype for value in net.gradient(x, t).values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("one_hot", [True, False])
def test_loss_is_the_mean_of_minus_log_of_the_probabilities(one_hot):
    net = small()
    x, labels = examples()
    scores = net.predict(x)
    y = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = np.mean(-np.log(y[np.arange(len(labels)), labels] + 1e-7))
    loss = net.loss(x, np.eye(3)[labels] if one_hot else labels)
    np.testing.assert_allclose(loss, expected, rtol=64 * eps(np.float64))
    assert net.lastLayer.loss == loss


@pytest.mark.parametrize("one_hot", [True, False])
def test_accuracy_is_the_share_of_rows_whose_highest_score_is_their_class(one_hot):
    net = small()
    x, _ = examples(10)
    best = net.predict(x).argmax(axis=1)
    labels = np.where(np.arange(10) < 7, best, (best + 1) % 3)
    assert net.accuracy(x, np.eye(3)[labels] if one_hot else labels) == 0.7


@pytest.mark.parametrize("one_hot", [True, False])
def test_gradient_check_on_three_images_with_50_hidden_units(digits, one_hot):
    images, labels = digits
    x, t = images[:3] / 16, np.eye(10)[labels[:3]] if one_hot else labels[:3]
    net = fastbp.TwoLayerNet(64, 50, 10, seed=0)
    before = copy.deepcopy(net.params)
    numeric, backprop = net.numerical_gradient(x, t), net.gradient(x, t)
    assert set(numeric) == set(backprop) == set(KEYS)
    for key in KEYS:
        assert numeric[key].shape == backprop[key].shape == net.params[key].shape
        assert np.abs(backprop[key]).max() > 1e-4
        assert np.mean(np.abs(backprop[key] - numeric[key])) < 1e-6, key
        assert_same_bits(net.params[key], before[key])


def test_gradient_holds_what_the_layers_computed_and_stays_as_it_was():
    net = small()
    x, t = examples()
    first = net.gradient(x, t)
    assert_same_bits(first["W1"], net.layers["Affine1"].dW)
    assert_same_bits(first["b1"], net.layers["Affine1"].db)
    assert_same_bits(first["W2"], net.layers["Affine2"].dW)
    assert_same_bits(first["b2"], net.layers["Affine2"].db)
    kept = copy.deepcopy(first)
    second = net.gradient(-x, t)
    for key in KEYS:
        assert not np.shares_memory(first[key], second[key])
        assert_same_bits(first[key], kept[key])


@pytest.mark.parametrize("dtype", FLOATS)
def test_updating_params_in_place_trains(digits, dtype):
    images, labels = digits
    x, t = (images[:100] / 16).astype(dtype), labels[:100]
    net = fastbp.TwoLayerNet(64, 20, 10, weight_init_std=0.1, dtype=dtype, seed=0)
    start = net.loss(x, t)
    for _ in range(200):
        gradient = net.gradient(x, t)
        for key in KEYS:
            net.params[key] -= 0.5 * gradient[key]
    assert net.loss(x, t) < 0.1 * start
    assert net.accuracy(x, t) > 0.95


@pytest.mark.parametrize("clone", [lambda a: pickle.loads(pickle.dumps(a)), copy.deepcopy])
def test_a_copied_network_trains_on_its_own(clone):
    net = small()
    x, t = examples()
    scores = net.predict(x)
    twin = clone(net)
    assert_same_bits(twin.predict(x), scores)
    twin.params["W1"] *= 2
    twin.params["b2"] += 1
    assert not np.allclose(twin.predict(x), scores)
    assert_same_bits(net.predict(x), scores)
    assert set(twin.gradient(x, t)) == set(KEYS)
