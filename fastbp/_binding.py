"""What a network's programs and ``params`` go by: its layers as they were, and their parameters in one vector.

A network's layers, their arrays and their settings are open to everybody. A ``Binding`` is what they came to when they
were last looked at, and never changes: programs are written from it alone. Whoever uses one asks first whether the
network still is so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

import numpy as np

from fastbp._params import Params, check_apart, cut, in_one, read_only
from fastbp._settings import made_again, settings_of
from fastbp.basics import _arguments, _check
from fastbp.basics._pin import pin
from fastbp.kernels.entry_program import looking_at
from fastbp.layers._layer import Layer, names_of
from fastbp.losses._loss import Loss
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

NO_SHAPE = (
    "the size of the images is not known yet: the network takes it from the first that predict, fit or step get, or is "
    "told by in_shape=(channels, height, width)"
)
MANY_LOOKS = 32  # at a network's arrays, as of scripts that update ``params`` one by one: the next are compiled
NO_PARAMETERS = "layers must hold at least one Affine, or another layer with parameters"


class Binding:
    """The layers and the loss of a network as they are now.

    Parameters
    ----------
    layers, loss : the network's, by their names; they are checked, and their parameters become views of ``vector``
    before : the network's binding until now; its vector stays where no parameter is another
    in_shape : the shape of an input sample; None where the layers say it, or it is not known yet

    Attributes
    ----------
    vector : (P,) all parameters, of the dtype that NumPy's promotion makes of them
    kept : (B,) all buffers, what layers keep and do not train, of the same dtype
    params, buffers : views of the two vectors by name
    names : of the parameters and buffers of each layer, by the layer's attributes, in the order of the layers
    live : the layers themselves
    unlowered : the names of those that have no instructions
    layers, loss : copies that nobody else has, with views of the vectors
    in_shape : of an input sample; None where it is not known yet
    n_inputs, n_outputs : numbers in an input sample and in its scores
    shapes : of an output sample of each layer
    programs : of it, which those who train leave to those who train next, by what they are for

    Raises TypeError and ValueError where layers are no network, and ValueError from what asks for the last four while
    the shape of a sample is not known.
    """

    def __init__(
        self,
        layers: Mapping[str, Any],
        loss: Any,
        before: Binding | None = None,
        in_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.vector: np.ndarray
        self.kept: np.ndarray
        self.params: Params
        self.buffers: Params
        # The dict of a layer's attributes, one of these, and what that was: looked up faster than by the layer.
        self._held: list[tuple[dict[str, Any], str, Any]]
        self.programs: dict[Hashable, Any] = {}
        self._of, self._values, self.live, self._live_loss = layers, layers.values(), list(layers.values()), loss
        _check_layers(self.live, loss)
        lowered = [layer.is_lowered() for layer in self.live]
        self.unlowered = [name for name, is_lowered in zip(layers, lowered, strict=True) if not is_lowered]
        attributes = tuple([(*layer.parameters, *layer.buffers) for layer in self.live])
        names = names_of(attributes)
        given = _arrays_in(self.live)
        if before is not None and before._has(given):
            self.vector, self.params, self._held = before.vector, before.params, before._held
            self.kept, self.buffers = before.kept, before.buffers
        else:
            self._take(layers, names, given)
        arrays = self.params | self.buffers
        self.names = names if len(arrays) == len(given) else [_those_in(arrays, own) for own in names]
        self._look: Callable[[], Any] = _look_for_yourself
        self._n_looks = 0
        self._pin = pin("params", self.vector), pin("buffers", self.kept)
        self._settings: tuple[Any, ...] = ()  # a part, what reads its settings, and what they were
        self._elsewhere: tuple[Any, ...] = ()  # those of them that are not all in the dict of their part
        self._held_settings: tuple[tuple[dict[str, Any], str, Any], ...] = ()  # and the others, as ``_held``
        for part, is_lowered, arrays_of in zip((*self.live, loss), (*lowered, True), (*attributes, ()), strict=True):
            if is_lowered and (own := settings_of(part, arrays_of)):
                self._hold_settings(part, own)
        # After their settings were read, so that what changes meanwhile is seen at the next look.
        self.layers = [made_again(layer, is_lowered) for layer, is_lowered in zip(self.live, lowered, strict=True)]
        self.loss = made_again(loss)
        self._give_views(arrays)
        self.in_shape = self._said_by_layers() if in_shape is None else in_shape
        self._shapes: list[tuple[int, ...]] = []
        shape = self.in_shape
        if shape is not None:
            for name, layer in zip(layers, self.layers, strict=True):
                try:
                    shape = layer.out_shape(shape)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
                self._shapes.append(shape)

    def _hold_settings(self, part: Any, names: tuple[str, ...]) -> None:
        """Take note of what these settings of a layer or a loss are."""
        read, attributes = attrgetter(*names), vars(part)
        setting = part, read, read(part)
        self._settings += (setting,)
        if all(name in attributes for name in names):
            self._held_settings += tuple([(attributes, name, attributes[name]) for name in names])
        else:
            self._elsewhere += (setting,)

    @cached_property
    def predicts(self) -> bool:
        """Whether all layers have instructions of what they predict."""
        return all(layer.predict_is_lowered() for layer in self.live)

    @cached_property
    def remembered(self) -> list[tuple[dict[str, Any], str]]:
        """The attributes of each layer's object, and the name of one that a forward leaves there."""
        return [(vars(layer), name) for layer in self.live for name in layer.remembers]

    @cached_property
    def least_rows(self) -> dict[str, int]:
        """How many samples a batch must have, by the class of a layer for which one is too few."""
        least = [(layer, layer.least_rows(shape)) for layer, shape in zip(self.layers, self.shapes, strict=True)]
        return {type(layer).__name__: rows for layer, rows in least if rows > 1}

    def _said_by_layers(self) -> tuple[int, ...] | None:
        """The shape of an input sample, as the first layer says that does; None where there are layers for images."""
        if any(layer.takes_images for layer in self.layers):
            return None
        for layer in self.layers:
            if layer.n_inputs is not None:
                return (layer.n_inputs,)
        raise ValueError(f"no layer says by n_inputs how many inputs there are, of {', '.join(self._of)}")

    @property
    def n_inputs(self) -> int:
        if self.in_shape is None:
            raise ValueError(NO_SHAPE)
        return math.prod(self.in_shape)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        if self.in_shape is None:
            raise ValueError(NO_SHAPE)
        return self._shapes

    @property
    def n_outputs(self) -> int:
        return math.prod(self.shapes[-1])

    def check_samples(self, name: str, shape: tuple[int, ...]) -> None:
        """ValueError unless an array ``name`` of that ``shape`` holds input samples, as they are or as rows.

        Images of one channel may come without it.
        """
        own, n = self.in_shape, self.n_inputs
        given = shape[1:]
        if own is None or len(own) == 1 or len(given) < 2:
            if math.prod(given) != n:
                raise ValueError(f"{name} has {math.prod(given)} elements a sample, the network has {n} inputs")
        elif given not in (own, own[own[0] == 1 :]):
            raise ValueError(f"{name} has samples of shape {given}, the network takes images {own}")

    @property
    def kind(self) -> Hashable:
        """What networks have in common whose programs are the same but for addresses.

        It is None where there are layers of a user's own, of whose programs nobody knows what they depend on.
        """
        kinds: Any = tuple(map(type, self.live)), type(self._live_loss)
        if not _are_ours(*kinds):
            return None
        places = {id(part): place for place, part in enumerate((*self.live, self._live_loss))}
        settings = tuple([(places[id(part)], repr(values)) for part, _, values in self._settings])
        shapes = [tuple([(name, array.shape) for name, array in own.items()]) for own in (self.params, self.buffers)]
        return kinds, settings, *shapes, self.vector.dtype, self.in_shape

    def apart(self) -> Binding:
        """One of the same layers, with vectors of its own."""
        layers = {str(n): made_again(layer, layer.is_lowered()) for n, layer in enumerate(self.layers)}
        return Binding(layers, made_again(self.loss), None, self.in_shape)

    def learn_to_look(self) -> None:
        """Look at arrays and settings by compiled code from now on, where a call is a matter of microseconds."""
        if self._look is _look_for_yourself:
            self._look = looking_at(self._held, self._held_settings)

    def keeps_arrays_of(self, layers: Mapping[str, Any]) -> bool:
        """Whether the arrays in these layers are its own, so that another binding of them would move none."""
        live = list(layers.values())
        return all(isinstance(layer, Layer) for layer in live) and self._has(_arrays_in(live))

    def _has(self, arrays: list[tuple[dict[str, Any], str, Any]]) -> bool:
        return len(arrays) == len(self._held) and all(
            now[0] is then[0] and now[1] == then[1] and now[2] is then[2]
            for now, then in zip(arrays, self._held, strict=True)
        )

    def _take(
        self,
        layers: Mapping[str, Any],
        names: Sequence[Mapping[str, str]],
        given: list[tuple[dict[str, Any], str, Any]],
    ) -> None:
        """Copy parameters and buffers into new vectors, and make the layers' arrays views of these."""
        parameters: dict[str, np.ndarray] = {}
        buffers: dict[str, np.ndarray] = {}
        owners: list[tuple[str, str, np.ndarray]] = []
        places: list[tuple[Any, str]] = []
        for (name, layer), own_names in zip(layers.items(), names, strict=True):
            if not own_names:
                continue
            for (attribute, called), array in zip(own_names.items(), layer.checked(), strict=True):
                places.append((layer, called))
                if array is not None:
                    (parameters if attribute in layer.parameters else buffers)[called] = array
                    owners.append((attribute, name, array))
        if not parameters:
            raise ValueError(NO_PARAMETERS)
        check_apart(owners)
        dtype = _check.computed_in(_check.result_type(*parameters.values()))
        self.vector, self.params = in_one(parameters, dtype)
        self.kept, self.buffers = in_one(buffers, dtype)
        arrays = self.params | self.buffers
        self._held = []
        for (layer, called), (attributes, attribute, array) in zip(places, given, strict=True):
            own = arrays.get(called)
            # What another thread has assigned meanwhile stays, and is seen at the next look. (No other thread's
            # assignment is lost unseen: the comparison at the next look is with what stands here.)
            if getattr(layer, attribute) is array:
                setattr(layer, attribute, own)
            self._held.append((attributes, attribute, own))

    def _give_views(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Give the copies of the layers views of their own."""
        for layer, names in zip(self.layers, self.names, strict=True):
            for attribute, called in names.items():
                setattr(layer, attribute, arrays[called].view())

    def has_arrays_of(self, layers: Mapping[str, Any], loss: Any) -> bool:
        """Whether the network still has these layers, and these arrays in them."""
        if layers is not self._of or loss is not self._live_loss or [*self._values] != self.live:
            return False
        if self._look():
            return True
        self._n_looks += 1
        if self._n_looks == MANY_LOOKS:
            self.learn_to_look()
        return self._has_held_arrays()

    def is_of(self, layers: Mapping[str, Any], loss: Any) -> bool:
        """Whether the network still has these layers, these arrays in them, and the settings that it had."""
        if layers is not self._of or loss is not self._live_loss or [*self._values] != self.live:
            return False
        settings = self._elsewhere
        if not self._look():
            if not self._has_held_arrays():
                return False
            settings = self._settings
        for part, read, values in settings:  # noqa: SIM110 (a generator takes as long as all the rest)
            if read(part) != values:
                return False
        return True

    def _has_held_arrays(self) -> bool:
        try:
            for attributes, name, array in self._held:  # (a generator takes as long as all the rest)
                if attributes[name] is not array:
                    return False
        except KeyError:  # of a class
            return all(attributes.get(name) is array for attributes, name, array in self._held)
        return True

    def fits(self, other: Binding) -> bool:
        """Whether training can go on from ``other`` with the same states: kinds of layers and shapes are the same."""
        return (
            self.vector.dtype == other.vector.dtype
            and [*map(type, self.layers), type(self.loss)] == [*map(type, other.layers), type(other.loss)]
            and self._shapes_of_arrays() == other._shapes_of_arrays()
        )

    def _shapes_of_arrays(self) -> list[list[tuple[str, tuple[int, ...]]]]:
        return [[(name, array.shape) for name, array in own.items()] for own in (self.params, self.buffers)]

    def views_of(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Views of a vector as long as all parameters, by their names and of their shapes."""
        return cut(vector, self.params)

    def is_finite(self) -> bool:
        """Whether all parameters and buffers are finite numbers."""
        return all(np.isfinite(vector).all() for vector in (self.vector, self.kept) if vector.size)

    def check_writable(self) -> None:
        """ValueError where a parameter or a buffer is read-only."""
        if self._look():
            return
        for _, _, array in self._held:
            if array is not None and not array.flags.writeable:
                arrays = self.params | self.buffers
                raise ValueError(read_only(*(n for n, a in arrays.items() if not a.flags.writeable)))

    def forward(self, p: Lowering, x: int) -> Operand:
        """Write the forward pass for the rows at ``x``, and hang the backward passes on ``p``; returns the scores."""
        assert self.in_shape is not None
        *_, scores = p.forward(self.layers, Operand(x, self.in_shape))
        return scores


@lru_cache(maxsize=256)
def _are_ours(layers: tuple[type, ...], loss: type) -> bool:
    """Whether all of these classes are of this package."""
    return all(cls.__module__.startswith("fastbp.") for cls in (*layers, loss))


def _look_for_yourself() -> Any:
    """In place of the compiled look at a network's arrays and settings."""


def _arrays_in(layers: Iterable[Layer]) -> list[tuple[dict[str, Any], str, Any]]:
    """Of each layer the dict of its attributes, and of its parameters and buffers the attribute and what that is."""
    return [
        (vars(layer), name, getattr(layer, name)) for layer in layers for name in (*layer.parameters, *layer.buffers)
    ]


def _those_in(arrays: Mapping[str, np.ndarray], names: Mapping[str, str]) -> Mapping[str, str]:
    """The names of arrays that there are."""
    return {attribute: name for attribute, name in names.items() if name in arrays}


def _check_layers(layers: list[Any], loss: Any) -> None:
    seen: set[int] = set()
    for layer in layers:
        _check_layer(layer)
        if id(layer) in seen:
            raise ValueError(f"layers must be different objects, got {layer!r} twice")
        seen.add(id(layer))
    if not any(layer.parameters for layer in layers):
        raise ValueError(NO_PARAMETERS)
    if not isinstance(loss, Loss):
        raise TypeError(f"loss must be a loss layer of fastbp, got {_arguments.shown(loss)}")


def _check_layer(layer: Any) -> None:
    """TypeError unless ``layer`` can stand between the input and the loss of a network."""
    if words := getattr(layer, "in_networks", ""):
        raise TypeError(words)
    hint = ""
    if isinstance(layer, type):
        hint = f"; did you mean {layer.__name__}(...)?"
    elif isinstance(layer, Loss):
        hint = f"; a loss is given apart, as loss={layer!r}"
    elif isinstance(layer, Layer):
        return
    elif hasattr(layer, "forward") and hasattr(layer, "backward"):
        hint = "; a layer of your own is of a subclass of fastbp.Layer"
    raise TypeError(f"layers must be layers of fastbp, got {_arguments.shown(layer)}{hint}")
