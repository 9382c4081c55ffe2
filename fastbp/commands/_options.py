"""What options may say: a parser that tells a mistake in one line, and the types of values."""

import argparse
import difflib
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from fastbp.activations import BY_NAME
from fastbp.basics._team import set_num_threads
from fastbp.commands import CommandError
from fastbp.commands._words import in_a_line
from fastbp.files.json_file import check_writable

MOST_THREADS = 1024
STDOUT = "-"  # in place of a file's name
T = TypeVar("T", bound="Options")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a command was asked for: made once of the arguments and the file of options, and never written to."""

    @classmethod
    def of(cls: type[T], values: Mapping[str, Any]) -> T:
        """From ``values`` as the command's parser has made them."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


class Parser(argparse.ArgumentParser):
    """A mistake is told in one line, without the usage; an option has one spelling, and one nearly right is guessed."""

    file = ""  # whose words are parsed, if they are a file's: there is the mistake

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False} | settings)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """As argparse's, but words that are nothing known are told before options that are missing."""
        words = sys.argv[1:] if args is None else list(args)
        if not {"-h", "--help"}.intersection(words):
            unknown = self._unknown(words)
            if unknown:
                self.error(self._about(unknown, words))
        return super().parse_args(words, namespace)

    def _unknown(self, words: list[str]) -> list[str]:
        """The words that belong to no option, whether or not others are missing."""
        required = [action for action in self._actions if action.required]
        for action in required:
            action.required = False
        try:
            return self.parse_known_args(words)[1]
        finally:
            for action in required:
                action.required = True

    def _about(self, unknown: Sequence[str], words: Sequence[str]) -> str:
        """What is wrong with those of the ``words`` that are no option and no value of one."""
        flag = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
        known = self._option_string_actions
        if flag is not None:
            return f"there is no option {flag}{did_you_mean(flag, known)}"
        if "--data" in known and not any(word.startswith("--data") for word in words):
            return f"{unknown[0]!r} belongs to no option: data are named by --data {unknown[0]}"
        return f"{unknown[0]!r} belongs to no option"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse's, which tells what may be chosen, but not which is meant."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value).lower(), action.choices or ())
            raise

    def error(self, message: str) -> NoReturn:
        if self.file:
            raise CommandError(f"{self.file}: {message}", 2)
        self.exit(2, f"{self.prog}: {in_a_line(message)}; see {self.prog} --help\n")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message on ``word``: the one of ``known`` that it nearly is, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def count(text: str) -> int:
    return _whole(text, 1, 10**9)


def seed(text: str) -> int:
    return _whole(text, 0, 2**63 - 1)


def threads(text: str) -> int:
    return _whole(text, 1, MOST_THREADS)


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, got {text!r}")
    return number


def above_0(text: str) -> float:
    return _number(text, "a finite number above 0", lambda x: 0 < x < math.inf)


def share(text: str) -> float:
    return _number(text, "a number of at least 0 and below 1", lambda x: 0 <= x < 1)


def _number(text: str, expected: str, accept: Callable[[float], bool]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not accept(number):
        raise argparse.ArgumentTypeError(f"must be {expected}, got {text!r}")
    return number


def activation(text: str) -> str | tuple[str, ...]:
    """The name of an activation function, or several with commas between."""
    names = text.split(",")
    for name in names:
        if name not in BY_NAME:
            near = did_you_mean(name.lower(), BY_NAME)
            raise argparse.ArgumentTypeError(f"invalid choice: {name!r} (choose from {', '.join(BY_NAME)}){near}")
    return names[0] if len(names) == 1 else tuple(names)


def check_activations(names: str | Sequence[str] | None, n_hidden: int) -> None:
    """CommandError where there are several activations, and not one for each of the hidden layers."""
    if names and not isinstance(names, str) and len(names) != n_hidden:
        layers = f"{n_hidden} hidden layer{'s' * (n_hidden != 1)}"
        expected = f"one name, or one for each of {layers}" if n_hidden else "none, where there is no hidden layer"
        raise CommandError(f"--activation must be {expected}, got {len(names)}: {','.join(names)}", 2)


def setting(text: str) -> tuple[str, float]:
    """NAME=NUMBER."""
    name, _, value = text.rpartition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not name or not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be NAME=NUMBER, got {text!r}")
    return name, number


def class_weight(text: str) -> str | tuple[str, float]:
    """CLASS=NUMBER, or the word balanced."""
    return text if text == "balanced" else setting(text)


def output(text: str) -> str:
    """A file that can be written."""
    if not text:
        raise argparse.ArgumentTypeError("must be the name of a file, got ''")
    try:
        check_writable(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror or error}") from None
    return text


def output_or_stdout(text: str) -> str:
    return text if text == STDOUT else output(text)


def use_threads(n: int | None) -> None:
    """Let the kernels use ``n`` threads, as many as there are cores if None."""
    if n is not None:
        set_num_threads(n)
