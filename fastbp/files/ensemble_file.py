"""Ensembles in files: safetensors as those of a network, with the tensors of all members, ``0.W1``, ``1.W1``, ..."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastbp.basics import _arguments
from fastbp.files import _tensor_file
from fastbp.files._tensor_file import ModelFileError
from fastbp.files.model_file import ENSEMBLE, N, check_names, described, network_of
from fastbp.network import Network

MOST_OFF = 1e-9  # of the sum of weights, by rounding


def save(nets: Sequence[Network], weights: Sequence[float], path: str | os.PathLike) -> None:
    """Write networks and what each counts; see ``Ensemble.save``."""
    members: list[dict[str, Any]] = []
    tensors: dict[str, np.ndarray] = {}
    for k, net in enumerate(nets):
        description, own = described(net)
        members.append(description)
        tensors |= {f"{k}.{name}": array for name, array in own.items()}
    _tensor_file.write(path, {ENSEMBLE: members, "weights": [float(weight) for weight in weights]}, tensors)


def read(path: str | os.PathLike, kind: Callable[..., N]) -> tuple[list[N], list[float]]:
    """What ``save`` has written: ``kind`` makes each network of its layers, its loss and its scale.

    Raises ModelFileError and OSError as ``Ensemble.load`` says.
    """
    description, tensors = _tensor_file.read(path)
    try:
        return _read(description, tensors, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"{os.fspath(path)!s}: no ensemble that fastbp has written: {error}") from error


def _read(
    description: dict[str, Any], tensors: dict[str, np.ndarray], kind: Callable[..., N]
) -> tuple[list[N], list[float]]:
    if ENSEMBLE not in description:
        raise ValueError("it has a single network, which fastbp.load reads")
    check_names("the description", description, (ENSEMBLE, "weights"), ())
    members, weights = description[ENSEMBLE], description["weights"]
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
    return nets, shares
