"""What a network is made of, in words: the one table of layers and losses that files and exports go by.

A layer or a loss is described by its class and the arguments of its constructor, each of which it keeps under the
argument's name; an array is described by its shape. This is a description of ``LeakyRelu(0.1)`` and of an ``Affine``::

    {"class": "LeakyRelu", "slope": 0.1}
    {"class": "Affine", "W": [64, 50], "b": [50]}
"""

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from fastbp import activations, losses
from fastbp._attributes import arguments_of
from fastbp.affine import Affine
from fastbp.dropout import Dropout
from fastbp.sequential import Sequential

KINDS: tuple[type, ...] = (Affine, *activations.CLASSES, Dropout)
LAYERS = {cls.__name__: cls for cls in KINDS}
LOSSES: dict[str, type] = {cls.__name__: cls for cls in losses.CLASSES}


def known(part: Any, table: Mapping[str, type]) -> str:
    """The name of a layer's or a loss's class; TypeError where the table does not have it."""
    name = type(part).__name__
    if table.get(name) is not type(part):
        raise TypeError(f"{part!r} can be neither saved nor exported, only {', '.join(table)} can")
    return name


def describe(part: Any, table: Mapping[str, type]) -> dict[str, Any]:
    """A layer or a loss in words that JSON has."""
    return {"class": known(part, table)} | {name: _plain(getattr(part, name)) for name in arguments_of(type(part))}


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return list(value.shape)
    if isinstance(value, str):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def make(description: Any, table: Mapping[str, type], array: Callable[[str, list], np.ndarray]) -> Any:
    """The layer or loss that ``describe`` has told of; ``array`` gives the array of an argument, for its shape.

    Raises ValueError or TypeError for anything else.
    """
    if not isinstance(description, dict) or description.get("class") not in [*table]:
        raise ValueError(f"{description!r:.80} is none of {', '.join(table)}")
    cls = table[description["class"]]
    given = {name: value for name, value in description.items() if name != "class"}
    if given.keys() != set(arguments_of(cls)):
        raise ValueError(f"{cls.__name__} takes {arguments_of(cls)}, got {list(given)!r:.80}")
    for name, value in given.items():
        if isinstance(value, list):
            given[name] = array(name, value)
        elif value is not None and name in getattr(cls, "parameters", ()):
            raise ValueError(f"{name} of {cls.__name__} must be the shape of an array, got {value!r:.80}")
        elif type(value) not in (int, float, str, type(None)) or (type(value) is int and abs(value) >= 1 << 63):
            raise ValueError(f"{name} of {cls.__name__} is {value!r:.80}")
    return cls(**given)


def predicting(net: Sequential) -> list[tuple[str, Any]]:
    """The layers of ``net``, each with its class's name, without those that do nothing when predicting.

    Raises TypeError for layers and losses that the tables do not have, ValueError for parameters that are not finite.
    """
    known(net.lastLayer, LOSSES)
    for name, array in net.params.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite: such a network cannot be exported")
    return [(known(layer, LAYERS), layer) for layer in net.layers.values() if not isinstance(layer, Dropout)]
