"""What a network's programs and ``params`` go by: its layers as they were, and their parameters in one vector.

A network's layers, their arrays and their settings are open to everybody. A ``Binding`` is what they came to when they
were last looked at, and never changes: programs are written from it alone. Whoever uses one asks first whether the
network still is so.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _arguments, _check
from fastbp._attributes import arguments_of
from fastbp._layer import Layer, Numbering, Operand
from fastbp._loss import Loss
from fastbp._lowering import Lowering
from fastbp._pin import pin
from fastbp.softmax import Softmax


class Params(dict):
    """Parameters by name. An array assigned to a name is written into the parameter, so that it trains."""

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        if value is not self.get(name):  # as after ``params[name] -= step``
            self.update({name: value})

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Write all of these, or none where one does not fit."""
        given = {name: self._fitting(name, value) for name, value in dict(*args, **kwargs).items()}
        for name, array in given.items():
            self[name][...] = array

    def _fitting(self, name: str, value: ArrayLike) -> np.ndarray:
        """A copy of ``value``, which may be a view of any parameter."""
        own = self.get(name)
        if own is None:
            raise KeyError(f"there is no parameter {name!r}, only {', '.join(self)}")
        array = _check.as_real(name, value)
        _check.same_shape(name, array, own.shape, "the parameter")
        if not own.flags.writeable:
            raise ValueError(_read_only(name))
        return np.array(array)

    def __ior__(self, other: Any) -> Params:  # type: ignore[misc]
        self.update(other)
        return self

    def _stays(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("params has the parameters of the layers: they can be written, not added or taken away")

    __delitem__ = pop = popitem = clear = setdefault = _stays

    def __reduce__(self) -> tuple[type, tuple[dict]]:
        return dict, (dict(self),)  # the network that owns a copy binds it anew


class Binding:
    """The layers and the loss of a network as they are now.

    Parameters
    ----------
    layers, loss : the network's, by their names; they are checked, and their parameters become views of ``vector``
    before : the network's binding until now; its vector stays where no parameter is another

    Attributes
    ----------
    vector : (P,) all parameters, of the dtype that NumPy's promotion makes of them
    params : views of the vector by name
    names : of the parameters of each layer, by the layer's attributes, in the order of the layers
    layers, loss : copies that nobody else has, with views of the vector
    n_inputs, n_outputs : columns of the network's input and of its scores
    widths : columns of each layer's output

    Raises TypeError and ValueError where layers are no network.
    """

    def __init__(self, layers: Mapping[str, Any], loss: Any, before: Binding | None = None) -> None:
        self.vector: np.ndarray
        self.params: Params
        self._arrays: list[tuple[Any, str, Any]]  # a layer, its attribute, and what that was
        self._of, self._values, self._live, self._live_loss = layers, layers.values(), list(layers.values()), loss
        _check_layers(self._live, loss)
        numbering = Numbering()
        self.names: list[Mapping[str, str]] = [numbering(layer) for layer in self._live]
        given = [
            (layer, attribute, getattr(layer, attribute))
            for layer, names in zip(self._live, self.names, strict=True)
            for attribute in names
        ]
        if before is not None and before._has(given):
            self.vector, self.params, self._arrays = before.vector, before.params, before._arrays
        else:
            self._take(layers, given)
        self._held = [(vars(layer), name, array) for layer, name, array in self._arrays]  # which are looked up faster
        self.names = [{a: name for a, name in names.items() if name in self.params} for names in self.names]
        self._pin = pin("params", self.vector)
        self._settings = [setting for part in (*self._live, loss) if (setting := _settings_of(part))]
        *self.layers, self.loss = map(_made_again, (*self._live, loss))
        self._give_views()
        self.n_inputs = next(layer.n_inputs for layer in self.layers if layer.n_inputs is not None)
        self.widths: list[int] = []
        columns = self.n_inputs
        for name, layer in zip(layers, self.layers, strict=True):
            try:
                columns = layer.out_columns(columns)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            self.widths.append(columns)
        self.n_outputs = columns

    def _has(self, arrays: list[tuple[Any, str, Any]]) -> bool:
        return len(arrays) == len(self._arrays) and all(
            a is b for now, then in zip(arrays, self._arrays, strict=True) for a, b in zip(now, then, strict=True)
        )

    def _take(self, layers: Mapping[str, Any], given: list[tuple[Any, str, Any]]) -> None:
        """Copy the parameters into a new vector, and make the layers' arrays views of it."""
        arrays: dict[str, np.ndarray] = {}
        owners: list[tuple[str, np.ndarray]] = []
        places: dict[tuple[int, str], str] = {}
        for (name, layer), names in zip(layers.items(), self.names, strict=True):
            for (attribute, called), array in zip(names.items(), layer.checked(), strict=True):
                if array is not None:
                    arrays[called] = array
                    owners.append((f"{attribute} of {name}", array))
                    places[id(layer), attribute] = called
        _check_apart(owners)
        dtype = _check.computed_in(_check.result_type(*arrays.values()))
        self.vector = np.concatenate([array.astype(dtype, copy=False).ravel() for array in arrays.values()])
        self.params, at = Params(), 0
        for called, array in arrays.items():
            dict.__setitem__(self.params, called, self.vector[at : at + array.size].reshape(array.shape))
            at += array.size
        self._arrays = []
        for layer, attribute, array in given:
            own = self.params.get(places.get((id(layer), attribute), ""))
            # What another thread has assigned meanwhile stays, and is seen at the next look. (No other thread's
            # assignment is lost unseen: the comparison at the next look is with what stands here.)
            if getattr(layer, attribute) is array:
                setattr(layer, attribute, own)
            self._arrays.append((layer, attribute, own))

    def _give_views(self) -> None:
        """Give the copies of the layers views of their own."""
        for layer, names in zip(self.layers, self.names, strict=True):
            for attribute, called in names.items():
                setattr(layer, attribute, self.params[called].view())

    def is_of(self, layers: Mapping[str, Any], loss: Any) -> bool:
        """Whether the network still has these layers, these arrays in them, and the settings that it had."""
        if layers is not self._of or loss is not self._live_loss or [*self._values] != self._live:
            return False
        for attributes, name, array in self._held:
            if attributes.get(name) is not array:
                return False
        for part, read, values in self._settings:  # noqa: SIM110 (a generator takes as long as all the rest)
            if read(part) != values:
                return False
        return True

    def fits(self, other: Binding) -> bool:
        """Whether training can go on from ``other`` with the same states: kinds of layers and shapes are the same."""
        return (
            self.vector.dtype == other.vector.dtype
            and [*map(type, self.layers), type(self.loss)] == [*map(type, other.layers), type(other.loss)]
            and [(name, a.shape) for name, a in self.params.items()]
            == [(name, a.shape) for name, a in other.params.items()]
        )

    def check_writable(self) -> None:
        """ValueError where a parameter is read-only."""
        for _, _, array in self._arrays:
            if array is not None and not array.flags.writeable:
                raise ValueError(_read_only(*(n for n, a in self.params.items() if not a.flags.writeable)))

    def forward(self, p: Lowering, x: int) -> Operand:
        """Write the forward pass for the rows at ``x``, and hang the backward passes on ``p``; returns the scores."""
        operand = Operand(x, (self.n_inputs,))
        for p.place, layer in enumerate(self.layers):
            operand = layer.lower(p, operand)
        return operand


def _check_layers(layers: list[Any], loss: Any) -> None:
    seen: set[int] = set()
    for layer in layers:
        _check_layer(layer)
        if id(layer) in seen:
            raise ValueError(f"layers must be different objects, got {layer!r} twice")
        seen.add(id(layer))
    if not any(getattr(layer, "parameters", ()) for layer in layers):
        raise ValueError("layers must hold at least one Affine")
    if not isinstance(loss, Loss):
        raise TypeError(f"loss must be a loss layer of fastbp, got {_arguments.shown(loss)}")


def _check_layer(layer: Any) -> None:
    """TypeError unless ``layer`` can stand between the input and the loss of a network."""
    if isinstance(layer, Softmax) or layer is Softmax:
        raise TypeError(
            "layers must end with scores, got Softmax: leave it out, for SoftmaxWithLoss, the loss of the "
            "network, is the softmax of scores and its loss in one, and predict_proba gives probabilities"
        )
    hint = ""
    if isinstance(layer, type):
        hint = f"; did you mean {layer.__name__}(...)?"
    elif isinstance(layer, Loss):
        hint = f"; a loss is given apart, as loss={layer!r}"
    elif isinstance(layer, Layer):
        return
    raise TypeError(f"layers must be layers of fastbp, got {_arguments.shown(layer)}{hint}")


def _check_apart(arrays: list[tuple[str, np.ndarray]]) -> None:
    """ValueError where two arrays share memory: each would be trained on its own."""
    spans = []
    for name, array in arrays:
        if array.size:
            low, high = np.lib.array_utils.byte_bounds(array)
            spans.append((low, high, name, array))
    spans.sort(key=lambda span: span[:2])
    near: list[tuple[int, int, str, np.ndarray]] = []
    for span in spans:
        near = [other for other in near if other[1] > span[0]]
        for other in near:
            if np.shares_memory(span[3], other[3]):
                first, second = sorted((other[2], span[2]))
                raise ValueError(
                    f"{first} and {second} share memory, and weights shared by two layers would be trained as two: "
                    "give one of them a copy"
                )
        near.append(span)


def _arguments_of(part: Any) -> dict[str, Any] | None:
    """The arguments of a layer's constructor, each of which it keeps under its name; None of a layer that does not."""
    names = arguments_of(type(part))
    return {name: getattr(part, name) for name in names} if all(hasattr(part, name) for name in names) else None


def _settings_of(part: Any) -> tuple[Any, Any, Any] | None:
    """A layer, what reads the numbers that its instructions depend on, and what they are; None if there are none."""
    names = [
        name
        for name in (*(_arguments_of(part) or {}), "stream")
        if hasattr(part, name) and name not in getattr(part, "parameters", ())
    ]
    if not names:
        return None
    read = attrgetter(*names)
    return part, read, read(part)


def _made_again(part: Any) -> Any:
    """Another layer with the same settings and parameters; what is no setting its constructor refuses."""
    arguments = _arguments_of(part)
    if arguments is None:
        return copy.copy(part)
    other = type(part)(**arguments)
    if hasattr(part, "stream"):
        other.stream = part.stream
    return other


def _read_only(*names: str) -> str:
    return (
        f"{', '.join(names)} cannot be trained or written, being read-only: "
        f"set net.params[{names[0]!r}].flags.writeable = True"
    )
