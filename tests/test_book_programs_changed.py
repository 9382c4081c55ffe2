"""What is changed in fastbp.book's networks between two programs, what is wrong with it, copies and threads."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from book_nets import GRADIENTS, KINDS, K, N, assert_same, batches, kinds, left_in, nets, ran, steps

from fastbp.book import _passes
from fastbp.book.layers import Relu

__all__ = ["ran"]


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
    assert len(ran) == 10  # gradients of eight batches but for the first after each reading, and four losses


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
    assert len(ran) >= 20
    assert len(net._passes._programs) == _passes.MOST_PROGRAMS


# --- Copies and threads ---------------------------------------------------------------------------------------


@kinds
def test_a_network_that_is_gone_leaves_no_program(kind):
    """By itself, not when the collector of circles comes by: buffers are large."""
    net = KINDS[kind][1]()
    steps(net, batches(kind, 6), seen=(5,))
    gone = [weakref.ref(part) for part in (net, *net._passes._programs.values())]
    gc.disable()
    try:
        del net
        assert [part() for part in gone] == [None] * len(gone)
    finally:
        gc.enable()


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
