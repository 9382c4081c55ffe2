"""A program that can be read: net.program lists the instructions of a step with their operands by name."""

import numpy as np
import pytest

import fastbp
from fastbp.basics._machine import numbers
from fastbp.kernels.plan import plan_product
from fastbp.programs._listing import plan_in_words


def fields(line):
    name, *rest = line.split()
    return name, dict(word.split("=", 1) for word in " ".join(rest).replace("loss dx", "loss-dx").split())


def test_the_steps_of_the_books_network():
    net = fastbp.mlp([784, 50, 10], seed=0)
    lines = [fields(line) for line in net.program(batch_size=100).splitlines()]
    assert [name for name, _ in lines] == [
        "AffineForward",
        "AffineForward",
        "SoftmaxLossOfFew",
        "AffineInputGradient",
        "AffineStep",
        "AffineStep",
    ]
    first = {"x": "x", "W": "W1", "b": "b1", "y": "Affine1.y", "function": "relu", "number": "1"}
    assert lines[0][1].pop("plan").startswith("100x50x784:blocks=")
    assert lines[0][1] == first
    back = lines[3][1]
    assert (back["W"], back["function"], back["kept"]) == ("W2", "relu_back", "Affine1.y")


def test_the_plans_of_products():
    net = fastbp.mlp([64, 32, 10], seed=0)
    products = [
        [operands[name].split(":")[0] for name in ("plan", "plan_of_sum") if name in operands]
        for _, operands in map(fields, net.program(batch_size=32).splitlines())
    ]
    assert products == [
        ["32x32x64"],
        ["32x10x32"],
        [],
        ["32x32x10"],
        ["32x10x32", "1x10x32"],
        ["64x32x32", "1x32x32"],
    ]


def test_a_plan_in_words():
    plan = plan_product((8, 4, 3), (3, 1), (1, 3), 4, 0, 4, numbers())
    assert plan_in_words(plan) == "8x4x3:tiles,packed"
    plan = plan_product((100, 50, 784), (784, 1), (50, 1), 50, 0, 4, numbers())
    plan = plan._replace(block_k=1024, block_n=128, by_rows=2, by_columns=1, packs_b=0, thin=0, k_ahead=0)
    assert plan_in_words(plan) == "100x50x784:blocks=1024x128,parts=2x1"
    assert plan_in_words(plan._replace(turns_a=1, packs_b=0, thin=2, k_ahead=8)).endswith(",turned,thin=2,ahead=8")
    assert plan_in_words(plan_product((0, 50, 784), (784, 1), (50, 1), 50, 0, 4, numbers())) == "0x50x784:nothing"


def test_gradients_and_derivatives_have_names_too():
    net = fastbp.mlp([4, 8, 8, 1], ["gelu", "tanh"], loss="huber", seed=0)
    text = net.program(16, "adam")
    assert "Activation            function=gelu x=Affine1.y y=Gelu1.y n=128" in text
    assert "function=gelu_back kept=Affine1.y" in text
    assert "function=tanh_back kept=Affine2.y" in text
    assert "dW=dW2 db=db2" in text
    assert text.splitlines()[-1].startswith("Optimize ")


def test_a_listing_changes_nothing():
    net = fastbp.mlp([4, 3], seed=0)
    x, t = np.ones((5, 4), np.float32), np.array([0, 1, 2, 1, 0])
    expected = fastbp.mlp([4, 3], seed=0)
    net.program(5)
    assert net.step(x, t) == expected.step(x, t)
    assert np.array_equal(net.params["W1"], expected.params["W1"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [((0,), ValueError, "batch_size must be an integer of at least 1"), ((2, "sdg"), ValueError, "did you mean 'sgd'")],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        fastbp.mlp([4, 3]).program(*arguments)
