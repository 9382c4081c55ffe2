"""What is wrong with data: errors that know nothing of options and exit codes."""

import difflib
import os
from collections.abc import Collection

from fastbp.commands import CommandError


class DataError(CommandError, ValueError):
    """A file or its content is not what is needed; a line for the user. The command tells it as it is."""


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
