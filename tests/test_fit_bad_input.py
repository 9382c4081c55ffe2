"""Bad input to networks and to ``fit``: a clear error, and nothing changed by it."""

import copy
import math

import numpy as np
import pytest
from strategies import assert_same_bits

import fastbp
from fastbp.optimizers import SGD, Adam, Momentum

X = np.random.default_rng(0).standard_normal((6, 4))
T = np.array([0, 1, 2, 0, 1, 2])
NAN, INF = math.nan, math.inf


def changed(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


def of(dtype):
    return np.ones((6, 4)).astype(dtype)


def state(**settings):
    net = fastbp.mlp([4, 5, 3], seed=1)
    return net.fit(X, T, batch_size=4, max_steps=1, progress=False, **settings).state


# Each: what fit is given, the error, and what its message says.
SAMPLES = {
    "x with too many elements": ({"x": np.ones((6, 5))}, ValueError, "x has 5 elements a sample.* 4 inputs"),
    "x with too few elements": ({"x": np.ones((6, 3))}, ValueError, "x has 3 elements a sample.* 4 inputs"),
    "images with too many elements": ({"x": np.ones((6, 3, 2, 2))}, ValueError, "x has 12 elements a sample"),
    "x of one dimension": ({"x": np.ones(4)}, ValueError, r"x must have two dimensions or more.*\(4,\)"),
    "x a number": ({"x": 1.0}, ValueError, "x must have two dimensions or more"),
    "x of no samples": ({"x": np.ones((0, 4)), "t": np.zeros(0, int)}, ValueError, "x must hold at least one sample"),
    "x of no elements": ({"x": np.ones((6, 0))}, ValueError, "x has 0 elements"),
    "x complex": ({"x": of(complex)}, TypeError, "x must hold real numbers.*complex"),
    "x of objects": ({"x": of(object)}, TypeError, "x must hold real numbers.*object"),
    "x of strings": ({"x": of(str)}, TypeError, "x must hold real numbers.*<U"),
    "x of dates": ({"x": np.zeros((6, 4), "M8[D]")}, TypeError, "x must hold real numbers"),
    "x None": ({"x": None}, TypeError, "x must hold real numbers"),
    "x ragged": ({"x": [[1, 2, 3, 4], [1, 2]]}, ValueError, "x must be an array or lists of one length"),
    "scale NaN": ({"scale": NAN}, ValueError, "scale must be a finite number above 0, got nan"),
    "scale infinite": ({"scale": INF}, ValueError, "scale must be a finite number above 0, got inf"),
    "scale 0": ({"scale": 0}, ValueError, "scale must be a finite number above 0, got 0"),
    "scale negative": ({"scale": -1.0}, ValueError, "scale must be a finite number above 0, got -1.0"),
    "scale a bool": ({"scale": True}, TypeError, "scale must be a finite number above 0, got True"),
    "scale a string": ({"scale": "1"}, TypeError, "scale must be a finite number above 0, got '1'"),
}
if np.dtype(np.longdouble) != np.dtype(np.float64):
    SAMPLES["x of longdouble"] = ({"x": of(np.longdouble)}, TypeError, "x must hold real numbers")

TARGETS = {
    "fewer labels than samples": ({"t": T[:5]}, ValueError, r"\(5,\).*\(6, 3\)"),
    "more labels than samples": ({"t": np.zeros(7, int)}, ValueError, r"\(7,\).*\(6, 3\)"),
    "no labels": ({"t": np.zeros(0, int)}, ValueError, r"\(0,\).*\(6, 3\)"),
    "one label": ({"t": 1}, ValueError, r"\(\).*\(6, 3\)"),
    "rows for fewer samples": ({"t": np.eye(3)}, ValueError, r"\(3, 3\).*\(6, 3\)"),
    "rows of too few classes": ({"t": np.ones((6, 2)) / 2}, ValueError, r"\(6, 2\).*\(6, 3\)"),
    "rows of too many classes": ({"t": np.ones((6, 4)) / 4}, ValueError, r"\(6, 4\).*\(6, 3\)"),
    "label below 0": ({"t": changed(T, 2, -1)}, ValueError, r"t\[2\] is -1, outside 0..2"),
    "label too large": ({"t": changed(T, 5, 3)}, ValueError, r"t\[5\] is 3, outside 0..2"),
    "label far too large": ({"t": changed(T, 5, 2**62)}, ValueError, r"t\[5\] is .*, outside 0..2"),
    "label not integral": ({"t": changed(T.astype(float), 1, 0.5)}, ValueError, r"t\[1\] is 0.5, no class label"),
    "label NaN": ({"t": changed(T.astype(float), 1, NAN)}, ValueError, r"t\[1\] is nan"),
    "label infinite": ({"t": changed(T.astype(float), 1, INF)}, ValueError, r"t\[1\] is inf"),
    "labels complex": ({"t": T.astype(complex)}, TypeError, "t must hold real numbers"),
    "labels of objects": ({"t": T.astype(object)}, TypeError, "t must hold real numbers"),
    "labels of strings": ({"t": np.array(list("abcabc"))}, TypeError, "t must hold real numbers"),
    "t None": ({"t": None}, TypeError, "t must hold real numbers"),
}

COUNTS = {
    f"{name} {value!r}": ({name: value}, error, rf"^{name} must be an integer of at least {least}, got ")
    for name, least in [("epochs", 0), ("batch_size", 1), ("max_steps", 0), ("seed", 0), ("threads", 1)]
    for error, values in [
        (ValueError, [least - 1, -3, np.int8(-1)]),
        (TypeError, [1.5, 2.0, NAN, INF, True, "3", [3]]),
    ]
    for value in values
} | {f"{name} None": ({name: None}, TypeError, f"^{name} must be an integer") for name in ("epochs", "batch_size")}

SETTINGS = {
    "clip_norm 0": ({"clip_norm": 0}, ValueError, "clip_norm must be a finite number above 0, got 0"),
    "clip_norm negative": ({"clip_norm": -1.0}, ValueError, "clip_norm must be a finite number above 0"),
    "clip_norm NaN": ({"clip_norm": NAN}, ValueError, "clip_norm must be a finite number above 0"),
    "clip_norm infinite": ({"clip_norm": INF}, ValueError, "clip_norm must be a finite number above 0"),
    "clip_norm a string": ({"clip_norm": "1"}, TypeError, "clip_norm must be a finite number above 0, got '1'"),
    "patience without validation": ({"patience": 3}, ValueError, "patience needs validation_data or validation_split"),
    "shuffle a word": ({"shuffle": "no"}, TypeError, "shuffle must be True or False, got 'no'"),
    "progress a word": ({"progress": "yes"}, TypeError, "progress must be True or False, got 'yes'"),
    "accuracy a word": ({"accuracy": "val"}, TypeError, "accuracy must be True or False, got 'val'"),
    "optimizer unknown": (
        {"optimizer": "sdg"},
        ValueError,
        "optimizer must be one of sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, got 'sdg'; did you mean "
        "'sgd'?",
    ),
    "optimizer None": ({"optimizer": None}, TypeError, "optimizer must be a name or an optimizer, got None"),
    "optimizer a class": ({"optimizer": SGD}, TypeError, r"optimizer must be .*; did you mean SGD\(\.\.\.\)\?$"),
    "lr NaN of a schedule": ({"optimizer": SGD(lr=lambda step, epoch: NAN)}, ValueError, "lr at step 0, epoch 0"),
    "lr negative of a schedule": ({"optimizer": SGD(lr=lambda step, epoch: -1)}, ValueError, "lr at step 0, epoch 0"),
    "lr None of a schedule": ({"optimizer": SGD(lr=lambda step, epoch: None)}, TypeError, "lr at step 0, epoch 0"),
    "an argument of no such name": ({"learning_rate": 0.1}, TypeError, "learning_rate"),
    "callbacks no list": ({"callbacks": 3}, TypeError, "callbacks must be a sequence of functions, got 3"),
    "callbacks a word": ({"callbacks": "log"}, TypeError, "callbacks must be a sequence of functions, got 'log'"),
    "a callback that cannot be called": (
        {"callbacks": [print, "log"]},
        TypeError,
        r"callbacks\[1\] must be a function, got 'log'",
    ),
}

WEIGHTS = {
    "sample_weight too short": ({"sample_weight": np.ones(5)}, ValueError, r"each of the 6 samples.*\(5,\)"),
    "sample_weight of two dimensions": ({"sample_weight": np.ones((6, 1))}, ValueError, "each of the 6 samples"),
    "sample_weight negative": ({"sample_weight": changed(np.ones(6), 3, -1)}, ValueError, r"sample_weight\[3\] is -1"),
    "sample_weight NaN": ({"sample_weight": changed(np.ones(6), 3, NAN)}, ValueError, r"sample_weight\[3\] is nan"),
    "sample_weight infinite": (
        {"sample_weight": changed(np.ones(6), 3, INF)},
        ValueError,
        r"sample_weight\[3\] is inf",
    ),
    "sample_weight too large for float32": (
        {"sample_weight": changed(np.ones(6), 3, 1e300)},
        ValueError,
        r"sample_weight\[3\] is 1e\+300",
    ),
    "sample_weight complex": ({"sample_weight": np.ones(6, complex)}, TypeError, "sample_weight must hold real"),
    "class_weight of an unknown class": ({"class_weight": {3: 1.0}}, ValueError, r"a class of .* in 0\.\.2, got 3"),
    "class_weight of a negative class": ({"class_weight": {-1: 1.0}}, ValueError, r"a class of .* in 0\.\.2, got -1"),
    "class_weight of no label": ({"class_weight": {"a": 1.0}}, TypeError, "a class of class_weight must .* got 'a'"),
    "class_weight negative": ({"class_weight": {1: -1.0}}, ValueError, r"class_weight\[1\] must be .* got -1.0"),
    "class_weight NaN": ({"class_weight": {1: NAN}}, ValueError, r"class_weight\[1\] must be a finite .* got nan"),
    "class_weight infinite": ({"class_weight": {1: INF}}, ValueError, r"class_weight\[1\] must be .* got inf"),
    "class_weight a string": ({"class_weight": {1: "2"}}, TypeError, r"class_weight\[1\] must be .* got '2'"),
    "class_weight too large for float32": ({"class_weight": {1: 1e300}}, ValueError, r"class_weight\[1\] .* 1e\+300"),
    "class_weight of one-hot targets": (
        {"class_weight": {1: 2.0}, "t": np.eye(3)[T]},
        ValueError,
        "class_weight needs targets that are class labels",
    ),
    "class_weight another word": (
        {"class_weight": "balance"},
        ValueError,
        "class_weight must be one of balanced, got 'balance'; did you mean 'balanced'",
    ),
    "class_weight a list": ({"class_weight": [1, 2, 1]}, TypeError, r"class_weight must be a dict .* got \[1, 2, 1\]"),
}

VALIDATION = {
    "validation_data too wide": (
        {"validation_data": (np.ones((6, 5)), T)},
        ValueError,
        r"validation_data\[0\] has 5 elements a sample.* 4 inputs",
    ),
    "validation_data of one dimension": ({"validation_data": (X[0], T[:1])}, ValueError, r"validation_data\[0\] must"),
    "validation_data complex": (
        {"validation_data": (of(complex), T)},
        TypeError,
        r"validation_data\[0\] must hold real",
    ),
    "validation labels too few": ({"validation_data": (X, T[:5])}, ValueError, r"\(5,\).*\(6, 3\)"),
    "validation label too large": ({"validation_data": (X, T + 1)}, ValueError, r"\[2\] is 3, outside 0..2"),
    "validation_data empty": ({"validation_data": (X[:0], T[:0])}, ValueError, "validation_data"),
    "validation_data of three": (
        {"validation_data": (X, T, T)},
        ValueError,
        r"validation_data must be \(x, t\), got 3 things",
    ),
    "validation_data an array": ({"validation_data": X}, TypeError, r"validation_data must be \(x, t\), got array"),
    "validation_data a number": ({"validation_data": 0.1}, TypeError, r"validation_data must be \(x, t\), got 0.1"),
    "validation_split 0": ({"validation_split": 0}, ValueError, "validation_split of 0 leaves one of the parts of 6"),
    "validation_split 1": ({"validation_split": 1.0}, ValueError, "validation_split of 1 leaves one of the parts of 6"),
    "validation_split 20": ({"validation_split": 20}, ValueError, r"validation_split must be .* in 0\.\.1, got 20"),
    "validation_split a string": ({"validation_split": "0.2"}, TypeError, r"validation_split must be .* got '0.2'"),
    "validation_split and too few labels": ({"validation_split": 0.5, "t": T[:5]}, ValueError, r"\(5,\).*\(6, 3\)"),
    "validation_split and a label too large": (
        {"validation_split": 0.5, "t": changed(T, 5, 3)},
        ValueError,
        r"t\[5\] is 3, outside 0\.\.2",
    ),
    "validation_split and validation_data": (
        {"validation_split": 0.5, "validation_data": (X, T)},
        ValueError,
        "validation_split and validation_data were both given",
    ),
    "patience 0": ({"patience": 0, "validation_data": (X, T)}, ValueError, "patience must be an integer of at least 1"),
    "patience a float": ({"patience": 1.5, "validation_data": (X, T)}, TypeError, "patience must be an integer"),
    "patience NaN": ({"patience": NAN, "validation_data": (X, T)}, TypeError, "patience must be an integer"),
    "patience a bool": ({"patience": True, "validation_data": (X, T)}, TypeError, "patience must be an integer"),
}

ALL = SAMPLES | TARGETS | COUNTS | SETTINGS | WEIGHTS | VALIDATION
RESUMES = {
    "resume of another optimizer": (
        lambda: {"resume": state(optimizer=Adam()), "optimizer": Momentum()},
        ValueError,
        "resume does not fit: it is of a run with Adam, here the optimizer is Momentum",
    ),
    "resume of a larger network": (
        lambda: {"resume": fastbp.mlp([4, 6, 3]).fit(X, T, progress=False).state},
        ValueError,
        "resume does not fit: its parameters are 51 numbers of float32, here 43 of float32",
    ),
    "resume of another dtype": (
        lambda: {"resume": fastbp.mlp([4, 5, 3], dtype=np.float64).fit(X, T, progress=False).state},
        ValueError,
        "resume does not fit: its parameters are 43 numbers of float64, here 43 of float32",
    ),
    "resume a history": (
        lambda: {"resume": fastbp.mlp([4, 5, 3]).fit(X, T, progress=False)},
        TypeError,
        "resume must be the state of a History, got <History of 1 epoch",
    ),
    "resume a number": (lambda: {"resume": 3}, TypeError, "resume must be the state of a History, got 3"),
}


def everything(net):
    """What bad input must leave as it is."""
    kind, keys, *rest = np.random.get_state()
    layers = [{name: id(value) for name, value in vars(layer).items()} for layer in net.layers.values()]
    return copy.deepcopy(dict(net.params)), layers, fastbp.get_num_threads(), (kind, keys.tolist(), *rest)


def assert_unchanged(net, before):
    params, *others = before
    now, *theirs = everything(net)
    assert list(now) == list(params)
    for name, p in now.items():
        assert_same_bits(p, params[name])
    assert theirs == others


def refuses(net, arguments, error, match):
    before = everything(net)
    arguments = {"x": X, "t": T, "progress": False} | arguments
    given = {name: copy.deepcopy(arguments[name]) for name in ("x", "t")}
    with pytest.raises(error, match=match):
        net.fit(**arguments)
    assert_unchanged(net, before)
    for name, value in given.items():
        if isinstance(value, np.ndarray) and value.dtype != object:
            assert_same_bits(arguments[name], value)


@pytest.mark.parametrize("case", ALL)
def test_fit_refuses(case):
    refuses(fastbp.mlp([4, 5, 3], seed=0), *ALL[case])


@pytest.mark.parametrize("case", RESUMES)
def test_fit_refuses_to_resume(case):
    arguments, error, match = RESUMES[case]
    refuses(fastbp.mlp([4, 5, 3], seed=0), arguments(), error, match)


@pytest.mark.parametrize("case", ALL)
def test_fit_refuses_before_it_takes_over_a_state(case):
    # The state has other weights than the network: none of them may be in it after an error.
    arguments, error, match = ALL[case]
    if arguments.get("optimizer") is not None and hasattr(arguments["optimizer"], "lr"):
        match = match.replace("step 0", "step 1")
    refuses(fastbp.mlp([4, 5, 3], seed=0), {"resume": state(), "batch_size": 4} | arguments, error, match)


@pytest.mark.parametrize("loss", [fastbp.MeanSquaredError, fastbp.SigmoidWithLoss])
@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"t": T}, ValueError, r"t of shape \(6,\) does not fit outputs of shape \(6, 3\)"),
        ({"t": np.ones((6, 2))}, ValueError, r"\(6, 2\).*\(6, 3\)"),
        ({"t": np.ones((5, 3))}, ValueError, r"\(5, 3\).*\(6, 3\)"),
        ({"t": np.ones((6, 3), complex)}, TypeError, "t must hold real numbers"),
        ({"t": np.full((6, 3), "1")}, TypeError, "t must hold real numbers"),
        ({"t": np.ones((6, 3)), "class_weight": {1: 2.0}}, ValueError, "class_weight needs"),
        ({"t": np.ones((6, 3)), "validation_data": (X, T)}, ValueError, r"\(6,\).*\(6, 3\)"),
    ],
)
def test_fit_refuses_targets_that_do_not_fit_a_loss_of_real_targets(loss, arguments, error, match):
    refuses(fastbp.mlp([4, 5, 3], loss=loss(), seed=0), arguments, error, match)


OPTIMIZER_SETTINGS = [
    *[("lr", value) for value in (0, -0.1, NAN, INF)],
    *[("momentum", value) for value in (-0.1, 1, 1.5, NAN, INF)],
    *[("weight_decay", value) for value in (-0.1, NAN, INF)],
]


@pytest.mark.parametrize(("name", "value"), OPTIMIZER_SETTINGS)
def test_an_optimizer_refuses_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        Momentum(**{name: value})


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", [True, "0.1", None, 1j, [0.1]])
def test_an_optimizer_refuses_settings_that_are_no_numbers(name, value):
    with pytest.raises(TypeError, match=name):
        Momentum(**{name: value})


@pytest.mark.parametrize(
    ("method", "x", "t", "error", "match"),
    [
        ("loss", X[:, :3], T, ValueError, "^x .*4 inputs"),
        ("loss", X, T[:5], ValueError, r"^t of shape \(5,\) does not fit"),
        ("loss", X, T + 1, ValueError, r"^t\[\d+\] is 3, outside 0\.\.2"),
        ("loss", X, changed(T.astype(float), 0, 0.5), ValueError, r"^t\[0\] is 0\.5, no class label"),
        ("loss", X[:0], T[:0], ValueError, "^x must"),
        ("loss", X.astype(complex), T, TypeError, "^x must hold real numbers"),
        ("gradient", X[:, :3], T, ValueError, "^x .*4 inputs"),
        ("gradient", X, T[:5], ValueError, r"^t of shape \(5,\) does not fit"),
        ("gradient", X, T - 1, ValueError, r"^t\[\d+\] is -1, outside 0\.\.2"),
        ("gradient", X.astype(object), T, TypeError, "^x must hold real numbers"),
        ("gradient", X, T.astype(str), TypeError, "^t must hold real numbers"),
    ],
)
def test_methods_of_a_network_refuse_what_fit_refuses(method, x, t, error, match):
    net = fastbp.mlp([4, 5, 3], seed=0)
    params = copy.deepcopy(dict(net.params))
    with pytest.raises(error, match=match):
        getattr(net, method)(x, t)
    for name, p in net.params.items():
        assert_same_bits(p, params[name])


def test_a_network_fits_after_every_error():
    net, twin = (fastbp.mlp([4, 5, 3], seed=0) for _ in range(2))
    for arguments, error, match in ALL.values():
        with pytest.raises(error, match=match):
            net.fit(**{"x": X, "t": T, "progress": False} | arguments)
    for n in (net, twin):
        n.fit(X, T, seed=0, progress=False)
    for name, p in net.params.items():
        assert_same_bits(p, twin.params[name])
