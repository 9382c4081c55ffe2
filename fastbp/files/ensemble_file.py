"""Ensembles in files: safetensors as those of a network, with the tensors of all members, ``0.W1``, ``1.W1``, ..."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from fastbp.basics import _arguments
from fastbp.files import _tensor_file
from fastbp.files._tensor_file import ModelFileError
from fastbp.files.model_file import ENSEMBLE, N, check_names, described, network_of
from fastbp.network import Network
from fastbp.training.history import TrainingState

MOST_OFF = 1e-9  # of the sum of weights, by rounding


@dataclass(frozen=True)
class Kept(Generic[N]):
    """What a file of one network or of several holds; ``weights`` are None where it is one by itself."""

    nets: list[N]
    weights: list[float] | None
    state: TrainingState | None
    extra: dict[str, Any]


def save(
    nets: Sequence[Network],
    weights: Sequence[float],
    path: str | os.PathLike,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write networks, what each counts, and an ``extra`` for JSON if given; see ``Ensemble.save``."""
    _tensor_file.write(path, *_described(nets, weights, extra))


def check_room(nets: Sequence[Network], weights: Sequence[float], extra: Mapping[str, Any] | None = None) -> None:
    """ValueError where these are more networks than a file has room for."""
    _tensor_file.check_room(*_described(nets, weights, extra))


def _described(
    nets: Sequence[Network], weights: Sequence[float], extra: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    members: list[dict[str, Any]] = []
    tensors: dict[str, np.ndarray] = {}
    for k, net in enumerate(nets):
        member, own = described(net)
        members.append(member)
        tensors |= {f"{k}.{name}": array for name, array in own.items()}
    description: dict[str, Any] = {ENSEMBLE: members, "weights": [float(weight) for weight in weights]}
    if extra:  # without it, older versions can read the file
        description["extra"] = dict(extra)
    return description, tensors


def read(path: str | os.PathLike, kind: Callable[..., N]) -> tuple[list[N], list[float]]:
    """The networks and weights that ``save`` has written: ``kind`` makes a network of layers, loss and scale.

    Raises ModelFileError and OSError as ``Ensemble.load`` says.
    """
    description, tensors = _tensor_file.read(path)
    try:
        return _read(description, tensors, kind)[:2]
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"{os.fspath(path)!s}: no ensemble that fastbp has written: {error}") from error


def read_any(path: str | os.PathLike, kind: Callable[..., N]) -> Kept[N]:
    """What ``save`` or a network's ``save`` has written. Raises ModelFileError and OSError."""
    description, tensors = _tensor_file.read(path)
    try:
        if ENSEMBLE in description:
            nets, weights, extra = _read(description, tensors, kind)
            return Kept(nets, weights, None, extra)
        net, state, extra = network_of(description, tensors, kind)
        return Kept([net], None, state, extra)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"{os.fspath(path)!s}: no network that fastbp has written: {error}") from error


def _read(
    description: dict[str, Any], tensors: dict[str, np.ndarray], kind: Callable[..., N]
) -> tuple[list[N], list[float], dict[str, Any]]:
    if ENSEMBLE not in description:
        raise ValueError("it has a single network, which fastbp.load reads")
    check_names("the description", description, (ENSEMBLE, "weights"), ("extra",))
    members, weights, extra = description[ENSEMBLE], description["weights"], description.get("extra", {})
    if not isinstance(extra, dict):
        raise ValueError(f"extra must be an object, got {extra!r:.80}")
    if not isinstance(members, list) or not members:
        raise ValueError(f"{ENSEMBLE} must be a list of networks, got {members!r:.80}")
    if not isinstance(weights, list) or len(weights) != len(members):
        raise ValueError(f"weights must be {len(members)} numbers, got {weights!r:.80}")
    of_members: dict[str, dict[str, np.ndarray]] = {str(k): {} for k in range(len(members))}
    for name, tensor in tensors.items():
        member, _, own = name.partition(".")
        if member not in of_members:
            raise ValueError(f"there is a tensor of no member: {name!r:.80}")
        of_members[member][own] = tensor
    nets = []
    for member, own_tensors in zip(members, of_members.values(), strict=True):
        if not isinstance(member, dict):
            raise ValueError(f"a member must be an object, got {member!r:.80}")
        nets.append(network_of(member, own_tensors, kind)[0])
    shares = [_arguments.real(f"weights[{k}]", weight, 0) for k, weight in enumerate(weights)]
    if abs(sum(shares) - 1) > MOST_OFF:
        raise ValueError(f"weights must sum to 1, not {sum(shares):g}")
    return nets, shares, extra
