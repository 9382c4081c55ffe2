"""Make the machine code that a wheel carries: ``python -m fastbp.commands._carry FOLDER own|all``.

What is called is learned by the warm-up, run in processes side by side. Only that is carried, not what is part of its
callers. Other rows of the table may not run on this machine: their kernels are compiled for the same signatures, in a
process where numba was told of another CPU, and never called.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from numba.core.serialize import dumps

from fastbp.commands.warmup import DTYPES, work_in
from fastbp.kernels._jit import CheckedFile, argument_types, build_tag, kind
from fastbp.kernels._target import Dispatcher
from fastbp.kernels.isa import ISA, TABLE
from fastbp.kernels.program import train

Signatures = set[tuple[str, str, Any]]
"""Modules of kernels, names in there, and what they are called with."""

MOST_SHARES = 4
"""Processes for an element type: each compiles anew what several parts of the warm-up have in common."""


def main(into: str, rows: str) -> None:
    """Fill the folder with machine code for this machine's own row of the table, or for all of the platform."""
    cores = os.cpu_count() or 1
    shares = min(max(cores // len(DTYPES), 1), MOST_SHARES)
    others = [row for row in TABLE.values() if row is not ISA and (row.name == "neon") == (ISA.name == "neon")]
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(cores) as pool:
        learned = Path(scratch, "learned")

        def warm(part: tuple[str, int]) -> Path:
            folder = Path(scratch, f"{part[0]} {part[1]}")
            _process("warm_up", folder / "called", *part, shares, NUMBA_CACHE_DIR=folder)
            return folder

        def compile_for(row: Any) -> None:
            named = {"NUMBA_CPU_NAME": row.cpu, "NUMBA_CPU_FEATURES": ""}
            _process("compile_all", learned, into, NUMBA_CACHE_DIR=Path(scratch, row.name), **named)

        called: Signatures = set()
        for folder in pool.map(warm, product(DTYPES, range(shares))):
            signatures = pickle.loads((folder / "called").read_bytes())
            take(signatures, folder, into)
            called |= signatures
        learned.write_bytes(dumps(called))
        list(pool.map(compile_for, others if rows == "all" else ()))
    for path in (Path(into), *Path(into).rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # a cache is for one user, a package for all


def warm_up(called: str, dtype: str, share: str, shares: str) -> None:
    """Run one of so many shares of the warm-up, and write down what it called."""
    for _, use in list(work_in(dtype))[int(share) :: int(shares)]:
        use()
    Path(called).write_bytes(dumps(in_use()))


def in_use() -> Signatures:
    """What this process has compiled, or found in the cache, because Python called it or asked for its address."""
    modules = [module for name, module in sys.modules.items() if name.startswith("fastbp.kernels.")]
    kernels = {value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
    return {
        (kernel.py_func.__module__, kernel.py_func.__name__, signature)
        for kernel in kernels
        if not kernel.is_part
        for signature in kernel.stats.cache_hits | kernel.stats.cache_misses
    }


def compile_all(learned: str, into: str) -> None:
    """Compile kernels for the signatures in a file."""
    signatures = pickle.loads(Path(learned).read_bytes())
    # Those that say what comes out are first: whoever has the address goes by it.
    for module, name, signature in sorted(signatures, key=lambda called: isinstance(called[2], tuple)):
        getattr(import_module(module), name).compile(signature)
    take(signatures, Path(train._cache.cache_path), into)


def take(signatures: Signatures, cache: Path, into: str) -> None:
    """Add to the folder of this kind what the cache holds for these signatures."""
    folder, taken = Path(into, kind()), set()
    wanted = {(module, name, argument_types(signature)) for module, name, signature in signatures}
    folder.mkdir(parents=True, exist_ok=True)
    for module, name in {called[:2] for called in wanted}:
        (index,) = cache.rglob(f"{module.rpartition('.')[2]}.{name}-*.nbi")
        source, target = (CheckedFile(str(place), index.stem, build_tag()) for place in (index.parent, folder))
        for key in source._load_index():
            if (module, name, key[0]) in wanted:
                target.save(key, source.load(key))
                taken.add((module, name, key[0]))
    if taken != wanted:
        raise RuntimeError(f"{len(wanted - taken)} of {len(wanted)} kernels left no machine code of {kind()}")


def _process(function: str, *arguments: object, **settings: object) -> None:
    """Call a function of this file in a process of its own, under these settings of numba and no others but the CPU."""
    kept = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
    environment = {name: value for name, value in os.environ.items() if name in kept or not name.startswith("NUMBA_")}
    environment |= {name: str(value) for name, value in settings.items()}
    words = [function, *map(str, arguments)]
    subprocess.run([sys.executable, "-m", "fastbp.commands._carry", *words], env=environment, check=True)


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {"warm_up": warm_up, "compile_all": compile_all}
    if sys.argv[1] in roles:
        roles[sys.argv[1]](*sys.argv[2:])
    else:
        main(*sys.argv[1:])
