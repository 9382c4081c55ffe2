"""fastbp.book's SimpleConvNet and DeepConvNet: the numbers of their plain twins under one seed, files, mistakes."""

import pickle

import numpy as np
import pytest

from fastbp.book import deep_convnet, optimizer, simple_convnet
from fastbp.reference.book import deep_convnet as plain_deep
from fastbp.reference.book import optimizer as plain_optimizer
from fastbp.reference.book import simple_convnet as plain_simple

K = 5


def param(filter_num, filter_size=3, pad=1, stride=1):
    return {"filter_num": filter_num, "filter_size": filter_size, "pad": pad, "stride": stride}


SIMPLE = {"input_dim": (2, 9, 12), "conv_param": param(4, 3, 2, 2), "hidden_size": 7, "output_size": K}
SMALL = [param(3), param(4), param(3, 5, 2), param(5), param(4), param(6, pad=2)]
DEEP = {f"conv_param_{n}": one for n, one in enumerate(SMALL, 1)}
DEEP |= {"input_dim": (2, 12, 9), "hidden_size": 8, "output_size": K}
NETS = {
    "simple": (simple_convnet.SimpleConvNet, plain_simple.SimpleConvNet, SIMPLE),
    "deep": (deep_convnet.DeepConvNet, plain_deep.DeepConvNet, DEEP),
}
kinds = pytest.mark.parametrize("kind", NETS)


def nets(kind, **options):
    """Ours and the plain one, each under the same seed."""
    *classes, sizes = NETS[kind]
    made = []
    for cls, more in zip(classes, (options, {}), strict=True):
        np.random.seed(11)
        made.append(cls(**sizes, **more))
    return made


def data(kind, n=30):
    rng = np.random.default_rng(0)
    return rng.random((n, *NETS[kind][2]["input_dim"])), rng.integers(0, K, n)


@kinds
@pytest.mark.parametrize("sizes", ["default", "small"])
def test_initial_weights_are_the_books_bit_for_bit(kind, sizes):
    own, twin, small = NETS[kind]
    made = []
    for cls in (own, twin):
        np.random.seed(3)
        made.append(cls(**(small if sizes == "small" else {})))
    own, twin = made
    assert list(own.params) == list(twin.params)
    for name, p in own.params.items():
        assert p.tobytes() == twin.params[name].tobytes()
    assert [type(layer).__name__ for layer in own._in_order()] == [type(layer).__name__ for layer in twin.in_order()]
    if kind == "simple":
        assert list(own.layers) == list(twin.layers)


@kinds
@pytest.mark.parametrize("one_hot", [False, True])
def test_losses_and_gradients_are_the_books(kind, one_hot):
    x, t = data(kind)
    t = np.eye(K)[t] if one_hot else t
    answers = []
    for net in nets(kind):
        np.random.seed(3)
        answers.append((net.gradient(x, t), net.loss(x, t), net.predict(x), net.accuracy(x, t, batch_size=7)))
    (grads, *rest), (expected, *others) = answers
    assert list(grads) == list(expected)
    for name, g in grads.items():
        np.testing.assert_allclose(g, expected[name], rtol=0, atol=1e-12)
    for got, other in zip(rest, others, strict=True):
        np.testing.assert_allclose(got, other, rtol=0, atol=1e-12)


@kinds
def test_gradients_agree_with_central_differences(kind):
    x, t = data(kind, 2)
    (net, _), away = nets(kind), np.random.default_rng(1)
    for p in net.params.values():  # 0 is where ReLU has its corner, and zeros around an image meet it
        p += 0.1 * away.standard_normal(p.shape)
    np.random.seed(3)
    numerical, drawn = net.numerical_gradient(x, t), np.random.get_state()
    np.random.seed(3)
    grads = net.gradient(x, t)
    apart = np.concatenate([np.abs(grads[name] - g).reshape(-1) for name, g in numerical.items()])
    assert np.quantile(apart, 0.8) < 1e-6  # some step over a corner
    assert apart.max() < 1e-2
    assert np.random.get_state()[2] == drawn[2]  # as much is drawn as for one loss


def train(net, library, kind, steps, dtype=np.float64):
    """The losses of so many steps of Adam."""
    x, t = data(kind, 200)
    x, losses, adam = x.astype(dtype), [], library.Adam()
    np.random.seed(2)
    for _ in range(steps):
        batch = np.random.choice(len(x), 10)
        adam.update(net.params, net.gradient(x[batch], t[batch]))
        losses.append(net.loss(x[batch], t[batch]))
    return losses


@kinds
def test_100_steps_are_the_books(kind):
    own, twin = nets(kind)
    losses = train(own, optimizer, kind, 100)
    np.testing.assert_allclose(losses, train(twin, plain_optimizer, kind, 100), rtol=0, atol=1e-6)


@pytest.mark.soak
@kinds
def test_100_steps_of_the_books_own_sizes_are_the_books(kind):
    rng, runs = np.random.default_rng(0), []
    x, t = rng.random((600, 1, 28, 28)), rng.integers(0, 10, 600)
    for cls, library in zip(NETS[kind][:2], (optimizer, plain_optimizer), strict=True):
        np.random.seed(2)
        net, adam, losses = cls(), library.Adam(), []
        for _ in range(100):
            batch = np.random.choice(len(x), 20)
            adam.update(net.params, net.gradient(x[batch], t[batch]))
            losses.append(net.loss(x[batch], t[batch]))
        runs.append(losses)
    np.testing.assert_allclose(*runs, rtol=0, atol=1e-6)


@kinds
def test_float32_stays_float32(kind):
    (net, twin), (x, t) = nets(kind, dtype="float32"), data(kind)
    assert {p.dtype for p in net.params.values()} == {np.dtype(np.float32)}
    for name, p in net.params.items():
        np.testing.assert_array_equal(p, twin.params[name].astype(np.float32))
    assert {g.dtype for g in net.gradient(x.astype(np.float32), t).values()} == {np.dtype(np.float32)}
    assert net.predict(x.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(net.predict(x.astype(np.float32)), twin.predict(x), rtol=0, atol=1e-4)
    losses = train(net, optimizer, kind, 5, np.float32)
    np.testing.assert_allclose(losses, train(twin, plain_optimizer, kind, 5), rtol=0, atol=1e-3)


@kinds
def test_accuracy_counts_every_sample(kind):
    (net, _), (x, t) = nets(kind), data(kind, 23)
    found = net.predict(x).argmax(axis=1)
    for size in (1, 10, 23, 100):
        assert net.accuracy(x, found, batch_size=size) == 1
        assert net.accuracy(x, t, size) == pytest.approx(np.mean(found == t))


# --- Files -------------------------------------------------------------------------------------------------


@kinds
def test_files_go_from_here_to_the_book_and_back(kind, tmp_path):
    (own, twin), (x, _) = nets(kind), data(kind)
    for one, other in ((own, twin), (twin, own)):
        one.params["b1"] += 1
        one.save_params(tmp_path / "params.pkl")
        other.load_params(tmp_path / "params.pkl")
        np.testing.assert_allclose(own.predict(x), twin.predict(x), rtol=0, atol=1e-12)
        for name, p in own.params.items():
            np.testing.assert_array_equal(p, twin.params[name])
    own.params["W1"] *= 2  # which the layers have
    twin.params["W1"] *= 2
    np.testing.assert_allclose(own.predict(x), twin.predict(x), rtol=0, atol=1e-12)


def test_files_that_do_not_fit_change_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net, _ = nets("simple")
    before = dict(net.params)
    for params, message in (
        ({**before, "b1": np.zeros(9)}, r"params\.pkl must hold arrays W1 \(4, 2, 3, 3\), .* got .*b1 \(9,\)"),
        ({"W1": before["W1"]}, r"must hold arrays .*b3 \(5,\), got W1 \(4, 2, 3, 3\)$"),
        ({**before, "b1": print}, "must be a pickle of a dict"),
    ):
        (tmp_path / "params.pkl").write_bytes(pickle.dumps(params))
        with pytest.raises(ValueError, match=message):
            net.load_params()
        assert all(net.params[name] is p for name, p in before.items())
    net.save_params()
    net.load_params("params.pkl")
    with pytest.raises(FileNotFoundError):
        net.load_params("other.pkl")


# --- Mistakes ----------------------------------------------------------------------------------------------

BAD = {
    "channels": ({"input_dim": (28, 28)}, TypeError, r"input_dim must be channels, height and width .* got \(28, 28\)"),
    "no pixels": ({"input_dim": (1, 0, 9)}, ValueError, "input_dim must be an integer of at least 1, got 0"),
    "a list": ({"conv_param": [30, 5]}, TypeError, r"conv_param must be a dict of filter_num, .* got \[30, 5\]"),
    "no stride": (
        {"conv_param": {"filter_num": 3, "filter_size": 3, "pad": 0}},
        TypeError,
        "conv_param must be a dict",
    ),
    "stride 0": (
        {"conv_param": param(3, stride=0)},
        ValueError,
        "stride of conv_param must be an integer of",
    ),
    "pad -1": (
        {"conv_param": param(3, pad=-1)},
        ValueError,
        "pad of conv_param must be .* got -1",
    ),
    "large": ({"conv_param": param(3, 14)}, ValueError, "filter_size must be at most 11, the size of"),
    "to pool": ({"conv_param": param(3, 9, 0)}, ValueError, "pool_h must be at most 1, the size of"),
    "a deviation": (
        {"weight_init_std": -1},
        ValueError,
        "weight_init_std must be .* got -1",
    ),
    "units": ({"hidden_size": 0}, ValueError, "hidden_size must be an integer of at least 1, got 0"),
    "a type": ({"dtype": "float16"}, ValueError, "dtype must be float32 or float64, got 'float16'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_networks_refuse(name):
    arguments, error, message = BAD[name]
    with pytest.raises(error, match=message):
        simple_convnet.SimpleConvNet(**SIMPLE | arguments)


def test_which_convolution_is_wrong():
    with pytest.raises(TypeError, match=r"conv_param_3 must be a dict of filter_num, .* got None"):
        deep_convnet.DeepConvNet(**DEEP | {"conv_param_3": None})


@kinds
def test_samples_and_targets_that_do_not_fit(kind):
    (net, _), (x, t) = nets(kind), data(kind)
    with pytest.raises(ValueError, match="for images of 2 channels, got 1"):
        net.gradient(x[:, :1], t)
    with pytest.raises(ValueError, match=r"x must be images \(N, C, H, W\), got shape"):
        net.predict(x[0])
    with pytest.raises(ValueError, match=r"W of shape .* x must have .* inputs a sample"):
        net.loss(np.pad(x, [(0, 0), (0, 0), (9, 9), (0, 0)]), t)
    for wrong in (t[:7], 3):
        with pytest.raises(ValueError, match=r"t must hold a target for each of the samples in x, got shapes"):
            net.accuracy(x, wrong)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1, got 0"):
        net.accuracy(x, t, batch_size=0)
