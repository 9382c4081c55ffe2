"""What fastbp works with here, for people and for reports of bugs: ``fastbp.show_config``, which is ``fastbp info``."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
import numpy as np

from fastbp import __version__
from fastbp.basics import _arguments, _cpu, _machine, _team
from fastbp.basics._progress import why_not_kept
from fastbp.kernels._jit import carried
from fastbp.kernels.isa import ISA
from fastbp.kernels.machine import NUMBERS
from fastbp.kernels.program import train

OPTIONAL = ("safetensors", "tqdm", "scikit-learn", "matplotlib", "polars", "pandas", "pooch", "onnx", "torch")
# Variables that change what is compiled, where it is kept, or with how many threads anything runs.
PREFIXES = ("FASTBP_", "NUMBA_", "OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_")
OTHERS = ("XDG_CACHE_HOME",)


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show what fastbp works with here, which a report of a bug needs; nothing is compiled for it.

    Versions, CPU and its row of the table of tile sizes, threads, where machine code comes from and is kept, and the
    environment variables that matter. ``fastbp info`` prints the same.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Whether to print it, a line each, or to return it by name.

    Returns
    -------
    config : dict or None
        With mode "dicts"; all of it can be written as JSON.

    Raises
    ------
    ValueError, TypeError
        For another mode.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.show_config(mode="dicts")["fastbp"] == fastbp.__version__
    True
    """
    found = collect()
    if _arguments.choice("mode", mode, ("stdout", "dicts")) == "dicts":
        return found
    print(*lines(found), sep="\n")
    return None


def lines(found: dict[str, Any]) -> list[str]:
    """What ``collect`` found, a line each."""
    numbers = {
        name: f"{number['value']} {number['unit']}, {number['from']}" for name, number in found["numbers"].items()
    }
    told = {name: _text(value) for name, value in found.items() if name != "numbers"} | numbers
    width = max(map(len, told))
    return [f"{name:<{width}}  {value}" for name, value in told.items()]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={setting!r}" for name, setting in value.items()) or "nothing that matters"
    return str(value)


def collect() -> dict[str, Any]:
    """What there is to know, by name."""
    folder, size = cache()
    tiles = ", ".join(f"{rows}x{n}" for n, rows in enumerate(ISA.tile_rows, 1))
    versions = {name: _version(name) or "not installed" for name in OPTIONAL}
    return {
        "fastbp": __version__,
        "CPU": f"{_cpu.this().name} ({llvmlite.binding.get_host_cpu_name()}), {os.cpu_count()} cores",
        "table row": f"{ISA.name} ({ISA.cpu}): vectors of {ISA.vector_bytes} bytes, tiles of rows x vectors {tiles}",
        "machine": f"{_machine.row().name}, {_measured()}: caches of {_caches()}",
        "threads": _team.get_num_threads(),
        "machine code": machine_code(),
        "cache": folder or f"none, so that every process compiles anew: {why_not_kept()}",
        "cache size": f"{size / 1e6:.1f} MB",
        "environment": environment(),
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "numba": f"{numba.__version__}, llvmlite {llvmlite.__version__}",
        "NumPy": np.__version__,
        **versions,
        "numbers": numbers(),
    }


def numbers() -> dict[str, dict[str, Any]]:
    """The numbers of the machine by name: how large, of what, and where each comes from."""
    told = {_machine.OF_ROW: f"row {_measured()}", _machine.OF_SIZES: "row, by the last cache or the cores"}
    sources = {name: told.get(source, f"tuned on {source}") for name, source in _machine.sources().items()}
    return {
        name: {"value": value, "unit": NUMBERS[name].unit, "meaning": NUMBERS[name].meaning, "from": sources[name]}
        for name, value in _machine.numbers()._asdict().items()
    }


def _measured() -> str:
    return "measured" if _machine.row().measured else "not measured"


def _caches() -> str:
    return ", ".join(f"{size >> 10} KB" if size else "unknown size" for size in _cpu.this().caches)


def environment() -> dict[str, str]:
    """The variables that are set and matter."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(PREFIXES) or name in OTHERS}


def machine_code() -> str:
    """Where the machine code of the kernels comes from, and why."""
    try:
        return f"of the package: {carried()}"
    except OSError as error:
        return f"compiled at first use: {error}"


def cache() -> tuple[str | None, int]:
    """The folder of the compile cache, None if there is none, and the bytes of machine code in it."""
    folder = getattr(train._cache, "cache_path", None)
    if folder is None:
        return None, 0
    files = (file for pattern in ("*.nbi", "*.nbc") for file in Path(folder).glob(pattern))
    return folder, sum(file.stat().st_size for file in files)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
