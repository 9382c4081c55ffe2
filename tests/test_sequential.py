"""Networks: the book's interface, how they are shown and copied, what they refuse."""

import copy
import pickle

import numpy as np
import pytest
from small_nets import examples, small
from strategies import FLOATS, assert_same_bits, eps

import fastbp
from fastbp.optimizers import SGD

COPIES = {"pickle": lambda net: pickle.loads(pickle.dumps(net)), "deepcopy": copy.deepcopy}
copies = pytest.mark.parametrize("clone", COPIES.values(), ids=COPIES)


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
    assert net.loss_layer.loss == net.loss(x, t)


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
