"""What a network is made of, in words: the one table of layers and losses that files and exports go by.

A layer or a loss is described by its class and the arguments of its constructor, each of which it keeps under the
argument's name; an array is described by its shape. This is a description of ``LeakyRelu(0.1)`` and of an ``Affine``::

    {"class": "LeakyRelu", "slope": 0.1}
    {"class": "Affine", "W": [64, 50], "b": [50]}
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np

from fastbp import activations, layers, losses
from fastbp.basics._attributes import arguments_of
from fastbp.layers._layer import Layer, Numbering
from fastbp.layers.flatten import Flatten
from fastbp.network import Network

KINDS: tuple[type[Layer], ...] = (*layers.CLASSES, *layers.OF_IMAGES, *activations.CLASSES)
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
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.ndarray):
        return list(value.shape)
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
        raise ValueError(f"{cls.__name__} takes {[*arguments_of(cls)]}, got {list(given)!r:.80}")
    for name, value in given.items():
        if isinstance(value, list):
            given[name] = array(name, value)
        elif value is not None and name in (*getattr(cls, "parameters", ()), *getattr(cls, "buffers", ())):
            raise ValueError(f"{name} of {cls.__name__} must be the shape of an array, got {value!r:.80}")
        elif type(value) not in (int, float, str, bool, type(None)) or (type(value) is int and abs(value) >= 1 << 63):
            raise ValueError(f"{name} of {cls.__name__} is {value!r:.80}")
    return cls(**given)


@dataclass(frozen=True)
class Step:
    """A layer as an export writes it, the names of its arrays by the attributes that they are, and samples' shapes."""

    layer: Any
    arrays: Mapping[str, str] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    out_shape: tuple[int, ...] = ()

    def argument(self, name: str) -> Any:
        """An argument of the layer's constructor, or an activation's number: an array's name, a float, or None."""
        value = getattr(self.layer, name)
        return self.arrays[name] if isinstance(value, np.ndarray) else None if value is None else float(value)

    def arguments_in(self, text: str) -> list[str]:
        """Those of the names above that occur in a ``text``."""
        return [name for name in (*arguments_of(type(self.layer)), "number") if re.search(rf"\b{name}\b", text)]


def predicting(net: Network) -> tuple[list[Step], dict[str, np.ndarray]]:
    """The layers of ``net`` for an export, and their arrays by name.

    Those that do nothing when predicting are left out, and a layer is folded into the one before where both are one
    then. Raises TypeError for layers and losses that the tables do not have, ValueError for parameters that are not
    finite.
    """
    known(net.loss_layer, LOSSES)
    for name, array in (net.params | net.buffers).items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite: such a network cannot be exported")
    layers: list[Any] = []
    for layer in net.layers.values():
        known(layer, LAYERS)
        if layer.draws:
            continue
        folded = layer.folded(layers[-1]) if layers else None
        layers[-1:] = [folded] if folded is not None else [*layers[-1:], layer]
    shape = (net.n_inputs,) if net.in_shape is None else net.in_shape
    steps: list[Step] = []
    arrays: dict[str, np.ndarray] = {}
    numbering = Numbering()
    for layer in layers:
        if layer.flattens_images and len(shape) > 1:  # as it does here, and nowhere else
            steps.append(Step(Flatten(), {}, shape, (math.prod(shape),)))
        own = {ours: name for ours, name in numbering(layer).items() if getattr(layer, ours) is not None}
        steps.append(Step(layer, own, shape, shape := layer.out_shape(shape)))
        arrays |= {name: getattr(layer, ours) for ours, name in own.items()}
    return steps, arrays
