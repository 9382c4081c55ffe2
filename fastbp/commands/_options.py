"""What options may say: a parser that tells a mistake in one line, and the types of values."""

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

from fastbp._team import set_num_threads
from fastbp.json_file import check_writable

MOST_THREADS = 1024
STDOUT = "-"  # in place of a file's name


class Parser(argparse.ArgumentParser):
    """A mistake is told in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


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
