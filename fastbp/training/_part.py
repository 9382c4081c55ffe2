"""A part of the data, to train on or to validate with, and what a network comes to on it."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np

from fastbp.basics._pin import pin
from fastbp.basics._row_slices import row_slices
from fastbp.network import Network
from fastbp.training._data import Data
from fastbp.training._not_finite import place_of


class Part:
    """Data as a network of ``dtype`` measures itself by them."""

    def __init__(self, net: Network, data: Data, dtype: np.dtype) -> None:
        self.net, self.data, self.dtype = net, data, dtype
        self._pin = pin("t", data.targets)

    @cached_property
    def _targets(self) -> np.ndarray:
        rows = self.data.rows
        return self.data.targets[rows] if len(rows) else self.data.targets

    @cached_property
    def labels(self) -> np.ndarray | None:
        """(N,) the classes that the targets name, None where they may name none."""
        return self.net.loss_layer.labels_in(self._targets)

    def __len__(self) -> int:
        return len(self.data)

    def measured(self) -> dict[str, float]:
        """The network's mean ``loss`` on this part, and its ``accuracy`` where the targets are classes."""
        loss_layer = copy.copy(self.net.loss_layer)
        x, numbers = self.data.samples.array, self.data.rows
        total, right = 0.0, 0.0
        for rows in row_slices(len(self)):
            some = x[numbers[rows]] if len(numbers) else x[rows]
            scores = self.net.predict(some.astype(self.dtype, copy=False))
            total += float(loss_layer.forward(scores, self._targets[rows])) * len(scores)
            if self.labels is not None:
                right += float(np.sum(loss_layer.found(scores) == self.labels[rows]))
        measures = {"loss": total / len(self)}
        return measures if self.labels is None else measures | {"accuracy": right / len(self)}

    def flaw(self, rows: np.ndarray | None = None) -> str:
        """The first element that is no finite number, ``x[3, 2] is nan``; nothing where all are.

        ``rows`` are numbers of samples, those of the part if None.
        """
        rows = self.data.numbers if rows is None else rows
        samples, targets = self.data.samples, self.data.targets
        x = samples.array.reshape(samples.shape)
        return place_of("x", x, rows, self.dtype, samples.scale) or place_of("t", targets, rows, self.dtype)
