"""Files on the disk: written so that they are there whole or not at all, and read only where they are regular ones."""

import errno
import os
import secrets
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where a dead writer's part file stays
    fcntl = None  # type: ignore[assignment]

# What Windows lacks: not to follow a link, and not to wait for the other end of a FIFO.
NO_LINK, NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)


def write_whole(path: str | os.PathLike, *parts: bytes | memoryview) -> None:
    """Write ``parts`` one after the other to the file ``path``: all is there afterwards, or what was there before.

    Also after a crash of the machine: the bytes are on the disk before the file has its name, and the name is before
    this returns. A link goes on pointing to the file. What is replaced hands on its permissions; a new file has those
    of the umask. Part files that a killed process left of the same target are removed.

    Raises OSError, which names the folder where that is missing, and for what is there and no regular file.
    """
    target = target_of(path)
    with part_of(target) as file:
        for data in parts:
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if fcntl is None:
            file.close()  # an open file cannot be moved there; here the lock is to be kept until it is
        os.replace(file.name, target)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def target_of(path: str | os.PathLike) -> Path:
    """Where a file at ``path`` would be written, links followed; OSError where none can be or no regular file is."""
    with suppress(FileNotFoundError, NotADirectoryError):
        _check_regular(path, os.stat(path).st_mode)
    target = Path(path).resolve()
    if not target.parent.exists():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}", os.fspath(path))
    if not target.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{target.parent} is no folder", os.fspath(path))
    return target


@contextmanager
def part_of(target: Path) -> Iterator[BinaryIO]:
    """A new file beside ``target``, to be moved there in one step; it is gone afterwards unless it was.

    Nobody can guess its name or put a link in its place, and nobody reads it who could not read the file afterwards.
    It is locked while its writer lives: by that it is told from one that a killed process left.
    """
    try:
        replaced = target.stat()
    except FileNotFoundError:
        replaced = None
    stem = f".{target.name[:40]}-{zlib.crc32(os.fsencode(target.name)):08x}."  # short, whatever the target's name
    _remove_left(target.parent, stem)
    try:
        file = _open_locked(target.parent, stem, 0o666 if replaced is None else 0o600)
    except OSError as error:
        error.filename = os.fspath(target)  # the name that the user knows
        raise
    try:
        with file:
            if replaced is not None and os.name == "posix":
                _hand_on(file.fileno(), replaced)
            yield file
    finally:
        with suppress(FileNotFoundError):
            os.unlink(file.name)


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """The file ``path``, open for reading; OSError for anything but a regular file, which is not waited for."""
    _check_regular(path, os.stat(path).st_mode)  # first of all: the mere opening of a device can do something
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_WAIT))  # noqa: SIM115
    try:
        _check_regular(path, os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def _check_regular(path: str | os.PathLike, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a regular file", os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))


def _open_locked(folder: Path, stem: str, mode: int) -> BinaryIO:
    """A new file of that ``stem`` in ``folder``, open for writing and locked."""
    while True:
        path = folder / f"{stem}{secrets.token_hex(8)}.part"
        file = open(path, "xb", opener=lambda name, flags: os.open(name, flags | NO_LINK, mode))  # noqa: SIM115
        try:
            if fcntl is None or (_lock(file) and os.path.samestat(os.fstat(file.fileno()), os.stat(path))):
                return file
        except FileNotFoundError:
            pass  # another writer took it for one that was left, in the moment before it was locked
        except BaseException:
            file.close()
            path.unlink(missing_ok=True)
            raise
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Whether nobody else has the lock; True where the file system knows of none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _remove_left(folder: Path, stem: str) -> None:
    """Remove the part files of that ``stem`` that nobody holds a lock on: their writers were killed."""
    if fcntl is None:
        return
    try:
        left = [name for name in os.listdir(folder) if name.startswith(stem) and name.endswith(".part")]
    except OSError:  # a folder that may be written to and not be listed
        return
    for path in (folder / name for name in left):
        with (
            suppress(OSError),  # another one's, or gone by now
            open(path, "r+b", opener=lambda name, flags: os.open(name, flags | NO_LINK | NO_WAIT)) as file,
        ):
            if os.fstat(file.fileno()).st_uid == os.geteuid():
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)


def _hand_on(descriptor: int, replaced: os.stat_result) -> None:
    """Give a file the permissions of the one it replaces; nobody gains any where its group cannot be kept."""
    mode, own = replaced.st_mode & 0o777, os.fstat(descriptor)
    if own.st_gid != replaced.st_gid:
        try:
            os.fchown(descriptor, -1, replaced.st_gid)
        except OSError:
            mode &= 0o707 | (mode & 0o007) << 3  # of another group's permissions, what everybody has
    os.fchmod(descriptor, mode)
