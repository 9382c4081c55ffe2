"""What an argument that is no array may be: one function a kind, which returns it as Python's own type or raises.

A thing of another kind is a TypeError, one of the right kind that is not allowed a ValueError; both name the argument,
say what was expected, and show what came.
"""

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

LONGEST_SHOWN = 80  # characters of what came
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_NONE: Mapping[str, str] = {}


def shown(value: Any) -> str:
    """``value`` for a message, in one short line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def few(texts: Iterable[str], most: int = 8) -> str:
    """The first ``most`` of them in one line, and how many more there are."""
    texts = list(texts)
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f", and {more} more" if more > 0 else "")


def integer(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """``value``, an integer in ``least``..``most``; True and False are none."""
    if type(value) is not int and (isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer))):
        raise TypeError(_not_an_integer(name, value, least, most))
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(_not_an_integer(name, value, least, most))
    return int(value)


def _not_an_integer(name: str, value: Any, least: int | None, most: int | None) -> str:
    return f"{name} must be an integer{_range(least, most)}, got {shown(value)}"


def real(
    name: str,
    value: Any,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """``value``, a finite number in ``least``..``most``, ``above`` and ``below``; True and False are none."""

    def expected() -> str:
        bound = _range(least, most) + "".join(
            f" {word} {limit:g}" for word, limit in (("above", above), ("below", below)) if limit is not None
        )
        return f"{name} must be a finite number{bound}, got {shown(value)}"

    is_usual = type(value) is float or type(value) is int
    if not is_usual and (isinstance(value, (bool, np.bool_)) or not isinstance(value, (Real, np.floating))):
        raise TypeError(expected())
    try:
        number = float(value)
    except OverflowError:  # an integer
        number = math.inf
    too_small = (least is not None and number < least) or (above is not None and number <= above)
    too_large = (most is not None and number > most) or (below is not None and number >= below)
    if not math.isfinite(number) or too_small or too_large:
        raise ValueError(expected())
    return number


def flag(name: str, value: Any) -> bool:
    """``value``, True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def choice(name: str, value: Any, allowed: Collection[str], elsewhere: Mapping[str, str] = _NONE) -> str:
    """``value``, one of the ``allowed`` words; a word that is nearly one of them is told which.

    ``elsewhere`` maps what other libraries say to the word here.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(allowed)}, got {shown(value)}")
    if value not in allowed:
        near = [word for word in allowed if word in (value.lower(), elsewhere.get(value.lower()))]
        near = near or difflib.get_close_matches(value, allowed, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {shown(value)}{hint}")
    return value


def float_type(name: str, value: Any) -> np.dtype:
    """``value``, float32 or float64 in any of NumPy's spellings."""
    try:
        dtype = np.dtype(value)
    except TypeError:
        raise TypeError(_no_float_type(name, value)) from None
    if value is None or dtype not in FLOATS:
        raise ValueError(_no_float_type(name, value))
    return dtype


def _no_float_type(name: str, value: Any) -> str:
    return f"{name} must be float32 or float64, got {shown(value)}"


def generator(name: str, seed: Any) -> np.random.Generator:
    """NumPy's generator from a ``seed``: None, an integer of at least 0, or what else ``default_rng`` takes."""
    if isinstance(seed, (int, np.integer, float, str)):
        seed = integer(name, seed, 0)
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        expected = f"{name} must be an integer of at least 0, None, or what np.random.default_rng takes"
        raise type(error)(f"{expected}, got {shown(seed)}") from None


def _range(least: float | None, most: float | None) -> str:
    if least is None and most is None:
        return ""
    low, high = (f"{limit:g}" if isinstance(limit, float) else str(limit) for limit in (least, most))
    if most is None:
        return f" of at least {low}"
    return f" of at most {high}" if least is None else f" in {low}..{high}"
