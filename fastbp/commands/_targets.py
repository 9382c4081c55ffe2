"""How targets become what a loss takes, and outputs become answers again: kept in the model file."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastbp.commands import CommandError
from fastbp.commands._features import mean_std

MOST_UNASKED = 100  # classes; more different whole numbers may as well be quantities


@dataclass
class Classes:
    """One of several classes: whole numbers or text. ``binary`` are two classes and a network with one output."""

    name: str
    values: list[int] | list[str]
    binary: bool = False

    @property
    def n_outputs(self) -> int:
        return 1 if self.binary else len(self.values)

    def encode(self, entries: np.ndarray) -> np.ndarray:
        """Classes (N,) as their numbers. Raises CommandError for one that was not there in training."""
        numbers = {str(value): n for n, value in enumerate(self.values)}
        kinds, inverse = np.unique(entries.astype(str), return_inverse=True)
        found = np.array([numbers.get(kind, -1) for kind in kinds.tolist()], np.intp)[inverse.reshape(-1)]
        if (found < 0).any():
            row = int(np.argmax(found < 0))
            known = ", ".join(map(str, self.values))
            raise CommandError(f"target {self.name!r} is {entries[row]!s} in row {row + 1}, none of {known:.200}")
        return found

    def number_of(self, text: str) -> int:
        """The number of the class called ``text``."""
        names = [str(value) for value in self.values]
        if text not in names:
            raise CommandError(f"there is no class {text!r}, only {', '.join(names):.200}", 2)
        return names.index(text)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "classes"} | asdict(self)


@dataclass
class Numbers:
    """Numbers, (number - mean) / std for the network, so that a loss of 1 is as good as always saying the mean."""

    name: str
    mean: list[float]
    std: list[float]

    @property
    def n_outputs(self) -> int:
        return len(self.mean)

    def encode(self, entries: np.ndarray) -> np.ndarray:
        """Numbers (N,) or (N, K) as (N, K) in float64."""
        entries = entries.reshape(len(entries), -1)
        if entries.shape[1] != self.n_outputs:
            raise CommandError(f"targets have {entries.shape[1]} numbers a sample, the network has {self.n_outputs}")
        return (entries.astype(np.float64) - np.array(self.mean)) / np.array(self.std)

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """Outputs (N, K) as numbers in float64; (N,) of one output."""
        numbers = scores.astype(np.float64) * np.array(self.std) + np.array(self.mean)
        return numbers[:, 0] if self.n_outputs == 1 else numbers

    def to_json(self) -> dict[str, Any]:
        return {"kind": "numbers"} | asdict(self)


Targets = Classes | Numbers


def targets_from(description: dict[str, Any]) -> Targets:
    """What ``to_json`` has told of. Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
    fields = {name: value for name, value in description.items() if name != "kind"}
    if description["kind"] == "classes":
        classes = Classes(**fields)
        if not isinstance(classes.values, list) or {type(value) for value in classes.values} not in ({int}, {str}):
            raise ValueError(f"the classes are {classes.values!r:.80}")
        return classes
    numbers = Numbers(**fields)
    numbers.mean, numbers.std = list(map(float, numbers.mean)), list(map(float, numbers.std))
    if len(numbers.mean) != len(numbers.std):
        raise ValueError(f"{len(numbers.mean)} means and {len(numbers.std)} deviations")
    return numbers


def learn_targets(name: str, entries: np.ndarray, rows: np.ndarray, loss: str | None) -> Targets:
    """Targets of that ``name``: whole numbers and text are classes, others are numbers, unless ``loss`` says which.

    ``entries`` are integers, floats or text, (N,), or (N, K) of numbers; ``rows`` are those to train on. Classes are
    taken from all of them. Raises CommandError where ``loss`` does not go with the entries.
    """
    if loss == "mse" or (loss is None and (entries.dtype.kind == "f" or entries.ndim == 2)):
        if entries.dtype.kind not in "fi":
            raise CommandError(f"target {name!r} is text, and --loss mse needs numbers", 2)
        mean, std = mean_std(entries[rows].reshape(len(rows), -1))
        return Numbers(name, mean.tolist(), std.tolist())
    if entries.ndim == 2:
        raise CommandError(f"target {name!r} is of shape {entries.shape}, and --loss {loss} needs a class a sample", 2)
    if entries.dtype.kind == "f":
        if not np.array_equal(entries, np.trunc(entries)):
            raise CommandError(f"target {name!r} has fractions, and --loss {loss} needs classes", 2)
        entries = entries.astype(np.int64)
    values = np.unique(entries).tolist()
    if loss is None and len(values) > MOST_UNASKED and entries.dtype.kind == "i":
        raise CommandError(
            f"target {name!r} has {len(values)} different whole numbers, classes or quantities? "
            f"say --loss softmax or --loss mse",
            2,
        )
    if len(values) < 2:
        raise CommandError(f"target {name!r} is always {values[0]!s}: there is nothing to learn")
    if loss == "sigmoid" and len(values) != 2:
        raise CommandError(f"--loss sigmoid needs two classes, target {name!r} has {len(values)}", 2)
    return Classes(name, values, binary=loss == "sigmoid")
