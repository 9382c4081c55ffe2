"""Networks in files: ``net.save``, ``fastbp.load`` and ``fastbp.load_checkpoint``.

A file is one of safetensors, which has no place for code, and can be read with that library in any language: the
parameters are its tensors ``W1``, ``b1``, ``W2``, ...
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from fastbp import _check, _tensor_file
from fastbp._tensor_file import ModelFileError
from fastbp.affine import Affine
from fastbp.architecture import LAYERS, LOSSES, describe, make
from fastbp.history import History, TrainingState
from fastbp.sequential import Sequential

__all__ = ["Checkpoint", "ModelFileError", "load", "load_checkpoint", "save"]

# The fields of a TrainingState by the form in which they are kept: integers in words, the others as tensors.
COUNTS = ("step", "seed", "n_samples", "batch_size", "waited")
NUMBERS = ("partial_loss", "best_loss")
VECTORS = ("parameters", "first", "second", "best_parameters")
LISTS = tuple(History().lists())


@dataclass(frozen=True)
class Checkpoint:
    """What a model file holds.

    Attributes
    ----------
    net : the network
    state : for ``net.fit(resume=...)``, None where none was saved
    extra : what else was saved
    """

    net: Sequential
    state: TrainingState | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def save(
    net: Sequential,
    path: str | os.PathLike,
    state: TrainingState | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    parameters = net._bound()
    tensors: dict[str, np.ndarray] = dict(net.params)
    description = {
        "dtype": parameters.dtype.name,
        "layers": [describe(layer, LAYERS) for layer in net.layers.values()],
        "loss": describe(net.lastLayer, LOSSES),
        "state": None,
        "extra": dict(extra or {}),
    }
    if state is not None:
        if not isinstance(state, TrainingState):
            raise TypeError(f"state must be the state of a History, got {state!r}")
        _check_vectors(state, parameters)
        description["state"] = {name: getattr(state, name) for name in COUNTS} | {"optimizer": state.optimizer}
        tensors |= {f"state.{name}": getattr(state, name) for name in VECTORS}
        tensors |= {f"state.{name}": np.array(getattr(state, name), np.float64) for name in NUMBERS}
        tensors |= {f"state.history.{name}": np.array(state.history[name], np.float64) for name in LISTS}
    _tensor_file.write(path, description, tensors)


def load(path: str | os.PathLike) -> Sequential:
    """Return the network that ``net.save(path)`` has saved: the same layers, loss, dtype and bits.

    The network of a subclass, such as TwoLayerNet, comes back as a Sequential of its layers; the masks of Dropout begin
    again with the first of their seed.

    Raises ModelFileError, a ValueError, for a file that is damaged, changed, cut short, of another kind, or from a
    later version of fastbp; OSError for one that cannot be read. Nothing in the file is run, whoever wrote it, and
    reading takes at most twice the file's size in memory, its header of at most 128 KiB and a 64th of the file aside.
    """
    return load_checkpoint(path).net


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """As ``load``, with the training state and what else was saved."""
    description, tensors = _tensor_file.read(path)
    try:
        return _checkpoint(description, tensors)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{os.fspath(path)!s}: no network that fastbp has written: {error}") from error


def _checkpoint(description: dict[str, Any], tensors: dict[str, np.ndarray]) -> Checkpoint:
    if description.keys() != {"dtype", "layers", "loss", "state", "extra"}:
        raise ValueError(f"the description has {list(description)!r:.80}")
    dtype, state, extra = description["dtype"], description["state"], description["extra"]
    if dtype not in [kind.name for kind in _check.FLOATS]:
        raise ValueError(f"dtype is {dtype!r:.80}")
    if not isinstance(description["layers"], list) or not isinstance(extra, dict):
        raise ValueError("layers and extra must be a list and an object")
    taken = _Taken(tensors, np.dtype(dtype))

    layers: list[Any] = []
    n_affine = 1
    for part in description["layers"]:
        layers.append(make(part, LAYERS, partial(taken.parameter, n_affine)))
        n_affine += isinstance(layers[-1], Affine)
    loss = make(description["loss"], LOSSES, taken.none)
    resumed = None if state is None else _state(state, taken)
    if tensors:
        raise ValueError(f"there are tensors of no layer: {', '.join(tensors):.80}")
    net = Sequential(layers, loss)
    if resumed is not None:
        _check_vectors(resumed, net._bound())
    return Checkpoint(net, resumed, extra)


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

    def parameter(self, n: int, letter: str, shape: list) -> np.ndarray:
        """The parameter of the ``n``-th Affine."""
        if 0 in shape:
            raise ValueError(f"{letter}{n} must not be empty, got shape {shape}")
        return self(f"{letter}{n}", tuple(shape))

    @staticmethod
    def none(name: str, shape: list) -> np.ndarray:
        raise ValueError(f"{name} must be a number, got {shape!r:.80}")


def _state(counts: Any, taken: _Taken) -> TrainingState:
    # Files of earlier versions do not have it.
    optimizer = counts.pop("optimizer", None) if isinstance(counts, dict) else None
    if optimizer is not None and not (isinstance(optimizer, str) and optimizer.isidentifier()):
        raise ValueError(f"optimizer of state is {optimizer!r:.80}")
    if not isinstance(counts, dict) or counts.keys() != set(COUNTS):
        raise ValueError(f"state must have {', '.join(COUNTS)}, got {counts!r:.80}")
    for name, value in counts.items():
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise ValueError(f"{name} of state is {value!r:.80}")
    if not 1 <= counts["batch_size"] <= counts["n_samples"]:
        raise ValueError(f"state has batches of {counts['batch_size']} of {counts['n_samples']} samples")
    fields: dict[str, Any] = dict(counts)
    fields |= {name: taken(f"state.{name}", None) for name in VECTORS}
    fields |= {name: float(taken(f"state.{name}", (), _check.FLOAT64)) for name in NUMBERS}
    history = {name: taken(f"state.history.{name}", None, _check.FLOAT64).tolist() for name in LISTS}
    return TrainingState(**fields, history=history, optimizer=optimizer)


def _check_vectors(state: TrainingState, parameters: np.ndarray) -> None:
    """ValueError unless ``state`` is of a network with ``parameters``."""
    for name in VECTORS:
        vector = getattr(state, name)
        sizes = {parameters.size} if name == "parameters" else {0, parameters.size}
        if vector.size not in sizes or vector.dtype != parameters.dtype:
            raise ValueError(
                f"state does not fit the network: its {name} are {vector.size} numbers of {vector.dtype}, "
                f"the network has {parameters.size} of {parameters.dtype}"
            )
