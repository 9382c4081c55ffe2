"""Kernels compiled for AArch64, whatever this machine is, and their assembly; nothing here can be called.

For a process of its own: importing this has every kernel of the process compiled so.
"""

import importlib
import json
import pickle
import platform
import re
from pathlib import Path

import llvmlite.binding as llvm
from numba.core.registry import cpu_target

platform.machine = lambda: "aarch64"
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
cpu_target.target_context.codegen()  # numba's own, which stays this machine's
llvm.get_process_triple = lambda: "aarch64-unknown-linux-gnu"

from fastbp.kernels.isa import ISA  # noqa: E402

assert ISA.name == "neon"

# Arithmetic on whole vectors: of floats, which is what the kernels are about, or of anything.
FLOATS = re.compile(r"^\s+f\w+\s+v\d+\.(?:4s|2d)\b", re.MULTILINE)
MULTIPLY_ADD = re.compile(r"^\s+fml[as]\s+v\d+\.(4s|2d)\b", re.MULTILINE)


def assembly_of(module, name, signature):
    kernel = getattr(importlib.import_module(module), name)
    kernel.compile(signature)
    return kernel.inspect_asm()[signature.args]


def count(signatures):
    """Of each kernel in the file ``signatures``, how many instructions on vectors of floats, and how many fmla."""
    rows = []
    for module, name, signature in pickle.loads(Path(signatures).read_bytes()):
        text = assembly_of(module, name, signature)
        fused = MULTIPLY_ADD.findall(text)
        kinds = {kind: fused.count(kind) for kind in ("4s", "2d")}
        rows.append([f"{module}.{name}", str(signature), len(FLOATS.findall(text)), kinds])
    print(json.dumps(rows))
