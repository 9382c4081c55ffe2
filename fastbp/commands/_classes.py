"""How well each class is told from the others, by scikit-learn's functions, and the table that says so."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp.basics._extra import import_extra
from fastbp.commands._words import in_a_line

MOST_ROWS = 30  # of the table
LONGEST_NAME = 30


def class_measures(encoded: np.ndarray, found: np.ndarray, shares: np.ndarray, values: Sequence[Any]) -> dict[str, Any]:
    """What there is to say beside the accuracy, for ``encoded`` and ``found`` classes (N,) among 0..K-1.

    ``shares`` (N, K) are the probabilities; ``values`` the classes' names. ``classes`` is a list of each class's
    precision, recall, F1 and number of samples; ``balanced_accuracy`` the mean recall of the classes that occur;
    ``roc_auc``, of two classes that both occur, is the probability that a sample of the second has more of its share
    than one of the first. What would be divided by nothing is 0. Raises ImportError without scikit-learn.
    """
    metrics = import_extra("sklearn.metrics", "sklearn")
    numbers = np.arange(len(values))
    columns = metrics.precision_recall_fscore_support(encoded, found, labels=numbers, zero_division=0)
    names = "precision", "recall", "f1", "samples"
    rows = [
        {"class": value} | {name: number.item() for name, number in zip(names, row, strict=True)}
        for value, *row in zip(values, *columns, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class is found which does not occur
        measures = {"balanced_accuracy": float(metrics.balanced_accuracy_score(encoded, found))}
    if len(values) == 2 and len(np.unique(encoded)) == 2:
        measures["roc_auc"] = float(metrics.roc_auc_score(encoded, shares[:, 1]))
    return measures | {"classes": rows}


def class_table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each class; of many classes, those with the lowest F1."""
    shown = list(rows)
    if len(rows) > MOST_ROWS:
        shown = sorted(rows, key=lambda row: row["f1"])[:MOST_ROWS]
    names = [_short(str(row["class"])) for row in shown]
    width = max(map(len, [*names, "class"]))
    lines = [f"{'class':<{width}}  precision  recall      F1  samples"]
    for name, row in zip(names, shown, strict=True):
        measures = f"{row['precision']:9.4f}  {row['recall']:6.4f}  {row['f1']:6.4f}  {row['samples']:7}"
        lines.append(f"{name:<{width}}  {measures}")
    left = len(rows) - len(shown)
    if left:
        lines.append(f"and {left} classes with an F1 of at least {shown[-1]['f1']:.4f}: --json has all")
    return "\n".join(lines)


def _short(name: str) -> str:
    name = in_a_line(name)
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."
