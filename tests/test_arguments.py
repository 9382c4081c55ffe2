"""Arguments that are no arrays: what is taken, and what is said of what is not."""

import math
from fractions import Fraction

import numpy as np
import pytest

from fastbp.basics import _arguments


def test_an_integer_is_returned_as_python_has_it():
    assert type(_arguments.integer("n", np.int8(3), 0, 5)) is int
    assert _arguments.integer("n", 0, 0) == 0
    assert _arguments.integer("n", 5, 0, 5) == 5
    assert _arguments.integer("n", -7) == -7


@pytest.mark.parametrize("value", [True, np.True_, 1.0, "3", None, [1]])
def test_what_is_no_integer_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"^n must be an integer of at least 0, got "):
        _arguments.integer("n", value, 0)


@pytest.mark.parametrize(
    ("value", "least", "most", "words"),
    [(-1, 0, None, "of at least 0"), (6, 0, 5, "in 0..5"), (6, None, 5, "of at most 5")],
)
def test_an_integer_out_of_range_is_a_value_error(value, least, most, words):
    with pytest.raises(ValueError, match=f"^n must be an integer {words}, got {value}$"):
        _arguments.integer("n", value, least, most)


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(1), Fraction(1, 2)])
def test_a_number_is_returned_as_python_has_it(value):
    number = _arguments.real("p", value, 0, 1)
    assert type(number) is float
    assert number == float(value)


@pytest.mark.parametrize("value", [True, "1", None, 1j, [1.0]])
def test_what_is_no_number_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"^p must be a finite number in 0..1, got "):
        _arguments.real("p", value, 0, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 1.5])
def test_a_number_out_of_range_is_a_value_error(value):
    with pytest.raises(ValueError, match=r"^p must be a finite number in 0..1, got "):
        _arguments.real("p", value, 0.0, 1.0)


def test_a_number_can_be_bounded_without_its_bound():
    assert _arguments.real("lr", 1e-300, above=0) == 1e-300
    with pytest.raises(ValueError, match=r"^lr must be a finite number above 0, got 0$"):
        _arguments.real("lr", 0, above=0)


def test_a_flag_is_true_or_false():
    assert _arguments.flag("shuffle", np.False_) is False
    with pytest.raises(TypeError, match=r"^shuffle must be True or False, got 'no'$"):
        _arguments.flag("shuffle", "no")


def test_a_word_that_is_nearly_allowed_is_told_which():
    assert _arguments.choice("activation", "relu", ["relu", "tanh"]) == "relu"
    with pytest.raises(ValueError, match=r"got 'rleu'; did you mean 'relu'\?$"):
        _arguments.choice("activation", "rleu", ["relu", "tanh"])
    with pytest.raises(ValueError, match=r"got 'TANH'; did you mean 'tanh'\?$"):
        _arguments.choice("activation", "TANH", ["relu", "tanh"])
    with pytest.raises(ValueError, match=r"^activation must be one of relu, tanh, got 'x'$"):
        _arguments.choice("activation", "x", ["relu", "tanh"])
    with pytest.raises(TypeError, match=r"^activation must be one of relu, tanh, got 3$"):
        _arguments.choice("activation", 3, ["relu", "tanh"])


@pytest.mark.parametrize("value", ["float32", np.float32, np.dtype("float64"), "f8", float])
def test_a_floating_type_may_be_spelt_as_numpy_does(value):
    assert _arguments.float_type("dtype", value) == np.dtype(value)


@pytest.mark.parametrize(("value", "error"), [("flaot32", TypeError), ("float16", ValueError), (None, ValueError)])
def test_another_type_is_an_error_that_names_the_two(value, error):
    with pytest.raises(error, match=r"^dtype must be float32 or float64, got "):
        _arguments.float_type("dtype", value)


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (1.5, TypeError), (object(), TypeError), ([-1], ValueError)]
)
def test_what_is_no_seed_is_named(seed, error):
    with pytest.raises(error, match=r"^seed must be an integer of at least 0"):
        _arguments.generator("seed", seed)


def test_what_came_is_shown_in_one_short_line():
    assert len(_arguments.shown("x" * 1000)) == _arguments.LONGEST_SHOWN
    just = "x" * (_arguments.LONGEST_SHOWN - 2)
    assert _arguments.shown(just) == repr(just)
    assert "\n" not in _arguments.shown(np.zeros((40, 40)))
