"""How samples become the rows of numbers that a network takes: learnt from training data, kept in the model file."""

import re
import shlex
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fastbp.commands import _dates
from fastbp.commands._errors import DataError, no_such
from fastbp.commands._report import tell
from fastbp.commands._standard import mean_std
from fastbp.commands._tables import Table, is_missing

MOST_CATEGORIES = 1000  # in a column; more are names or numbers of the samples
EXACT = 2.0**53  # float64 no longer tells larger whole numbers apart
WITH_COMMA = re.compile(r"[+-]?\d+(,\d+)?")


@dataclass
class TableFeatures:
    """The columns of a table, in their order.

    A column of numbers gives one input, (number - mean) / std; a column of dates gives one for each of its parts, as
    numbers; a column of text gives one for each of its categories, 1 for its own and 0 for the others, and 0 for all
    where the category was not there in training. With ``fill``, a missing number counts as the mean, and a missing
    category as none. The words ``missing`` stand for no entry, beside the usual ones.
    """

    columns: list[dict[str, Any]]  # name, and categories, or mean and std, with part and order for a part of a date
    fill: bool = False
    missing: list[str] = field(default_factory=list)

    @classmethod
    def learn(
        cls,
        table: Table,
        rows: np.ndarray,
        *,
        without: Collection[str],
        categorical: Collection[str],
        standardize: bool,
        fill: bool,
        missing: Collection[str] = (),
        dates: bool = False,
    ) -> "TableFeatures":
        """From the ``rows`` of the table, and all its columns but those ``without``.

        Those ``categorical`` are text, others what their entries are; dates are an error without ``dates``, and so is a
        column of numbers with entries that are none.
        """
        columns: list[dict[str, Any]] = []
        for name in table.names:
            if name in without:
                continue
            numbers, strange = table.numbers(name, missing)
            if name not in categorical and not strange.any():
                columns.append({"name": name} | _standard(table, name, numbers, rows, standardize))
                continue
            entries = table.text(name, missing)
            order = None
            if name not in categorical:
                order = _order_of_dates(table, name, entries, numbers, strange, dates)
            if order is None:
                columns.append({"name": name, "categories": _categories(name, entries[rows])})
                continue
            for part, numbers in _dates.numbers_of(entries, order)[0].items():
                standard = _standard(table, name, numbers, rows, standardize)
                columns.append({"name": name, "part": part, "order": order} | standard)
        if not columns:
            raise DataError("there is no column to learn from")
        return cls(columns, fill, list(missing))

    @property
    def n_inputs(self) -> int:
        return sum(len(column.get("categories", "1")) for column in self.columns)

    def transform(self, table: Table, dtype: str) -> np.ndarray:
        """The table as (N, I) of ``dtype``.

        Raises DataError for a column that lacks or holds what it should not. Categories not seen in training are
        told on stderr.
        """
        x = np.zeros((len(table), self.n_inputs), dtype)
        dates: dict[str, Any] = {}  # read once for all parts
        at = 0
        for column in self.columns:
            name = column["name"]
            if name not in table.names:
                raise DataError(no_such("column", name, table.names))
            if "categories" in column:
                at += self._categories_into(x, at, column, table)
            else:
                x[:, at] = self._numbers_of(column, table, dates)
                at += 1
        return x

    def _numbers_of(self, column: dict[str, Any], table: Table, dates: dict[str, Any]) -> np.ndarray:
        name, what = column["name"], "number"
        if "part" in column:
            what = "date"
            if name not in dates:
                dates[name] = _dates.numbers_of(table.text(name, self.missing), column["order"])
            parts, strange = dates[name]
            numbers = parts[column["part"]]
        else:
            numbers, strange = table.numbers(name, self.missing)
        if strange.any():
            row = int(np.argmax(strange))
            entry = table.text(name)[row]
            raise DataError(f"column {name!r} held {what}s in training, and is {entry!r} in row {table.rows[row]}")
        missing = np.isnan(numbers)
        if missing.any() and not self.fill:
            raise _missing(name, table.rows[missing])
        if np.isinf(numbers).any():
            raise DataError(f"column {name!r} is infinite in row {table.rows[np.argmax(np.isinf(numbers))]}")
        return (np.where(missing, column["mean"], numbers) - column["mean"]) / column["std"]

    def _categories_into(self, x: np.ndarray, at: int, column: dict[str, Any], table: Table) -> int:
        """Write the inputs of a column of text from ``at`` on; returns their number."""
        name, categories = column["name"], {category: n for n, category in enumerate(column["categories"])}
        entries = table.text(name, self.missing)
        missing = is_missing(entries)
        if missing.any() and not self.fill:
            raise _missing(name, table.rows[missing])
        places = np.array([categories.get(entry, -1) for entry in entries], np.intp)
        known = places >= 0
        x[np.flatnonzero(known), at + places[known]] = 1
        unknown = sorted(set(entries[~known & ~missing]))
        if unknown:
            few = ", ".join(map(repr, unknown[:3])) + ", ..." * (len(unknown) > 3)
            tell(f"column {name!r} has categories not seen in training, taken as none: {few}")
        return len(categories)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "table"} | asdict(self)


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
        return ((x - np.array(self.mean)) / np.array(self.std)).astype(dtype)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "array"} | asdict(self)


Features = TableFeatures | ArrayFeatures


def _check_finite(x: np.ndarray) -> None:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row, *place = np.argwhere(~np.isfinite(x))[0]
        value, column = x[(row, *place)], f", column {place[0] + 1}" if len(place) == 1 else ""
        raise DataError(f"the samples have a number that is not finite: {value} in row {row + 1}{column}")


def part_of(column: dict[str, Any]) -> str:
    """``"year of "`` and the like before the name of a column of dates, which has an entry for each part."""
    return f"{column['part']} of " if "part" in column else ""


def inputs_of(features: Features, x: Any, dtype: str) -> np.ndarray:
    """Samples, a table or an array, as the network takes them, (N, I); DataError where they do not fit."""
    if isinstance(features, TableFeatures):
        if isinstance(x, np.ndarray):
            raise DataError("the model was trained on a table, and the data are arrays")
        return features.transform(x, dtype)
    if not isinstance(x, np.ndarray):
        raise DataError("the model was trained on arrays, and the data are a table")
    return features.transform(x, dtype)


def features_from(description: dict[str, Any]) -> Features:
    """What ``to_json`` has told of. Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
    fields = {name: value for name, value in description.items() if name != "kind"}
    if description["kind"] == "table":
        table = TableFeatures(**fields)
        for column in table.columns:
            if "categories" in column:
                column["categories"] = [str(category) for category in column["categories"]]
            else:
                column.update(mean=float(column["mean"]), std=float(column["std"]))
            column["name"] = str(column["name"])
            if "part" in column and (column["part"] not in _dates.PARTS or column["order"] not in _dates.ORDERS):
                raise ValueError(f"a part of a date is {column!r:.80}")
        table.missing = [str(word) for word in table.missing]
        return table
    array = ArrayFeatures(**fields)
    array.scale, array.mean, array.std = float(array.scale), list(map(float, array.mean)), list(map(float, array.std))
    if {len(array.mean), len(array.std)} not in ({0}, {array.n_inputs}):
        raise ValueError(f"{array.n_inputs} inputs with {len(array.mean)} means and {len(array.std)} deviations")
    return array


def _standard(table: Table, name: str, numbers: np.ndarray, rows: np.ndarray, standardize: bool) -> dict[str, float]:
    """The mean and the deviation of a column's finite numbers in the ``rows``; 0 and 1 where it is left as it is."""
    if not standardize:
        return {"mean": 0.0, "std": 1.0}
    seen = numbers[rows][np.isfinite(numbers[rows])]
    mean, std = mean_std(seen.reshape(-1, 1), lambda _: f"column {name!r}")
    if len(seen) and abs(mean[0]) >= EXACT and (seen == seen[0]).all() and len(set(table.text(name)[rows])) > 1:
        raise DataError(
            f"column {name!r} has different numbers near {mean[0]:.6g}, which float64 cannot tell apart: "
            f"leave it out with --drop, or take its entries as categories with --categorical {name}"
        )
    return {"mean": float(mean[0]), "std": float(std[0])}


def _order_of_dates(
    table: Table, name: str, entries: np.ndarray, numbers: np.ndarray, strange: np.ndarray, dates: bool
) -> str | None:
    """How a column with ``strange`` entries, no numbers, is written if it holds ``dates``; None where it holds text.

    Raises DataError where that has to be said.
    """
    present = entries[~is_missing(entries)]
    first, n = int(np.argmax(strange)), int(strange.sum())
    cell, option = f"{entries[first]!r} in row {table.rows[first]}", shlex.quote(name)
    ways = f"--drop {option} leaves the column out, --categorical {option} takes each entry as a category"
    orders = _dates.orders_of(present)
    if table.decimal == "." and all(WITH_COMMA.fullmatch(entry) for entry in present):
        raise DataError(f"column {name!r} has numbers with a comma, as {cell}: --decimal , reads them; {ways}")
    if np.isfinite(numbers).sum() > n:
        raise DataError(
            f"column {name!r} has numbers, and {n} {'entry that is' if n == 1 else 'entries that are'} none, "
            f"first {cell}: --missing {shlex.quote(entries[first])} takes it as missing; {ways}"
        )
    if orders and not dates:
        raise DataError(f"column {name!r} has dates, as {cell}: --dates takes year, month, day of week; {ways}")
    if len(orders) > 1:
        raise DataError(f"column {name!r} has dates that can be read in two ways, as {cell}: write them as 2024-12-31")
    return orders[0] if orders else None


def _categories(name: str, entries: np.ndarray) -> list[str]:
    categories = sorted(set(entries[~is_missing(entries)]))
    if len(categories) > MOST_CATEGORIES:
        raise DataError(
            f"column {name!r} is text with {len(categories)} different entries, more than {MOST_CATEGORIES}: "
            f"leave it out with --drop"
        )
    return categories


def _missing(name: str, rows: np.ndarray) -> DataError:
    n = len(rows)
    return DataError(
        f"column {name!r} has {n} missing {'entry' if n == 1 else 'entries'}, the first in row {rows[0]}: "
        f"fill them in, leave the column out with --drop, or train with --fill-missing"
    )
