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

from fastbp.kernels._target import _Codegen, _Library  # noqa: E402
from fastbp.kernels.isa import ISA  # noqa: E402

assert ISA.name == "neon"

# What computes with whole vectors, and does not only fill them.
VECTORS = re.compile(r"^\s+(?!mov|dup|ld|st)\w+\s+v\d+\.(?:4s|2d|16b)\b", re.MULTILINE)
MULTIPLY_ADD = re.compile(r"^\s+fml[as]\s+v\d+\.(4s|2d)\b", re.MULTILINE)


# Without instructions for it, LLVM makes loops of numba's counting of references, and cannot compile these again.
_Codegen._get_host_cpu_features = lambda codegen: "+lse"
optimize = _Library._optimize_final_module


def optimize_and_keep(library):
    """To make machine code of a module changes it, so that no assembly can be made of it afterwards."""
    optimize(library)
    library.text = str(library._final_module)


_Library._optimize_final_module = optimize_and_keep


def assembly_of(module, name, signature):
    kernel = getattr(importlib.import_module(module), name)
    kernel.compile(signature)
    library = kernel.overloads[getattr(signature, "args", signature)].library
    return library.codegen._tm.emit_assembly(llvm.parse_assembly(library.text))


def count(signatures, modules):
    """Of each kernel in the file ``signatures``, how many instructions on vectors, and how many multiply-adds."""
    rows = []
    for module, name, signature in sorted(pickle.loads(Path(signatures).read_bytes()), key=str):
        if module.rpartition(".")[2] not in modules:
            continue
        text = assembly_of(module, name, signature)
        fused = MULTIPLY_ADD.findall(text)
        kinds = {kind: fused.count(kind) for kind in ("4s", "2d")}
        rows.append([f"{module}.{name}", str(signature), len(VECTORS.findall(text)), kinds])
    print(json.dumps(rows))
