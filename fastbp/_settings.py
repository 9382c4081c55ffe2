"""The settings of layers and losses, and others that have the same."""

import copy
from functools import lru_cache
from typing import Any

from fastbp.basics._attributes import arguments_of


def _arguments_of(part: Any) -> dict[str, Any] | None:
    """The arguments of a layer's constructor, each of which it keeps under its name; None of a layer that does not."""
    try:
        return {name: getattr(part, name) for name in arguments_of(type(part))}
    except AttributeError:
        return None


def settings_of(part: Any, arrays: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the numbers that the instructions of a part with these ``arrays`` depend on."""
    cls: Any = type(part)  # which can be hashed
    names = _arguments_without(cls, arrays)
    if names and _arguments_of(part) is None:
        names = ()
    return (*names, *part.other_settings)


@lru_cache(maxsize=256)
def _arguments_without(cls: type, arrays: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([name for name in arguments_of(cls) if name not in arrays])


def made_again(part: Any, is_lowered: bool = True) -> Any:
    """Another layer with the same settings and parameters; what is no setting its constructor refuses."""
    arguments = _arguments_of(part) if is_lowered else None  # of the others nothing is known but what a layer has
    if arguments is None:
        return copy.copy(part)
    other = type(part)(**arguments)
    for name in part.other_settings:
        setattr(other, name, getattr(part, name))
    return other
