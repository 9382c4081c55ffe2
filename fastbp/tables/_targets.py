"""How targets become what a loss takes, and outputs become answers again: kept in the model file."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastbp.losses import words
from fastbp.losses._loss import NUMBERS, PROBABILITIES
from fastbp.tables._errors import DataError, Settings, no_such
from fastbp.tables._frames import is_number
from fastbp.tables._standard import EXACT, mean_std

MOST_UNASKED = 20  # classes; more different whole numbers are quantities, unless they are labels

OF_NUMBERS = words(NUMBERS)  # losses, by name
OF_TWO = words(PROBABILITIES)  # of two classes and one output


@dataclass
class Classes:
    """One of several classes: whole numbers or text. ``binary`` are two classes and a network with one output."""

    name: str
    values: list[int] | list[str]
    binary: bool = False

    @property
    def n_outputs(self) -> int:
        return 1 if self.binary else len(self.values)

    def encode(self, entries: np.ndarray, numbered: np.ndarray | None = None) -> np.ndarray:
        """Classes (N,) as their numbers. Raises DataError for one that was not there in training.

        ``numbered`` (N,) is what the message calls each row.
        """
        numbers = {str(value): n for n, value in enumerate(self.values)}
        entries = np.array([_spelled(entry) for entry in entries], object) if entries.dtype.kind == "f" else entries
        kinds, inverse = np.unique(entries.astype(str), return_inverse=True)
        found = np.array([numbers.get(kind, -1) for kind in kinds.tolist()], np.intp)[inverse.reshape(-1)]
        if (found < 0).any():
            row = int(np.argmax(found < 0))
            at = row + 1 if numbered is None else numbered[row]
            known = ", ".join(map(str, self.values))
            raise DataError(f"target {self.name!r} is {entries[row]!s} in row {at}, none of {known:.200}")
        return found

    def number_of(self, text: str) -> int:
        """The number of the class called ``text``."""
        names = [str(value) for value in self.values]
        if text not in names:
            raise DataError(no_such("class", text, names))
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

    def encode(self, entries: np.ndarray, numbered: np.ndarray | None = None) -> np.ndarray:
        """Numbers (N,) or (N, K) as (N, K) in float64."""
        if entries.dtype.kind not in "fi":
            strange = _strange(entries)
            if strange.any():
                row = int(np.argmax(strange))
                at = row + 1 if numbered is None else numbered[row]
                raise DataError(
                    f"target {self.name!r} is {entries[row]!r} in row {at}, and the network predicts numbers"
                )
        entries = entries.reshape(len(entries), -1)
        if entries.shape[1] != self.n_outputs:
            raise DataError(f"targets have {entries.shape[1]} numbers a sample, the network has {self.n_outputs}")
        return (entries.astype(np.float64) - np.array(self.mean)) / np.array(self.std)

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """Outputs (N, K) as numbers in float64; (N,) of one output."""
        numbers = scores.astype(np.float64) * np.array(self.std) + np.array(self.mean)
        return numbers[:, 0] if self.n_outputs == 1 else numbers

    def to_json(self) -> dict[str, Any]:
        return {"kind": "numbers"} | asdict(self)


Targets = Classes | Numbers


def _spelled(number: float) -> str:
    """A float as a class is called: 1, not 1.0."""
    return f"{number:.0f}" if number == np.trunc(number) else f"{number:g}"


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


def learn_targets(
    name: str, entries: np.ndarray, rows: np.ndarray, loss: str | None, numbered: np.ndarray | None = None
) -> Targets:
    """Targets of that ``name``: classes or numbers, as ``loss`` says, else as the entries look.

    ``entries`` are integers, floats or text, (N,), or (N, K) of numbers; ``rows`` are those to train on, ``numbered``
    what messages call each row. Without a loss, text is classes, and so are integers of few values or that are labels;
    text that is mostly numbers is an error. Classes are taken from all entries. Raises DataError where ``loss`` does
    not go with the entries.
    """
    numbered = np.arange(1, len(entries) + 1) if numbered is None else numbered
    kind = entries.dtype.kind
    if kind == "O" and (loss is None or loss in OF_NUMBERS):
        _check_text(name, entries, loss, numbered)
    if loss in OF_NUMBERS or (loss is None and not _look_like_classes(entries)):
        return _numbers(name, entries, rows)
    if entries.ndim == 2:
        shape = f"target {name!r} is of shape {entries.shape}, and "
        raise DataError(shape, Settings(loss=loss), " needs a class a sample")
    if kind == "f":
        row = int(np.argmax(entries != np.trunc(entries)))
        raise DataError(
            f"target {name!r} is {entries[row]:g} in row {numbered[row]}, and ",
            Settings(loss=loss),
            " needs classes, which are text or whole numbers",
        )
    values = np.unique(entries).tolist()
    if len(values) < 2:
        raise DataError(f"target {name!r} is always {values[0]!s}: there is nothing to learn")
    if loss in OF_TWO and len(values) != 2:
        raise DataError(Settings(loss=loss), f" needs two classes, target {name!r} has {len(values)}")
    return Classes(name, values, binary=loss in OF_TWO)


def whole(numbers: np.ndarray) -> np.ndarray:
    """Floats as int64 where all are whole, as a column of integers with a gap becomes floats; else as they are."""
    if numbers.size and (np.abs(numbers) < EXACT).all() and (numbers == np.trunc(numbers)).all():
        return numbers.astype(np.int64)
    return numbers


def _look_like_classes(entries: np.ndarray) -> bool:
    if entries.ndim == 2 or entries.dtype.kind == "f":
        return False
    return entries.dtype.kind == "O" or _are_labels(entries)


def _are_labels(entries: np.ndarray) -> bool:
    """Whether integers look like classes: few values, or 0, 1, 2, ... or 1, 2, 3, ... with some samples each."""
    values = np.unique(entries)
    if len(values) <= MOST_UNASKED:
        return True
    consecutive = values[0] in (0, 1) and values[-1] - values[0] + 1 == len(values)
    return bool(consecutive and 2 * len(values) <= len(entries))


def _numbers(name: str, entries: np.ndarray, rows: np.ndarray) -> Numbers:
    several = entries.ndim == 2
    seen = entries[rows].reshape(len(rows), -1)
    seen = seen.astype(np.float64) if seen.dtype.kind == "O" else seen  # whole numbers too large for int64
    mean, std = mean_std(seen, lambda k: f"column {k + 1} of target {name!r}" if several else f"target {name!r}")
    if (seen == seen[0]).all():
        raise DataError(f"target {name!r} is always {', '.join(f'{x:g}' for x in seen[0])}: there is nothing to learn")
    return Numbers(name, mean.tolist(), std.tolist())


def _strange(entries: np.ndarray) -> np.ndarray:
    """Which entries of text are no numbers."""
    return np.array([not is_number(entry) for entry in entries], bool)


def _check_text(name: str, entries: np.ndarray, loss: str | None, numbered: np.ndarray) -> None:
    """DataError for text that was to be numbers, or looks as if it was."""
    strange = _strange(entries)
    n, row = int(strange.sum()), int(np.argmax(strange))
    cell = f"{entries[row]!r} in row {numbered[row]}"
    if loss in OF_NUMBERS and n == len(entries):
        raise DataError(f"target {name!r} is text, and ", Settings(loss=loss), f" needs numbers: it is {cell}")
    if n and (loss in OF_NUMBERS or n < len(entries) / 2):
        raise DataError(
            f"target {name!r} has numbers, and {n} {'entry that is' if n == 1 else 'entries that are'} none, first "
            f"{cell}: ",
            Settings(missing=[entries[row]], drop_missing_target=True),
            " leaves such rows out, ",
            Settings(loss="softmax"),
            " takes all entries as classes",
        )
