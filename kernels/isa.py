"""What the CPU offers, and the table of tile and block sizes that follows from it.

Nothing but this table names an instruction set: a kernel asks ``ISA`` how wide a vector is and how many rows
a register tile has. The row follows the CPU that numba compiles for, which is the host's unless
``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` say otherwise. Kernels are compiled for the row, not for the CPU, so that
machine code made on one CPU runs on all that have the row.
"""

import platform
import sys
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from numba.core import config


@dataclass(frozen=True)
class Isa:
    """One row of the table.

    Attributes
    ----------
    cpu : LLVM's name of the least CPU that has the row, for which kernels are compiled.
    needs : its features, as far as they are above those of every CPU of the platform.
    vector_bytes : bytes in a vector register.
    tile_rows : rows of the largest register tile that is 1, 2, ... vectors wide; its length is the widest tile.
        Accumulators, one row of B and one broadcast of A have to fit the register file.
    masks : whether a masked load costs no more than a plain one. Where it does not, B is packed with its last
        vector padded.
    half_vectors : whether half a vector takes half the time, so that a short last vector may be a narrow one.
    block_k, block_n : bytes of k and number of columns in the blocks of B that a large product is cut into; a packed
        block stays in the second-level cache.
    pack_bytes, pack_rows : B is packed, where nothing forces it, if it has this many bytes and meets as many rows.
    tuning : what to tell LLVM beside the CPU's name. For x86-64-v4 it keeps to half vectors where it has the choice,
        which takes the exponential and its like 1.4 times as long.

    The numbers come from ``bench/bench_gemm.py``.
    """

    name: str
    cpu: str
    needs: tuple[str, ...]
    vector_bytes: int
    tile_rows: tuple[int, ...]
    masks: bool
    half_vectors: bool
    block_k: int
    block_n: int
    pack_bytes: int
    pack_rows: int
    tuning: str = ""

    def lanes(self, itemsize: int) -> int:
        """Elements of ``itemsize`` bytes in a vector."""
        return self.vector_bytes // itemsize


# Few registers or short vectors: B passes through the first-level cache more often, so pack more.
_NARROW: dict[str, Any] = {
    "masks": False,
    "half_vectors": False,
    "block_k": 4096,
    "block_n": 128,
    "pack_bytes": 128 << 10,
    "pack_rows": 64,
}

# The levels of the x86-64 psABI.
_V3 = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_ARM = "apple-m1" if sys.platform == "darwin" else "generic"

TABLE = {
    "plain": Isa("plain", "x86-64", (), vector_bytes=16, tile_rows=(6, 4, 3), **_NARROW),
    "neon": Isa("neon", _ARM, (), vector_bytes=16, tile_rows=(8, 8, 7, 5), **_NARROW),
    "avx2": Isa("avx2", "x86-64-v3", _V3, vector_bytes=32, tile_rows=(8, 6), **_NARROW | {"masks": True}),
    "avx512": Isa(
        "avx512",
        "x86-64-v4",
        _V4,
        vector_bytes=64,
        tile_rows=(8, 8, 8, 6),
        masks=True,
        half_vectors=True,
        block_k=4096,
        block_n=128,
        pack_bytes=1 << 20,
        pack_rows=256,
        tuning="-prefer-256-bit",
    ),
}


def _target_features() -> set[str]:
    """Features of the CPU that numba compiles for, as far as the table distinguishes them."""
    if not config.CPU_NAME or config.CPU_NAME == "host":
        features = llvm.get_host_cpu_features()
        return {name for name in features if features[name]}
    words = (config.CPU_FEATURES or "").split(",")
    added, taken = ({word[1:] for word in words if word.startswith(sign)} for sign in "+-")
    return (_features_implied_by(config.CPU_NAME) | added) - taken


def _features_implied_by(cpu_name: str) -> set[str]:
    """Ask LLVM what registers it would use for a 64-byte fused multiply-add on the CPU called ``cpu_name``."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    wide = "<16 x float>"
    module = llvm.parse_assembly(
        f"declare {wide} @llvm.fmuladd.v16f32({wide}, {wide}, {wide})\n"
        f"define {wide} @f({wide} %x) {{\n"
        f"  %y = call {wide} @llvm.fmuladd.v16f32({wide} %x, {wide} %x, {wide} %x)\n"
        f"  ret {wide} %y\n}}"
    )
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu_name, features="")
    assembly = machine.emit_assembly(module)
    if "zmm" in assembly:
        return set(_V4)
    return set(_V3) if "vfmadd" in assembly else set()


def _row() -> Isa:
    if platform.machine().lower() in ("arm64", "aarch64"):
        return TABLE["neon"]
    features = _target_features()
    return next(TABLE[name] for name in ("avx512", "avx2", "plain") if features.issuperset(TABLE[name].needs))


ISA = _row()
