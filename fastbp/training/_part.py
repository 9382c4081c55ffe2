"""A part of the data, to train on or to validate with: samples and targets that belong together."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np

from fastbp.basics._pin import pin
from fastbp.network import Network
from fastbp.training._not_finite import ROWS_AT_A_TIME, place_of
from fastbp.training._samples import Samples


class Part:
    """Samples, where they lie, and targets in the form of the loss's ``as_targets``, of a network's ``dtype``."""

    def __init__(self, net: Network, samples: Samples, targets: np.ndarray, dtype: np.dtype) -> None:
        self.net, self.samples, self.targets, self.dtype = net, samples, targets, dtype
        self._pin = pin("t", targets)

    @cached_property
    def labels(self) -> np.ndarray | None:
        """(N,) the classes that the targets name, None where they may name none."""
        return self.net.loss_layer.labels_in(self.targets)

    def __len__(self) -> int:
        return len(self.samples.array)

    def measured(self) -> dict[str, float]:
        """The network's mean ``loss`` on this part, and its ``accuracy`` where the targets are classes."""
        loss_layer = copy.copy(self.net.loss_layer)
        total, right = 0.0, 0.0
        for begin in range(0, len(self), ROWS_AT_A_TIME):
            rows = slice(begin, begin + ROWS_AT_A_TIME)
            scores = self.net.predict(self.samples.array[rows].astype(self.dtype, copy=False))
            total += float(loss_layer.forward(scores, self.targets[rows])) * len(scores)
            if self.labels is not None:
                right += float(np.sum(loss_layer.found(scores) == self.labels[rows]))
        measures = {"loss": total / len(self)}
        return measures if self.labels is None else measures | {"accuracy": right / len(self)}

    def flaw(self, rows: np.ndarray) -> str:
        """The first element of ``rows`` that is no finite number, ``x[3, 2] is nan``; nothing where all are."""
        x = self.samples.array.reshape(self.samples.shape)
        return place_of("x", x, rows, self.dtype, self.samples.scale) or place_of("t", self.targets, rows, self.dtype)
