"""The training loop: what a network is shown, what an epoch reports, when it stops."""

import numpy as np
import pytest

from fastbp.datasets import Dataset, digits
from fastbp.reference import TwoLayerNet
from fastbp.training import Epoch, train

SETTINGS = {"epochs": 2, "batch_size": 4, "lr": 0.5, "seed": 0}


def tiny(n=10):
    """Images that can be told apart by their first pixel, which counts up from 0."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, (n + 3, 5), dtype=np.uint8)
    x[:, 0] = np.arange(n + 3)
    t = rng.integers(0, 3, n + 3)
    return Dataset("tiny", x[:n], t[:n], x[n:], t[n:], scale=1 / 100)


class Watched(TwoLayerNet):
    """Keeps the batches it is given and their losses."""

    def __init__(self, **options):
        super().__init__(5, 4, 3, seed=0, **options)
        self.batches, self.losses = [], []

    def gradient(self, x, t):
        grads = super().gradient(x, t)
        self.batches.append((x, t))
        self.losses.append(self.lastLayer.loss)
        return grads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_epoch_shows_each_image_once_with_its_label_in_a_new_order(dtype):
    data, net = tiny(), Watched(dtype=dtype)
    list(train(net, data, **SETTINGS))
    assert [len(x) for x, _ in net.batches] == [4, 4, 2] * 2
    orders = []
    for batches in (net.batches[:3], net.batches[3:]):
        x, t = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        assert x.dtype == dtype
        order = np.rint(x[:, 0] * 100).astype(int)
        np.testing.assert_array_equal(np.sort(order), np.arange(10))
        np.testing.assert_array_equal(x, data.x_train[order] * dtype(0.01))
        np.testing.assert_array_equal(t, data.t_train[order])
        orders.append(order.tolist())
    assert orders[0] != orders[1]


def test_an_epoch_reports_the_mean_over_its_images():
    data, net = tiny(), Watched()
    for i, epoch in enumerate(train(net, data, **SETTINGS)):
        assert epoch.epoch == i + 1
        assert epoch.loss == pytest.approx(np.average(net.losses[3 * i :], weights=[4, 4, 2]), rel=1e-15)
        assert epoch.train_accuracy == net.accuracy(data.x_train * 0.01, data.t_train)
        assert epoch.test_accuracy == net.accuracy(data.x_test * 0.01, data.t_test)
        assert epoch.seconds > 0


def test_each_step_goes_down_the_gradient_by_lr():
    data, net = tiny(), Watched()
    start = {name: param.copy() for name, param in net.params.items()}
    list(train(net, data, **SETTINGS | {"epochs": 1, "batch_size": 10}))
    twin = TwoLayerNet(5, 4, 3, seed=0)
    for name, grad in twin.gradient(*net.batches[0]).items():
        np.testing.assert_array_equal(net.params[name], start[name] - 0.5 * grad)
        assert not np.array_equal(net.params[name], start[name])


def test_a_seed_fixes_the_run_and_another_changes_it():
    runs = []
    for seed in (1, 1, 2):
        net = Watched()
        list(train(net, tiny(), **SETTINGS | {"seed": seed}))
        runs.append(net.params["W1"])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_on_batch_is_called_after_each_batch():
    net, seen = Watched(), []
    list(train(net, tiny(), **SETTINGS, on_batch=lambda: seen.append(len(net.batches))))
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_loss_that_is_not_finite_stops_before_the_step():
    class Diverging(Watched):
        def gradient(self, x, t):
            if len(self.batches) == 4:
                self.kept = {name: param.copy() for name, param in self.params.items()}
                self.params["b2"][0] = np.nan
                self.kept["b2"][0] = np.nan
            return super().gradient(x, t)

    net, epochs = Diverging(), []
    with pytest.raises(FloatingPointError, match=r"the loss is nan in epoch 2, batch 2: .* below 0\.5"):
        epochs.extend(train(net, tiny(), **SETTINGS))
    for name, param in net.params.items():
        np.testing.assert_array_equal(param, net.kept[name])


def test_the_callers_data_stay_as_they_were():
    data, kept = tiny(), tiny()
    list(train(Watched(), data, **SETTINGS))
    np.testing.assert_array_equal(data.x_train, kept.x_train)
    np.testing.assert_array_equal(data.t_train, kept.t_train)


def test_digits_are_learnt():
    epochs = list(train(TwoLayerNet(64, 50, 10, seed=0), digits(), epochs=60, batch_size=100, lr=0.1, seed=0))
    assert isinstance(epochs[-1], Epoch)
    assert epochs[-1].loss < 0.2 < 2 < epochs[0].loss
    assert epochs[-1].train_accuracy > 0.96
    assert epochs[-1].test_accuracy > 0.92
