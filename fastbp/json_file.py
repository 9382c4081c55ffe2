"""Writing a JSON file so that it is there whole or not at all."""

import json
import os
from pathlib import Path


def check_writable(path: str | os.PathLike) -> None:
    """Raise OSError if ``write_json`` could not write ``path``; leave nothing behind."""
    target = Path(path).resolve()
    if target.exists():
        if not target.is_file():  # replacing /dev/null by a file would be a surprise
            raise OSError("it is there and not a regular file")
        target.open("r+").close()
    part = _part(target)
    part.touch()
    part.unlink()


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write ``value`` to the file ``path``: all of it is there afterwards, or what was there before.

    Raises ValueError for nan and infinities, which JSON does not have.
    """
    target = Path(path).resolve()
    part = _part(target)
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _part(target: Path) -> Path:
    """Return where the file is prepared: beside its place, to move there in one step."""
    return target.with_name(f"{target.name}.{os.getpid()}.part")
