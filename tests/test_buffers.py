"""Networks whose layers keep more than they train: running statistics, fixed numbers, in training, files, torch."""

import copy
import pickle

import numpy as np
import pytest
from fits import assert_same_weights
from strategies import FLOATS, assert_same_bits

import fastbp

ROWS = 60
rng = np.random.default_rng(0)
X, T = rng.standard_normal((ROWS, 5)), rng.integers(0, 3, ROWS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def network(dtype=np.float32, seed=0):
    """Scale, Affine, BatchNormalization, Relu, Affine, LayerNormalization, Tanh, Affine."""
    *layers, last = fastbp.mlp(
        [5, 8, 6, 3], ["relu", "tanh"], normalization="batch", dtype=dtype, seed=seed
    ).layers.values()
    layers[4] = fastbp.LayerNormalization(np.ones(6, dtype), np.zeros(6, dtype))
    return fastbp.Sequential([fastbp.Scale(np.full(5, 2.0), np.full(5, 0.5), trained=False), *layers, last])


def trained(net=None, **options):
    net = network() if net is None else net
    options = {"epochs": 3, "batch_size": 16, "optimizer": "adam", "seed": 7, "progress": False} | options
    return net, net.fit(X, T, **options)


def assert_same_network(got, expected):
    assert_same_weights(got, expected)
    assert list(got.buffers) == list(expected.buffers)
    for name, array in got.buffers.items():
        assert_same_bits(array, expected.buffers[name])


@dtypes
def test_buffers_are_kept_and_not_trained(dtype):
    net = network(dtype)
    assert list(net.buffers) == ["factor1", "shift1", "running_mean1", "running_var1"]
    assert not net.params.keys() & net.buffers.keys()
    assert {array.dtype.type for array in net.buffers.values()} == {dtype}
    scale, norm = net.layers["Scale1"], net.layers["BatchNormalization1"]
    assert np.shares_memory(norm.running_mean, net.buffers["running_mean1"])
    trained(net)
    assert scale.factor.tolist() == [2] * 5
    assert scale.shift.tolist() == [0.5] * 5
    assert np.abs(norm.running_mean).min() > 0
    net.buffers["running_mean1"] = np.arange(8)
    assert norm.running_mean.tolist() == list(range(8))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_fit_moves_running_statistics_as_passes_through_layers_do(optimizer):
    net, by_layers = network(np.float64), network(np.float64)
    net.fit(X, T, batch_size=ROWS, optimizer=optimizer, shuffle=False, max_steps=1, progress=False)
    by_layers.gradient(X, T)
    for name, array in net.buffers.items():
        np.testing.assert_allclose(array, by_layers.buffers[name], rtol=1e-13, atol=1e-15)
    stepped = network(np.float64)
    stepped.step(X, T, optimizer)
    assert_same_network(stepped, net)


@dtypes
def test_bits_do_not_depend_on_the_number_of_threads(dtype):
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((6000, 40)).astype(dtype), rng.integers(0, 4, 6000)
    nets = []
    for threads in (1, 2, 3):
        net = fastbp.mlp([40, 64, 64, 4], normalization="batch", dtype=dtype, seed=0)
        layers = [*net.layers.values()]
        layers[4] = fastbp.LayerNormalization(np.ones(64, dtype), np.zeros(64, dtype))
        nets.append(fastbp.Sequential([fastbp.Scale(np.ones(40, dtype), np.zeros(40, dtype)), *layers]))
        nets[-1].fit(x, t, epochs=2, batch_size=3000, seed=1, threads=threads, progress=False)
    for other in nets[1:]:
        assert_same_network(other, nets[0])


@pytest.mark.parametrize("stop", [1, 5, 8])
def test_a_run_that_goes_on_from_a_file_comes_to_the_same_bits(stop, tmp_path):
    whole, _ = trained()
    net, history = trained(max_steps=stop)
    net.save(tmp_path / "m", state=history.state)
    found = fastbp.load_checkpoint(tmp_path / "m")
    assert_same_network(found.net, net)
    fresh, _ = trained(resume=found.state)  # what the network itself has does not matter
    assert_same_network(fresh, whole)


def test_a_state_of_other_buffers_does_not_fit():
    _, history = trained()
    plain = fastbp.mlp([5, 8, 6, 3], ["relu", "tanh"])
    with pytest.raises(ValueError, match=r"resume does not fit: its parameters are \d+ numbers"):
        trained(plain, resume=history.state)
    other = fastbp.Sequential([*network().layers.values()][1:])
    with pytest.raises(ValueError, match=r"resume does not fit: its buffers are 26 numbers of float32, here 16"):
        trained(other, resume=history.state)
    with pytest.raises(ValueError, match="state does not fit the network: its buffers are 26 numbers"):
        other.save("never-written", state=history.state)


def test_early_stopping_restores_the_statistics_of_the_best_epoch():
    rng = np.random.default_rng(2)
    x, t = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)  # noise, which soon is learnt by heart
    options = {"epochs": 60, "validation_data": (x, t), "optimizer": "adam", "seed": 7, "batch_size": 16}
    net, history = trained(patience=4, **options)
    assert 0 <= history.best_epoch < len(history.loss) - 1
    at_best, _ = trained(**options | {"epochs": history.best_epoch + 1})
    assert_same_network(net, at_best)
    loss = net.loss(x.astype(np.float32), t)
    assert float(loss) == pytest.approx(min(history.val_loss), rel=1e-5)


@pytest.mark.parametrize("how", ["fit", "step"])
def test_a_loss_that_is_not_finite_leaves_the_statistics(how):
    net, _ = trained()
    before = copy.deepcopy(net)
    x = np.full((16, 5), np.nan)
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        net.step(x, T[:16]) if how == "step" else net.fit(x, T[:16], progress=False)
    assert_same_network(net, before)


@pytest.mark.parametrize("how", ["fit", "step"])
def test_a_variance_too_large_for_its_type_is_told(how):
    """The loss stays finite: such a column is all 0 after normalisation."""
    net = fastbp.Sequential(
        [
            fastbp.BatchNormalization(np.ones(2, np.float32), np.zeros(2, np.float32)),
            fastbp.Affine(np.ones((2, 3), np.float32), None),
        ]
    )
    x = np.array([[1e25, 1], [-1e25, 2], [1e24, 3]])
    with pytest.raises(FloatingPointError, match=r"no longer finite|running statistics that are not finite"):
        net.step(x, [0, 1, 2]) if how == "step" else net.fit(x, [0, 1, 2], progress=False)


def test_read_only_statistics_cannot_train():
    net = network()
    net.buffers["running_mean1"].flags.writeable = False
    with pytest.raises(ValueError, match="running_mean1 cannot be trained or written, being read-only"):
        trained(net)


def test_copies_and_pickles_have_statistics_of_their_own():
    net, _ = trained()
    for other in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert_same_network(other, net)
        other.buffers["running_mean1"] += 1
        assert not np.array_equal(other.buffers["running_mean1"], net.buffers["running_mean1"])


def test_statistics_that_are_replaced_are_followed():
    net, _ = trained()
    before = net.predict(X)
    net.layers["BatchNormalization1"].running_mean = np.full(8, 3.0)
    assert not np.allclose(net.predict(X), before)
    assert net.buffers["running_mean1"].tolist() == [3] * 8


def test_gradient_is_that_of_differences_of_the_training_loss():
    net = network(np.float64)
    net.layers["LayerNormalization1"].eps = 0.1  # of rows that are about equal, the third derivative is large without
    gradient, numerical = net.gradient(X, T), net.numerical_gradient(X, T)
    assert gradient.keys() == numerical.keys() == net.params.keys()
    for name, g in gradient.items():
        np.testing.assert_allclose(g, numerical[name], rtol=0, atol=1e-6)


def test_program_names_the_buffers():
    text = network().program(batch_size=4)
    assert "running_mean=running_mean1 running_var=running_var1" in text
    assert "factor=factor1 shift=shift1" in text


def test_one_place_is_named_once_for_two_layers_that_share_an_array():
    shared = np.ones(3)
    layers = [
        fastbp.Scale(shared, np.zeros(3)),
        fastbp.Affine(np.ones((3, 2)), None),
        fastbp.Scale(np.ones(2), np.zeros(2)),
    ]
    assert list(fastbp.Sequential(layers).params) == ["factor1", "shift1", "W1", "factor2", "shift2"]
    again = [
        fastbp.Scale(shared, np.zeros(3)),
        fastbp.BatchNormalization(shared, np.zeros(3)),
        fastbp.Affine(np.ones((3, 2)), None),
    ]
    with pytest.raises(ValueError, match="share memory"):
        fastbp.Sequential(again)


def test_shapes_that_do_not_fit_are_named():
    layers = [fastbp.Affine(np.ones((3, 2)), None), fastbp.BatchNormalization(np.ones(3), np.zeros(3))]
    with pytest.raises(ValueError, match=r"BatchNormalization1: gamma of shape \(3,\) does not fit the 2 outputs"):
        fastbp.Sequential(layers)
    with pytest.raises(ValueError, match="layers must hold at least one Affine, or another layer with parameters"):
        fastbp.Sequential([fastbp.Scale(np.ones(3), np.zeros(3), trained=False)])


@dtypes
def test_torch_has_the_same_names_and_numbers(dtype):
    torch = pytest.importorskip("torch")
    net, _ = trained(network(dtype))
    x = X.astype(dtype)
    module = net.to_torch()
    theirs = module.state_dict()
    assert net.state_dict().keys() == theirs.keys()
    expected = net.predict(x)
    atol = 100 * np.finfo(dtype).eps * np.abs(expected).max()
    np.testing.assert_allclose(module(torch.tensor(x)).numpy(force=True), expected, rtol=0, atol=atol)
    back = fastbp.from_torch(module)
    assert_same_network(back, net)
    assert (back.layers["BatchNormalization1"].momentum, back.layers["BatchNormalization1"].eps) == (0.9, 1e-5)
    other = network(dtype, seed=1)
    other.load_state_dict(theirs)
    assert_same_network(other, net)


def test_modules_of_torch_that_have_no_like_are_named():
    torch = pytest.importorskip("torch")
    for module, message in (
        (torch.nn.BatchNorm1d(3, affine=False), "has no gamma and beta"),
        (torch.nn.BatchNorm1d(3, track_running_stats=False), "has no running_mean and running_var"),
        (torch.nn.BatchNorm1d(3, momentum=None), "has no momentum"),
        (torch.nn.LayerNorm((3, 3)), "must be of one dimension, with weight and bias"),
        (torch.nn.LayerNorm(3, elementwise_affine=False), "must be of one dimension, with weight and bias"),
    ):
        with pytest.raises(TypeError, match=message):
            fastbp.from_torch(torch.nn.Sequential(module, torch.nn.Linear(3, 2)))


def test_batch_normalization_is_folded_into_the_affine_before_it(tmp_path):
    net = network()
    net.to_numpy(tmp_path / "net.py")
    text = (tmp_path / "net.py").read_text()
    assert "running" not in text
    assert "gamma1" in text  # LayerNormalization's


def test_mlp_normalises():
    net = fastbp.mlp([4, 5, 6, 2], normalization="layer")
    kinds = [type(layer).__name__ for layer in net.layers.values()]
    assert kinds == ["Affine", "LayerNormalization", "Relu"] * 2 + ["Affine"]
    with pytest.raises(ValueError, match="normalization must be"):
        fastbp.mlp([4, 5, 2], normalization="group")
