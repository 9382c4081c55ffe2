"""Kernels under valgrind, which sees reads of memory that is not there, and decisions by what nobody has written.

Valgrind does not know AVX-512: the kernels are those of AVX2, or of any x86-64.
"""

import platform
import re
import shutil
import sys
from pathlib import Path

import pytest
from calls import python

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind"),
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names of x86 CPUs"),
]
RUN = """
import os, sys
sys.path += [".."]
import checked_networks
checked_networks.alone()
"""
UNDER = "import os, sys; os.execvp('valgrind', ['valgrind', '--error-limit=no', *sys.argv[1:]])"


@pytest.mark.parametrize("cpu", ["haswell", "generic"])
def test_nothing_is_read_that_was_not_written(cpu, tmp_path):
    """Errors of compiled code have no name for where they are; Python, NumPy and the loader have their own."""
    settings = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": tmp_path / "cache"}
    python(RUN, cwd=HERE, timeout=3600, **settings)  # which compiles
    log = tmp_path / "log"
    command = [f"--log-file={log}", "--num-callers=30", sys.executable, "-c", RUN]
    python(UNDER, *command, cwd=HERE, timeout=3600, PYTHONMALLOC="malloc", **settings)
    text = re.sub(r"==\d+== ?", "", log.read_text())
    found = [error for error in text.split("\n\n") if re.search(r"\b(?:at|by) 0x[0-9A-F]+: \?\?\?", error)]
    assert "ERROR SUMMARY" in text
    assert found == []
