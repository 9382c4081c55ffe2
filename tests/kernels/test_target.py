"""Kernels are compiled for the row of the table, whatever the CPU; what else a process compiles is not."""

import platform

import pytest
from calls import python_json

X86 = platform.machine().lower() in ("x86_64", "amd64")
on_x86 = pytest.mark.skipif(not X86, reason="names of x86 CPUs")

RELU = """
import json
import numba
import numpy as np
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
import fastbp
from fastbp.kernels import relu

fastbp.relu(np.ones((3, 40), np.float32))

@numba.njit
def other(x):
    return x + 1

compiled = len(recorder.buffer)
other(1)
kernels = [kernel for kernel in vars(relu).values() if hasattr(kernel, "inspect_asm")]
code = "".join(text for kernel in kernels for text in kernel.inspect_asm().values())
cpu = other.overloads[other.signatures[0]].library.codegen.magic_tuple()[1]
print(json.dumps({
    "compiled": compiled,
    "registers": [name for name in ("zmm", "ymm", "xmm") if name in code],
    "other": cpu,
}))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Processes told they are on these CPUs, one after the other, all with the same cache."""
    cache = tmp_path_factory.mktemp("cache")
    settings = {"NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": cache}
    return {
        cpu: python_json(RELU, NUMBA_CPU_NAME=cpu, **settings) for cpu in ("haswell", "znver3", "generic", "nehalem")
    }


@pytest.mark.slow
@on_x86
def test_cpus_of_a_row_share_their_machine_code(runs):
    assert [run["compiled"] > 0 for run in runs.values()] == [True, False, True, False]


@pytest.mark.slow
@on_x86
def test_machine_code_has_the_registers_of_its_row(runs):
    assert "ymm" in runs["haswell"]["registers"]
    assert runs["generic"]["registers"] == ["xmm"]


@pytest.mark.slow
@on_x86
def test_other_functions_of_the_process_are_compiled_as_numba_was_told(runs):
    assert {cpu: run["other"] for cpu, run in runs.items()} == {cpu: cpu for cpu in runs}


SIGMOID = """
import json
from numba import float32, int64, void
from fastbp.kernels.activations import sigmoid
signature = void(int64, int64, int64, float32)
sigmoid.compile(signature)
print(json.dumps("zmm" in "".join(sigmoid.inspect_asm().values())))
"""


@on_x86
def test_loops_have_whole_vectors_where_llvm_would_rather_have_halves(checkout, tmp_path):
    """Compiled for skylake-avx512, whichever CPU this is, and not called."""
    settings = {"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": tmp_path}
    assert python_json(SIGMOID, root=checkout, **settings) is True


PARTS = """
from fastbp.kernels._jit import kernel

@kernel(inline=True)
def tripled(x):
    return 3 * x

@kernel
def squared(x):
    return x * x

@kernel
def both(x):
    return tripled(x) + squared(x) + squared(2)

@kernel
def other(x):
    return squared(x) + 1
"""
CALLS = """
import json, sys
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
import parts
values = [getattr(parts, name)(4) for name in sys.argv[1:]]
compiled = [event.data["dispatcher"].__name__ for _, event in recorder.buffer if event.is_start]
print(json.dumps({"values": values, "compiled": compiled}))
"""


@pytest.mark.slow
def test_what_compiled_code_calls_has_no_machine_code_until_python_calls_it(tmp_path):
    (tmp_path / "parts.py").write_text(PARTS)

    def called(*names):
        result = python_json(CALLS, *names, cwd=tmp_path, NUMBA_CACHE_DIR=tmp_path / "cache")
        return result["values"], result["compiled"]

    def wholes():
        return sorted(file.name.split("-")[0] for file in tmp_path.rglob("parts.*.nbi"))

    assert called("both") == ([32], ["both", "tripled", "squared"])  # squared once, also for the constant
    assert wholes() == ["parts.both"]
    assert called("both", "other") == ([32, 17], ["other"])  # of parts that the cache has
    assert called("squared", "both", "other") == ([16, 32, 17], ["squared"])
    assert wholes() == ["parts.both", "parts.other", "parts.squared"]
    assert called("squared", "both", "other") == ([16, 32, 17], [])
