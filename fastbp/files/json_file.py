"""Writing a JSON file so that it is there whole or not at all."""

import json
import os

from fastbp.files._files import part_of, target_of, write_whole


def check_writable(path: str | os.PathLike) -> None:
    """Raise OSError if ``write_json`` could not write ``path``; leave nothing behind."""
    target = target_of(path)
    if target.exists():
        target.open("r+").close()
    with part_of(target):
        pass


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write ``value`` to the file ``path``: all of it is there afterwards, or what was there before.

    Raises ValueError for nan and infinities, which JSON does not have.
    """
    write_whole(path, json.dumps(value, indent=2, allow_nan=False).encode() + b"\n")
