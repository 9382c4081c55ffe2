"""What is wrong with data, or with what is asked of them, in words that Python and the command line both can say.

A way out is a setting. Python says ``fill_missing=True`` where the command line says ``--fill-missing``; so an error
keeps its settings apart from its text, and whoever tells it says them in its own way.
"""

import difflib
import os
from collections.abc import Collection
from typing import Any

OF_READING = {"separator", "encoding", "decimal"}  # settings of fastbp.tables.read_table


class Settings:
    """Settings with their values, None for any value: part of a message, as Python writes them."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def __str__(self) -> str:
        said = ", ".join(f"{name}={'...' if value is None else repr(value)}" for name, value in self.values.items())
        return f"fastbp.tables.read_table(path, {said})" if OF_READING & self.values.keys() else said

    __repr__ = __str__


class DataError(ValueError):
    """Data are not what is needed. ``args`` are the parts of the message, text and Settings."""

    def __str__(self) -> str:
        return "".join(map(str, self.args))


class SettingError(DataError):
    """What is asked for does not go with the data."""


class LossError(DataError, FloatingPointError):
    """A training has a loss that no network should have."""


def no_such(kind: str, name: str, known: Collection[str]) -> str:
    """That there is no ``kind`` of this ``name`` among those ``known``, and which may have been meant."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no {kind} {name!r}, only {', '.join(known):.300}{hint}"


def check_file(path: str) -> None:
    """DataError unless ``path`` is a file with something in it."""
    if os.path.isdir(path):
        raise DataError(f"{path}: it is a folder, not a file")
    if not os.path.exists(path):
        raise DataError(f"{path}: there is no such file")
    if not os.path.isfile(path):
        raise DataError(f"{path}: it is no regular file")
    if os.path.getsize(path) == 0:
        raise DataError(f"{path}: the file is empty")
