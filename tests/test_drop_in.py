"""What every layer keeps of the book's: one test per promise; and a script of which only the import is changed.

Each layer has a file of its own, and so have TwoLayerNet, the arithmetic layers and bad input.
"""

import copy
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from single_layers import ATTRIBUTES, DIFFERENCE_TOLERANCE, LAYERS, D, N, batch, derivative, make, step
from strategies import FLOAT_DTYPES, FLOATS, LAYOUTS, SOME, assert_same_bits, assert_within, contiguous, eps, normal

import fastbp


@pytest.mark.parametrize("name", ["Relu", "Sigmoid"])
def test_elementwise_gradients_agree_with_central_differences(name):
    rng = np.random.default_rng(8)
    x, dout, direction = rng.standard_normal((3, N, D))
    x += np.sign(x)  # away from the kink of ReLU
    layer = make(name)
    layer.forward(x)
    numeric = derivative(lambda x: np.sum(make(name).forward(x) * dout), x, direction)
    assert abs(np.sum(layer.backward(dout) * direction) - numeric) <= DIFFERENCE_TOLERANCE * N * D


@pytest.mark.parametrize("name", LAYERS)
def test_attributes_are_none_before_the_first_forward(name):
    layer = make(name)
    assert {attribute: getattr(layer, attribute) for attribute in ATTRIBUTES[name]} == dict.fromkeys(ATTRIBUTES[name])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_and_float64_stays_float64(name, dtype):
    out, *gradients = step(make(name, dtype), *batch(dtype=dtype))
    assert name == "SoftmaxWithLoss" or out.dtype == dtype
    assert {gradient.dtype for gradient in gradients} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", ["Affine", "Relu", "Sigmoid", "Softmax"])
def test_dout_may_be_of_integers(name):
    x, t, dout = batch()
    dout = np.round(4 * dout)
    expected = step(make(name), x, t, dout)
    for got, value in zip(step(make(name), x, t, dout.astype(int)), expected, strict=True):
        np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize("which", ["x", "dout", "both"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), rows=SOME, dtype=FLOAT_DTYPES)
def test_inputs_of_any_layout_give_the_bits_of_a_contiguous_copy(name, layout, which, data, rows, dtype):
    x, dout = data.draw(normal((rows, D), dtype)), data.draw(normal((rows, D), dtype))
    t = data.draw(st.lists(st.integers(0, D - 1), min_size=rows, max_size=rows))
    x = x if which == "dout" else LAYOUTS[layout](x)
    dout = dout if which == "x" else LAYOUTS[layout](dout)
    got = step(make(name, dtype), x, np.array(t), dout)
    expected = step(make(name, dtype), contiguous(x), np.array(t), contiguous(dout))
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (4, 6)])
@pytest.mark.parametrize("name", ["Relu", "Sigmoid"])
def test_transposed_images_give_the_bits_of_a_contiguous_copy(name, shape):
    x = np.random.default_rng(11).standard_normal(shape).swapaxes(0, -1)
    for a, b in zip(step(make(name), x, None, x), step(make(name), *[contiguous(x)] * 3), strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("name", LAYERS)
def test_every_call_returns_fresh_arrays(name):
    layer = make(name)
    x, t, dout = batch()
    first = step(layer, x, t, dout)
    kept = copy.deepcopy(first)
    second = step(layer, -x, t, 2 * dout)
    own = [x, t, dout, *(getattr(layer, p) for p in ("W", "b") if hasattr(layer, p))]
    for i, array in enumerate(first):
        assert_same_bits(array, kept[i])
        assert not any(np.shares_memory(array, other) for other in [*own, *second, *first[:i]])


@pytest.mark.parametrize("name", LAYERS)
def test_backward_twice_gives_the_same(name):
    layer = make(name)
    x, t, dout = batch()
    first = step(layer, x, t, dout)[1]
    assert_same_bits(layer.backward(*[] if name == "SoftmaxWithLoss" else [dout]), first)


@pytest.mark.parametrize("name", LAYERS)
def test_batch_size_may_change_from_call_to_call(name):
    layer = make(name)
    for rows in (4, 1, 9, 2, 33):
        data = batch(rows, seed=rows)
        for got, fresh in zip(step(layer, *data), step(make(name), *data), strict=True):
            assert_same_bits(got, fresh)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LAYERS)
def test_the_callers_arrays_are_never_written(name, dtype):
    layer = make(name, dtype)
    arrays = [*batch(dtype=dtype), *(getattr(layer, p) for p in ("W", "b") if hasattr(layer, p))]
    before = copy.deepcopy(arrays)
    step(layer, *arrays[:3])
    for array, saved in zip(arrays, before, strict=True):
        assert_same_bits(array, saved)


@pytest.mark.parametrize("name", LAYERS)
def test_the_state_of_np_random_is_untouched(name):
    before = np.random.get_state()
    step(make(name), *batch())
    after = np.random.get_state()
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize("name", LAYERS)
def test_arguments_go_by_the_books_keyword_names(name):
    x, t, dout = batch()
    layer, plain = make(name), make(name)
    if name == "Affine":
        layer = fastbp.Affine(W=plain.W, b=plain.b)
    if name == "SoftmaxWithLoss":
        answers = layer.forward(x=x, t=t), layer.backward(dout=1)
    else:
        answers = layer.forward(x=x), layer.backward(dout=dout)
    for got, expected in zip(answers, step(plain, x, t, dout), strict=False):
        assert_same_bits(got, expected)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("clone", [lambda a: pickle.loads(pickle.dumps(a)), copy.deepcopy])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_can_be_pickled_and_deep_copied(name, clone, used):
    layer = make(name)
    x, t, dout = batch()
    if used:
        step(layer, x, t, dout)
    twin = clone(layer)
    assert type(twin) is type(layer)
    for attribute in ATTRIBUTES[name]:
        np.testing.assert_array_equal(getattr(twin, attribute), getattr(layer, attribute))
    if used:
        arguments = [] if name == "SoftmaxWithLoss" else [dout]
        assert_same_bits(twin.backward(*arguments), layer.backward(*arguments))
    for got, expected in zip(step(twin, -x, t, dout), step(layer, -x, t, dout), strict=True):
        assert_same_bits(got, expected)


@pytest.mark.parametrize("name", LAYERS)
def test_a_subclass_may_extend_forward_and_backward(name):
    base = getattr(fastbp, name)

    class Logged(base):
        def forward(self, *arguments):
            self.seen = [np.shape(arguments[0])]
            return super().forward(*arguments)

        def backward(self, *dout):
            self.seen.append("backward")
            return super().backward(*dout)

    plain = make(name)
    layer = Logged(plain.W, plain.b) if name == "Affine" else Logged()
    for got, expected in zip(step(layer, *batch()), step(plain, *batch()), strict=True):
        assert_same_bits(got, expected)
    assert layer.seen == [(N, D), "backward"]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_can_be_given_extra_attributes(name):
    layer = make(name)
    layer.note = "mine"
    step(layer, *batch())
    assert copy.deepcopy(layer).note == layer.note == "mine"


def test_a_deep_copied_network_still_trains_through_its_own_params():
    net = {"params": {"W": np.ones((2, 2)), "b": np.zeros(2)}}
    net["layer"] = fastbp.Affine(net["params"]["W"], net["params"]["b"])
    net["layer"].forward(np.ones((1, 2)))
    twin = copy.deepcopy(net)
    twin["params"]["W"] -= 1
    np.testing.assert_array_equal(twin["layer"].forward(np.ones((1, 2))), [[0.0, 0.0]])
    np.testing.assert_array_equal(net["layer"].forward(np.ones((1, 2))), [[2.0, 2.0]])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", ["Relu", "Sigmoid"])
def test_a_chain_of_layers_agrees_with_torch(activation, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's import says is not ours
        torch = pytest.importorskip("torch")
    rng = np.random.default_rng(14)
    x, t = rng.standard_normal((19, 12)).astype(dtype), rng.integers(0, 7, 19)
    weights = [rng.standard_normal(s).astype(dtype) for s in ((12, 21), 21, (21, 7), 7)]
    first, second = fastbp.Affine(*weights[:2]), fastbp.Affine(*weights[2:])
    middle, last = getattr(fastbp, activation)(), fastbp.SoftmaxWithLoss(eps=0)
    loss = last.forward(second.forward(middle.forward(first.forward(x))), t)
    dx = first.backward(middle.backward(second.backward(last.backward())))

    tensors = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in (x, *weights)]
    tx, W1, b1, W2, b2 = tensors
    hidden = getattr(torch, activation.lower())(tx @ W1 + b1)
    exact = torch.nn.functional.cross_entropy(hidden @ W2 + b2, torch.tensor(t))
    exact.backward()
    # The scores, sums of 21 products, reach about 30: a few dozen eps of rounding, passed on to the rest.
    tolerance = 50 * eps(dtype)
    assert_within(loss, exact.detach().numpy(), tolerance)
    for got, tensor in zip((dx, first.dW, first.db, second.dW, second.db), tensors, strict=True):
        assert got.dtype == dtype
        assert_within(got, tensor.grad.numpy(), tolerance)


# --- A script written against the book's classes ----------------------------------------------------------


SCRIPT = """
from collections import OrderedDict

import numpy as np

from BOOK import Affine, Relu, Sigmoid, SoftmaxWithLoss


class Network:
    def __init__(self, n_in, n_hidden, n_out, std=0.1):
        self.params = {
            "W1": std * np.random.randn(n_in, n_hidden),
            "b1": np.zeros(n_hidden),
            "W2": std * np.random.randn(n_hidden, n_out),
            "b2": np.zeros(n_out),
        }
        self.layers = OrderedDict()
        self.layers["Affine1"] = Affine(self.params["W1"], self.params["b1"])
        self.layers["Activation"] = {"relu": Relu, "sigmoid": Sigmoid}[activation]()
        self.layers["Affine2"] = Affine(self.params["W2"], self.params["b2"])
        self.last = SoftmaxWithLoss()

    def scores(self, x):
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def gradient(self, x, t):
        loss = self.last.forward(self.scores(x), t)
        dout = self.last.backward(1)
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grad = {}
        for i in "12":
            grad["W" + i] = self.layers["Affine" + i].dW
            grad["b" + i] = self.layers["Affine" + i].db
        return loss, grad


np.random.seed(20)
network = Network(images.shape[1], 50, 10)
losses = []
for _ in range(100):
    rows = np.random.choice(len(images), 100)
    loss, grad = network.gradient(images[rows], targets[rows])
    losses.append(loss)
    for key in network.params:
        network.params[key] -= 0.1 * grad[key]
accuracy = np.mean(network.scores(images).argmax(axis=1) == labels)
"""


@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_a_book_script_prints_the_same_losses_with_only_its_import_changed(digits, activation, dtype, one_hot):
    images, labels = digits
    images = images if dtype is np.uint8 else (images / 16).astype(dtype)
    inputs = {"images": images, "labels": labels, "targets": np.eye(10)[labels] if one_hot else labels}
    runs = {}
    for library in ("fastbp.reference", "fastbp"):
        runs[library] = inputs | {"activation": activation}
        exec(SCRIPT.replace("BOOK", library), runs[library])
    book, ours = runs.values()
    np.testing.assert_allclose(ours["losses"], book["losses"], rtol=0, atol=1e-6)
    assert ours["accuracy"] == book["accuracy"]
    assert ours["losses"][-1] < ours["losses"][0]
