"""Samples with their targets and weights, from a table."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp.tables._errors import DataError, SettingError, Settings, no_such
from fastbp.tables._frames import Table, is_missing
from fastbp.tables._targets import whole


@dataclass
class Samples:
    """Samples as they were read.

    Attributes
    ----------
    x : a table, or an array (N, ...)
    t : targets, integers, float64 or str: (N,), or (N, K) of several numbers; None where they were not asked for
    target : what they are called
    weights : (N,) float64 or None
    weight : what they are called
    scale : times an element of ``x`` is what the network takes; None if that is not known
    left_out : how many had no target and are not among them
    """

    x: Any
    t: np.ndarray | None = None
    target: str = "target"
    weights: np.ndarray | None = None
    weight: str | None = None
    scale: float | None = None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.x)

    @property
    def rows(self) -> np.ndarray:
        """What messages call each sample."""
        return self.x.rows if isinstance(self.x, Table) else np.arange(1, len(self.x) + 1)

    @property
    def targets(self) -> np.ndarray:
        """``t``; SettingError where there are none."""
        if self.t is None:
            raise SettingError("there are no targets in the data: ", Settings(target=None), " says where they are")
        return self.t


def samples_of(
    table: Table,
    target: str | None = None,
    *,
    weight: str | None = None,
    missing: Collection[str] = (),
    drop_missing_target: bool = False,
) -> Samples:
    """The rows of a table, with the columns ``target`` and ``weight`` taken out of it.

    ``missing`` are words that stand for no target; rows without one are left out where that is asked for, and else a
    DataError. SettingError where there is no such column.
    """
    for name in (target, weight):
        if name is not None and name not in table.names:
            raise SettingError(f"{table.place}{no_such('column', name, table.names)}")
    if target is None:
        return Samples(table, weights=_weights(table, weight), weight=weight)
    left_out = _without_targets(table, target, missing) if drop_missing_target else 0
    t = _column(table, target, missing)
    return Samples(table, t, target, _weights(table, weight), weight, left_out=left_out)


def _without_targets(table: Table, name: str, missing: Collection[str]) -> int:
    """Leave out the rows of the table that have no target; returns how many."""
    absent = is_missing(table.text(name, missing)) | _absent(table, name, missing)
    if absent.all():
        raise DataError(f"target {name!r} is missing in every row")
    table.keep(~absent)
    return int(absent.sum())


def _absent(table: Table, name: str, missing: Collection[str]) -> np.ndarray:
    """Where a number is missing; in a column of text it is no number in other rows, too."""
    numbers, strange = table.numbers(name, missing)
    return np.isnan(numbers) & ~strange


def _weights(table: Table, name: str | None) -> np.ndarray | None:
    if name is None:
        return None
    numbers, strange = table.numbers(name)
    if strange.any():
        row = int(np.argmax(strange))
        raise DataError(f"column {name!r} of weights is {table.text(name)[row]!r} in row {table.rows[row]}, no number")
    return numbers


def _column(table: Table, name: str, missing: Collection[str]) -> np.ndarray:
    """A column of targets: int64 where all entries are whole numbers, float64 where all are numbers, else text."""
    text, (numbers, strange) = table.text(name, missing), table.numbers(name, missing)
    absent = is_missing(text) | (np.isnan(numbers) & ~strange)
    if absent.any():
        n, row = int(absent.sum()), table.rows[np.argmax(absent)]
        raise DataError(
            f"target {name!r} is missing in {n} of {len(text)} rows, first in row {row}: ",
            Settings(drop_missing_target=True),
            " leaves such rows out",
        )
    if strange.any():
        return text
    if not np.isfinite(numbers).all():
        raise DataError(f"target {name!r} is infinite in row {table.rows[np.argmax(np.isinf(numbers))]}")
    if not all(entry.lstrip("+-").isdecimal() for entry in text):
        return whole(numbers)
    integers = [int(entry) for entry in text]  # not by way of floats, where large ones are no longer different
    return np.array(integers, np.int64) if max(map(abs, integers)) < 1 << 63 else text
