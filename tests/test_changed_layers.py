"""Networks whose layers, arrays or settings are changed after they were made: followed everywhere, or told."""

import numpy as np
import pytest

import fastbp
from fastbp.optimizers import Adam

X = np.random.default_rng(0).standard_normal((12, 4))
T = np.random.default_rng(1).integers(0, 3, 12)


def small(dtype=np.float64, seed=0):
    return fastbp.mlp([4, 7, 3], dtype=dtype, seed=seed)


def put(net, name, layer):
    net.layers[name] = layer


def insert(net, after, name, layer):
    items = list(net.layers.items())
    at = list(net.layers).index(after) + 1
    net.layers.clear()
    net.layers.update([*items[:at], (name, layer), *items[at:]])


def wider(net):
    rng = np.random.default_rng(5)
    put(net, "Affine1", fastbp.Affine(rng.standard_normal((4, 50)), np.zeros(50)))
    put(net, "Affine2", fastbp.Affine(rng.standard_normal((50, 3)), np.zeros(3)))


CHANGES = {
    "an Affine replaced": lambda net: put(net, "Affine1", fastbp.Affine(np.full((4, 7), 0.1), np.zeros(7))),
    "Affines replaced by wider ones": wider,
    "an Affine inserted": lambda net: insert(net, "Relu1", "Affine9", fastbp.Affine(np.eye(7) + 0.1, None)),
    "a Relu replaced by a Tanh": lambda net: put(net, "Relu1", fastbp.Tanh()),
    "a Relu taken out": lambda net: net.layers.pop("Relu1"),
    "a layer moved to the end": lambda net: net.layers.move_to_end("Relu1"),
    "a slope": lambda net: put(net, "Relu1", fastbp.LeakyRelu(0.3)),
    "the loss": lambda net: setattr(net, "loss_layer", fastbp.SoftmaxWithLoss(eps=0, label_smoothing=0.2)),
    "a smoothing": lambda net: setattr(net.loss_layer, "label_smoothing", 0.3),
    "an eps": lambda net: setattr(net.loss_layer, "eps", 0.1),
    "W": lambda net: setattr(net.layers["Affine1"], "W", np.full((4, 7), 0.2)),
    "b": lambda net: setattr(net.layers["Affine2"], "b", np.arange(3.0)),
    "no b": lambda net: setattr(net.layers["Affine2"], "b", None),
    "a dict of layers": lambda net: setattr(net, "layers", small(seed=3).layers),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def made_anew(net):
    """A network of the layers as they are, which has no history."""
    layers = [
        fastbp.Affine(layer.W.copy(), None if layer.b is None else layer.b.copy())
        if isinstance(layer, fastbp.Affine)
        else layer
        for layer in net.layers.values()
    ]
    return fastbp.Sequential(layers, net.loss_layer)


def same_params(net, other):
    assert list(net.params) == list(other.params)
    for name, p in other.params.items():
        np.testing.assert_array_equal(net.params[name], p, err_msg=name)


@changes
@pytest.mark.parametrize("used", [True, False])
def test_step_follows(change, used):
    net = small()
    if used:
        net.step(X, T, Adam())
    change(net)
    other = made_anew(net)
    net._stepper = None  # the states of an optimizer that started with the other
    assert net.step(X, T, Adam()) == other.step(X, T, Adam())
    same_params(net, other)
    assert float(net.loss(X, T)) == float(other.loss(X, T))


@changes
def test_step_follows_with_its_programs_at_hand(change):
    net = small()
    rule = Adam()
    for _ in range(2):
        net.step(X, T, rule)
    change(net)
    assert net.step(X, T, rule) == pytest.approx(float(made_anew(small_after(change)).loss(X, T)), rel=1e-12)


def small_after(change):
    net = small()
    rule = Adam()
    for _ in range(2):
        net.step(X, T, rule)
    change(net)
    return net


@changes
def test_fit_params_files_and_exports_follow(change, tmp_path):
    net = small()
    net.fit(X, T, optimizer="adam", progress=False)
    change(net)
    other = made_anew(net)
    same_params(net, other)
    net.save(tmp_path / "net.safetensors")
    loaded = fastbp.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    assert float(loaded.loss(X, T)) == float(net.loss(X, T))
    net.to_numpy(tmp_path / "net.py")
    names = {}
    exec((tmp_path / "net.py").read_text(), names)
    np.testing.assert_allclose(names["predict"](X), net.predict(X), rtol=1e-12)
    loss = net.fit(X, T, epochs=2, seed=0, optimizer="adam", progress=False).loss
    assert loss == other.fit(X, T, epochs=2, seed=0, optimizer="adam", progress=False).loss
    same_params(net, other)


def test_a_dropout_whose_p_is_changed_is_followed_by_step():
    layers = [*small().layers.values()]
    dropout = fastbp.Dropout(0.5, seed=0)
    net = fastbp.Sequential([*layers[:2], dropout, layers[2]])
    net.step(X, T)
    dropout.p = 0.0
    expected = float(net.loss(X, T))
    assert net.step(X, T) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda net: put(net, "Relu1", "relu"), TypeError, "layers must be layers of fastbp, got 'relu'"),
        (lambda net: put(net, "Relu1", net.layers["Affine1"]), ValueError, "layers must be different objects"),
        (lambda net: net.layers.clear(), ValueError, "layers must hold at least one Affine"),
        (lambda net: setattr(net, "loss_layer", None), TypeError, "loss must be a loss layer of fastbp, got None"),
        (lambda net: setattr(net.layers["Affine1"], "W", np.ones((4, 5))), ValueError, "b must have one element"),
        (lambda net: setattr(net.layers["Affine1"], "W", None), TypeError, "W must hold real numbers"),
        (
            lambda net: put(net, "Affine1", fastbp.Affine(np.ones((4, 6)), None)),
            ValueError,
            r"Affine2: W of shape \(7, 3\) does not fit the 6 outputs",
        ),
    ],
)
def test_what_is_no_network_is_told_by_every_use_of_it(change, error, message, tmp_path):
    net = small()
    net.step(X, T)
    change(net)
    for use in (
        lambda: net.step(X, T),
        lambda: net.fit(X, T, progress=False),
        lambda: net.params,
        lambda: net.save(tmp_path / "net.safetensors"),
        lambda: net.to_c(tmp_path / "net.c"),
        lambda: net.state_dict(),
    ):
        with pytest.raises(error, match=message):
            use()


def test_a_layer_shared_by_two_networks_trains_in_both():
    shared = fastbp.Affine(np.full((4, 7), 0.1), np.zeros(7))
    one, two = (fastbp.Sequential([shared, fastbp.Tanh(), fastbp.Affine(np.ones((7, 3)) * k, None)]) for k in (1, 2))
    rule = Adam(lr=0.1)
    for _ in range(3):
        for net in (one, two):
            loss = float(net.loss(X, T))
            assert net.step(X, T, rule) == pytest.approx(loss, rel=1e-12)
            assert net.params["W1"] is shared.W
    assert one._stepper.steps == two._stepper.steps == 3, "the optimizer's state is kept"
    one.params["b1"][...] = 5
    assert (two.params["b1"] == 5).all()


# ---- Shared memory ----


@pytest.mark.parametrize("how", ["same", "transposed", "overlapping", "bias"])
def test_weights_shared_by_two_layers_are_an_error_that_names_them(how):
    W, b = np.arange(16.0).reshape(4, 4), np.zeros(4)
    flat = np.arange(20.0)
    pairs = {
        "same": (fastbp.Affine(W, None), fastbp.Affine(W, None), "W of Affine1 and W of Affine2"),
        "transposed": (fastbp.Affine(W, None), fastbp.Affine(W.T, None), "W of Affine1 and W of Affine2"),
        "overlapping": (
            fastbp.Affine(flat[:16].reshape(4, 4), None),
            fastbp.Affine(flat[4:].reshape(4, 4), None),
            "W of Affine1 and W of Affine2",
        ),
        "bias": (fastbp.Affine(W, b), fastbp.Affine(W.copy(), b), "b of Affine1 and b of Affine2"),
    }
    one, two, names = pairs[how]
    with pytest.raises(ValueError, match=f"{names} share memory.*: give one of them a copy"):
        fastbp.Sequential([one, two])


def test_columns_of_one_matrix_are_not_shared():
    both = np.arange(32.0).reshape(4, 8)
    net = fastbp.Sequential([fastbp.Affine(both[:, :4], None), fastbp.Affine(both[:, 4:], None)])
    np.testing.assert_array_equal(net.params["W2"], both[:, 4:])


def test_sharing_that_begins_later_is_told():
    net = fastbp.mlp([4, 4, 4], seed=0)
    net.layers["Affine2"].W = net.layers["Affine1"].W
    with pytest.raises(ValueError, match="W of Affine1 and W of Affine2 share memory"):
        net.step(X, T)


# ---- Params ----


def test_params_assigned_are_written_into_the_layers():
    net, other = small(), small(seed=1)
    kept = net.layers["Affine1"].W
    net.params = {name: p.copy() for name, p in other.params.items()}
    assert net.layers["Affine1"].W is kept
    np.testing.assert_array_equal(net.predict(X), other.predict(X))
    assert net.step(X, T) == other.step(X, T)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"W1": np.zeros((4, 7))}, ValueError, "params must hold W1, b1, W2, b2, got W1$"),
        (5, TypeError, "params must be a dict of arrays by name, got 5"),
        (
            {"W1": np.ones((4, 7)), "b1": np.ones(7), "W2": np.ones((7, 3)), "b2": np.ones(4)},
            ValueError,
            r"b2 must have the shape of the parameter, \(3,\), got \(4,\)",
        ),
    ],
)
def test_params_that_do_not_fit_are_told_and_change_nothing(params, error, message):
    net, other = small(), small()
    with pytest.raises(error, match=message):
        net.params = params
    same_params(net, other)


def test_params_may_be_swapped_and_not_taken_away():
    net = fastbp.mlp([4, 4, 4], seed=0)
    first, second = net.params["W1"].copy(), net.params["W2"].copy()
    net.params.update(W1=net.params["W2"], W2=net.params["W1"])
    np.testing.assert_array_equal(net.params["W1"], second)
    np.testing.assert_array_equal(net.params["W2"], first)
    for take in (
        lambda p: p.pop("W1"),
        lambda p: p.clear(),
        lambda p: p.popitem(),
        lambda p: p.__delitem__("W1"),
        lambda p: p.setdefault("W9", 1),
    ):
        with pytest.raises(TypeError, match="they can be written, not added or taken away"):
            take(net.params)


@pytest.mark.parametrize("name", ["W1", "b2"])
def test_a_read_only_parameter_is_an_error_and_not_written(name):
    net = small()
    net.step(X, T)
    before = {key: p.copy() for key, p in net.params.items()}
    net.params[name].flags.writeable = False
    for use in (
        lambda: net.step(X, T),
        lambda: net.fit(X, T, progress=False),
        lambda: net.params.update({name: before[name] + 1}),
    ):
        with pytest.raises(ValueError, match=rf"{name} .*read-only: set net.params\['{name}'\].flags.writeable = True"):
            use()
    for key, p in before.items():
        np.testing.assert_array_equal(net.params[key], p)


def test_a_read_only_array_given_is_copied():
    W = np.ones((4, 3))
    W.flags.writeable = False
    net = fastbp.Sequential([fastbp.Affine(W, None)])
    net.step(X, T)
    assert (W == 1).all()


# ---- While fit runs ----


def test_what_a_callback_replaces_is_followed():
    def training(replace):
        net = small()

        def callback(history):
            if len(history.loss) == 2:
                replace(net.layers["Affine1"])

        net.fit(X, T, epochs=4, batch_size=5, seed=0, optimizer="adam", callbacks=[callback], progress=False)
        return net

    def assigned(layer):
        layer.W = layer.W * 0.5

    def in_place(layer):
        layer.W *= 0.5

    same_params(training(assigned), training(in_place))


def test_a_setting_that_a_callback_changes_is_followed():
    net, other = small(), small()

    def callback(history):
        net.loss_layer.label_smoothing = 0.5

    history = net.fit(X, T, epochs=2, batch_size=12, shuffle=False, callbacks=[callback], progress=False)
    other.fit(X, T, epochs=1, batch_size=12, shuffle=False, progress=False)
    other.loss_layer.label_smoothing = 0.5
    assert history.loss[1] == pytest.approx(float(other.loss(X, T)), rel=1e-12)


@pytest.mark.parametrize("when", [1, 2])
def test_layers_of_another_kind_in_a_callback_are_told(when):
    net = small()

    def callback(history):
        if len(history.loss) == when:
            put(net, "Relu1", fastbp.Tanh())

    with pytest.raises(RuntimeError, match="the layers were changed while fit was running"):
        net.fit(X, T, epochs=2, callbacks=[callback], progress=False)


def test_what_is_replaced_in_the_last_callback_is_kept():
    net = small()

    def callback(history):
        net.layers["Affine1"].W = np.full((4, 7), 3.0)

    history = net.fit(X, T, callbacks=[callback], progress=False)
    assert (net.params["W1"] == 3).all()
    assert (history.state.parameters[:28] == 3).all()
