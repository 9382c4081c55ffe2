"""How the columns of a table become the rows of numbers that a network takes."""

import re
import warnings
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fastbp.tables import _dates
from fastbp.tables._errors import DataError, Settings, no_such
from fastbp.tables._frames import DATES, TEXT, Table, is_missing
from fastbp.tables._standard import EXACT, mean_std

MOST_CATEGORIES = 1000  # in a column; more are names or numbers of the samples
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

    def transform(self, table: Table, dtype: str, tell: Callable[[str], object] = warnings.warn) -> np.ndarray:
        """The table as (N, I) of ``dtype``.

        Raises DataError for a column that lacks or holds what it should not. ``tell`` is called with a line on
        categories not seen in training.
        """
        x = np.zeros((len(table), self.n_inputs), dtype)
        dates: dict[str, Any] = {}  # read once for all parts
        at = 0
        for column in self.columns:
            name = column["name"]
            if name not in table.names:
                raise DataError(no_such("column", name, table.names))
            if "categories" in column:
                at += self._categories_into(x, at, column, table, tell)
            else:
                with np.errstate(over="ignore"):
                    x[:, at] = self._numbers_of(column, table, dates)
                too_large = np.isinf(x[:, at])
                if too_large.any():
                    row = table.rows[np.argmax(too_large)]
                    raise DataError(f"column {name!r} has a number in row {row} that is too large for {dtype}")
                at += 1
        return x

    def _numbers_of(self, column: dict[str, Any], table: Table, dates: dict[str, Any]) -> np.ndarray:
        name, what = column["name"], "number"
        if "part" in column:
            what = "date"
            if name not in dates:
                order = "ymd" if table.form(name) == DATES else column["order"]
                dates[name] = _dates.numbers_of(table.text(name, self.missing), order)
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

    def _categories_into(
        self, x: np.ndarray, at: int, column: dict[str, Any], table: Table, tell: Callable[[str], object]
    ) -> int:
        """Write the inputs of a column of text from ``at`` on; returns their number."""
        name, categories = column["name"], _Places(column["categories"])
        entries = table.text(name, self.missing)
        missing = is_missing(entries)
        if missing.any() and not self.fill:
            raise _missing(name, table.rows[missing])
        find = categories.of if table.form(name) == TEXT else categories.of_value
        places = np.array([find(entry) for entry in entries], np.intp)
        known = places >= 0
        x[np.flatnonzero(known), at + places[known]] = 1
        unknown = sorted(set(entries[~known & ~missing]))
        if unknown:
            few = ", ".join(map(repr, unknown[:3])) + ", ..." * (len(unknown) > 3)
            tell(f"column {name!r} has categories not seen in training, taken as none: {few}")
        return len(column["categories"])

    def to_json(self) -> dict[str, Any]:
        return {"kind": "table"} | asdict(self)


class _Places:
    """The place of each category among the inputs of its column, -1 of what is none."""

    def __init__(self, categories: list[str]) -> None:
        self._places = {category: n for n, category in enumerate(categories)}
        self._plain = {_plain(category): n for category, n in self._places.items()}

    def of(self, entry: str | None) -> int:
        return -1 if entry is None else self._places.get(entry, -1)

    def of_value(self, entry: str | None) -> int:
        """Of a number or a truth value: a frame writes 1 as 1.0 and True as true where training data had it so."""
        place = self.of(entry)
        return place if entry is None or place >= 0 else self._plain.get(_plain(entry), -1)


def _plain(entry: str) -> str:
    return entry.lower().removesuffix(".0")


def part_of(column: dict[str, Any]) -> str:
    """``"year of "`` and the like before the name of a column of dates, which has an entry for each part."""
    return f"{column['part']} of " if "part" in column else ""


def _standard(table: Table, name: str, numbers: np.ndarray, rows: np.ndarray, standardize: bool) -> dict[str, float]:
    """The mean and the deviation of a column's finite numbers in the ``rows``; 0 and 1 where it is left as it is."""
    if not standardize:
        return {"mean": 0.0, "std": 1.0}
    seen = numbers[rows][np.isfinite(numbers[rows])]
    mean, std = mean_std(seen.reshape(-1, 1), lambda _: f"column {name!r}")
    if len(seen) and abs(mean[0]) >= EXACT and (seen == seen[0]).all() and len(set(table.text(name)[rows])) > 1:
        raise DataError(
            f"column {name!r} has different numbers near {mean[0]:.6g}, which float64 cannot tell apart: "
            f"leave it out with ",
            Settings(drop=None),
            ", or take its entries as categories with ",
            Settings(categorical=[name]),
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
    cell = f"{entries[first]!r} in row {table.rows[first]}"
    ways = (
        Settings(drop=[name]),
        " leaves the column out, ",
        Settings(categorical=[name]),
        " takes each entry as a category",
    )
    orders = _dates.orders_of(present)
    if table.decimal == "." and all(WITH_COMMA.fullmatch(entry) for entry in present):
        with_comma = f"column {name!r} has numbers with a comma, as {cell}: "
        raise DataError(with_comma, Settings(decimal=","), " reads them; ", *ways)
    if np.isfinite(numbers).sum() > n:
        raise DataError(
            f"column {name!r} has numbers, and {n} {'entry that is' if n == 1 else 'entries that are'} none, "
            f"first {cell}: ",
            Settings(missing=[entries[first]]),
            " takes it as missing; ",
            *ways,
        )
    if orders and not dates:
        has_dates = f"column {name!r} has dates, as {cell}: "
        raise DataError(has_dates, Settings(dates=True), " takes year, month, day of week; ", *ways)
    if len(orders) > 1:
        raise DataError(f"column {name!r} has dates that can be read in two ways, as {cell}: write them as 2024-12-31")
    return orders[0] if orders else None


def _categories(name: str, entries: np.ndarray) -> list[str]:
    categories = sorted(set(entries[~is_missing(entries)]))
    if len(categories) > MOST_CATEGORIES:
        raise DataError(
            f"column {name!r} is text with {len(categories)} different entries, more than {MOST_CATEGORIES}: "
            f"leave it out with ",
            Settings(drop=None),
        )
    return categories


def _missing(name: str, rows: np.ndarray) -> DataError:
    n = len(rows)
    return DataError(
        f"column {name!r} has {n} missing {'entry' if n == 1 else 'entries'}, the first in row {rows[0]}: "
        f"fill them in, leave the column out with ",
        Settings(drop=None),
        ", or train with ",
        Settings(fill_missing=True),
    )
