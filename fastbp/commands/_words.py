"""What the command line says: errors of the library with its options in place of Python's settings, and lines."""

import shlex
from typing import Any

from fastbp.tables._errors import DataError, Settings


def in_a_line(text: str) -> str:
    """``text`` as a terminal shows it in one line, and does nothing else about it.

    Names of columns and classes, and of files, are somebody else's: ends of lines and the codes that terminals obey, to
    move the cursor or take a new title, are spelled as Python spells them.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def on_the_command_line(error: DataError) -> str:
    return "".join(_options(part) if isinstance(part, Settings) else str(part) for part in error.args)


def _options(settings: Settings) -> str:
    return " ".join(_option(name.replace("_", "-"), value) for name, value in settings.values.items())


def _option(name: str, value: Any) -> str:
    if value is False:
        return f"--no-{name}"
    if value is None or value is True:
        return f"--{name}"
    if isinstance(value, dict):
        value = [f"{key}={number:g}" for key, number in value.items()]
    values = value if isinstance(value, list) else [value]
    return " ".join([f"--{name}", *(shlex.quote(str(word)) for word in values)])
