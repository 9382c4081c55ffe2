"""What a value is in a few letters, to compare it with another process's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def _factors(n: int) -> np.ndarray:
    """(n,) odd uint64 that look drawn by chance, the same everywhere: those of SplitMix64."""
    z = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) | np.uint64(1)


_FACTORS = _factors(1 << 13)


def digest(value: Any) -> str:
    """The same for what is alike: arrays by type, shape and bits, dicts and lists by parts, all else by ``repr``."""
    if isinstance(value, Mapping):
        return repr({name: digest(part) for name, part in value.items()})
    if isinstance(value, list):
        own = {id(part): digest(part) for part in {id(part): part for part in value}.values()}
        return _short(repr([own[id(part)] for part in value]).encode())
    if not isinstance(value, np.ndarray):
        return repr(value)
    return f"{value.dtype.str} {value.shape} {_of_bytes(np.ascontiguousarray(value).reshape(-1).view(np.uint8))}"


def _of_bytes(data: np.ndarray) -> str:
    """Sums of words times factors stand for them: nine times as fast as BLAKE2, and enough where nobody deceives."""
    words = data[: data.size // 4 * 4].view(np.uint32)
    n = len(_FACTORS)
    rows = words[: words.size // n * n].reshape(-1, n)
    return _short(np.einsum("ij,j->i", rows, _FACTORS).tobytes() + data[rows.nbytes :].tobytes())


def _short(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
