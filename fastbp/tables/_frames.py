"""Tables of named columns in frames of polars or pandas, and those that either reads from a file.

Both are asked for the same two things: a column's entries as text, and as numbers. So a file is understood in the same
way by either, and an entry of a text file keeps its spelling until it is known what its column holds.
"""

import importlib.util
import os
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np

from fastbp.basics._extra import import_extra
from fastbp.tables._errors import DataError, Settings, check_file
from fastbp.tables._text import TextForm, TextTable, check_whole, open_text

TEXT, DATES, VALUES = "text", "dates", "values"
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
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
]  # what stands for no entry in a text file


class Table:
    """Named columns of one length, in a frame of polars or of pandas.

    Attributes
    ----------
    names : of the columns
    rows : what messages call each row: its number in the file, from 1, or its place in the frame, from 0
    decimal : the sign before the decimals of a number that is written as text
    place : the file's name, a colon and a space before a message on the table as such; "" of a frame
    """

    place = ""

    def __init__(self, frame: Any, names: list[str], decimal: str, first: int = 1) -> None:
        self._frame, self.names, self.decimal = frame, names, decimal
        self.rows = np.arange(first, first + len(frame))

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place}{len(self)} rows of {', '.join(self.names):.200})"

    def keep(self, mask: np.ndarray) -> None:
        """Leave out the rows where ``mask`` (N,) is False."""
        self._filter(mask)
        self.rows = self.rows[mask]

    def text(self, name: str, missing: Collection[str] = ()) -> np.ndarray:
        """The column's entries as str without blanks around them, None where there is none or one of ``missing``."""
        raise NotImplementedError

    def numbers(self, name: str, missing: Collection[str] = ()) -> tuple[np.ndarray, np.ndarray]:
        """The column in float64, NaN where there is no entry or one of ``missing``; and which are no numbers."""
        numbers, strange = self._parsed(name, missing)
        absent = [float(word) for word in missing if is_number(word)]
        return np.where(np.isin(numbers, absent), np.nan, numbers), strange

    def written(self, name: str) -> list[str]:
        """The column's entries as they are written, "" where there is nothing."""
        raise NotImplementedError

    def form(self, name: str) -> str:
        """TEXT where entries have a spelling of their own; DATES or VALUES where the library has written them."""
        raise NotImplementedError

    def _filter(self, mask: np.ndarray) -> None:
        raise NotImplementedError

    def _parsed(self, name: str, missing: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


def read_table(
    path: str | os.PathLike, *, separator: str | None = None, encoding: str | None = None, decimal: str = "."
) -> Table:
    """Read a table from a ``.csv``, ``.tsv`` (also ``.gz``) or ``.parquet`` file, by polars or else pandas.

    Parameters
    ----------
    path : str or path
        Of the file.
    separator : str or None
        One character between the fields of text; found out if None.
    encoding : str or None
        Of text, as "cp1252"; what the file begins with says, else UTF-8, if None.
    decimal : {".", ","}
        The sign before the decimals of a number that is written as text.

    Returns
    -------
    table : Table
        What ``TableModel`` takes as data.

    Raises
    ------
    ValueError
        For a file that is not there, or is no table with a row in it.
    ImportError
        Without polars and pandas.
    """
    path = os.fspath(path)
    form = TextForm(separator, encoding, decimal)
    if not path.lower().endswith(SUFFIXES):
        raise DataError(f"{path}: the name of a table's file ends in {', '.join(SUFFIXES)}")
    check_file(path)
    library = installed()
    parquet = path.lower().endswith(".parquet")
    text = None if parquet else open_text(path, form)
    try:
        table = library.from_parquet(path, form.decimal) if text is None else library.from_text(text, form.decimal)
    except (OSError, MemoryError, ImportError, KeyboardInterrupt):
        raise
    except BaseException as error:  # each of the libraries has errors of its own, and Rust's panics are no Exception
        if text is not None:
            check_whole(path, text)
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split()):.200}") from None
    if len(table) == 0:
        raise DataError(f"{path}: there are no rows in it")
    table.place = f"{path}: "
    return table


def installed() -> "type[PandasTable] | type[PolarsTable]":
    """Polars's, or else pandas's; ImportError that names the extra without both."""
    use_pandas = importlib.util.find_spec("polars") is None and importlib.util.find_spec("pandas") is not None
    library: type[PandasTable] | type[PolarsTable] = PandasTable if use_pandas else PolarsTable
    import_extra(library.module, "tables")
    return library


def is_missing(entries: np.ndarray) -> np.ndarray:
    """Where ``Table.text`` has none."""
    return np.array([entry is None for entry in entries], bool)


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


class PolarsTable(Table):
    module = "polars"

    @classmethod
    def from_text(cls, text: TextTable, decimal: str) -> "PolarsTable":
        polars: Any = import_extra("polars", "tables")
        frame = polars.read_csv(text.source, infer_schema=False, separator=text.separator, glob=False)
        frame = frame.rename(dict(zip(frame.columns, text.names, strict=True)))
        table = cls(frame, text.names, decimal)
        if len(text.names) > 1:  # polars takes a blank line for a row
            table.keep(~frame.select(polars.all_horizontal(polars.all().is_null())).to_series().to_numpy())
        return table

    @classmethod
    def from_parquet(cls, path: str, decimal: str) -> "PolarsTable":
        frame = import_extra("polars", "tables").read_parquet(path, glob=False)
        return cls(frame, list(frame.columns), decimal)

    def _filter(self, mask: np.ndarray) -> None:
        self._frame = self._frame.filter(mask)

    def _entries(self, name: str, missing: Collection[str]) -> Any:
        column = self._frame[name]
        if column.dtype.is_nested() or column.dtype.base_type().__name__ in ("Binary", "Object"):
            raise _no_entries(name, column.dtype)
        absent = [*MISSING, *missing]
        text = column.cast(import_extra("polars", "tables").String).str.strip_chars()
        return text.replace(absent, [None] * len(absent))

    def text(self, name: str, missing: Collection[str] = ()) -> np.ndarray:
        return np.array(self._entries(name, missing).to_list(), object)

    def written(self, name: str) -> list[str]:
        return self._frame[name].cast(import_extra("polars", "tables").String).fill_null("").to_list()

    def form(self, name: str) -> str:
        dtype = self._frame[name].dtype
        if dtype.is_temporal():
            return DATES
        return VALUES if dtype.is_numeric() or dtype == import_extra("polars", "tables").Boolean else TEXT

    def _parsed(self, name: str, missing: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
        column = self._frame[name]
        entries = column if column.dtype.is_numeric() else self._entries(name, missing)
        spelled = entries
        if self.decimal == "," and not column.dtype.is_numeric():
            spelled = entries.str.replace_all(".", "no number", literal=True).str.replace_all(",", ".", literal=True)
        numbers = spelled.cast(import_extra("polars", "tables").Float64, strict=False)
        strange = (numbers.is_null() & entries.is_not_null()).to_numpy()
        return numbers.fill_null(np.nan).to_numpy().astype(np.float64), strange


class PandasTable(Table):
    module = "pandas"

    @classmethod
    def from_text(cls, text: TextTable, decimal: str) -> "PandasTable":
        pandas: Any = import_extra("pandas", "tables")
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)  # rows that are too long would be cut
            frame = pandas.read_csv(
                text.source,
                dtype=str,
                na_filter=False,
                index_col=False,
                sep=text.separator,
                encoding="utf-8",
                header=text.blank,
                skip_blank_lines=False,  # as polars, and so that rows have their numbers
            )
        frame.columns = text.names
        table = cls(frame, text.names, decimal)
        if len(text.names) > 1:  # as polars's, whose blank lines are rows
            table.keep((frame != "").any(axis=1).to_numpy())
        return table

    @classmethod
    def from_parquet(cls, path: str, decimal: str) -> "PandasTable":
        frame = import_extra("pandas", "tables").read_parquet(path, dtype_backend="numpy_nullable")
        frame.columns = list(map(str, frame.columns))
        return cls(frame, list(frame.columns), decimal)

    def _filter(self, mask: np.ndarray) -> None:
        self._frame = self._frame[mask]

    def _entries(self, name: str, missing: Collection[str]) -> Any:
        column = self._frame[name]
        if column.dtype == object and any(isinstance(entry, (bytes, dict, list, np.ndarray)) for entry in column):
            raise _no_entries(name, "bytes or lists")
        text = column.astype("string").str.strip()
        if _is_truth(column):
            text = text.str.lower()  # as polars writes them
        return text.mask(text.isin([*MISSING, *missing]).fillna(False), import_extra("pandas", "tables").NA)

    def text(self, name: str, missing: Collection[str] = ()) -> np.ndarray:
        return self._entries(name, missing).to_numpy(object, na_value=None)

    def written(self, name: str) -> list[str]:
        return self._frame[name].astype("string").fillna("").to_list()

    def form(self, name: str) -> str:
        kind = getattr(self._frame[name].dtype, "kind", "O")
        return DATES if kind == "M" else VALUES if kind in "iuf" or _is_truth(self._frame[name]) else TEXT

    def _parsed(self, name: str, missing: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
        column = self._frame[name]
        numeric = getattr(column.dtype, "kind", "O") in "iuf"
        entries = column if numeric else self._entries(name, missing)
        spelled = entries
        if self.decimal == "," and not numeric:
            spelled = entries.str.replace(".", "no number", regex=False).str.replace(",", ".", regex=False)
        numbers = import_extra("pandas", "tables").to_numeric(spelled, errors="coerce")
        strange = (numbers.isna() & ~entries.isna()).to_numpy(bool)
        return numbers.to_numpy(np.float64, na_value=np.nan), strange


def _is_truth(column: Any) -> bool:
    """Whether a column of pandas holds truth values; with missing ones among them, they are objects."""
    if column.dtype != object:
        return getattr(column.dtype, "kind", "O") == "b"
    return import_extra("pandas.api.types", "tables").infer_dtype(column, skipna=True) == "boolean"


def _no_entries(name: str, dtype: object) -> DataError:
    neither = f"column {name!r} holds {dtype}, neither numbers nor text: leave it out with "
    return DataError(neither, Settings(drop=None))
