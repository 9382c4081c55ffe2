"""What the CPU offers, and the table of vectors and tiles that follows from it.

Here stands what the form of the code follows from. At which size one form gives way to another is in ``machine``.

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
    masked_stores : whether a masked store does. AMD's CPUs make dozens of micro-operations of one of AVX2 (uops.info).
    half_vectors : whether half a vector takes half the time, so that a short last vector may be a narrow one.
    prefetches : whether there are tiles that send for their operands ahead, each one more to compile. Whether they are
        faster is a matter of the machine.
    tuning : what to tell LLVM beside the CPU's name. For x86-64-v4 it keeps to half vectors where it has the choice,
        which takes the exponential and its like 1.4 times as long.
    """

    name: str
    cpu: str
    needs: tuple[str, ...]
    vector_bytes: int
    tile_rows: tuple[int, ...]
    masks: bool
    masked_stores: bool
    half_vectors: bool
    prefetches: bool
    tuning: str = ""

    def lanes(self, itemsize: int) -> int:
        """Elements of ``itemsize`` bytes in a vector."""
        return self.vector_bytes // itemsize


_NARROW: dict[str, Any] = {"masks": False, "masked_stores": False, "half_vectors": False, "prefetches": False}

# The levels of the x86-64 psABI.
_V3 = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_ARM = "apple-m1" if sys.platform == "darwin" else "generic"

TABLE = {
    "plain": Isa("plain", "x86-64", (), vector_bytes=16, tile_rows=(6, 4, 3), **_NARROW),
    "neon": Isa("neon", _ARM, (), vector_bytes=16, tile_rows=(8, 8, 7, 5), **_NARROW),
    "avx2": Isa("avx2", "x86-64-v3", _V3, vector_bytes=32, tile_rows=(8, 6, 4), **_NARROW | {"masks": True}),
    "avx512": Isa(
        "avx512",
        "x86-64-v4",
        _V4,
        vector_bytes=64,
        tile_rows=(8, 8, 8, 6),
        masks=True,
        masked_stores=True,
        half_vectors=True,
        prefetches=True,
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
    # Of a CPU that is too new for it, LLVM does not know that it has 64 bits, and would end the process.
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu_name, features="+64bit")
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
VECTOR_BYTES = ISA.vector_bytes
LINE_BYTES = 64  # of memory that a cache takes at once, at the least
PAGE_BYTES = 4096  # of memory, at the least

# The scratch memory of each member of a team, in bytes: a packed block of B, and from SCRATCH_A on turned rows
# of A, or the sums of a single row; what nobody writes to takes no memory. Before it lie zeros, as many as the widest
# tile reads.
SCRATCH_BYTES = 11 << 19
SCRATCH_A = 1 << 20
ZERO_BYTES = 512
