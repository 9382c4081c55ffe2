"""A program that can be read: net.program lists the instructions of a step with their operands by name."""

import numpy as np
import pytest

import fastbp


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
    first = {"x": "x", "W": "W1", "b": "b1", "y": "Affine1.y", "rows": "100", "inputs": "784", "outputs": "50"}
    assert lines[0][1] == first | {"function": "relu", "number": "1"}
    back = lines[3][1]
    assert (back["W"], back["function"], back["kept"]) == ("W2", "relu_back", "Affine1.y")


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
