"""Files that nobody but this user and root can have written: the only ones that machine code is read from.

Whoever writes into the cache has this process run their code: numba's index is a pickle, the rest machine code. The
rule is that of OpenSSH's StrictModes. With links followed, each of these belongs to this user or to root and cannot be
written by its group or by others:

- the file, which is a regular one;
- the folder that it is in, a sticky one included, since anybody can put a new file there;
- all folders above. Those may be sticky (/tmp): nobody can replace in them what belongs to this user or to root, as
  the next part of the path does.

Only this user and root can then change what the path leads to, so that it need not be looked at again. A file is
opened, not through a link, before it is looked at: what was looked at is what is read. Where users have no numbers
(Windows), a folder is taken as it is.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_USERS_ARE_NUMBERS = hasattr(os, "geteuid")
# A pipe in the place of a file is opened without waiting for its other end.
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def private_folder(path: str) -> str:
    """``path`` with links followed; folders that are missing are made, for this user alone (mode 0700).

    Raises PermissionError that says why where others can write to it, OSError where it cannot be made.
    """
    missing = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(0o700, exist_ok=True)
    resolved = Path(path).resolve(strict=True)
    _check(resolved, resolved.lstat())
    for parent in resolved.parents:
        _check(parent, parent.lstat(), may_be_sticky=True)
    return str(resolved)


def read_private(path: str) -> bytes:
    """What is in a file of a ``private_folder``; OSError where others can write to it or it is no regular file."""
    with open(os.open(path, _OPEN), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(f"{path} is no regular file")
        _check(path, status)
        return file.read()


@contextmanager
def writing_private(path: str) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` at the end of the block, for this user alone (mode 0600)."""
    descriptor, part = tempfile.mkstemp(prefix=f"{os.path.basename(path)}.tmp.", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            yield file
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _check(path: str | Path, status: os.stat_result, *, may_be_sticky: bool = False) -> None:
    if not _USERS_ARE_NUMBERS:
        return
    if status.st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{path} belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (may_be_sticky and status.st_mode & stat.S_ISVTX):
        raise PermissionError(f"{path} can be written by other users")
