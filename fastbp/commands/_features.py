"""How samples become the rows of numbers that a network takes: learnt from training data, kept in the model file."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fastbp.commands import CommandError
from fastbp.commands._report import tell
from fastbp.commands._tables import Table, is_missing

MOST_CATEGORIES = 1000  # in a column; more are names or numbers of the samples


@dataclass
class TableFeatures:
    """The columns of a table, in their order.

    A column of numbers gives one input, (number - mean) / std; a column of text gives one for each of its categories,
    1 for its own and 0 for the others, and 0 for all where the category was not there in training. With ``fill``, a
    missing number counts as the mean, and a missing category as none.
    """

    columns: list[dict[str, Any]]  # name, and mean and std or categories
    fill: bool = False

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
    ) -> "TableFeatures":
        """From the ``rows`` of the table, and all its columns but those ``without``."""
        columns: list[dict[str, Any]] = []
        for name in table.names:
            if name in without:
                continue
            numbers = None if name in categorical else table.numbers(name)
            if numbers is None:
                columns.append({"name": name, "categories": _categories(name, table.text(name)[rows])})
            else:
                seen = numbers[rows][np.isfinite(numbers[rows])]
                mean, std = mean_std(seen) if standardize else (0.0, 1.0)
                columns.append({"name": name, "mean": float(mean), "std": float(std)})
        if not columns:
            raise CommandError("there is no column to learn from")
        return cls(columns, fill)

    @property
    def n_inputs(self) -> int:
        return sum(len(column.get("categories", "1")) for column in self.columns)

    def transform(self, table: Table, dtype: str) -> np.ndarray:
        """The table as (N, I) of ``dtype``.

        Raises CommandError for a column that lacks or holds what it should not. Categories not seen in training are
        told on stderr.
        """
        x = np.zeros((len(table), self.n_inputs), dtype)
        at = 0
        for column in self.columns:
            name = column["name"]
            if name not in table.names:
                raise CommandError(f"column {name!r} is missing, there are {', '.join(table.names):.200}")
            if "categories" in column:
                at += self._categories_into(x, at, column, table.text(name))
            else:
                x[:, at] = self._numbers_of(column, table.numbers(name))
                at += 1
        return x

    def _numbers_of(self, column: dict[str, Any], numbers: np.ndarray | None) -> np.ndarray:
        name = column["name"]
        if numbers is None:
            raise CommandError(f"column {name!r} was numbers in training, and has entries that are none")
        missing = np.isnan(numbers)
        if missing.any() and not self.fill:
            raise _missing(name, missing)
        if np.isinf(numbers).any():
            raise CommandError(f"column {name!r} is infinite in row {int(np.argmax(np.isinf(numbers))) + 1}")
        return (np.where(missing, column["mean"], numbers) - column["mean"]) / column["std"]

    def _categories_into(self, x: np.ndarray, at: int, column: dict[str, Any], entries: np.ndarray) -> int:
        """Write the inputs of a column of text from ``at`` on; returns their number."""
        name, categories = column["name"], {category: n for n, category in enumerate(column["categories"])}
        missing = is_missing(entries)
        if missing.any() and not self.fill:
            raise _missing(name, missing)
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

    @classmethod
    def learn(cls, x: np.ndarray, rows: np.ndarray, *, standardize: bool, scale: float | None) -> "ArrayFeatures":
        """From the ``rows`` of ``x``: bytes are scaled to 0..1, other numbers standardised unless there is a scale."""
        n_inputs = int(np.prod(x.shape[1:]))
        if scale is not None or x.dtype == np.uint8 or not standardize:
            default = 1 / 255 if x.dtype == np.uint8 else 1.0
            return cls(n_inputs, default if scale is None else scale)
        mean, std = mean_std(x[rows].reshape(len(rows), n_inputs))
        return cls(n_inputs, 1.0, mean.tolist(), std.tolist())

    def transform(self, x: np.ndarray, dtype: str) -> np.ndarray:
        """``x`` as (N, I), not yet multiplied by ``scale``."""
        if x.ndim < 2 or int(np.prod(x.shape[1:])) != self.n_inputs:
            raise CommandError(f"the samples are of shape {x.shape}, the network has {self.n_inputs} inputs")
        x = x.reshape(len(x), self.n_inputs)
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            row = int(np.argmax(~np.isfinite(x).all(axis=1)))
            raise CommandError(f"row {row + 1} of the samples has a number that is not finite")
        if not self.mean:
            return x
        return ((x - np.array(self.mean)) / np.array(self.std)).astype(dtype)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "array"} | asdict(self)


Features = TableFeatures | ArrayFeatures


def inputs_of(features: Features, x: Any, dtype: str) -> np.ndarray:
    """Samples, a table or an array, as the network takes them, (N, I); CommandError where they do not fit."""
    if isinstance(features, TableFeatures):
        if isinstance(x, np.ndarray):
            raise CommandError("the model was trained on a table, .csv or .parquet, and the data are arrays")
        return features.transform(x, dtype)
    if not isinstance(x, np.ndarray):
        raise CommandError("the model was trained on arrays, and the data are a table")
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
        return table
    array = ArrayFeatures(**fields)
    array.scale, array.mean, array.std = float(array.scale), list(map(float, array.mean)), list(map(float, array.std))
    if {len(array.mean), len(array.std)} not in ({0}, {array.n_inputs}):
        raise ValueError(f"{array.n_inputs} inputs with {len(array.mean)} means and {len(array.std)} deviations")
    return array


def _categories(name: str, entries: np.ndarray) -> list[str]:
    categories = sorted(set(entries[~is_missing(entries)]))
    if len(categories) > MOST_CATEGORIES:
        raise CommandError(
            f"column {name!r} is text with {len(categories)} different entries, more than {MOST_CATEGORIES}: "
            f"leave it out with --drop"
        )
    return categories


def mean_std(x: np.ndarray) -> tuple[Any, Any]:
    """Mean and standard deviation of each column in float64; 1 for the deviation of a column that is constant."""
    if len(x) == 0:
        return 0.0, 1.0
    mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    return mean, np.where(std > 1e-12 * np.abs(mean), std, 1.0)  # a constant's is what rounding left


def _missing(name: str, missing: np.ndarray) -> CommandError:
    n, first = int(missing.sum()), int(np.argmax(missing)) + 1
    return CommandError(
        f"column {name!r} has {n} missing {'entry' if n == 1 else 'entries'}, the first in row {first}: "
        f"fill them in, leave the column out with --drop, or train with --fill-missing"
    )
