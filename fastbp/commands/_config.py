"""Options from a TOML file."""

import argparse
import sys
from collections.abc import Collection
from typing import Any

from fastbp.basics._arguments import shown
from fastbp.commands import CommandError
from fastbp.commands._options import Parser, activation, class_weight, did_you_mean, setting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def words_of(path: str, parser: Parser, besides: Collection[str] = ()) -> list[str]:
    """The options in the file ``path`` as they would stand on the command line of ``parser``.

    Keys are the long options' names, except those that are ``besides``. A value is true or false for a flag, a list
    for an option with several values, a table for one of NAME=NUMBER. Raises CommandError for a key that is no option
    and for values that do not fit.
    """
    known = {flag[2:]: action for action in parser._actions for flag in action.option_strings if flag[:2] == "--"}
    words: list[str] = []
    for key, value in read(path).items():
        if key in besides:
            continue
        name = key.replace("_", "-")
        if name not in known or name in ("config", "help"):
            raise CommandError(f"{path}: there is no option {key!r}{did_you_mean(name, known)}", 2)
        words += words_for(path, name, known[name], value)

    parse(path, parser, words)
    return words


def parse(path: str, parser: Parser, words: list[str]) -> argparse.Namespace:
    """What the ``parser`` makes of words that the file has said; CommandError with its name where that is a mistake."""
    before, parser.file = parser.file, path
    try:
        return parser.parse_args(words)
    finally:
        parser.file = before


def read(path: str) -> dict[str, Any]:
    """What the file says; CommandError where it is not TOML."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except UnicodeDecodeError:
        raise CommandError(f"{path}: not TOML: it is no text in UTF-8", 2) from None
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{path}: not TOML: {error}", 2) from None


def words_for(path: str, name: str, action: argparse.Action, value: Any) -> list[str]:
    """The option as it would stand on the command line."""
    if action.nargs == 0:  # a flag
        if not isinstance(value, bool):
            raise CommandError(f"{path}: {name} must be true or false, got {value!r}", 2)
        return [f"--{name}"] if value else []
    if isinstance(value, dict) and action.type in (setting, class_weight):
        value = [f"{key}={number}" for key, number in value.items()]
    if isinstance(value, list) and action.type is activation and all(isinstance(name, str) for name in value):
        value = ",".join(value)
    if isinstance(value, (list, dict)):
        if action.nargs is None or isinstance(value, dict):
            expected = "a list of values" if action.nargs else "one value"
            raise CommandError(f"{path}: {name} takes {expected}, got {shown(value)}", 2)
        return [f"--{name}", *map(str, value)]
    return [f"--{name}={value}"]
