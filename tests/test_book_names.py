"""The names of the book's modules, and their arguments with their defaults, by which its scripts call them."""

import importlib
import inspect

import numpy as np
import pytest

CONV = "{'filter_num': %d, 'filter_size': %d, 'pad': %d, 'stride': 1}"
DEEP = [(16, 1), (16, 1), (32, 1), (32, 2), (64, 1), (64, 1)]
FUNCTIONS = {
    "identity_function": "x",
    "step_function": "x",
    "sigmoid": "x",
    "sigmoid_grad": "x",
    "relu": "x",
    "relu_grad": "x",
    "softmax": "x",
    "sum_squared_error": "y, t",
    "cross_entropy_error": "y, t",
    "softmax_loss": "X, t",
}
UTIL = {
    "im2col": "input_data, filter_h, filter_w, stride=1, pad=0",
    "col2im": "col, input_shape, filter_h, filter_w, stride=1, pad=0",
}
SIZES = "input_size, hidden_size_list, output_size, activation='relu', weight_init_std='relu', weight_decay_lambda=0"
MODULES = {
    "functions": FUNCTIONS,
    "gradient": {"numerical_gradient": "f, x", "numerical_gradient_2d": "f, X"},
    "layers": FUNCTIONS
    | UTIL
    | {
        "AddLayer": "",
        "MulLayer": "",
        "Relu": "",
        "Sigmoid": "",
        "Affine": "W, b",
        "SoftmaxWithLoss": "",
        "Dropout": "dropout_ratio=0.5",
        "BatchNormalization": "gamma, beta, momentum=0.9, running_mean=None, running_var=None",
        "Convolution": "W, b, stride=1, pad=0",
        "Pooling": "pool_h, pool_w, stride=2, pad=0",
    },
    "optimizer": {
        "SGD": "lr=0.01",
        "Momentum": "lr=0.01, momentum=0.9",
        "Nesterov": "lr=0.01, momentum=0.9",
        "AdaGrad": "lr=0.01",
        "RMSprop": "lr=0.01, decay_rate=0.99",
        "Adam": "lr=0.001, beta1=0.9, beta2=0.999",
    },
    "multi_layer_net": {"MultiLayerNet": SIZES},
    "multi_layer_net_extend": {
        "MultiLayerNetExtend": f"{SIZES}, use_dropout=False, dropout_ration=0.5, use_batchnorm=False"
    },
    "trainer": {
        "Trainer": "network, x_train, t_train, x_test, t_test, epochs=20, mini_batch_size=100, optimizer='SGD', "
        "optimizer_param=None, evaluate_sample_num_per_epoch=None, verbose=True"
    },
    "util": UTIL
    | {
        "smooth_curve": "x",
        "shuffle_dataset": "x, t",
        "conv_output_size": "input_size, filter_size, stride=1, pad=0",
    },
    "mnist": {"load_mnist": "normalize=True, flatten=True, one_hot_label=False"},
    "two_layer_net": {"TwoLayerNet": "input_size, hidden_size, output_size, weight_init_std=0.01"},
    "simple_convnet": {
        "SimpleConvNet": f"input_dim=(1, 28, 28), conv_param={CONV % (30, 5, 0)}, hidden_size=100, output_size=10, "
        "weight_init_std=0.01"
    },
    "deep_convnet": {
        "DeepConvNet": "input_dim=(1, 28, 28), "
        + "".join(f"conv_param_{n}={CONV % (filters, 3, pad)}, " for n, (filters, pad) in enumerate(DEEP, 1))
        + "hidden_size=50, output_size=10"
    },
}
METHODS = {
    "layers": {
        "Dropout.forward": "x, train_flg=True",
        "BatchNormalization.forward": "x, train_flg=True",
        "Convolution.forward": "x",
        "Convolution.backward": "dout",
        "Pooling.forward": "x",
        "Pooling.backward": "dout",
        "SoftmaxWithLoss.forward": "x, t",
        "SoftmaxWithLoss.backward": "dout=1",
    },
    "optimizer": {"SGD.update": "params, grads", "Adam.update": "params, grads"},
    "multi_layer_net": {"MultiLayerNet.predict": "x", "MultiLayerNet.loss": "x, t", "MultiLayerNet.accuracy": "x, t"},
    "multi_layer_net_extend": {
        "MultiLayerNetExtend.predict": "x, train_flg=False",
        "MultiLayerNetExtend.loss": "x, t, train_flg=False",
        "MultiLayerNetExtend.gradient": "x, t",
        "MultiLayerNetExtend.numerical_gradient": "x, t",
    },
    "trainer": {"Trainer.train_step": "", "Trainer.train": ""},
    "simple_convnet": {
        "SimpleConvNet.predict": "x",
        "SimpleConvNet.loss": "x, t",
        "SimpleConvNet.accuracy": "x, t, batch_size=100",
        "SimpleConvNet.gradient": "x, t",
        "SimpleConvNet.numerical_gradient": "x, t",
        "SimpleConvNet.save_params": "file_name='params.pkl'",
        "SimpleConvNet.load_params": "file_name='params.pkl'",
    },
    "deep_convnet": {
        "DeepConvNet.predict": "x, train_flg=False",
        "DeepConvNet.loss": "x, t",
        "DeepConvNet.accuracy": "x, t, batch_size=100",
        "DeepConvNet.gradient": "x, t",
        "DeepConvNet.save_params": "file_name='params.pkl'",
        "DeepConvNet.load_params": "file_name='params.pkl'",
    },
}


def arguments(called):
    """Each with its default, without types."""
    found = inspect.signature(called).parameters.values()
    shown = [one.name if one.default is one.empty else f"{one.name}={one.default!r}" for one in found]
    return [one for one in shown if one != "self"]


@pytest.mark.parametrize("module", MODULES)
def test_arguments_and_defaults_are_the_books(module):
    """What comes after the book's arguments is our own, and has defaults."""
    made = importlib.import_module(f"fastbp.book.{module}")
    for name, expected in (MODULES[module] | METHODS.get(module, {})).items():
        called = made
        for part in name.split("."):
            called = getattr(called, part)
        found = arguments(called)
        books = [n for n in range(len(found) + 1) if ", ".join(found[:n]) == expected]
        assert books, (name, found)
        assert all("=" in own for own in found[books[0] :]), name


@pytest.mark.parametrize("module", MODULES)
def test_import_everything_brings_the_books_names(module):
    left = {}
    exec(f"from fastbp.book.{module} import *", left)
    assert left.keys() >= MODULES[module].keys()


def test_the_books_eps_are_where_they_are_in_its_code():
    from fastbp.book import layers, optimizer

    assert layers.BatchNormalization(np.ones(1), np.zeros(1)).eps == 10e-7
    assert layers.SoftmaxWithLoss().eps == optimizer.EPS == 1e-7
