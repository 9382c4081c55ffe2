"""Show what fastbp works with here: CPU, row of the tile table, threads, compile cache, versions."""

import argparse
import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
import numpy as np

import fastbp
from fastbp.basics import _cpu, _machine
from fastbp.basics._progress import why_not_kept
from fastbp.commands import _options as types
from fastbp.commands._report import write_report
from fastbp.kernels._jit import carried
from fastbp.kernels.isa import ISA
from fastbp.kernels.machine import NUMBERS
from fastbp.kernels.program import train

EXAMPLES = """\
examples:
  fastbp info
  fastbp info --json -
"""
OPTIONAL = ("safetensors", "tqdm", "scikit-learn", "matplotlib", "polars", "pandas", "pooch", "onnx", "torch")


@dataclass(frozen=True, kw_only=True)
class Options(types.Options):
    """Where it is written, beside the lines."""

    json: str | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Only where to write it: there is nothing to choose."""
    parser.add_argument("--json", metavar="FILE", type=types.output_or_stdout, help="write it there; - for stdout")


def run(options: Options) -> None:
    """Print and write it."""
    report = collected()
    if options.json != types.STDOUT:
        lines = {name: value for name, value in report.items() if name != "numbers"}
        for name, number in report["numbers"].items():
            lines[name] = f"{number['value']} {number['unit']}, {number['from']}"
        width = max(map(len, lines))
        for name, value in lines.items():
            print(f"{name:<{width}}  {value}")
    write_report(options.json, report)


def collected() -> dict[str, Any]:
    """What there is to know, by name."""
    folder, size = cache()
    tiles = ", ".join(f"{rows}x{n}" for n, rows in enumerate(ISA.tile_rows, 1))
    installed = {name: _version(name) for name in OPTIONAL}
    report = {
        "fastbp": fastbp.__version__,
        "CPU": f"{_cpu.this().name} ({llvmlite.binding.get_host_cpu_name()}), {os.cpu_count()} cores",
        "table row": f"{ISA.name} ({ISA.cpu}): vectors of {ISA.vector_bytes} bytes, tiles of rows x vectors {tiles}",
        "machine": f"{_machine.row().name}, {_measured()}: caches of {_caches()}",
        "threads": fastbp.get_num_threads(),
        "machine code": machine_code(),
        "cache": folder or f"none, so that every process compiles anew: {why_not_kept()}",
        "cache size": f"{size / 1e6:.1f} MB",
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "numba": f"{numba.__version__}, llvmlite {llvmlite.__version__}",
        "NumPy": np.__version__,
    }
    report |= {name: version or "not installed" for name, version in installed.items()}
    report["numbers"] = numbers()
    return report


def numbers() -> dict[str, dict[str, Any]]:
    """The numbers of the machine by name: how large, of what, and where each comes from."""
    told = {_machine.OF_ROW: f"row {_measured()}", _machine.OF_CACHE: "row, by the size of the last cache"}
    sources = {name: told.get(source, f"tuned on {source}") for name, source in _machine.sources().items()}
    return {
        name: {"value": value, "unit": NUMBERS[name].unit, "meaning": NUMBERS[name].meaning, "from": sources[name]}
        for name, value in _machine.numbers()._asdict().items()
    }


def _measured() -> str:
    return "measured" if _machine.row().measured else "not measured"


def _caches() -> str:
    return ", ".join(f"{size >> 10} KB" if size else "unknown size" for size in _cpu.this().caches)


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
