"""Kernels with LLVM's sanitizers in them.

That of addresses sees every read and write of what is not the kernel's; that of threads two of them at one place where
no order between them is sure. That of memory, which sees what nobody has written, would take a Python and a NumPy with
it in them: see ``test_valgrind``.
"""

import glob
import platform
from pathlib import Path

import pytest
from calls import python

HERE = Path(__file__).parent
OPT = max(glob.glob("/usr/lib/llvm-*/bin/opt"), default="")
RUNTIMES = {
    name: max(glob.glob(f"/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.{name}-x86_64.so"), default="")
    for name in ("asan", "tsan")
}
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not OPT or "" in RUNTIMES.values(), reason="needs LLVM's opt and the runtimes (libclang-rt)"),
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="the runtimes of x86-64"),
]
SETUP = """
import sys
sys.path.append("..")
import sanitized
sanitized.instrument({opt!r}, {sanitizer!r})
import numpy as np
import checked_networks
"""
READ = """
from fastbp.kernels._jit import kernel

@kernel
def element(x, n):
    return x[n]

print(element(np.ones(10), 9), flush=True)
element(np.ones(10), 10)
print("not seen")
"""
RACE = """
import threading
from fastbp.kernels._jit import kernel

@kernel
def add_up(x, n):
    for i in range(n):
        x[0] += x[i]

x = np.zeros(10_000_000)
add_up(x, 1)
print("compiled", flush=True)
threads = [threading.Thread(target=add_up, args=(x, len(x))) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("not seen")
"""
# A process maps libraries where the runtime of threads has its own memory, unless their places are always the same.
START = "import os, sys; os.execvp('setarch', ['setarch', '-R', sys.executable, '-c', sys.argv[1]])"


def run_with_checks(sanitizer, code, folder, ends_with=1):
    """What ``code`` prints; the process ends with ``ends_with`` where the sanitizer sees anything, and says what."""
    short = f"{sanitizer[0]}san"
    options = f"halt_on_error=1:symbolize=0:exitcode={ends_with}" + (":detect_leaks=0" if short == "asan" else "")
    return python(
        START,
        SETUP.format(opt=OPT, sanitizer=sanitizer) + code,
        cwd=HERE,
        timeout=3600,
        PYTHONMALLOC="malloc",
        NUMBA_CACHE_DIR=folder,
        **{"LD_PRELOAD": RUNTIMES[short], f"{short.upper()}_OPTIONS": options},
    )


def test_an_element_beyond_the_end_is_seen(tmp_path):
    assert run_with_checks("address", READ, tmp_path, ends_with=0).split() == ["1.0"]


def test_networks_of_every_layer_and_loss_touch_nothing_else(tmp_path):
    run_with_checks("address", "checked_networks.alone()", tmp_path)


def test_two_threads_at_one_place_are_seen(tmp_path):
    assert run_with_checks("thread", RACE, tmp_path, ends_with=0).split() == ["compiled"]


def test_threads_that_share_networks_wait_for_each_other(tmp_path):
    run_with_checks("thread", "checked_networks.shared()", tmp_path)
