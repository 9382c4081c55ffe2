"""How many bytes a package takes on disk, with everything that it needs."""

import os
import re
from importlib import metadata
from pathlib import Path

import fastbp


def installed_bytes(name: str) -> int:
    """Of a distribution and all that it requires, directly or not, extras left out."""
    return sum(map(_bytes, needed(name)))


def needed(name: str) -> set[str]:
    """The names of a distribution and of all that it requires, as far as they are installed."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = _normal(waiting.pop())
        if one in found or not _is_installed(one):
            continue
        found.add(one)
        waiting += [_name(line) for line in metadata.requires(one) or () if _applies(line)]
    return found


def _applies(requirement: str) -> bool:
    from packaging.requirements import Requirement  # comes with pytest

    marker = Requirement(requirement).marker
    return marker is None or marker.evaluate({"extra": ""})


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _bytes(name: str) -> int:
    if name == "fastbp":  # in a checkout its files are not those of a distribution
        return sum(_folder_bytes(Path(folder)) for folder in _own_folders())
    files = metadata.files(name) or ()
    return sum(_size(Path(str(file.locate()))) for file in files)


def _own_folders() -> list[Path]:
    package = Path(str(fastbp.__file__)).parent
    beside = [package.with_name(name) for name in ("kernels", "bench")]
    return [package] if (package / "kernels").is_dir() else [package, *beside]


def _folder_bytes(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return sum(_size(path) for path in files if path.is_file())


def _size(path: Path) -> int:
    return os.path.getsize(path) if path.is_file() else 0
