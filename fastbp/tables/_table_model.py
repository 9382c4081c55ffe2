"""``fastbp.TableModel``: a trained network that takes tables, as ``fastbp train`` makes and ``fastbp predict`` uses."""

import os
import warnings
from typing import Any

import numpy as np

from fastbp.basics._arguments import few
from fastbp.ensemble import Ensemble
from fastbp.files.model_file import ModelFileError
from fastbp.sequential import Sequential
from fastbp.tables._ensemble_model import EnsembleModel
from fastbp.tables._features import TableFeatures
from fastbp.tables._fit import FittedModel
from fastbp.tables._frames import Table
from fastbp.tables._given import as_table
from fastbp.tables._load_model import load_model
from fastbp.tables._samples import samples_of
from fastbp.tables._targets import Classes


class TableModel(FittedModel):
    """A network with the way from a table's columns to its inputs, and from its outputs to classes or numbers.

    Both are learnt from the data that it is trained on and kept in its file: which columns there are, means and
    deviations of numbers, categories, the names of the classes. It is the same model and the same file for
    ``fastbp train``, ``predict`` and ``evaluate``, and gives the same answers there.

    Wherever data are asked for, they may be a DataFrame of polars or pandas, a dict of columns, or the path of a
    ``.csv``, ``.tsv`` or ``.parquet`` file; ``fastbp.tables.read_table`` reads a text file that has to be told about.
    Columns are found by their names; those that the model does not know do not matter. Messages count the rows of a
    file from 1, as the command line does, and those of a frame from 0.

    Attributes
    ----------
    features : tuple of str
        Names of the columns that it takes.
    target : str
        What it predicts.
    classes : tuple or None
        Those that it tells apart; None where it predicts numbers.
    network : Sequential or Ensemble
        The network in it, or the networks of ``fastbp train --ensemble``.
    history : History or None
        Of its training; None where it was loaded.

    Examples
    --------
    >>> rows = {"length": [1.0, 1.1, 5.0, 5.2], "soil": ["wet", "dry", "wet", "dry"], "kind": ["a", "a", "b", "b"]}
    >>> model = TableModel.fit(rows, "kind", validation=0, progress=False)
    >>> model
    TableModel('kind', one of 'a', 'b', from 'length', 'soil')
    >>> model.predict({"length": [1.2, 4.9], "soil": ["dry", "wet"]}).tolist()
    ['a', 'b']
    """

    @classmethod
    def load(cls, path: str | os.PathLike) -> "TableModel":
        """The model in a file that ``save`` or ``fastbp train --save`` has written.

        Raises
        ------
        ModelFileError
            A ValueError: for a file that is damaged or of another kind, and where it holds a network without a
            table's columns, as ``net.save`` writes it.
        OSError
            For one that cannot be read.
        """
        model = load_model(path)
        if not isinstance(model.features, TableFeatures):
            raise ModelFileError(
                f"{os.fspath(path)!s}: the network was trained on arrays and knows no columns of a table: "
                f"fastbp.load reads it"
            )
        return cls(model)

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column["name"] for column in self._table_features.columns))

    @property
    def target(self) -> str:
        return self._model.targets.name

    @property
    def classes(self) -> tuple[Any, ...] | None:
        targets = self._model.targets
        return tuple(targets.values) if isinstance(targets, Classes) else None

    @property
    def network(self) -> Sequential | Ensemble:
        model = self._model
        return model.ensemble if isinstance(model, EnsembleModel) else model.net

    def predict(self, data: Any) -> np.ndarray:
        """(N,) the class of each row, by name, or its number.

        Warns of categories that were not there in training; they count as none.

        Raises
        ------
        ValueError
            For data that lack a column or hold what they should not, naming column and row.
        TypeError
            For what is no table.
        """
        return self._model.answers(self._outputs(as_table(data)))

    def predict_proba(self, data: Any) -> np.ndarray:
        """(N, number of classes) the probability of each class, in the order of ``classes``.

        Raises
        ------
        ValueError
            As ``predict`` does.
        TypeError
            As that does, and where the model predicts numbers.
        """
        if self.classes is None:
            raise TypeError(f"this model predicts numbers, {self.target!r}: there are no classes with probabilities")
        return self._model.shares(self._outputs(as_table(data)))

    def evaluate(self, data: Any, target: str | None = None) -> dict[str, float]:
        """How well the model does on data with known targets, in the column ``target`` if it has another name there.

        The loss, with the accuracy of classes; or with ``rmse`` and ``mae`` in the target's own unit, and ``r2``, the
        share of its variance that is explained.

        Raises
        ------
        ValueError, TypeError
            As ``predict`` does.
        """
        samples = samples_of(as_table(data), target or self.target, missing=self._table_features.missing)
        encoded = self._model.targets.encode(samples.targets, samples.rows)
        return self._model.evaluated(self._outputs(samples.x), encoded)

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to a file, whole or not at all, for ``load`` and for the command line."""
        self._model.check_room()
        self._model.save(path)

    def __repr__(self) -> str:
        answer = "numbers" if self.classes is None else f"one of {few(map(repr, self.classes), 5)}"
        return f"TableModel({self.target!r}, {answer}, from {few(map(repr, self.features), 5)})"

    @property
    def _table_features(self) -> TableFeatures:
        features = self._model.features
        assert isinstance(features, TableFeatures)
        return features

    def _outputs(self, table: Table) -> np.ndarray:
        told: list[str] = []
        scores = self._model.outputs(table, table.rows, told.append)
        for message in told:
            warnings.warn(message, stacklevel=3)  # of predict's caller
        return scores
