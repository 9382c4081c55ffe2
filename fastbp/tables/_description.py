"""The numbers in what a model file says about its data: whoever wrote it, they can be computed with."""

import math
from typing import Any


def check_numbers(description: Any) -> None:
    """ValueError for a number that is no finite float64, and for a standard deviation that is not above 0."""
    rest = [("", description)]
    while rest:
        name, value = rest.pop()
        if isinstance(value, dict):
            rest += value.items()
        elif isinstance(value, list):
            rest += [(name, entry) for entry in value]
        elif isinstance(value, float | int) and (not _is_finite(value) or (name == "std" and value <= 0)):
            raise ValueError(f"{name} is {value!r:.40}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False
