"""fastbp.book's networks and Trainer: the numbers of their plain twins under the same seed, and what they refuse."""

import numpy as np
import pytest

from fastbp.book.multi_layer_net import MultiLayerNet
from fastbp.book.multi_layer_net_extend import MultiLayerNetExtend
from fastbp.book.trainer import Trainer
from fastbp.book.two_layer_net import TwoLayerNet
from fastbp.reference.book import multi_layer_net_extend as plain_extend
from fastbp.reference.book.multi_layer_net import MultiLayerNet as PlainNet
from fastbp.reference.book.trainer import Trainer as PlainTrainer
from fastbp.reference.book.two_layer_net import TwoLayerNet as PlainTwoLayerNet

N, I, K = 120, 12, 4
OPTIONS = {
    "plain": {},
    "sigmoid": {"activation": "sigmoid", "weight_init_std": "xavier"},
    "numbers and decay": {"weight_init_std": 0.3, "weight_decay_lambda": 0.1},
    "normalised": {"use_batchnorm": True},
    "dropout": {"use_dropout": True, "dropout_ration": 0.2},
    "all": {"use_batchnorm": True, "use_dropout": True, "weight_decay_lambda": 0.01, "weight_init_std": "he"},
}
options = pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.random((N, I)).astype(np.float32), rng.integers(0, K, N).astype(np.uint8)


def nets(option, hidden=(8, 6)):
    """Ours and the plain one, each under the same seed."""
    made = []
    ours = MultiLayerNetExtend if set(option) & {"use_batchnorm", "use_dropout"} else MultiLayerNet
    for cls in (ours, plain_extend.MultiLayerNetExtend):
        np.random.seed(11)
        made.append(cls(I, list(hidden), K, **option))
    return made


@options
def test_initial_weights_are_the_books_bit_for_bit(option):
    own, twin = nets(option)
    assert list(own.params) == list(twin.params)
    assert list(own.layers) == list(twin.layers)
    for name, p in own.params.items():
        assert p.tobytes() == twin.params[name].tobytes()


@options
@pytest.mark.parametrize("one_hot", [False, True])
def test_losses_and_gradients_are_the_books(option, one_hot, data):
    x, t = data
    t = np.eye(K)[t] if one_hot else t
    own, twin = nets(option)
    answers = []
    for net in (own, twin):
        np.random.seed(3)
        answers.append((net.gradient(x, t), net.loss(x, t), net.accuracy(x, t), net.predict(x)))
    (grads, *rest), (expected, *others) = answers
    assert grads.keys() == expected.keys() == own.params.keys()
    for name, g in grads.items():
        np.testing.assert_allclose(g, expected[name], rtol=0, atol=1e-12)
    for got, other in zip(rest, others, strict=True):
        np.testing.assert_allclose(got, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["plain", "numbers and decay", "normalised"])
def test_gradients_agree_with_central_differences(name, data):
    x, t = data[0][:7], data[1][:7]
    own, _ = nets(OPTIONS[name], (5,))
    numerical = own.numerical_gradient(x, t)
    for name, g in own.gradient(x, t).items():
        np.testing.assert_allclose(g, numerical[name], rtol=0, atol=1e-5)  # the book's gradient is without its 1e-7


def test_two_layer_net_is_fastbps():
    made = []
    for cls in (TwoLayerNet, PlainTwoLayerNet):
        np.random.seed(1)
        made.append(cls(input_size=I, hidden_size=5, output_size=K))
    for name, p in made[0].params.items():
        assert p.tobytes() == made[1].params[name].tobytes()


@pytest.mark.parametrize("optimizer", ["SGD", "momentum", "Nesterov", "AdaGrad", "rmsprop", "ADAM"])
@options
def test_100_steps_of_the_trainer_are_the_books(option, optimizer, data, capsys):
    runs = []
    for net, kind in zip(nets(option), (Trainer, PlainTrainer), strict=True):
        np.random.seed(2)
        trainer = kind(net, *data, *(a[:50] for a in data), 20, 24, optimizer, evaluate_sample_num_per_epoch=40)
        trainer.train()
        runs.append((trainer, capsys.readouterr().out.splitlines()))
    (own, lines), (twin, expected) = runs
    assert len(own.train_loss_list) == 100
    np.testing.assert_allclose(own.train_loss_list, twin.train_loss_list, rtol=0, atol=1e-6)
    assert own.train_acc_list == twin.train_acc_list
    assert own.test_acc_list == twin.test_acc_list
    assert [line for line in lines if "loss" not in line] == [line for line in expected if "loss" not in line]


def test_what_the_trainer_prints(data, capsys):
    x, t = data
    np.random.seed(0)
    trainer = Trainer(MultiLayerNet(I, [5], K), x, t, x, t, epochs=2, mini_batch_size=60)
    trainer.train()
    loss, accuracy = trainer.train_loss_list, trainer.train_acc_list
    assert capsys.readouterr().out.splitlines() == [
        f"train loss:{loss[0]}",
        f"=== epoch:1, train acc:{accuracy[0]}, test acc:{accuracy[0]} ===",
        f"train loss:{loss[1]}",
        f"train loss:{loss[2]}",
        f"=== epoch:2, train acc:{accuracy[1]}, test acc:{accuracy[1]} ===",
        f"train loss:{loss[3]}",
        "=============== Final Test Accuracy ===============",
        f"test acc:{trainer.network.accuracy(x, t)}",
    ]
    Trainer(trainer.network, x, t, x, t, epochs=1, verbose=False).train()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"activation": "tanh"}, ValueError, "activation must be one of sigmoid, relu, got 'tanh'"),
        (
            {"weight_init_std": "large"},
            ValueError,
            "weight_init_std must be one of relu, he, sigmoid, xavier, got 'large'",
        ),
        ({"weight_init_std": -1}, ValueError, "weight_init_std must be a finite number of at least 0, got -1"),
        ({"weight_decay_lambda": None}, TypeError, "weight_decay_lambda must be a finite number"),
        ({"hidden_size_list": 5}, TypeError, "hidden_size_list must be a list of integers, got 5"),
        ({"hidden_size_list": [5, 0]}, ValueError, "hidden_size_list must be an integer of at least 1, got 0"),
        ({"dropout_ration": 2}, ValueError, r"dropout_ration must be a finite number in 0\.\.1, got 2"),
        ({"use_dropout": 0.5}, TypeError, "use_dropout must be True or False, got 0.5"),
    ],
)
def test_what_networks_refuse(arguments, error, message):
    with pytest.raises(error, match=message):
        MultiLayerNetExtend(**{"input_size": I, "hidden_size_list": [5], "output_size": K} | arguments)


@pytest.mark.parametrize("cls", [MultiLayerNet, MultiLayerNetExtend])
def test_samples_and_targets_that_do_not_fit(cls, data):
    x, t = data
    net = cls(I, [5], K)
    with pytest.raises(ValueError, match=r"x of shape \(120, 11\) does not fit W of shape \(12, 5\)"):
        net.loss(x[:, 1:], t)
    with pytest.raises(ValueError, match=r"t must hold a target for each of the 120 samples in x, got shape \(60,\)"):
        net.accuracy(x, t[:60])
    with pytest.raises(ValueError, match=r"t\b.*120"):
        net.gradient(x, t[:60])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"optimizer": "sdg"}, ValueError, "optimizer must be one of sgd, momentum, .* got 'sdg'; did you mean 'sgd'"),
        ({"optimizer": None}, TypeError, "optimizer must be one of sgd, momentum, .* got None"),
        ({"optimizer_param": 0.1}, TypeError, "optimizer_param must be a dict of the optimizer's arguments, got 0.1"),
        ({"evaluate_sample_num_per_epoch": 0}, ValueError, "evaluate_sample_num_per_epoch must be an integer of"),
        ({"mini_batch_size": 0}, ValueError, "mini_batch_size must be an integer of at least 1, got 0"),
        ({"t_test": np.zeros(3)}, ValueError, "t_test must hold a target for each of the 120 samples in x_test, got 3"),
        ({"x_train": np.ones((0, I)), "t_train": np.ones(0)}, ValueError, "x_train must hold at least one sample"),
    ],
)
def test_what_the_trainer_refuses(arguments, error, message, data):
    x, t = data
    given = {"x_train": x, "t_train": t, "x_test": x, "t_test": t} | arguments
    with pytest.raises(error, match=message):
        Trainer(PlainNet(I, [5], K), **given)
