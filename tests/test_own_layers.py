"""Layers of a user's own in a network: what it asks of them, what it says, and what stays whole when they fail."""

import copy
import signal
import threading
import warnings

import numpy as np
import pytest
from fits import T, X, network
from own_layers import BY_LAYERS, Centre, Linear, Swish, own, quiet

import fastbp
from fastbp.optimizers import SGD
from fastbp.programs import _program

X64 = X.astype(np.float64)


def swishing(beta=1.5):
    first, _, last = network(5, 8, 3, dtype=np.float64).layers.values()
    return fastbp.Sequential([first, Swish(beta), last])


@pytest.mark.parametrize("make", [lambda: own(network(5, 8, 3, dtype=np.float64)), swishing], ids=["linear", "number"])
def test_gradients_are_the_numerical_ones(make):
    net = make()
    slow, fast = net.numerical_gradient(X64, T), net.gradient(X64, T)
    assert list(slow) == list(fast) == list(net.params)
    for name in slow:
        np.testing.assert_allclose(fast[name], slow[name], atol=1e-8)


def test_a_parameter_that_is_one_number_trains():
    net = swishing()
    gradient, before = net.gradient(X64, T)["beta1"], float(net.params["beta1"])
    quiet(net.step, X64, T, SGD(lr=0.5))
    assert net.layers["Swish1"].beta is net.params["beta1"]
    assert net.params["beta1"] == pytest.approx(before - 0.5 * gradient, rel=1e-12)
    assert "()" in net.summary()


def test_training_layer_by_layer_is_told_once_a_network():
    net = own(network(5, 8, 3))
    message = "^Linear1, Linear2 cannot be compiled, having no method lower of its own: the network is trained layer by"
    with pytest.warns(UserWarning, match=message) as told:
        net.fit(X, T, progress=False)
    assert [one.filename for one in told] == [__file__]
    net.fit(X, T, progress=False)
    net.step(X, T)
    with pytest.warns(UserWarning, match=message) as told:
        own(network(5, 8, 3)).step(X, T)
    assert [one.filename for one in told] == [__file__]


def test_a_subclass_with_a_forward_of_its_own_is_not_compiled_as_its_base():
    class Doubled(fastbp.Relu):
        def forward(self, x):
            return 2 * super().forward(x)

        def backward(self, dout):
            return 2 * super().backward(dout)

    first, _, last = network(5, 8, 3, dtype=np.float64).layers.values()
    net = fastbp.Sequential([first, Doubled(), last])
    gradient, before = net.gradient(X64, T), {name: p.copy() for name, p in net.params.items()}
    with pytest.warns(UserWarning, match=BY_LAYERS):
        net.step(X64, T, SGD(lr=1.0))
    for name, p in net.params.items():
        np.testing.assert_allclose(p, before[name] - gradient[name], rtol=1e-12, atol=1e-14)


def test_layers_of_fastbp_are_all_compiled():
    layers = [fastbp.Relu(), fastbp.LeakyRelu(), fastbp.Dropout(0.5), *(cls() for cls in fastbp.activations.CLASSES)]
    assert all(layer.is_lowered() for layer in layers)

    class Named(fastbp.Relu):
        """With nothing of its own."""

    assert Named.is_lowered()
    assert not Linear.is_lowered() and not fastbp.Layer.is_lowered()


@pytest.mark.parametrize("use", ["save", "to_onnx", "to_c", "to_numpy"])
def test_files_and_exports_refuse_it(use, tmp_path):
    pytest.importorskip("onnx")
    with pytest.raises(TypeError, match="can be neither saved nor exported"):
        getattr(swishing(), use)(tmp_path / "file")


def test_there_is_no_program_of_it():
    with pytest.raises(TypeError, match="there is no program of a network that is trained layer by layer"):
        swishing().program()


def test_names_of_arrays_do_not_collide():
    class Shifted(fastbp.Layer):
        parameters = ("gain", "b")

        def __init__(self, n):
            self.gain, self.b = np.ones(n), np.zeros(n)

    first, _, last = network(5, 8, 3, dtype=np.float64).layers.values()
    net = fastbp.Sequential([first, Shifted(8), last])
    assert {name: p.shape for name, p in net.params.items()} == {
        "W1": (5, 8),
        "b1": (8,),
        "gain2": (8,),
        "b2": (8,),
        "W3": (8, 3),
        "b3": (3,),
    }


def test_what_is_no_network_is_refused():
    class Loose:
        forward = backward = None

    with pytest.raises(TypeError, match=r"got .*Loose.*; a layer of your own is of a subclass of fastbp\.Layer$"):
        fastbp.Sequential([Loose()])
    with pytest.raises(ValueError, match=r"^no layer says by n_inputs how many inputs there are, of Swish1$"):
        fastbp.Sequential([Swish(1.0)])
    with pytest.raises(TypeError, match=r"W of Linear must .* real numbers"):
        fastbp.Sequential([Linear(np.zeros((2, 3), complex), np.zeros(3))])
    with pytest.raises(ValueError, match=r"Affine1: W of shape \(8, 3\) does not fit the 4 outputs"):
        fastbp.Sequential([Linear(np.zeros((5, 4)), np.zeros(4)), fastbp.Affine(np.zeros((8, 3)), None)])


@pytest.mark.parametrize(
    ("dW", "kind", "message"),
    [
        (None, RuntimeError, "^Forgetful.backward must leave the gradient of W in dW$"),
        (np.zeros((8, 5)), ValueError, r"^dW of Forgetful must have the shape of W, \(5, 8\), got \(8, 5\)$"),
    ],
)
def test_gradients_that_do_not_fit_are_told(dW, kind, message):
    class Forgetful(Linear):
        def backward(self, dout):
            dx = super().backward(dout)
            self.dW = dW
            return dx

    first, *rest = network(5, 8, 3, dtype=np.float64).layers.values()
    net = fastbp.Sequential([Forgetful(first.W, first.b), *rest])
    before = {name: p.copy() for name, p in net.params.items()}
    for train in (net.step, lambda *data: net.fit(*data, progress=False)):
        with pytest.raises(kind, match=message):
            quiet(train, X64, T)
    for name, p in net.params.items():
        np.testing.assert_array_equal(p, before[name])


def all_arrays(net):
    return {name: a.copy() for name, a in (net.params | net.buffers).items()}


def assert_unchanged(net, before):
    for name, a in (net.params | net.buffers).items():
        np.testing.assert_array_equal(a, before[name], err_msg=name)
    assert net.layers["Centre1"].seen is net.buffers["seen1"]


def centred(second=None):
    first, _, last = own(network(5, 8, 3, dtype=np.float64)).layers.values()
    return fastbp.Sequential([first, Centre(8), second or fastbp.Relu(), last])


@pytest.mark.parametrize("way", ["fit", "step"])
def test_a_loss_that_is_not_finite_changes_nothing(way):
    net, x = centred(), X64.copy()
    quiet(net.fit, X64, T, progress=False)
    before = all_arrays(net)
    x[3, 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"the loss is nan in .*x\[3, 2\] is nan"):
        quiet(net.fit, x, T, batch_size=50, shuffle=False, progress=False) if way == "fit" else net.step(x, T)
    assert_unchanged(net, before)


def test_parameters_that_are_no_longer_finite_go_back_to_the_step_before():
    def at(step, epoch):
        return 1e308 if step == 3 else 1e-5

    one, two = centred(), centred()
    weights = np.full(len(T), 1e4)  # so that gradients are, too
    options = {"seed": 1, "batch_size": 10, "optimizer": SGD(lr=at), "sample_weight": weights, "progress": False}
    quiet(one.fit, X64, T, max_steps=3, **options)
    with pytest.raises(FloatingPointError, match="the parameters are no longer finite in epoch 1, batch 4"):
        quiet(two.fit, X64, T, epochs=2, **options)
    assert_unchanged(two, all_arrays(one))
    for _ in range(3):
        quiet(two.step, X64, T, options["optimizer"], sample_weight=weights)
    with pytest.raises(FloatingPointError, match="step 4 left parameters that are not finite"):
        two.step(X64, T, options["optimizer"], sample_weight=weights)


class Stopping(fastbp.Relu):
    """Does something at its third forward."""

    at, do = 3, None

    def forward(self, x):
        self.at -= 1
        if self.at == 0:
            self.do()
        return super().forward(x)


def stopped():
    signal.raise_signal(signal.SIGINT)


def broken():
    raise ZeroDivisionError


@pytest.mark.parametrize(("do", "error"), [(stopped, KeyboardInterrupt), (broken, ZeroDivisionError)])
def test_a_step_that_is_broken_off_leaves_the_one_before(do, error):
    whole, net = centred(), centred(layer := Stopping())
    layer.do = do
    options = {"seed": 1, "batch_size": 10, "progress": False}
    quiet(whole.fit, X64, T, max_steps=2, **options)
    with pytest.raises(error):
        quiet(net.fit, X64, T, epochs=5, **options)
    assert_unchanged(net, all_arrays(whole))
    taken = []
    thread = threading.Thread(target=lambda: taken.append((net._passing.is_elsewhere(), net._training.is_elsewhere())))
    thread.start()
    thread.join()
    assert taken == [(False, False)]


def test_ctrl_c_while_parameters_move_waits_for_the_buffers(monkeypatch):
    def interrupted(*call):
        done = train(*call)
        if len(call[8]) and call[7] == 1:
            stopped()
        return done

    whole, net = centred(), centred()
    options = {"seed": 1, "batch_size": 10, "progress": False}
    quiet(whole.fit, X64, T, max_steps=2, **options)
    train = _program.train
    monkeypatch.setattr(_program, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quiet(net.fit, X64, T, **options)
    assert_unchanged(net, all_arrays(whole))


def test_another_thread_may_predict_meanwhile():
    whole, net = centred(), centred(layer := Stopping())
    got = []

    def predict():
        thread = threading.Thread(target=lambda: got.append(net.predict(X64[:7])))
        thread.start()
        thread.join()

    layer.do = predict
    options = {"seed": 1, "batch_size": 10, "progress": False}
    quiet(whole.fit, X64, T, **options)
    quiet(net.fit, X64, T, **options)
    assert got[0].shape == (7, 3)
    assert_unchanged(net, all_arrays(whole))


def test_a_step_leaves_alone_what_another_thread_is_in_the_midst_of():
    entered, go, got = threading.Event(), threading.Event(), []

    class Waiting(Linear):
        def forward(self, x):
            out = super().forward(x)
            if threading.current_thread() is not threading.main_thread():
                entered.set()
                go.wait()
            return out

    first, *rest = network(5, 8, 3, dtype=np.float64).layers.values()
    net = fastbp.Sequential([Waiting(first.W, first.b), *rest])
    expected = net.gradient(X64[:9], T[:9])
    thread = threading.Thread(target=lambda: got.append(net.gradient(X64[:9], T[:9])))
    thread.start()
    entered.wait()
    quiet(net.step, X64, T, SGD(lr=1e-300))
    go.set()
    thread.join()
    for name, gradient in expected.items():
        np.testing.assert_array_equal(got[0][name], gradient)


def test_a_layer_may_keep_what_it_likes():
    class Mixed(fastbp.Layer):
        def __init__(self, matrix, more):
            self.matrix, self.more = matrix, more

        def forward(self, x):
            return x @ self.matrix

        def backward(self, dout):
            return dout @ self.matrix.T

    first, *rest = network(5, 8, 3, dtype=np.float64).layers.values()
    net = fastbp.Sequential([first, layer := Mixed(np.eye(8), [np.zeros(2)]), *rest])
    quiet(net.step, X64, T)
    gradient, before = net.gradient(X64, T), net.params["W2"].copy()
    layer.matrix = np.flip(np.eye(8), 0)
    assert not np.array_equal(net.gradient(X64, T)["W2"], gradient["W2"])
    gradient = net.gradient(X64, T)
    net.step(X64, T, SGD(lr=1.0))
    np.testing.assert_allclose(net.params["W2"], before - gradient["W2"], rtol=1e-12, atol=1e-14)


def test_a_layer_without_parameters_needs_forward_and_backward_alone():
    class Square(fastbp.Layer):
        def forward(self, x):
            self.x = x
            return x * x

        def backward(self, dout):
            return 2 * self.x * dout

    first, _, last = network(5, 8, 3, dtype=np.float64).layers.values()
    net = fastbp.Sequential([first, Square(), last])
    losses = quiet(net.fit, X64, T, epochs=30, optimizer="adam", seed=0, progress=False).loss
    assert losses[-1] < losses[0]
    assert repr(net.layers["Square1"]) == "Square()"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy.deepcopy(net).step(X64, T)
