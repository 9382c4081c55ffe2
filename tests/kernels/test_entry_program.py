"""Steps and predictions of small networks as functions of Python's: what they take, and that nothing is left over."""

import sys

import numpy as np
import pytest
from strategies import FLOATS

import fastbp
from fastbp.kernels.entry_program import looking_at
from fastbp.optimizers import SGD, Adam

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((8, 4)), RNG.integers(0, 3, 8)


def network(dtype, dropout=0.0):
    net = fastbp.mlp([4, 5, 3], dtype=dtype, dropout=dropout, seed=0)
    for layer in net.layers.values():
        if isinstance(layer, fastbp.Dropout):
            layer.seed = 1
    return net


class Subclass(np.ndarray): ...


def misaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
    other = memory.view(x.dtype).reshape(x.shape)
    other[...] = x
    return other


OTHER_FORMS = {
    "list": lambda x: x.tolist(),
    "Fortran's order": np.asfortranarray,
    "gaps": lambda x: np.repeat(x, 2, axis=0)[::2],
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "subclass": lambda x: x.view(Subclass),
    "misaligned": misaligned,
    "memory that is lent": lambda x: np.frombuffer(bytearray(x.tobytes()), x.dtype).reshape(x.shape),
}


def entries(net):
    """The functions of the network's last step and last prediction."""
    return net._stepper._batch.enter, net._predictor._own.enter


@pytest.mark.parametrize("form", OTHER_FORMS.values(), ids=OTHER_FORMS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), Adam()], ids=["fused", "Adam"])
def test_steps_and_predictions_are_the_same_bits_as_those_of_arrays_that_are_no_ready_ones(optimizer, dtype, form):
    x, nets = X.astype(dtype), [network(dtype, dropout=0.3) for _ in range(2)]
    losses = [[], []]
    for _ in range(4):
        losses[0].append(nets[0].step(x, T, optimizer, seed=None if losses[0] else 3))
        losses[1].append(nets[1].step(form(x), form(T), optimizer, seed=None if losses[1] else 3))
    assert losses[0] == losses[1]
    for _ in range(2):
        np.testing.assert_array_equal(nets[0].predict(x), nets[1].predict(np.array(form(x), dtype)))
    assert nets[0]._stepper._batch.enter is not None


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_is_not_in_the_form_of_the_program_is_left_alone(dtype):
    net, x = network(dtype), X.astype(dtype)
    for _ in range(2):
        net.step(x, T), net.predict(x)
    step, predict = entries(net)
    before = net.params["W1"].copy()
    others = [form(x) for form in OTHER_FORMS.values()]
    others += [x[:7], x[:, :3].copy(), x[0], x.reshape(2, 4, 4), x.astype(np.float32 if dtype == np.float64 else "d")]
    team = fastbp.basics._team.address()
    for other in [*others, None, 1.5]:
        assert step(team, other, T) is None
        assert predict(team, other) is None
    for labels in (T[:7], T.astype(np.int32), T[:, None], T.tolist(), T[::-1], None):
        assert step(team, x, labels) is None
    assert step(team, x) is step() is predict(team) is predict(team, x, T) is None
    np.testing.assert_array_equal(net.params["W1"], before)


def test_labels_and_losses_that_are_none_are_told_as_ever():
    net, x = network(np.float32), X.astype(np.float32)
    net.step(x, T)
    before = net.params["W1"].copy()
    wrong = T.copy()
    wrong[2] = 3
    with pytest.raises(ValueError, match=r"t\[2\] is 3, outside 0\.\.2"):
        net.step(x, wrong)
    x[1, 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"in step 2; x\[1, 2\] is nan; nothing was updated"):
        net.step(x, T)
    np.testing.assert_array_equal(net.params["W1"], before)


def test_no_references_are_kept_or_lost():
    net, x, t = network(np.float32), X.astype(np.float32), T.copy()
    net.step(x, t), net.predict(x), net.predict(x)
    objects = [x, t, x.dtype, t.dtype, np.ndarray, *net.params.values()]
    before = [sys.getrefcount(one) for one in objects]
    for _ in range(1000):
        net.step(x, t)
        net.predict(x)
        entries(net)[0](0, None, t)
        entries(net)[1](0, None)
    assert [sys.getrefcount(one) for one in objects] == before


def test_a_prediction_gives_an_array_of_its_own():
    net, x = network(np.float32), X.astype(np.float32)
    first, second = (net.predict(x) for _ in range(3)), net.predict(x)
    first = list(first)
    assert all(not np.shares_memory(y, second) and y.flags.owndata for y in first)
    np.testing.assert_array_equal(first[-1], second)


# ---- Whether layers are as they were ----


class Holder:
    def __init__(self):
        self.W, self.b, self.p = np.zeros(3), None, 0.5


def look_at(holder):
    attributes = vars(holder)
    arrays = [(attributes, name, attributes[name]) for name in ("W", "b")]
    return arrays, looking_at(arrays, [(attributes, "p", attributes["p"])])


def set_to(name, value):
    return lambda holder: setattr(holder, name, value)


@pytest.mark.parametrize(
    "change",
    [
        set_to("W", np.zeros(3)),
        set_to("W", None),
        set_to("b", np.zeros(3)),
        set_to("p", 0.25),
        lambda holder: delattr(holder, "W"),
        lambda holder: delattr(holder, "p"),
        lambda holder: holder.W.setflags(write=False),
    ],
)
def test_a_look_sees_what_is_another_or_read_only(change):
    holder = Holder()
    held, look = look_at(holder)
    assert look() is True
    holder.W += 1
    holder.q = 3
    assert look() is True
    change(holder)
    assert look() is None
    del held


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda net: setattr(net.layers["Affine1"], "W", np.zeros((4, 5))), None),
        (lambda net: setattr(net.loss_layer, "label_smoothing", 0.5), None),
        (lambda net: net.layers.pop("Relu1"), None),
        (lambda net: net.params["b2"].setflags(write=False), "b2 cannot be trained"),
    ],
)
def test_a_step_follows_what_was_set_since_the_last(change, error):
    net, twin = network(np.float32), network(np.float32)
    x = X.astype(np.float32)
    for _ in range(2):
        net.step(x, T)
    twin.params = {name: p.copy() for name, p in net.params.items()}
    change(net), change(twin)
    if error:
        with pytest.raises(ValueError, match=error):
            net.step(x, T)
    else:
        assert net.step(x, T) == twin.step(x, T)
