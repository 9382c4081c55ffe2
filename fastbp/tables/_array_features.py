"""How arrays become the rows of numbers that a network takes."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fastbp.tables._errors import DataError
from fastbp.tables._standard import mean_std


@dataclass
class ArrayFeatures:
    """Samples that are numbers already, (N, ...): times ``scale``, or column by column (number - mean) / std.

    The scale is the network's own, so that bytes can stay bytes.
    """

    n_inputs: int
    scale: float = 1.0
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    missing = ()  # words that stand for no entry

    @classmethod
    def learn(cls, x: np.ndarray, rows: np.ndarray, *, standardize: bool, scale: float | None) -> "ArrayFeatures":
        """From the ``rows`` of ``x``: bytes are scaled to 0..1, other numbers standardised unless there is a scale."""
        n_inputs = int(np.prod(x.shape[1:]))
        if scale is not None or x.dtype == np.uint8 or not standardize:
            default = 1 / 255 if x.dtype == np.uint8 else 1.0
            return cls(n_inputs, default if scale is None else scale)
        _check_finite(x)
        samples = x[rows].reshape(len(rows), n_inputs)
        mean, std = mean_std(samples, lambda k: f"column {k + 1} of the samples")
        return cls(n_inputs, 1.0, mean.tolist(), std.tolist())

    def transform(self, x: np.ndarray, dtype: str) -> np.ndarray:
        """``x`` as (N, I), not yet multiplied by ``scale``."""
        if x.ndim < 2 or int(np.prod(x.shape[1:])) != self.n_inputs:
            raise DataError(f"the samples are of shape {x.shape}, the network has {self.n_inputs} inputs")
        x = x.reshape(len(x), self.n_inputs)
        _check_finite(x)
        if not self.mean:
            return x
        with np.errstate(over="ignore"):
            standard = ((x - np.array(self.mean)) / np.array(self.std)).astype(dtype)
        if (too_large := np.isinf(standard)).any():
            row, column = np.argwhere(too_large)[0] + 1
            raise DataError(f"the samples have a number in row {row}, column {column}, that is too large for {dtype}")
        return standard

    def to_json(self) -> dict[str, Any]:
        return {"kind": "array"} | asdict(self)


def _check_finite(x: np.ndarray) -> None:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row, *place = np.argwhere(~np.isfinite(x))[0]
        value, column = x[(row, *place)], f", column {place[0] + 1}" if len(place) == 1 else ""
        raise DataError(f"the samples have a number that is not finite: {value} in row {row + 1}{column}")
