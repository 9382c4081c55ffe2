"""What a user waits for: the import, and the first training step of a fresh process; and the installed size.

Every call is a whole process, the interpreter's own start included. "Warm" finds fastbp's machine code in the cache,
"installed" finds in an empty cache what an installation from source has compiled, "cold" finds none; the peers keep
none. Sizes are those of a package and all that it needs.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from .installed import installed_bytes, needed
from .peers import PEERS, peer_of
from .row import Expected, Row, Unsuitable, Work, rows
from .servers import FOLDER, all_cores

DATA = """
import numpy as np
rng = np.random.default_rng(0)
x, t = rng.standard_normal((100, 784), np.float32), rng.integers(0, 10, 100)
W1, W2 = 0.05 * rng.standard_normal((784, 50), np.float32), 0.1 * rng.standard_normal((50, 10), np.float32)
b1, b2 = np.zeros(50, np.float32), np.zeros(10, np.float32)
"""
REFERENCE = """
from fastbp import reference
x, W1, b1, W2, b2 = (a.astype(np.float64) for a in (x, W1, b1, W2, b2))
first, relu, second = reference.Affine(W1, b1), reference.Relu(), reference.Affine(W2, b2)
loss = reference.SoftmaxWithLoss(eps=0)
loss.forward(second.forward(relu.forward(first.forward(x))), t)
second.backward(loss.backward())
print(np.abs(W2 - 0.1 * second.dW).sum())
"""


def run(code: str, environment: Mapping[str, str], within: Path | None = None) -> str:
    """What a fresh process prints, which leaves and finds bytecode beside its modules, as installed ones have it.

    It imports what is installed in the folder ``within``, where one is given: Python looks first where it is run.
    """
    command, bytecode = [sys.executable, "-c", code], {"PYTHONDONTWRITEBYTECODE": ""}
    settings = {**os.environ, **bytecode, **environment}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=settings, cwd=within).stdout


def import_of(provider: str, kind: str) -> Work:
    run(peer_of(provider).imports, {})  # which leaves its bytecode
    return Work(lambda: run(peer_of(provider).imports, {}), lambda: [np.zeros(0)])


def size_of(provider: str, kind: str) -> Work:
    package = peer_of(provider).package
    if not needed(package):
        raise Unsuitable("runs from a checkout, and what it needs is told by an installation only")
    return Work(lambda: None, lambda: [np.zeros(0)], facts=lambda: {"bytes": installed_bytes(package)})


def first_step_of(provider: str, kind: str) -> Work:
    printed: list[str] = []
    code = DATA + peer_of(provider).first_step
    if kind == "warm" and provider == "fastbp":
        run(code, {})  # which leaves its machine code on disk

    within = installed_from_source() if kind == "installed" and provider == "fastbp" else None

    def call() -> None:
        if kind == "warm":
            printed[:] = [run(code, {})]
        else:
            with tempfile.TemporaryDirectory() as cache:
                printed[:] = [run(code, {"NUMBA_CACHE_DIR": cache}, within)]

    return Work(call, lambda: [np.array(float(printed[0]))])


def install(folder: Path) -> None:
    """Install this checkout into ``folder``, as pip does from source: with the machine code of this machine."""
    source = Path(__file__).resolve().parents[1]
    if not (source / "pyproject.toml").exists():
        raise Unsuitable("runs from an installation, and only a checkout can be installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def installed_from_source() -> Path:
    """The folder of an installation, made once in a run."""
    folder = Path(os.environ[FOLDER], "installed")
    if not folder.exists():
        install(folder)
    return folder


def install_and_train(kind: str) -> Work:
    """``pip install .`` without what fastbp needs, which is there already, and ``fastbp train`` with an empty cache."""
    seconds: dict[str, float] = {}

    def call() -> None:
        with tempfile.TemporaryDirectory() as work:
            installed, cache = Path(work, "installed"), Path(work, "cache")
            begin = time.perf_counter()
            install(installed)
            middle = time.perf_counter()
            code = "from fastbp.cli import main; raise SystemExit(main(['train']))"
            run(code, {"NUMBA_CACHE_DIR": str(cache)}, installed)
            seconds.update(install_seconds=middle - begin, train_seconds=time.perf_counter() - middle)

    return Work(call, lambda: [np.zeros(0)], facts=lambda: seconds)


def nothing(kind: str) -> Expected:
    """Imports and sizes have no answer."""
    return [(np.zeros(0), 1.0)]


def expected(kind: str) -> Expected:
    """By the plain layers, in float64."""
    right = float(run(DATA + REFERENCE, {}))
    return [(np.array(right), right)]


IMPORTED = [peer.name for peer in PEERS if peer.imports]
STEPPING = [peer.name for peer in PEERS if peer.first_step]
CORES = all_cores()


@rows(
    [Row("start", "import", ("import",), threads=CORES, turns=2, fresh=True)],
    {name: partial(import_of, name) for name in IMPORTED},
)
def bench_import(measure, row, provider):
    measure(nothing)


@rows(
    [Row("start", "installed size", ("size",), threads=CORES, figure="bytes")],
    {name: partial(size_of, name) for name in IMPORTED},
)
def bench_installed_size(measure, row, provider):
    measure(nothing)


@rows(
    [
        Row("start", "first step, warm", ("warm",), threads=CORES, tolerance=1000, turns=2, fresh=True),
        Row(
            "start",
            "first step, installed",
            ("installed",),
            threads=CORES,
            tolerance=1000,
            quick=False,
            turns=2,
            fresh=True,
        ),
        Row("start", "first step, cold", ("cold",), threads=CORES, tolerance=1000, quick=False, turns=2, fresh=True),
    ],
    {name: partial(first_step_of, name) for name in STEPPING},
)
def bench_first_step(measure, row, provider):
    measure(expected)


@rows(
    [Row("start", "install and train", ("source",), threads=CORES, quick=False, turns=1, fresh=True)],
    {"fastbp": install_and_train},
)
def bench_install(measure, row, provider):
    measure(nothing)
