"""Networks: their parameters, the book's interface, the network 2-2-1 with its numbers, what they refuse."""

import copy
import pickle

import numpy as np
import pytest
from strategies import FLOATS, assert_same_bits, eps

import fastbp
from fastbp.optimizers import SGD

COPIES = {"pickle": lambda net: pickle.loads(pickle.dumps(net)), "deepcopy": copy.deepcopy}
copies = pytest.mark.parametrize("clone", COPIES.values(), ids=COPIES)


def small(dtype=np.float64, **options):
    return fastbp.mlp([4, 7, 3], dtype=dtype, **{"seed": 0} | options)


def examples(rows=9, dtype=np.float64):
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, 4)).astype(dtype), rng.integers(0, 3, rows)


# ---- The network 2-2-1 ----

X, T = np.array([[1.0, 1.0]]), np.array([[0.0]])
START = {  # weights as in the example, a row for each output
    "W1": [[0.4352, 0.3545], [0.1951, 0.4835]],
    "b1": [-0.1419, 0.0439],
    "W2": [[-0.1725, 0.1129]],
    "b2": [-0.3043],
}
# The following are torch's, in float64.
LOSS = 0.536884190555
GRADIENTS = {
    "W1": [[-0.016160061076, -0.016160061076], [0.010319305679, 0.010319305679]],
    "b1": [-0.016160061076, 0.010319305679],
    "W2": [[0.272737919757, 0.279651878586]],
    "b2": [0.415433183439],
}
AFTER_ONE_STEP = {
    "W1": [[0.451360061076, 0.370660061076], [0.184780694321, 0.473180694321]],
    "b1": [-0.125739938924, 0.033580694321],
    "W2": [[-0.445237919757, -0.166751878586]],
    "b2": [-0.719733183439],
}


def network_2_2_1(dtype=np.float64):
    W1, b1, W2, b2 = (np.array(a, dtype).T for a in START.values())
    layers = [fastbp.Affine(W1, b1), fastbp.Sigmoid(), fastbp.Affine(W2, b2), fastbp.Sigmoid()]
    return fastbp.Sequential(layers, fastbp.BinaryCrossEntropy())


def assert_are(arrays, numbers):
    assert list(arrays) == list(numbers)
    for name, array in arrays.items():
        np.testing.assert_allclose(array, np.array(numbers[name]).T, rtol=0, atol=1e-6, err_msg=name)


def test_network_2_2_1_has_the_activations_of_the_example():
    out, outputs = X, []
    for layer in network_2_2_1().layers.values():
        out = layer.forward(out)
        outputs.append(np.round(out, 4).tolist())
    assert outputs == [[[0.6478, 0.7225]], [[0.6565, 0.6732]], [[-0.3415]], [[0.4154]]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_network_2_2_1_layer_by_layer_has_the_recorded_loss_gradients_and_weights(dtype):
    net = network_2_2_1(dtype)
    assert net.predict_proba(X)[0, 0] == net.predict(X)[0, 0]
    assert round(float(net.predict(X)[0, 0]), 4) == 0.4154
    assert abs(net.loss(X, T) - LOSS) < 1e-6
    gradients = net.gradient(X, T)
    assert_are(gradients, GRADIENTS)
    SGD(lr=1).update(net.params, gradients)
    assert_are(net.params, AFTER_ONE_STEP)


@pytest.mark.parametrize("dtype", FLOATS)
def test_network_2_2_1_through_fit_has_the_recorded_loss_and_weights(dtype):
    net = network_2_2_1(dtype)
    history = net.fit(X, T, epochs=1, optimizer=SGD(lr=1), progress=False)
    assert len(history.loss) == 1
    assert abs(history.loss[0] - LOSS) < 1e-6
    assert_are(net.params, AFTER_ONE_STEP)


def test_network_2_2_1_has_the_numerical_gradients_recorded():
    assert_are(network_2_2_1().numerical_gradient(X, T), GRADIENTS)


def test_numbers_recorded_for_the_network_2_2_1_are_those_of_torch():
    torch = pytest.importorskip("torch")
    params = {name: torch.tensor(a, dtype=torch.float64, requires_grad=True) for name, a in START.items()}
    hidden = torch.sigmoid(torch.nn.functional.linear(torch.tensor(X), params["W1"], params["b1"]))
    out = torch.sigmoid(torch.nn.functional.linear(hidden, params["W2"], params["b2"]))
    loss = torch.nn.functional.binary_cross_entropy(out, torch.tensor(T))
    loss.backward()
    torch.optim.SGD(params.values(), lr=1).step()
    assert abs(loss.item() - LOSS) < 1e-11
    for name, p in params.items():
        np.testing.assert_allclose(p.grad.numpy(), GRADIENTS[name], rtol=0, atol=1e-11)
        np.testing.assert_allclose(p.detach().numpy(), AFTER_ONE_STEP[name], rtol=0, atol=1e-11)


# ---- Parameters ----


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


# ---- The interface ----


def test_predict_gives_the_scores_of_the_last_layer():
    net = small()
    x, _ = examples()
    W1, b1, W2, b2 = net.params.values()
    expected = np.maximum(0, x @ W1 + b1) @ W2 + b2
    np.testing.assert_allclose(net.predict(x), expected, rtol=0, atol=100 * eps(np.float64))


def test_predict_proba_is_softmax_of_the_scores():
    net = small()
    x, _ = examples()
    e = np.exp(net.predict(x))
    np.testing.assert_allclose(net.predict_proba(x), e / e.sum(axis=1, keepdims=True), rtol=32 * eps(np.float64))


def test_predict_proba_of_binary_scores_is_their_sigmoid():
    net = small(loss=fastbp.SigmoidWithLoss())
    x, _ = examples()
    np.testing.assert_allclose(net.predict_proba(x), 1 / (1 + np.exp(-net.predict(x))), rtol=32 * eps(np.float64))


def test_predict_proba_needs_a_loss_of_classes():
    with pytest.raises(TypeError, match="MeanSquaredError"):
        small(loss=fastbp.MeanSquaredError()).predict_proba(examples()[0])


def test_loss_is_that_of_the_loss_layer_on_the_scores():
    net = small()
    x, t = examples()
    scores = net.predict(x)
    expected = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(9), t])
    np.testing.assert_allclose(net.loss(x, t), expected, rtol=32 * eps(np.float64))
    assert net.lastLayer.loss == net.loss(x, t)


@pytest.mark.parametrize("one_hot", [True, False])
def test_accuracy_is_the_share_of_rows_whose_highest_score_is_their_class(one_hot):
    net = small()
    x, _ = examples(10)
    best = net.predict(x).argmax(axis=1)
    labels = np.where(np.arange(10) < 7, best, (best + 1) % 3)
    assert net.accuracy(x, np.eye(3)[labels] if one_hot else labels) == 0.7


def test_numerical_gradient_is_close_to_the_gradient():
    net = small()
    x, t = examples()
    numeric, backprop = net.numerical_gradient(x, t), net.gradient(x, t)
    assert list(numeric) == list(backprop) == ["W1", "b1", "W2", "b2"]
    for name in numeric:
        np.testing.assert_allclose(backprop[name], numeric[name], rtol=0, atol=1e-6)


def test_predict_loss_and_accuracy_are_without_dropout():
    x, t = examples()
    W = np.random.default_rng(0).standard_normal((4, 3))
    plain = fastbp.Sequential([fastbp.Affine(W, None)])
    net = fastbp.Sequential([fastbp.Dropout(0.9), fastbp.Affine(W, None), fastbp.Dropout(0.9)])
    assert_same_bits(net.predict(x), plain.predict(x))
    assert net.loss(x, t) == plain.loss(x, t)
    assert net.accuracy(x, t) == plain.accuracy(x, t)


def test_gradient_is_with_dropout():
    net = fastbp.Sequential([fastbp.Dropout(1.0), fastbp.Affine(np.ones((4, 3)), None)])
    assert not net.gradient(*examples())["W1"].any()


def test_layers_are_named_by_class_and_number():
    net = fastbp.mlp([2, 3, 4, 5], seed=0)
    assert list(net.layers) == ["Affine1", "Relu1", "Affine2", "Relu2", "Affine3"]


def test_repr_names_every_layer_and_the_loss():
    assert (
        repr(small())
        == "Sequential([Affine(4, 7), Relu(), Affine(7, 3)], loss=SoftmaxWithLoss(eps=0, label_smoothing=0))"
    )
    layers = [fastbp.Affine(np.ones((4, 1)), None), fastbp.LeakyRelu(0.2), fastbp.Dropout(0.5), fastbp.Tanh()]
    net = fastbp.Sequential(layers, fastbp.MeanSquaredError())
    assert repr(net) == (
        "Sequential([Affine(4, 1, without bias), LeakyRelu(slope=0.2), Dropout(p=0.5), Tanh()], "
        "loss=MeanSquaredError())"
    )
    assert repr(fastbp.TwoLayerNet(4, 7, 3)).startswith("TwoLayerNet([Affine(4, 7), Relu(), Affine(7, 3)]")


def test_summary_is_a_table_of_layers_shapes_and_numbers():
    assert fastbp.mlp([784, 50, 10], seed=0).summary().splitlines() == [
        "layer            parameters         number",
        "Affine1          (784, 50) + (50,)  39,250",
        "Relu1            -                       0",
        "Affine2          (50, 10) + (10,)      510",
        "SoftmaxWithLoss  -                       0",
        "total            float32            39,760",
    ]
    scaled = fastbp.mlp([4, 3], scale=0.5).summary().splitlines()
    assert scaled[1].split() == ["scale", "0.5", "0"]


def test_a_notebook_shows_the_summary_as_a_table():
    class Net_of_mine(fastbp.Sequential):  # its name is not to be taken as markup
        pass

    Net_of_mine.__name__ = "<b>"
    html = Net_of_mine(small().layers.values())._repr_html_()
    assert html.startswith("<table>")
    assert html.endswith("</table>")
    assert "<caption>&lt;b&gt;</caption>" in html
    assert html.count("<tr>") == 6
    for cell in (">Affine1<", ">(4, 7) + (7,)<", ">35<", ">float64<", ">59<"):
        assert cell in html


# ---- Copies ----


@copies
def test_a_copy_computes_the_same_and_changes_on_its_own(clone):
    net = small()
    x, t = examples()
    net.gradient(x, t)
    scores = net.predict(x)
    twin = clone(net)
    assert_same_bits(twin.predict(x), scores)
    assert list(twin.params) == list(net.params)
    twin.params["W1"] *= 2
    twin.params["b2"] = np.ones(3)
    assert not np.allclose(twin.predict(x), scores)
    assert_same_bits(net.predict(x), scores)
    net.params["W2"] *= 3
    assert not np.shares_memory(twin.params["W2"], net.params["W2"])


@copies
@pytest.mark.parametrize("make", [small, lambda: fastbp.TwoLayerNet(4, 7, 3, seed=0)])
def test_a_copy_trains_as_the_original_would(clone, make):
    net = make()
    x, t = examples()
    twin = clone(net)
    before = copy.deepcopy(dict(net.params))
    twin.fit(x, t, epochs=3, seed=0, progress=False)
    for name, p in net.params.items():
        assert_same_bits(p, before[name])
        assert not np.array_equal(twin.params[name], p)
    net.fit(x, t, epochs=3, seed=0, progress=False)
    for name, p in net.params.items():
        assert_same_bits(twin.params[name], p)
    assert {id(p.base) for p in twin.params.values()} == {id(twin.params["W1"].base)}
    assert twin.layers["Affine1"].W is twin.params["W1"]


def test_a_shallow_copy_leaves_the_original_whole():
    net = small()
    x, t = examples()
    copy.copy(net)
    W1 = net.params["W1"]
    before = net.predict(x)
    W1 += 1
    assert not np.array_equal(net.predict(x), before)
    before = W1.copy()
    net.fit(x, t, progress=False)
    assert not np.array_equal(net.params["W1"], before)
    assert net.layers["Affine1"].W is net.params["W1"]


# ---- TwoLayerNet ----


def test_two_layer_net_is_a_sequential_that_fits():
    net = fastbp.TwoLayerNet(4, 7, 3, weight_init_std=0.5, seed=0)
    assert isinstance(net, fastbp.Sequential)
    x, t = examples()
    start = net.loss(x, t)
    net.fit(x, t, epochs=300, optimizer=SGD(lr=0.5), seed=0, progress=False)
    assert net.loss(x, t) < 0.1 * start


# ---- What they refuse ----


def affine(*shape, dtype=np.float64):
    return fastbp.Affine(np.zeros(shape, dtype), None)


SAME = fastbp.Relu()


@pytest.mark.parametrize(
    ("layers", "error", "match"),
    [
        ([], ValueError, "at least one Affine"),
        ([fastbp.Relu()], ValueError, "at least one Affine"),
        ([affine(4, 3), "relu"], TypeError, "layers must be layers of fastbp, got 'relu'"),
        ([affine(4, 3), np.tanh], TypeError, "layers must be layers of fastbp"),
        (
            [affine(4, 3), fastbp.SoftmaxWithLoss()],
            TypeError,
            "layers must be .*; a loss is given apart, as loss=",
        ),
        (
            [affine(4, 3), fastbp.Softmax()],
            TypeError,
            "layers must end with scores, got Softmax: leave it out",
        ),
        ([affine(4, 3), fastbp.Relu], TypeError, r"layers must be layers .*; did you mean Relu\(...\)\?"),
        (3, TypeError, "layers must be a sequence of layers, got 3"),
        ("relu", TypeError, "layers must be a sequence of layers, got 'relu'"),
        ([affine(4, 3), SAME, affine(3, 3), SAME], ValueError, "different objects"),
        (
            [affine(4, 3), fastbp.Relu(), affine(5, 2)],
            ValueError,
            r"Affine2: W of shape \(5, 2\) does not fit the 3",
        ),
        ([affine(4, 3, 2)], ValueError, "W must have two dimensions"),
        ([affine(4)], ValueError, "W must have two dimensions"),
        ([fastbp.Affine(np.zeros((4, 3)), np.zeros(4))], ValueError, "b must have one element for each column"),
        ([affine(4, 3, dtype=complex)], TypeError, "W must hold real numbers"),
        (affine(4, 3), TypeError, r"layers must be a sequence of layers, got Affine\(4, 3, without bias\)"),
    ],
)
def test_sequential_refuses_layers(layers, error, match):
    with pytest.raises(error, match=match):
        fastbp.Sequential(layers)


@pytest.mark.parametrize("loss", [fastbp.Relu(), fastbp.MeanSquaredError, np.square])
def test_sequential_refuses_what_is_no_loss_layer(loss):
    with pytest.raises(TypeError, match=r"^loss must be a loss layer of fastbp, got "):
        fastbp.Sequential([affine(4, 3)], loss)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "loss", "accuracy", "gradient"])
def test_methods_refuse_x_of_another_number_of_elements(method):
    net = small()
    before = copy.deepcopy(net.params)
    arguments = (np.ones((2, 5)),) if method.startswith("predict") else (np.ones((2, 5)), np.zeros(2, int))
    with pytest.raises(ValueError, match=r"\(2, 5\).*\(4, 7\)"):
        getattr(net, method)(*arguments)
    for name, p in net.params.items():
        assert_same_bits(p, before[name])


def test_resuming_with_other_samples_or_batches_is_refused():
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((12, 4)), rng.integers(0, 3, 12)
    net = fastbp.mlp([4, 3], seed=0)
    state = net.fit(x, t, batch_size=4, max_steps=2, progress=False).state
    before = net.params["W1"].copy()
    for n, batch_size in ((11, 4), (12, 3)):
        with pytest.raises(ValueError, match="12 samples in batches of 4, here"):
            net.fit(x[:n], t[:n], batch_size=batch_size, resume=state, progress=False)
    np.testing.assert_array_equal(net.params["W1"], before)


# ---- Scale ----


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_network_with_a_scale_takes_bytes_as_one_without_takes_their_fractions(dtype):
    plain = small(dtype)
    scaled = fastbp.Sequential(copy.deepcopy(plain).layers.values(), scale=1 / 255)
    images, t = np.random.default_rng(0).integers(0, 256, (9, 4), np.uint8), examples()[1]
    fractions = images * dtype(1 / 255)
    assert_same_bits(scaled.predict(images), plain.predict(fractions))
    assert scaled.loss(images, t) == plain.loss(fractions, t)
    for name, gradient in scaled.gradient(images, t).items():
        assert_same_bits(gradient, plain.gradient(fractions, t)[name])
    assert "scale=0.00392157" in repr(scaled)


@pytest.mark.parametrize(
    ("scale", "error"), [(0, ValueError), (-1, ValueError), (np.inf, ValueError), ("1", TypeError)]
)
def test_a_scale_is_a_number_above_0(scale, error):
    with pytest.raises(error, match=r"^scale must be a finite number above 0, got "):
        fastbp.Sequential(small().layers.values(), scale=scale)
