"""Tables of named columns from .csv and .parquet files, through polars or pandas, whichever is installed.

Both are asked for the same two things: a column's entries as text, and as numbers. So a file is understood in the same
way by either, and an entry of a CSV file keeps its spelling until it is known what its column holds.
"""

import importlib.util
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastbp._extra import needed
from fastbp.commands import CommandError

SUFFIXES = (".csv", ".parquet")
MISSING = [
    "",
    "NA",
    "N/A",
    "n/a",
    "nan",
    "NaN",
    "NAN",
    "null",
    "NULL",
    "None",
]  # what stands for no entry in a CSV file


class Table(Protocol):
    """Named columns of one length."""

    names: list[str]

    def __len__(self) -> int: ...

    def text(self, name: str) -> np.ndarray:
        """The column's entries as str without blanks around them, None where there is none."""

    def numbers(self, name: str) -> np.ndarray | None:
        """The column in float64, NaN where there is no entry; None if it has entries that are no numbers."""

    def written(self, name: str) -> list[str]:
        """The column's entries as they are written, "" where there is nothing."""


def read_table(path: str) -> Table:
    """Read the file ``path``. Raises CommandError where it is no table, ImportError without polars and pandas."""
    if not Path(path).is_file():
        raise CommandError(f"{path}: there is no such file")
    use_pandas = importlib.util.find_spec("polars") is None and importlib.util.find_spec("pandas") is not None
    try:
        table: Table = PandasTable(path) if use_pandas else PolarsTable(path)
    except (OSError, MemoryError, ImportError):
        raise
    except Exception as error:  # each of the libraries has errors of its own
        raise CommandError(f"{path}: cannot be read: {' '.join(str(error).split()):.200}") from None
    if len(table) == 0:
        raise CommandError(f"{path}: there are no rows in it")
    return table


def is_missing(entries: np.ndarray) -> np.ndarray:
    """Where ``Table.text`` has none."""
    return np.array([entry is None for entry in entries])


class PolarsTable:
    def __init__(self, path: str) -> None:
        self._polars: Any = needed("polars", "tables")
        if path.endswith(".csv"):
            self._frame = self._polars.read_csv(path, infer_schema=False)
        else:
            self._frame = self._polars.read_parquet(path)
        self.names = list(self._frame.columns)

    def __len__(self) -> int:
        return self._frame.height

    def _entries(self, name: str) -> Any:
        column = self._frame[name].cast(self._polars.String).str.strip_chars()
        return column.replace(MISSING, [None] * len(MISSING))

    def text(self, name: str) -> np.ndarray:
        return np.array(self._entries(name).to_list(), object)

    def numbers(self, name: str) -> np.ndarray | None:
        column = self._frame[name]
        entries = column if column.dtype.is_numeric() else self._entries(name)
        numbers = entries.cast(self._polars.Float64, strict=False)
        if numbers.null_count() > entries.null_count():
            return None
        return numbers.fill_null(np.nan).to_numpy().astype(np.float64)

    def written(self, name: str) -> list[str]:
        return self._frame[name].cast(self._polars.String).fill_null("").to_list()


class PandasTable:
    def __init__(self, path: str) -> None:
        self._pandas: Any = needed("pandas", "tables")
        if path.endswith(".csv"):
            self._frame = self._pandas.read_csv(path, dtype=str, na_filter=False)
        else:
            self._frame = self._pandas.read_parquet(path, dtype_backend="numpy_nullable")
        self.names = list(map(str, self._frame.columns))
        self._frame.columns = self.names

    def __len__(self) -> int:
        return len(self._frame)

    def _entries(self, name: str) -> Any:
        column = self._frame[name]
        text = column.astype("string").str.strip()
        if column.dtype == "boolean":
            text = text.str.lower()  # as polars writes them
        return text.mask(text.isin(MISSING).fillna(False), self._pandas.NA)

    def text(self, name: str) -> np.ndarray:
        return self._entries(name).to_numpy(object, na_value=None)

    def numbers(self, name: str) -> np.ndarray | None:
        column = self._frame[name]
        entries = column if getattr(column.dtype, "kind", "O") in "iuf" else self._entries(name)
        numbers = self._pandas.to_numeric(entries, errors="coerce")
        if numbers.isna().sum() > entries.isna().sum():
            return None
        return numbers.to_numpy(np.float64, na_value=np.nan)

    def written(self, name: str) -> list[str]:
        return self._frame[name].astype("string").fillna("").to_list()
