"""Which machine, and which versions of what: recorded once in a run."""

import os
import subprocess
from pathlib import Path

from fastbp.kernels.isa import ISA

from .bandwidth import cache_bytes
from .laboratory import Laboratory, versions
from .servers import all_cores


def description(laboratory: Laboratory, full: bool) -> dict[str, object]:
    """For the JSON file: cores, caches, versions, and the limits that were measured, by number of threads."""
    return {
        "cores": all_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "cache_bytes": cache_bytes(),
        "table_row": ISA.name,
        "versions": versions(),
        "commit": commit(),
        "full": full,
        "limits": {
            str(threads): {
                "gflops": limits.gflops,
                "gb_per_second": limits.bandwidths.gb_per_second,
                "holds_bytes": limits.bandwidths.holds,
            }
            for threads, limits in laboratory.final_limits().items()
        },
    }


def commit() -> str | None:
    """The commit of the checkout that the benchmarks lie in, with "+" where files have changed since."""
    folder = Path(__file__).resolve().parent
    if not (folder.parent / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + "+" * bool(git("status", "--porcelain", "-uno"))
    except (OSError, subprocess.CalledProcessError):
        return None
