"""Writing a file so that it is there whole or not at all."""

import os
import threading
from pathlib import Path


def write_whole(path: str | os.PathLike, *parts: bytes | memoryview) -> None:
    """Write ``parts`` one after the other to the file ``path``: all is there afterwards, or what was there before.

    Also after a crash of the machine: the bytes are on the disk before the file has its name, and the name is before
    this returns. A link goes on pointing to the file. Raises OSError.
    """
    target = Path(path).resolve()
    part = part_of(target)
    try:
        with part.open("wb") as file:
            for data in parts:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def part_of(target: Path) -> Path:
    """Where a file is prepared: beside its place, to move there in one step; another one for each writer at work."""
    return target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.part")
