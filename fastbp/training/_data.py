"""What a run trains on or validates with, looked at once, and which of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from fastbp._binding import Binding
from fastbp.losses._loss import as_weights, no_weights
from fastbp.programs._program import ALL_ROWS
from fastbp.training._class_weight import with_class_weight
from fastbp.training._dense_rows import DenseRows
from fastbp.training._ranks import Alone


@dataclass(frozen=True)
class Data:
    """Samples, targets and weights that belong together, and the numbers of those that it is about.

    Attributes
    ----------
    targets : in the form of the loss's ``as_targets``
    weights : in that of ``as_weights``
    rows : (M,) int64 in an array that nobody else has, in the range of the samples, or ``ALL_ROWS``
    """

    samples: DenseRows
    targets: np.ndarray
    weights: np.ndarray
    rows: np.ndarray = field(default_factory=lambda: ALL_ROWS)

    @classmethod
    def of(
        cls,
        binding: Binding,
        samples: DenseRows,
        t: ArrayLike,
        sample_weight: ArrayLike | None,
        class_weight: Mapping[int, float] | str | None,
        ranks: Alone,
    ) -> Data:
        """What a user gives; ValueError and TypeError where it does not fit the network that ``binding`` is of."""
        binding.check_samples("x", samples.shape)
        n, dtype, loss = len(samples.array), binding.vector.dtype, binding.loss
        if n == 0:
            raise ValueError("x must hold at least one sample, got none")
        targets = loss.as_targets(t, (n, binding.n_outputs), dtype)
        weights = as_weights(sample_weight, n, dtype)
        if class_weight is not None:
            weights = with_class_weight(weights, class_weight, loss, targets, binding.n_outputs, ranks)
        return cls(samples, targets, weights)

    def __len__(self) -> int:
        """How many samples these are."""
        return len(self.rows) or len(self.targets)

    @property
    def numbers(self) -> np.ndarray:
        """(M,) int64, those of the samples."""
        return self.rows.copy() if len(self.rows) else np.arange(len(self.targets))

    def only(self, rows: np.ndarray) -> Data:
        """These samples of it, for validation."""
        return replace(self, weights=no_weights(self.weights.dtype), rows=rows)


def steps_in(epochs: int, n_samples: int, batch_size: int, most: int | None) -> int:
    """How many steps so many epochs have, the last of each with what is left; no more than ``most``."""
    steps = epochs * -(-n_samples // batch_size)
    return steps if most is None else min(steps, most)
