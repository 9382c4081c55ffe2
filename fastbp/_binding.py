"""What a network's programs and ``params`` go by: its layers as they were, and their parameters in one vector.

A network's layers, their arrays and their settings are open to everybody. A ``Binding`` is what they came to when they
were last looked at, and never changes: programs are written from it alone. Whoever uses one asks first whether the
network still is so.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _check
from fastbp.basics._attributes import arguments_of
from fastbp.basics._pin import pin
from fastbp.kernels.entry_program import looking_at
from fastbp.layers._layer import Layer, Numbering
from fastbp.layers.softmax import Softmax
from fastbp.losses._loss import Loss
from fastbp.programs._lowering import Lowering
from fastbp.programs._operand import Operand

NO_SHAPE = (
    "the size of the images is not known yet: the network takes it from the first that predict, fit or step get, or is "
    "told by in_shape=(channels, height, width)"
)
MANY_LOOKS = 32  # at a network's arrays, as of scripts that update ``params`` one by one: the next are compiled
NO_PARAMETERS = "layers must hold at least one Affine, or another layer with parameters"


class Params(dict):
    """Parameters or buffers by name. An array assigned to a name is written into the parameter, so that it trains."""

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
    in_shape : the shape of an input sample; None where the layers say it, or it is not known yet

    Attributes
    ----------
    vector : (P,) all parameters, of the dtype that NumPy's promotion makes of them
    kept : (B,) all buffers, what layers keep and do not train, of the same dtype
    params, buffers : views of the two vectors by name
    names : of the parameters and buffers of each layer, by the layer's attributes, in the order of the layers
    live : the layers themselves
    unlowered : the names of those that have no instructions
    predicts : whether all have instructions of what they predict
    remembered : the attributes of each layer's object, and the name of one that a forward leaves there
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
        self._arrays: list[tuple[Any, str, Any]]  # a layer, its attribute, and what that was
        self.programs: dict[Hashable, Any] = {}
        self._of, self._values, self.live, self._live_loss = layers, layers.values(), list(layers.values()), loss
        _check_layers(self.live, loss)
        self.unlowered = [name for name, layer in layers.items() if not layer.is_lowered()]
        self.predicts = all(layer.predict_is_lowered() for layer in self.live)
        self.remembered = [(vars(layer), name) for layer in self.live for name in layer.remembers]
        numbering = Numbering()
        self.names: list[Mapping[str, str]] = [numbering(layer) for layer in self.live]
        given = _arrays_in(self.live)
        if before is not None and before._has(given):
            self.vector, self.params, self._arrays = before.vector, before.params, before._arrays
            self.kept, self.buffers = before.kept, before.buffers
        else:
            self._take(layers, given)
        self._held = [(vars(layer), name, array) for layer, name, array in self._arrays]  # which are looked up faster
        arrays = self.params | self.buffers
        self._look: Callable[[], Any] = _look_for_yourself
        self._n_looks = 0
        self._written = [array for _, _, array in self._arrays if array is not None]
        self.names = [{a: name for a, name in names.items() if name in arrays} for names in self.names]
        self._pin = pin("params", self.vector), pin("buffers", self.kept)
        settings = [(part, names) for part in (*self.live, loss) if (names := _settings_of(part))]
        self._settings = [(part, (read := attrgetter(*names)), read(part)) for part, names in settings]
        own = [all(name in vars(part) for name in names) for part, names in settings]
        self._elsewhere = [setting for setting, is_own in zip(self._settings, own, strict=True) if not is_own]
        self._held_settings = [
            (vars(part), name, vars(part)[name])
            for (part, names), is_own in zip(settings, own, strict=True)
            if is_own
            for name in names
        ]
        *self.layers, self.loss = map(_made_again, (*self.live, loss))
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

    @cached_property
    def kind(self) -> Hashable:
        """What networks have in common whose programs are the same but for addresses.

        It is None where there are layers of a user's own, of whose programs nobody knows what they depend on.
        """
        parts = (*self.live, self._live_loss)
        if not all(type(part).__module__.startswith("fastbp.") for part in parts):
            return None
        settings = {id(part): repr(values) for part, _, values in self._settings}
        shapes = [(name, array.shape) for arrays in (self.params, self.buffers) for name, array in arrays.items()]
        kinds = tuple((type(part), settings.get(id(part))) for part in parts)
        return kinds, tuple(shapes), self.vector.dtype, self.in_shape

    def apart(self) -> Binding:
        """One of the same layers, with vectors of its own."""
        layers = {str(n): _made_again(layer) for n, layer in enumerate(self.layers)}
        return Binding(layers, _made_again(self.loss), None, self.in_shape)

    def learn_to_look(self) -> None:
        """Look at arrays and settings by compiled code from now on, where a call is a matter of microseconds."""
        if self._look is _look_for_yourself:
            self._look = looking_at(self._held, self._held_settings)

    def keeps_arrays_of(self, layers: Mapping[str, Any]) -> bool:
        """Whether the arrays in these layers are its own, so that another binding of them would move none."""
        live = list(layers.values())
        return all(isinstance(layer, Layer) for layer in live) and self._has(_arrays_in(live))

    def _has(self, arrays: list[tuple[Any, str, Any]]) -> bool:
        return len(arrays) == len(self._arrays) and all(
            a is b for now, then in zip(arrays, self._arrays, strict=True) for a, b in zip(now, then, strict=True)
        )

    def _take(self, layers: Mapping[str, Any], given: list[tuple[Any, str, Any]]) -> None:
        """Copy parameters and buffers into new vectors, and make the layers' arrays views of these."""
        parameters: dict[str, np.ndarray] = {}
        buffers: dict[str, np.ndarray] = {}
        owners: list[tuple[str, np.ndarray]] = []
        places: dict[tuple[int, str], str] = {}
        for (name, layer), names in zip(layers.items(), self.names, strict=True):
            for (attribute, called), array in zip(names.items(), layer.checked(), strict=True):
                if array is not None:
                    (parameters if attribute in layer.parameters else buffers)[called] = array
                    owners.append((f"{attribute} of {name}", array))
                    places[id(layer), attribute] = called
        if not parameters:
            raise ValueError(NO_PARAMETERS)
        _check_apart(owners)
        dtype = _check.computed_in(_check.result_type(*parameters.values()))
        self.vector, self.params = _in_one(parameters, dtype)
        self.kept, self.buffers = _in_one(buffers, dtype)
        arrays = self.params | self.buffers
        self._arrays = []
        for layer, attribute, array in given:
            own = arrays.get(places.get((id(layer), attribute), ""))
            # What another thread has assigned meanwhile stays, and is seen at the next look. (No other thread's
            # assignment is lost unseen: the comparison at the next look is with what stands here.)
            if getattr(layer, attribute) is array:
                setattr(layer, attribute, own)
            self._arrays.append((layer, attribute, own))

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
        return dict(zip(self.params, _cut(vector, self.params.values()), strict=True))

    def is_finite(self) -> bool:
        """Whether all parameters and buffers are finite numbers."""
        return all(np.isfinite(vector).all() for vector in (self.vector, self.kept) if vector.size)

    def check_writable(self) -> None:
        """ValueError where a parameter or a buffer is read-only."""
        if self._look():
            return
        for array in self._written:
            if not array.flags.writeable:
                arrays = self.params | self.buffers
                raise ValueError(_read_only(*(n for n, a in arrays.items() if not a.flags.writeable)))

    def forward(self, p: Lowering, x: int) -> Operand:
        """Write the forward pass for the rows at ``x``, and hang the backward passes on ``p``; returns the scores."""
        assert self.in_shape is not None
        operand = Operand(x, self.in_shape)
        for p.place, layer in enumerate(self.layers):
            operand = layer.lower(p, operand)
        return operand


def _look_for_yourself() -> Any:
    """In place of the compiled look at a network's arrays and settings."""


def _arrays_in(layers: Iterable[Layer]) -> list[tuple[Any, str, Any]]:
    """Each layer, and of its parameters and buffers the attribute and what that is."""
    return [(layer, name, getattr(layer, name)) for layer in layers for name in (*layer.parameters, *layer.buffers)]


def _in_one(arrays: Mapping[str, np.ndarray], dtype: np.dtype) -> tuple[np.ndarray, Params]:
    """A flat vector of ``dtype`` that holds these arrays, and views of it by their names."""
    pieces = [array.astype(dtype, copy=False).ravel() for array in arrays.values()]
    vector = np.concatenate([np.zeros(0, dtype), *pieces])
    views = Params()
    dict.update(views, zip(arrays, _cut(vector, arrays.values()), strict=True))
    return vector, views


def _cut(vector: np.ndarray, arrays: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Views of a vector, one after the other, of the shapes of ``arrays``."""
    at = 0
    for array in arrays:
        yield vector[at : at + array.size].reshape(array.shape)
        at += array.size


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
    elif hasattr(layer, "forward") and hasattr(layer, "backward"):
        hint = "; a layer of your own is of a subclass of fastbp.Layer"
    raise TypeError(f"layers must be layers of fastbp, got {_arguments.shown(layer)}{hint}")


def _check_apart(arrays: list[tuple[str, np.ndarray]]) -> None:
    """ValueError where two arrays share memory: each would be trained on its own."""
    owners = [array if array.base is None else array.base for _, array in arrays]
    if len({*map(id, owners)}) == len(owners) and all(type(o) is np.ndarray and o.flags.owndata for o in owners):
        return  # each in memory of its own, as most are
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


def _settings_of(part: Any) -> list[str]:
    """The names of the numbers that a layer's instructions depend on."""
    if isinstance(part, Layer) and not part.is_lowered():
        return []
    return [
        name
        for name in (*(_arguments_of(part) or {}), "stream")
        if hasattr(part, name) and not (isinstance(part, Layer) and name in (*part.parameters, *part.buffers))
    ]


def _made_again(part: Any) -> Any:
    """Another layer with the same settings and parameters; what is no setting its constructor refuses."""
    is_own = isinstance(part, Layer) and not part.is_lowered()  # of which nothing is known but what a layer has
    arguments = None if is_own else _arguments_of(part)
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
