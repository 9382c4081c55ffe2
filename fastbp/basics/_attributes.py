"""Attributes of layers that are more than a place to put something, since anyone may set them at any time."""

from collections.abc import Callable
from functools import cache
from inspect import Parameter, signature
from typing import Any, Protocol
from weakref import ref


def arguments_of(cls: Any) -> tuple[str, ...]:
    """The arguments of a layer's constructor; those that are given by name only are other names for the ones before."""
    return _arguments_of(cls)


@cache  # of a class without a constructor, inspect copies sys.modules each time
def _arguments_of(cls: Any) -> tuple[str, ...]:
    parameters = signature(cls).parameters
    return tuple(name for name, parameter in parameters.items() if parameter.kind != Parameter.KEYWORD_ONLY)


class _Setting:
    """Without ``__get__``, so that reading finds the number in the layer's own dict, as fast as any."""

    def __init__(self, check: Callable[[str, Any], Any]) -> None:
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, layer: Any, value: Any) -> None:
        layer.__dict__[self._name] = self._check(self._name, value)


def setting(check: Callable[[str, Any], Any]) -> Any:
    """An option of a layer: what ``check`` makes of its name and of what is assigned, if it does not raise."""
    return _Setting(check)


def derived(function: Callable[[Any], Any]) -> Any:
    """As ``property``, in place of what an older class has as a plain attribute, which costs nothing to read."""
    return property(function)


class _Remembered:
    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        return self if layer is None else layer._last[self._place]

    def __set__(self, layer: Any, value: Any) -> None:
        last = layer._last
        layer._last = (*last[: self._place], value, *last[self._place + 1 :])


def remembered(place: int) -> Any:
    """What a layer remembers of its last forward, at a ``place`` of its tuple ``_last``.

    ``forward`` replaces the tuple as a whole and ``backward`` looks at it once, so that with several threads it never
    meets the half of one forward beside the half of another.
    """
    return _Remembered(place)


class Recalls(Protocol):
    """Who knows what a forward would have left in layers."""

    def recall(self, layer: Any, place: int) -> None:
        """Leave it in the layer with that number."""


class _Known:
    """Who recalls it, for as long as they live; nobody in a deep copy, or in what was pickled."""

    def __init__(self, who: Recalls | None = None, place: int = 0) -> None:
        self._who, self._place = who if who is None else ref(who), place

    def recall(self, layer: Any) -> None:
        if self._who is not None and (who := self._who()) is not None:
            who.recall(layer, self._place)

    def __reduce__(self) -> Any:
        return _Known, ()


class _Left:
    """Without ``__set__``: what stands in the layer's own dict is found there, as fast as any."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self._before
        attributes, name = layer.__dict__, self._name
        if (known := attributes.get("_known")) is not None and name in layer.remembers:
            known.recall(layer)
        return attributes.get(name, self._before)


def left(before: Any) -> Any:
    """What ``forward`` leaves in the layer's dict; ``before`` the first, unless somebody ``recalls`` it."""
    return _Left(before)


def recalls(layer: Any, who: Recalls, place: int) -> None:
    """Have ``who``, for as long as it lives, recall what was ``left`` in a layer, where that is asked for and missing.

    So a pass that went through a program need put nothing into layers that nobody looks at.
    """
    layer.__dict__["_known"] = _Known(who, place)


def recalls_no_more(layer: Any) -> None:
    """Have nobody recall what was ``left`` in a layer."""
    layer.__dict__.pop("_known", None)
