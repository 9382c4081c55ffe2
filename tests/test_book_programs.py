"""The gradients of fastbp.book's networks by a program: the numbers of layer by layer, and when it is not one."""

import copy
import pickle
import threading

import numpy as np
import pytest

from fastbp.book import _passes
from fastbp.book.deep_convnet import DeepConvNet
from fastbp.book.layers import Relu
from fastbp.book.multi_layer_net import MultiLayerNet
from fastbp.book.multi_layer_net_extend import MultiLayerNetExtend
from fastbp.book.simple_convnet import SimpleConvNet

K, N = 5, 10
ATTRIBUTES = ("x", "mask", "out", "arg_max", "col", "col_W", "original_x_shape", "y", "t", "loss")
GRADIENTS = ("dW", "db", "dgamma", "dbeta", "running_mean", "running_var")


def param(filter_num, filter_size=3, pad=1, stride=1):
    return {"filter_num": filter_num, "filter_size": filter_size, "pad": pad, "stride": stride}


def mlp(**options):
    return (12,), lambda **more: MultiLayerNetExtend(12, [8, 6], K, **options, **more)


KINDS = {
    "simple": ((2, 9, 12), lambda **more: SimpleConvNet((2, 9, 12), param(4, 3, 2, 2), 7, K, **more)),
    "windows": ((2, 12, 11), lambda **more: SimpleConvNet((2, 12, 11), param(4, 5, 1), 7, K, **more)),
    "deep": (
        (2, 12, 9),
        lambda **more: DeepConvNet(
            (2, 12, 9), param(3), param(4), param(3, 5, 2), param(5), param(4), param(6, pad=2), 8, K, **more
        ),
    ),
    "plain": ((12,), lambda **more: MultiLayerNet(12, [8, 6], K, **more)),
    "sigmoid": mlp(activation="sigmoid", weight_init_std="xavier", use_batchnorm=True),
    "all": mlp(use_batchnorm=True, use_dropout=True, dropout_ration=0.3, weight_decay_lambda=0.1),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def ran(monkeypatch):
    """Whether each run of a program came to its end."""
    runs, run = [], _passes.Pass.run
    monkeypatch.setattr(_passes.Pass, "run", lambda *given: runs.append(run(*given)) or runs[-1])
    return runs


def nets(kind, **options):
    """A network and one of the same numbers that never has a program."""
    made = []
    for _ in range(2):
        np.random.seed(1)
        made.append(KINDS[kind][1](**options))
    made[1]._by_program = lambda *_: False
    return made


def batches(kind, n, rows=N, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [(rng.random((rows, *KINDS[kind][0])).astype(dtype), rng.integers(0, K, rows)) for _ in range(n)]


def assert_same(got, expected, kind=None):
    """The same bits; of filters before a pooling, whose gradients programs add up in another order, to rounding."""
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        if kind == "windows" and np.asarray(a).dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=0, atol=500 * np.finfo(np.asarray(a).dtype).eps)
        else:
            np.testing.assert_array_equal(a, b)


def left_in(net, names):
    layers = [*net._in_order(), net.last_layer]
    return [getattr(layer, name) for layer in layers for name in names if hasattr(layer, name)]


def steps(net, data, seen=()):
    """What a training gives; after the steps with the numbers in ``seen`` the layers are looked at."""
    np.random.seed(7)
    found = []
    for n, (x, t) in enumerate(data):
        grads = net.gradient(x, t)
        found += [*grads.values(), *left_in(net, GRADIENTS)]
        if n in seen:
            found += [*left_in(net, ATTRIBUTES), *left_in(net, ATTRIBUTES)]
        for name, p in net.params.items():
            p -= 0.1 * grads[name]
        if n % 2:
            found += [net.loss(x, t), net.predict(x)]
    return [*found, np.random.get_state()[1]]


@kinds
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_steps_are_those_of_layer_by_layer(kind, dtype, one_hot, ran):
    own, other = nets(kind, dtype=dtype)
    data = [(x, np.eye(K)[t] if one_hot else t) for x, t in batches(kind, 6, dtype=dtype)]
    got, expected = (steps(net, data, seen=(3, 4)) for net in (own, other))
    assert_same(got, expected, kind)
    assert ran.count(True) == len(ran) >= 4


@kinds
def test_what_a_forward_leaves_is_there_before_the_update_and_after(kind, ran):
    own, other = nets(kind)
    data = batches(kind, 5)
    for net in (own, other):
        steps(net, data)
    (x, t), *_ = batches(kind, 1)
    for net in (own, other):
        np.random.seed(3)
        net.gradient(x, t)
        for p in net.params.values():
            p += 1
    assert ran[-1]
    assert_same(left_in(own, ATTRIBUTES), left_in(other, ATTRIBUTES), kind)
    dout = np.ones((N, K))
    for net in (own, other):
        net.dx = [dout]
        for layer in reversed(net._in_order()):
            net.dx.append(layer.backward(net.dx[-1]))
    assert_same(own.dx, other.dx, kind)


def test_copies_of_a_network_keep_the_pass_and_copies_of_a_layer_alone_do_not(ran):
    net, other = nets("simple")
    for batch in batches("simple", 3):
        net.gradient(*batch)
        other.gradient(*batch)
    assert ran == [True, True]
    layer = copy.deepcopy(net.layers["Affine1"])
    with pytest.raises(RuntimeError, match=r"Affine\.backward was called before forward"):
        layer.backward(np.ones((N, 7)))
    assert_same(left_in(copy.deepcopy(net), ATTRIBUTES), left_in(other, ATTRIBUTES))


@kinds
def test_other_batches_in_turns(kind, ran):
    """The last of an epoch, rows of another type, in another order, one that only the layers take."""
    own, other = nets(kind)
    some = [
        b
        for n in (N, 4, 7, 1)
        for b in batches(kind, 1, n)
        if n > 1 or not getattr(own, "use_batchnorm", kind == "sigmoid")
    ]
    (x, t), *_ = some
    some += [((255 * x).astype(np.uint8), t), (x.astype(np.float32), t.astype(np.uint8)), (np.asfortranarray(x), t)]
    some += [(x[::2], t[::2]), (x, np.eye(K)[t]), (x.astype(np.float16), t.astype(float)), (x.tolist(), t.tolist())]
    some[0][0].flags.writeable = False
    got, expected = (steps(net, some * 3) for net in (own, other))
    assert_same(got, expected, kind)
    assert ran


def test_gradients_stay_as_they_were():
    net, data = nets("all")[0], batches("all", 6)
    grads = [net.gradient(*batch) for batch in data]
    kept = copy.deepcopy(grads)
    net.gradient(*data[0])
    for got, before in zip(grads, kept, strict=True):
        assert_same(got.values(), before.values())
    assert all(net.layers["Affine2"].dW is not g["W2"] for g in grads)


# --- Whatever is changed counts at the next call ------------------------------------------------------------


def replace_array(net):
    net.layers["Affine1"].W = net.params["W1"] = net.params["W1"] * 2


def replace_parameter_alone(net):
    net.params["W1"] = net.params["W1"] * 2  # which the layers do not see, as in the book


def replace_layer(net):
    net.layers["Activation_function1"] = Relu()


def leave_layer_out(net):
    del net.layers["Activation_function2"]


def replace_loss(net):
    net.last_layer = type(net.last_layer)(eps=0)


def set_option(net):
    net.layers["BatchNorm1"].momentum = 0.5


def set_ratio(net):
    net.layers["Dropout2"].dropout_ratio = 0.9


def hook(net):
    forward = net.layers["Affine2"].forward
    net.layers["Affine2"].forward = lambda x: 2 * forward(x)


def own_loss(net):
    loss = net.loss
    net.loss = lambda x, t, train_flg=False: loss(x, 0 * np.asarray(t), train_flg)


def bias_taken_away(net):
    net.layers["Affine3"].b = None


def weights_in_common(net):
    net.layers["Affine1"].b = net.layers["BatchNorm1"].beta[:]


def layer_twice(net):
    net.layers["Again"] = net.layers["Dropout2"]
    net.layers.move_to_end("Affine3")


def another_class(net):
    class Twice(type(net)):
        def predict(self, x, train_flg=False):
            return 2 * super().predict(x, train_flg)

    net.__class__ = Twice


CHANGES = [
    replace_array,
    replace_parameter_alone,
    replace_layer,
    leave_layer_out,
    replace_loss,
    set_option,
    set_ratio,
    hook,
    own_loss,
    bias_taken_away,
    weights_in_common,
    layer_twice,
    another_class,
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_counts(change, ran):
    results = []
    for net in nets("all"):
        data = batches("all", 8)
        found = steps(net, data[:4])
        change(net)
        if change is bias_taken_away:
            net.gradient(*data[0])
            found += [*left_in(net, GRADIENTS)]
        else:
            found += steps(net, data[4:], seen=(0, 3))
        results.append(found)
    assert ran
    assert_same(*results)


def test_files_are_taken_up(tmp_path, ran):
    (net, other), data = nets("simple"), batches("simple", 8)
    net.params["b1"] += 1
    net.save_params(tmp_path / "params.pkl")
    net.params["b1"] -= 1
    results = []
    for one in (net, other):
        found = steps(one, data[:4])
        one.load_params(tmp_path / "params.pkl")
        results.append(found + steps(one, data[4:]))
    assert_same(*results)
    assert len(ran) == 6  # of eight, of which the first after each reading goes by the layers


def test_images_whose_numbers_are_written_into(ran):
    """A batch in one array, over and over."""
    (net, other), data = nets("simple"), batches("simple", 6)
    room = np.empty_like(data[0][0])
    results = []
    for one in (net, other):
        found = []
        for x, t in data:
            room[...] = x
            found += one.gradient(room, t).values()
        results.append(found)
    assert_same(*results)
    assert ran


# --- Numbers and arguments that are wrong -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["deep", "all"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_is_what_the_layers_make_of_it(kind, ran):
    results = []
    for net in nets(kind):
        x, t = batches(kind, 1)[0]
        found = steps(net, [(x, t)] * 4)
        x[3] = np.nan
        results.append(found + steps(net, [(x, t)] * 2))
    assert_same(*results)
    assert False in ran


@kinds
def test_what_does_not_fit_is_told_as_before_the_program(kind):
    net, other = nets(kind)
    steps(net, batches(kind, 4))
    x, t = batches(kind, 1)[0]
    for given in (
        (x[:, 1:], t),
        (x[0] if x.ndim > 2 else x[:, None, 2:], t),
        (x, t[:4]),
        (x, t + K),
        (x.astype(complex), t),
        (x, -np.eye(K)[t]),
    ):
        told = []
        for one in (other, net, net):
            with pytest.raises((TypeError, ValueError)) as error:
                one.gradient(*given)
            told.append((error.type, str(error.value)))
        assert told[0] == told[1] == told[2]


def test_a_batch_too_large_for_a_call_goes_by_layers(monkeypatch, ran):
    monkeypatch.setattr(_passes, "MOST_ROWS", N - 1)
    net, other = nets("plain")
    data = batches("plain", 4)
    assert_same(*(steps(one, data) for one in (net, other)))
    assert not ran


def test_programs_are_not_kept_without_bound(ran):
    net, other = nets("plain")
    data = [batch for n in range(2, 12) for batch in batches("plain", 3, n)]
    assert_same(*(steps(one, data) for one in (net, other)))
    assert len(ran) == 20
    assert len(net._passes._programs) == _passes.MOST_PROGRAMS


# --- Copies and threads ---------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_train_by_programs_of_their_own(kind, copied, ran):
    net, data = KINDS[kind][1](), batches(kind, 8)
    steps(net, data[:4])
    twin = copied(net)
    before = [p.copy() for p in net.params.values()]
    n_runs = len(ran)
    found = steps(twin, data[4:])
    assert len(ran) > n_runs
    assert_same(net.params.values(), before, kind)
    assert_same(steps(net, data[4:]), found, kind)


def test_a_second_thread_goes_by_the_layers():
    """Programs have one set of buffers: no two threads run one at once."""
    net, _ = nets("plain")
    data = batches("plain", 1, 400)[0]
    expected = [net.gradient(*data) for _ in range(3)][-1]
    others = [copy.copy(net) for _ in range(3)]  # with layers and programs in common
    for one in others:
        one._passes = net._passes
    found, failed = [], []

    def work(one):
        try:
            found.extend(one.gradient(*data) for _ in range(20))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(found) == 60
    for grads in found:
        assert_same(grads.values(), expected.values())
