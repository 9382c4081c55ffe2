"""Networks in files: what ``net.save`` writes, and ``fastbp.load`` reads.

A file is one of safetensors, which has no place for code, and can be read with that library in any language: the
parameters are its tensors ``W1``, ``b1``, ``W2``, ...
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from functools import partial
from typing import Any, TypeVar

import numpy as np

from fastbp._binding import Binding
from fastbp.basics import _arguments, _check
from fastbp.files import _tensor_file
from fastbp.files._tensor_file import ModelFileError
from fastbp.files.architecture import LAYERS, LOSSES, describe, make
from fastbp.layers._layer import Layer, Numbering
from fastbp.network import Network
from fastbp.training.history import LISTS, TrainingState

# The fields of a TrainingState by the form in which they are kept: integers and text in words, the others as tensors. A
# new one is added here, with a default in TrainingState: a file without it is older, and gives the default.
COUNTS = ("step", "seed", "n_samples", "batch_size", "waited")
TEXTS = ("optimizer",)
NUMBERS = ("partial_loss", "best_loss")
VECTORS = ("parameters", "first", "second", "best_parameters", "buffers", "best_buffers")
DEFAULTS = {part.name: part.default for part in fields(TrainingState) if part.default is not MISSING}

N = TypeVar("N", bound=Network)

ENSEMBLE = "ensemble"  # what the description of several networks has
NEWER = "which this fastbp does not know: the file is of a newer version, or not of fastbp"


def save(
    net: Network,
    path: str | os.PathLike,
    state: TrainingState | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write ``net``, with a training's ``state`` and an ``extra`` for JSON if given; see ``Sequential.save``."""
    _tensor_file.write(path, *described(net, state, extra))


def described(
    net: Network, state: TrainingState | None = None, extra: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file has of a network: a description for JSON, and tensors."""
    binding = net._binding()
    tensors: dict[str, np.ndarray] = dict(binding.params | binding.buffers)
    description: dict[str, Any] = {
        "dtype": binding.vector.dtype.name,
        "layers": [describe(layer, LAYERS) for layer in net.layers.values()],
        "loss": describe(net.loss_layer, LOSSES),
        "state": None,
        "extra": dict(extra or {}),
    }
    if net.scale != 1:  # without it, older versions can read the file, and older files are read
        description["scale"] = float(net.scale)
    if binding.in_shape is not None and len(binding.in_shape) > 1:
        description["in_shape"] = list(binding.in_shape)
    if state is not None:
        if not isinstance(state, TrainingState):
            raise TypeError(f"state must be the state of a History, got {state!r}")
        _check_vectors(state, binding)
        kept = [name for name in (*COUNTS, *TEXTS, *NUMBERS, *VECTORS) if not _is_default(state, name)]
        description["state"] = {name: getattr(state, name) for name in kept if name in COUNTS or name in TEXTS}
        tensors |= {f"state.{name}": getattr(state, name) for name in kept if name in VECTORS}
        tensors |= {f"state.{name}": np.array(getattr(state, name), np.float64) for name in kept if name in NUMBERS}
        tensors |= {f"state.history.{name}": np.array(list_, np.float64) for name, list_ in state.history.items()}
    return description, tensors


def read(path: str | os.PathLike, kind: Callable[..., N]) -> tuple[N, TrainingState | None, dict[str, Any]]:
    """What ``save`` has written: ``kind`` makes the network of its layers, its loss and its scale.

    Raises ModelFileError and OSError as ``fastbp.load`` says.
    """
    description, tensors = _tensor_file.read(path)
    try:
        if ENSEMBLE in description:
            raise ValueError("it has several, an ensemble, which fastbp.Ensemble.load reads")
        return network_of(description, tensors, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"{os.fspath(path)!s}: no network that fastbp has written: {error}") from error


def network_of(
    description: dict[str, Any], tensors: dict[str, np.ndarray], kind: Callable[..., N]
) -> tuple[N, TrainingState | None, dict[str, Any]]:
    """What ``described`` has told of; takes the ``tensors`` out. ValueError or TypeError for anything else."""
    check_names("the description", description, ("dtype", "layers", "loss", "state", "extra"), ("scale", "in_shape"))
    dtype, state, extra = description["dtype"], description["state"], description["extra"]
    if dtype not in [kind.name for kind in _check.FLOATS]:
        raise ValueError(f"dtype is {dtype!r:.80}")
    if not isinstance(description["layers"], list) or not isinstance(extra, dict):
        raise ValueError("layers and extra must be a list and an object")
    scale = _arguments.real("scale", description.get("scale", 1.0), above=0)
    taken = _Taken(tensors, np.dtype(dtype))

    layers: list[Any] = []
    numbering = Numbering()
    for part in description["layers"]:
        cls: Any = LAYERS.get(str(part.get("class"))) if isinstance(part, dict) else None
        layers.append(make(part, LAYERS, partial(taken.parameter, numbering(cls or Layer))))
    loss = make(description["loss"], LOSSES, taken.none)
    resumed = None if state is None else _state(state, taken)
    if tensors:
        raise ValueError(f"there are tensors of no layer: {', '.join(tensors):.80}, {NEWER}")
    options = {} if "in_shape" not in description else {"in_shape": description["in_shape"]}
    net = kind(layers, loss, scale=scale, **options)
    if resumed is not None:
        _check_vectors(resumed, net._binding())
    return net, resumed, extra


class _Taken:
    """Takes arrays of ``dtype`` out of ``tensors`` by name."""

    def __init__(self, tensors: dict[str, np.ndarray], dtype: np.dtype) -> None:
        self.tensors, self.dtype = tensors, dtype

    def __call__(self, name: str, shape: tuple[int, ...] | None, dtype: np.dtype | None = None) -> np.ndarray:
        """The array ``name``; ValueError unless there is one, of ``shape`` or, where that is None, a vector."""
        array = self.tensors.pop(name, None)
        dtype = dtype or self.dtype
        if array is None:
            raise ValueError(f"{name!r:.80} is missing")
        if array.dtype != dtype or (array.ndim != 1 if shape is None else array.shape != shape):
            expected = "one dimension" if shape is None else f"shape {shape}"
            raise ValueError(f"{name} must be {dtype} of {expected}, got {array.dtype} of shape {array.shape}")
        return array

    def parameter(self, names: Mapping[str, str], attribute: str, shape: list) -> np.ndarray:
        """The parameter or buffer that is an ``attribute`` of a layer, of those with ``names``."""
        name = names.get(attribute)
        if name is None:
            raise ValueError(f"{attribute} must be a number, got {shape!r:.80}")
        if 0 in shape:
            raise ValueError(f"{name} must not be empty, got shape {shape}")
        return self(name, tuple(shape))

    @staticmethod
    def none(name: str, shape: list) -> np.ndarray:
        raise ValueError(f"{name} must be a number, got {shape!r:.80}")


def _state(words: Any, taken: _Taken) -> TrainingState:
    if not isinstance(words, dict):
        raise ValueError(f"state must have {', '.join(COUNTS)}, got {words!r:.80}")
    in_words = (*COUNTS, *TEXTS)
    check_names("state", words, [name for name in in_words if name not in DEFAULTS], in_words)
    for name, value in words.items():
        if name in COUNTS and (type(value) is not int or not 0 <= value < 1 << 63):
            raise ValueError(f"{name} of state is {value!r:.80}")
        if name in TEXTS and not isinstance(value, str):
            raise ValueError(f"{name} of state is {value!r:.80}")
    if not 1 <= words["batch_size"] <= words["n_samples"]:
        raise ValueError(f"state has batches of {words['batch_size']} of {words['n_samples']} samples")
    found: dict[str, Any] = dict(words)
    for name in (*NUMBERS, *VECTORS):
        if f"state.{name}" in taken.tensors or name not in DEFAULTS:
            number = name in NUMBERS
            array = taken(f"state.{name}", () if number else None, _check.FLOAT64 if number else None)
            found[name] = float(array) if number else array
    history: dict[str, list[float]] = {name: [] for name in LISTS}
    for name in LISTS:
        if f"state.history.{name}" in taken.tensors:
            history[name] = taken(f"state.history.{name}", None, _check.FLOAT64).tolist()
    return TrainingState(**found, history=history)


def _is_default(state: TrainingState, name: str) -> bool:
    return name in DEFAULTS and getattr(state, name) is DEFAULTS[name]


def check_names(what: str, given: Mapping[str, Any], needed: Iterable[str], optional: Iterable[str]) -> None:
    """ValueError unless ``given`` has all that is ``needed`` and nothing that is unknown."""
    missing = [name for name in needed if name not in given]
    if missing:
        raise ValueError(f"{what} must have {', '.join(needed)}, it lacks {', '.join(missing)}")
    unknown = [name for name in given if name not in needed and name not in optional]
    if unknown:
        raise ValueError(f"{what} has {', '.join(unknown):.80}, {NEWER}")


def _check_vectors(state: TrainingState, binding: Binding) -> None:
    """ValueError unless ``state`` is of a network with these parameters and buffers."""
    for name in VECTORS:
        vector, own = getattr(state, name), binding.kept if name in ("buffers", "best_buffers") else binding.vector
        if vector is None:
            vector = np.zeros(0, own.dtype)
        sizes = {own.size} if name in ("parameters", "buffers") else {0, own.size}
        if vector.size not in sizes or vector.dtype != own.dtype:
            raise ValueError(
                f"state does not fit the network: its {name} are {vector.size} numbers of {vector.dtype}, "
                f"the network has {own.size} of {own.dtype}"
            )
