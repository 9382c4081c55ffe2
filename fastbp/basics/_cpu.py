"""What the system says of this machine: its CPU's name, maker and family, and the sizes of its caches.

What it does not say is "" or 0; nothing here raises.
"""

import ctypes
import platform
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Cpu(NamedTuple):
    """A CPU.

    Attributes
    ----------
    caches : bytes of the first for data, the second and the last
    """

    name: str = ""
    vendor: str = ""
    family: int = 0
    caches: tuple[int, int, int] = (0, 0, 0)


@cache
def this() -> Cpu:
    """The CPU that this process runs on."""
    if sys.platform == "linux":
        return _linux()
    return _mac() if sys.platform == "darwin" else _other()


def _linux() -> Cpu:
    told: dict[str, str] = {}
    try:
        with CPUINFO.open(errors="replace") as file:
            for line in file:
                word, colon, value = line.partition(":")
                if not colon:
                    break  # the first CPU of many ends
                told[word.strip()] = value.strip()
    except OSError:
        pass  # then nothing is known of it
    found: dict[int, int] = {}  # bytes by level
    for folder in sorted(CACHES.glob("index*")):
        try:
            level, kind, size = (folder.joinpath(name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction" and level.isdecimal() and (told_size := re.fullmatch(r"(\d+)([KMG]?)", size)):
            found[int(level)] = int(told_size[1]) * UNITS[told_size[2]]
    caches = found.get(1, 0), found.get(2, 0), found[max(found)] if found else 0
    name, family = told.get("model name") or _name(), told.get("cpu family", "")
    return Cpu(name, told.get("vendor_id", ""), int(family) if family.isdecimal() else 0, caches)


def _mac() -> Cpu:
    first, second, third = (
        _of_sysctl(f"hw.perflevel0.{name}", int) or _of_sysctl(f"hw.{name}", int)
        for name in ("l1dcachesize", "l2cachesize", "l3cachesize")
    )
    name, vendor = _of_sysctl("machdep.cpu.brand_string", str), _of_sysctl("machdep.cpu.vendor", str)
    return Cpu(name or _name(), vendor, _of_sysctl("machdep.cpu.family", int), (first, second, third or second))


def _other() -> Cpu:
    """Of Windows, whose environment says "Intel64 Family 6 Model 85 Stepping 4, GenuineIntel"."""
    name = _name()
    told = re.search(r"Family (\d+).*, (\w+)$", name)
    return Cpu(name, told[2], int(told[1])) if told else Cpu(name)


def _name() -> str:
    return platform.processor() or platform.machine()


def _of_sysctl(name: str, kind: type) -> Any:
    """What macOS says by this name; 0 or "" where it says nothing."""
    try:
        ask = ctypes.CDLL(None).sysctlbyname
        room, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
        if ask(name.encode(), room, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
            return kind()
    except (OSError, AttributeError):
        return kind()
    return room.value.decode(errors="replace") if kind is str else int.from_bytes(room.raw[: size.value], sys.byteorder)
