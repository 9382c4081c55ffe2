"""Tables from what callers of Python have: frames of polars and pandas, dicts of columns, paths of files."""

import copy
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastbp.basics._arguments import shown
from fastbp.tables._errors import DataError
from fastbp.tables._frames import PandasTable, PolarsTable, Table, installed, read_table

EXPECTED = (
    "data must be a DataFrame of polars or pandas, a dict of columns, the path of a .csv or .parquet file, "
    "or what fastbp.tables.read_table returns"
)


def as_table(data: Any) -> Table:
    """``data`` as a Table of its own, which can lose rows without a change to ``data``.

    TypeError for what is no table, DataError for one without rows and for columns that make none, ImportError without
    the library that is needed.
    """
    if isinstance(data, Table):
        return copy.copy(data)
    if isinstance(data, (str, os.PathLike)):
        return read_table(data)
    if isinstance(data, Mapping):
        data = _frame(data)
    table = _of_frame(data)
    twice = {name for name in table.names if table.names.count(name) > 1}
    if twice:
        raise DataError(f"there are several columns {min(twice)!r} in the data")
    if len(table) == 0:
        raise DataError("there are no rows in the data")
    return table


def _of_frame(data: Any) -> Table:
    polars, pandas = sys.modules.get("polars"), sys.modules.get("pandas")  # a frame's own library is imported
    if polars and isinstance(data, polars.DataFrame):
        return PolarsTable(data, list(data.columns), ".", first=0)
    if pandas and isinstance(data, pandas.DataFrame):
        names = list(map(str, data.columns))
        return PandasTable(data.set_axis(names, axis=1), names, ".", first=0)
    if polars and isinstance(data, polars.LazyFrame):
        raise TypeError(f"{EXPECTED}, got a LazyFrame: call its collect()")
    raise TypeError(f"{EXPECTED}, got {shown(data)}")


def _frame(columns: Mapping[Any, Any]) -> Any:
    """A frame of ``columns`` by name, in the library that is installed."""
    taken = {name: _column(name, column) for name, column in columns.items()}
    lengths = {name: len(column) for name, column in taken.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns must be of one length, got {shown(lengths)}")
    library = installed()
    try:
        return sys.modules[library.module].DataFrame(taken)
    except Exception as error:  # of either library, with errors of its own
        raise DataError(f"the columns make no table: {' '.join(str(error).split()):.200}") from None


def _column(name: Any, column: Any) -> Any:
    if not isinstance(name, str):
        raise TypeError(f"names of columns must be text, got {shown(name)}")
    if isinstance(column, (str, bytes, Mapping)) or not hasattr(column, "__len__"):
        raise TypeError(f"column {name!r} must be a list or an array, got {shown(column)}")
    array = np.asarray(column) if hasattr(column, "__array__") else None
    if array is None:
        return list(map(_entry, column))
    if array.ndim != 1:
        raise DataError(f"column {name!r} must be of one dimension, got an array of shape {array.shape}")
    return list(map(_entry, array.tolist())) if array.dtype.kind in "OUS" else array


def _entry(entry: Any) -> Any:
    """``entry``, None for what pandas has in place of a missing one, which polars takes for another kind."""
    absent = isinstance(entry, float) and entry != entry
    return None if absent or type(entry).__name__ in ("NAType", "NaTType") else entry
