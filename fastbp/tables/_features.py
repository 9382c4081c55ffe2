"""How samples become the rows of numbers that a network takes: learnt from training data, kept in the model file."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.tables import _dates
from fastbp.tables._array_features import ArrayFeatures
from fastbp.tables._errors import DataError
from fastbp.tables._table_features import TableFeatures

Features = TableFeatures | ArrayFeatures


def inputs_of(features: Features, x: Any, dtype: str, tell: Callable[[str], object] = warnings.warn) -> np.ndarray:
    """Samples, a table or an array, as the network takes them, (N, I); DataError where they do not fit."""
    if isinstance(features, TableFeatures):
        if isinstance(x, np.ndarray):
            raise DataError("the model was trained on a table, and the data are arrays")
        return features.transform(x, dtype, tell)
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
