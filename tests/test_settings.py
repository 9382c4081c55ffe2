"""Every argument that is no array, of what makes and trains networks: one kind of error for one kind of mistake."""

import inspect
import math

import numpy as np
import pytest

import fastbp

X, T = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 1, 2, 0, 1, 2])
ARRAYS = {"self", "net", "x", "t", "sample_weight"}  # which have tests of their own
OF_RANKS = {"comm"}  # which tests of MPI give to fit


def net():
    return fastbp.mlp([4, 5, 3], seed=0)


FUNCTIONS = {
    "fit": (fastbp.Sequential.fit, lambda **given: net().fit(**{"x": X, "t": T, "progress": False} | given)),
    "step": (fastbp.Sequential.step, lambda **given: net().step(X, T, **given)),
    "mlp": (fastbp.mlp, lambda **given: fastbp.mlp(**{"sizes": [4, 5, 3]} | given)),
    "Sequential": (
        fastbp.Sequential,
        lambda **given: fastbp.Sequential(**{"layers": net().layers.values()} | given),
    ),
    "set_num_threads": (fastbp.set_num_threads, fastbp.set_num_threads),
}
# For each argument what is of another kind, a TypeError, and what is out of range, a ValueError.
INTEGERS = ["3", 1.5, np.float64(2), True, math.nan, [3]]
NUMBERS = ["1", True, 1j, [1.0]]
FLAGS = ["no", 1, "True", []]
NO_SCALE = [0, -1, math.nan, math.inf]
WRONG = {
    "fit": {
        "epochs": ([*INTEGERS, None], [-1]),
        "batch_size": ([*INTEGERS, None], [0, -1]),
        "optimizer": ([3, None, fastbp.optimizers.SGD], ["sdg", ""]),
        "validation_data": ([3, "x", X], [(X,), (X, T, T), (X[:0], T[:0])]),
        "validation_split": (NUMBERS, [-0.1, 0, 1, 1.5, math.nan]),
        "shuffle": ([*FLAGS, None], []),
        "seed": (INTEGERS, [-1]),
        "threads": (INTEGERS, [0, -1]),
        "callbacks": ([3, "log", [3], None, print], []),
        "accuracy": ([*FLAGS, None], []),
        "progress": ([*FLAGS, None], []),
        "scale": (NUMBERS, NO_SCALE),
        "class_weight": ([3, [1, 2, 3], {"a": 1.0}, {0: "1"}], ["balance", {3: 1.0}, {0: -1.0}, {0: math.nan}]),
        "clip_norm": (NUMBERS, [0, -1, math.nan, math.inf]),
        "patience": (INTEGERS, [0, -1]),
        "max_steps": (INTEGERS, [-1]),
        "resume": ([3, "state", fastbp.History()], []),
        "sync_every": ([*INTEGERS, None], [0, -1, 2]),  # 2 without others to wait for
    },
    "step": {
        "optimizer": ([3, None, fastbp.optimizers.SGD], ["sdg"]),
        "clip_norm": (NUMBERS, [0, -1, math.nan, math.inf]),
        "seed": (INTEGERS, [-1]),
    },
    "mlp": {
        "sizes": ([3, "43", None, [4, "3"], [4, 2.5], [4, True]], [[], [4], [4, 0], [4, -3]]),
        "activation": ([3, None, fastbp.Relu()], ["rleu", ""]),
        "normalization": ([3, True, fastbp.Relu()], ["group", ""]),
        "dropout": (["0.1", True, 1j, None, ["0.1"]], [-0.1, 1.5, math.nan, [0.1, 0.1], [2.0]]),
        "dtype": (["flaot32", 3], ["float16", int, None]),
        "seed": (["0", 1.5, True], [-1, [-1]]),
        "loss": ([3, fastbp.Relu(), fastbp.MeanSquaredError], ["msee", ""]),
        "scale": ([*NUMBERS, None], NO_SCALE),
    },
    "Sequential": {
        "layers": ([3, None, "Relu", [3], [fastbp.Affine], [fastbp.Softmax()]], [[], [fastbp.Relu()]]),
        "loss": ([3, fastbp.Relu(), fastbp.MeanSquaredError], ["mean", ""]),
        "scale": ([*NUMBERS, None], NO_SCALE),
        "in_shape": ([3, "4", [4.0], ["4"]], [[], (4, 4), (0,)]),
    },
    "set_num_threads": {"n": ([*INTEGERS, None], [0, -1])},
}
CASES = [
    pytest.param(function, argument, value, error, id=f"{function}-{argument}-{value!r:.20}-{error.__name__}")
    for function, arguments in WRONG.items()
    for argument, kinds in arguments.items()
    for error, values in zip((TypeError, ValueError), kinds, strict=True)
    for value in values
]
OF_PYTHON = [
    "NoneType",
    "not supported between",
    "has no attribute",
    "unsupported operand",
    "not iterable",
    "object is",
]


@pytest.mark.parametrize("function", WRONG)
def test_no_argument_is_forgotten(function):
    parameters = inspect.signature(FUNCTIONS[function][0]).parameters.keys()
    assert parameters - ARRAYS - OF_RANKS == WRONG[function].keys()


@pytest.mark.parametrize(("function", "argument", "value", "error"), CASES)
def test_a_wrong_argument_is_named_in_words_of_fastbp(function, argument, value, error):
    more = {"validation_data": (X, T)} if argument == "patience" else {}
    before = fastbp.get_num_threads()
    with pytest.raises(error) as caught:
        FUNCTIONS[function][1](**{argument: value}, **more)
    message = str(caught.value)
    assert type(caught.value) is error
    assert argument in message
    assert not any(words in message for words in OF_PYTHON)
    assert len(message) < 300
    assert fastbp.get_num_threads() == before
