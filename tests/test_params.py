"""The parameters of a network: views of one vector, written to by name, by fit and by who holds them."""

import copy

import numpy as np
import pytest
from small_nets import examples, small
from strategies import assert_same_bits

import fastbp


def test_params_are_views_of_one_vector_in_the_order_of_the_layers():
    net = small()
    assert list(net.params) == ["W1", "b1", "W2", "b2"]
    bases = {id(p.base) for p in net.params.values()}
    assert len(bases) == 1
    flat = net.params["W1"].base
    assert flat.ndim == 1
    assert flat.size == sum(p.size for p in net.params.values())
    assert_same_bits(flat, np.concatenate([p.ravel() for p in net.params.values()]))
    for n in (1, 2):
        assert net.layers[f"Affine{n}"].W is net.params[f"W{n}"]
        assert net.layers[f"Affine{n}"].b is net.params[f"b{n}"]


def test_a_layer_without_bias_has_no_b_in_params():
    net = fastbp.Sequential([fastbp.Affine(np.ones((4, 5)), None), fastbp.Affine(np.ones((5, 3)), np.zeros(3))])
    assert list(net.params) == ["W1", "W2", "b2"]
    assert list(net.gradient(*examples())) == ["W1", "W2", "b2"]


def test_arrays_given_to_the_layers_are_not_written_to():
    W, b = np.ones((4, 3)), np.zeros(3)
    net = fastbp.Sequential([fastbp.Affine(W, b)])
    net.fit(*examples(), progress=False)
    assert (W == 1).all()
    assert (b == 0).all()
    assert not (net.params["W1"] == 1).all()


@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float32, np.float32), (np.int64, np.int64)])
def test_params_have_the_dtype_of_numpys_promotion(dtypes):
    first, second = dtypes
    net = fastbp.Sequential([fastbp.Affine(np.ones((4, 5), first), None), fastbp.Affine(np.ones((5, 3), second), None)])
    expected = np.float32 if np.float32 in dtypes and np.float64 not in dtypes else np.float64
    assert {p.dtype for p in net.params.values()} == {np.dtype(expected)}


def test_weights_in_fortran_order_keep_their_values():
    W = np.arange(12.0).reshape(4, 3)
    net = fastbp.Sequential([fastbp.Affine(np.asfortranarray(W), np.zeros(3))])
    assert_same_bits(net.params["W1"], W)


def test_writing_into_params_changes_what_the_network_computes_and_what_fit_starts_from():
    net, twin = small(), small(seed=5)
    x, t = examples()
    for name in net.params:
        net.params[name][...] = twin.params[name]
    assert_same_bits(net.predict(x), twin.predict(x))
    for n in (net, twin):
        n.fit(x, t, seed=0, progress=False)
    for name in net.params:
        assert_same_bits(net.params[name], twin.params[name])


def test_updating_params_with_gradients_trains():
    net = small()
    x, t = examples()
    start = net.loss(x, t)
    for _ in range(100):
        for name, g in net.gradient(x, t).items():
            net.params[name] -= 0.3 * g
    assert net.loss(x, t) < 0.3 * start


def test_fit_writes_into_the_arrays_of_params():
    net = small()
    W1 = net.params["W1"]
    before = W1.copy()
    net.fit(*examples(), progress=False)
    assert net.params["W1"] is W1
    assert not np.array_equal(W1, before)


def test_an_array_assigned_to_a_name_is_written_into_the_parameter():
    net = small()
    x, _ = examples()
    own = net.params["W1"]
    array = np.arange(28).reshape(4, 7)
    net.params["W1"] = array
    assert net.params["W1"] is own
    assert (own == array).all()
    np.testing.assert_allclose(net.layers["Affine1"].forward(x), x @ array + net.params["b1"], rtol=1e-12)


def test_params_update_writes_into_the_parameters():
    net, twin = small(), small(seed=5)
    x, _ = examples()
    net.params.update(twin.params)
    assert_same_bits(net.predict(x), twin.predict(x))
    assert_same_bits(net.params["W1"], twin.params["W1"])
    assert not np.shares_memory(net.params["W1"], twin.params["W1"])
    net = small()
    net.params |= dict(twin.params)
    assert_same_bits(net.predict(x), twin.predict(x))


@pytest.mark.parametrize(
    ("name", "value", "error", "match"),
    [
        ("W1", np.ones((7, 4)), ValueError, r"W1 must have the shape of the parameter, \(4, 7\), got \(7, 4\)"),
        ("b1", np.ones((1, 7)), ValueError, r"b1 must have the shape of the parameter, \(7,\), got \(1, 7\)"),
        ("b2", 0.0, ValueError, "b2 must have the shape"),
        ("W2", np.ones((7, 3), complex), TypeError, "W2 must hold real numbers"),
        ("W3", np.ones((7, 3)), KeyError, "W3.*W1, b1, W2, b2"),
    ],
)
def test_what_does_not_fit_a_parameter_is_refused_and_changes_nothing(name, value, error, match):
    net = small()
    before = copy.deepcopy(net.params)
    with pytest.raises(error, match=match):
        net.params[name] = value
    assert list(net.params) == list(before)
    for key, p in net.params.items():
        assert_same_bits(p, before[key])


def test_an_array_given_to_a_layer_is_trained():
    net = small()
    x, t = examples()
    W = np.full((4, 7), 0.1)
    net.layers["Affine1"].W = W
    net.fit(x, t, progress=False)
    assert net.layers["Affine1"].W is net.params["W1"]
    assert not np.array_equal(net.params["W1"], W)
    assert np.abs(net.params["W1"] - 0.1).max() < 0.05
    assert (W == 0.1).all()


def test_numerical_gradient_is_at_an_array_given_to_a_layer():
    net = small()
    x, t = examples()
    net.layers["Affine1"].W = np.full((4, 7), 0.1)
    np.testing.assert_allclose(net.numerical_gradient(x, t)["W1"], net.gradient(x, t)["W1"], rtol=0, atol=1e-6)
