"""What ``fastbp tune`` found out about this machine, in a file beside the compile cache.

The file is taken as a whole or not at all: if it is missing, damaged, of another machine or build, of a folder that
others can write to, or has a number that is none of ours or out of bounds, the machine is as good as not tuned.
"""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from fastbp.basics import _cpu
from fastbp.kernels._jit import build_tag
from fastbp.kernels._private import private_folder, read_private, writing_private
from fastbp.kernels.gemm import planned_product
from fastbp.kernels.isa import ISA
from fastbp.kernels.machine import NUMBERS

NAME = "fastbp-tuned.json"


class Tuned(NamedTuple):
    """Numbers of ``kernels.machine.Machine`` by name, and the day on which they were measured."""

    date: str
    numbers: dict[str, int]


def path() -> Path | None:
    """Where the file is or would be; None where there is no compile cache."""
    folder = getattr(getattr(planned_product, "_cache", None), "cache_path", None)
    return Path(folder, NAME) if folder else None


def identity() -> dict[str, Any]:
    """The machine and the build that numbers are of."""
    return {"cpu": _cpu.this().name, "isa": ISA.name, "cores": os.cpu_count(), "build": build_tag()}


def load() -> Tuned | None:
    """What is in the file, if it is to be taken."""
    file = path()
    if file is None:
        return None
    try:
        private_folder(str(file.parent))
        found = json.loads(read_private(str(file)))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("identity") != identity():
        return None
    day, numbers = found.get("date"), found.get("numbers")
    if not isinstance(day, str) or not isinstance(numbers, dict) or not all(map(is_allowed, numbers, numbers.values())):
        return None
    return Tuned(day, numbers)


def is_allowed(name: str, value: object) -> bool:
    """Whether the number of this name may be set so."""
    return name in NUMBERS and type(value) is int and NUMBERS[name].least <= value <= NUMBERS[name].most


def save(numbers: dict[str, int]) -> Path:
    """Write the file, as a whole or not at all; OSError where that cannot be."""
    file = path()
    if file is None:
        raise OSError("there is no compile cache to keep them beside")
    content = {"identity": identity(), "date": date.today().isoformat(), "numbers": numbers}
    with writing_private(str(file)) as target:
        target.write(json.dumps(content, indent=1).encode() + b"\n")
    return file


def forget() -> bool:
    """Remove the file; returns whether there was one."""
    file = path()
    if file is None or not file.exists():
        return False
    file.unlink()
    return True
