"""The loss layer of a network by its name, and by the name that it had."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import fastbp

DEPRECATED = "lastLayer is deprecated: use loss_layer"


def network():
    return fastbp.Sequential([fastbp.Affine(np.ones((3, 2)), np.zeros(2))])


def test_a_network_has_the_loss_it_was_made_with():
    loss = fastbp.MeanSquaredError()
    assert fastbp.Sequential([fastbp.Affine(np.ones((3, 2)), None)], loss).loss_layer is loss
    assert type(network().loss_layer) is fastbp.SoftmaxWithLoss


def test_the_old_name_is_told_of_and_is_the_same():
    net, loss = network(), fastbp.MeanSquaredError()
    with pytest.warns(DeprecationWarning, match=DEPRECATED) as got:
        assert net.lastLayer is net.loss_layer
    assert got[0].filename == __file__
    with pytest.warns(DeprecationWarning, match=DEPRECATED) as got:
        net.lastLayer = loss
    assert got[0].filename == __file__
    assert net.loss_layer is loss
    assert net.loss(np.ones((1, 3)), np.ones((1, 2))) == 4


def test_the_book_s_network_keeps_the_book_s_name():
    net = fastbp.TwoLayerNet(3, 4, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert net.lastLayer is net.loss_layer
        net.lastLayer = loss = fastbp.SoftmaxWithLoss(eps=0)
    assert net.loss_layer is loss
    x, t = np.ones((1, 3)), np.array([1])
    assert net.loss(x, t) == loss.loss


@pytest.mark.parametrize("make", [network, lambda: fastbp.TwoLayerNet(3, 4, 2, seed=0)])
def test_a_network_pickled_under_the_old_name_is_read(make):
    net = make()
    state = net.__getstate__()
    state["lastLayer"] = state.pop("loss_layer")
    old = type(net).__new__(type(net))
    old.__setstate__(copy.deepcopy(state))
    assert vars(old).keys() == vars(net).keys()
    x, t = np.ones((2, 3)), np.array([0, 1])
    assert old.loss(x, t) == net.loss(x, t)
    assert old.step(x, t) == net.step(x, t)
    again = pickle.loads(pickle.dumps(old))
    np.testing.assert_array_equal(again.params["W1"], net.params["W1"])
    assert type(again.loss_layer) is type(net.loss_layer)
