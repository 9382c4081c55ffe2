"""Kernels with LLVM's address sanitizer in them, which sees every read and write of what is not the kernel's."""

import glob
import platform
from pathlib import Path

import pytest
from calls import python

HERE = Path(__file__).parent
OPT = max(glob.glob("/usr/lib/llvm-*/bin/opt"), default="")
RUNTIME = max(glob.glob("/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-x86_64.so"), default="")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not (OPT and RUNTIME), reason="needs LLVM's opt and the sanitizer's runtime (libclang-rt)"),
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="the runtime of x86-64"),
]
SETUP = f"""
import sys
sys.path.append("..")
import sanitized
sanitized.instrument({OPT!r})
import numpy as np
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


def run_with_checks(code, folder, ends_with=1):
    """What ``code`` prints; the process ends with ``ends_with`` where the sanitizer sees anything, and says what."""
    return python(
        SETUP + code,
        cwd=HERE,
        timeout=3600,
        LD_PRELOAD=RUNTIME,
        ASAN_OPTIONS=f"detect_leaks=0:symbolize=0:exitcode={ends_with}",
        PYTHONMALLOC="malloc",
        NUMBA_CACHE_DIR=folder,
    )


def test_an_element_beyond_the_end_is_seen(tmp_path):
    assert run_with_checks(READ, tmp_path, ends_with=0).split() == ["1.0"]


def test_networks_of_every_layer_and_loss_touch_nothing_else(tmp_path):
    assert run_with_checks("import checked_networks", tmp_path).strip() == "done"
