"""The gradients of fastbp.book's networks by a program: the numbers of layer by layer."""

import copy

import numpy as np
import pytest
from book_nets import ATTRIBUTES, GRADIENTS, K, N, assert_same, batches, kinds, left_in, nets, ran, steps

__all__ = ["ran"]


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


@kinds
def test_back_through_the_layers_by_hand(kind, ran):
    """As scripts of chapter 5 do it, after a loss that went through a program."""
    results, is_extended = [], kind in ("sigmoid", "all")  # whose loss depends on whether it is of a training pass
    for net in nets(kind):
        found = []
        for x, t in batches(kind, 3):
            np.random.seed(5)
            found.append(net.loss(x, t, *[True] * is_extended))
            t[...] = 0  # of which the loss has a copy
            dout = net.last_layer.backward()
            for layer in reversed(net._in_order()):
                dout = layer.backward(dout)
            found += [dout, *left_in(net, ("loss", "y", *GRADIENTS))]
        results.append(found)
    assert_same(*results)
    assert len(ran) == (0 if is_extended else 2)


@kinds
def test_the_last_pass_is_the_one_that_layers_know(kind, ran):
    """Of a gradient and a loss, whose programs have buffers in common."""
    results, data = [], batches(kind, 6)
    for net in nets(kind):
        found = steps(net, data)
        for way in ("gradient", "loss", "gradient", "loss"):
            np.random.seed(1)
            getattr(net, way)(*data.pop() if len(data) > 2 else data[0])
            found += left_in(net, (*ATTRIBUTES, *GRADIENTS))
        data = batches(kind, 6)
        results.append(found)
    assert_same(*results, kind)
    assert ran


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
