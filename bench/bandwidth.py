"""How fast memory and each level of the caches can be read and written, as STREAM counts it.

::

    copy                 b[i] = a[i]               2 elements moved
    triad                a[i] = b[i] + s c[i]      3 elements moved
    non-temporal copy    as copy, by stores that bypass the caches

Traffic that the program does not ask for, the read of a line before it is written, is not counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastbp.kernels._jit import kernel
from fastbp.kernels.simd import I32, I64, Vectors

LANES = 16  # 64 bytes of float32, a cache line
UNROLLED = 4  # lines a step; a step of one would become a call of memcpy
STRIDE = LANES * UNROLLED
LINE = 64
MEMORY = 256 << 20  # bytes of what is in no cache, or four times the last level if that is more
COPY, TRIAD, NON_TEMPORAL = "copy", "triad", "non-temporal copy"
ARRAYS = {COPY: 2, TRIAD: 3, NON_TEMPORAL: 2}


def _stream(kind: str):
    @intrinsic
    def stream(typingctx, a, b, c, count):
        """``count`` elements, a multiple of STRIDE, between float32 arrays at line-aligned addresses."""

        def codegen(context, builder, signature, arguments):
            v = Vectors(builder, ir.FloatType())
            a, b, c = (v.pointer(address) for address in arguments[:3])
            half = v.splat(ir.Constant(ir.FloatType(), 0.5), LANES)
            steps = builder.udiv(arguments[3], I64(STRIDE))
            with cgutils.for_range(builder, steps) as loop:
                first = builder.mul(loop.index, I64(STRIDE))
                lines = [builder.add(first, I64(LANES * line)) for line in range(UNROLLED)]
                values = [v.load(v.at(b, line), LANES) for line in lines]
                if kind == TRIAD:
                    values = [
                        v.fmuladd(half, v.load(v.at(c, line), LANES), value)
                        for line, value in zip(lines, values, strict=True)
                    ]
                for line, value in zip(lines, values, strict=True):
                    pointer = builder.bitcast(v.at(a, line), v.type(LANES).as_pointer())
                    store = builder.store(value, pointer)
                    store.align = LINE
                    if kind == NON_TEMPORAL:
                        store.set_metadata("nontemporal", builder.module.add_metadata([I32(1)]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64), codegen

    return stream


_copy, _triad, _non_temporal = (_stream(kind) for kind in ARRAYS)


@kernel
def copy(a, b, c, count, repeats):
    """Read one array, write another."""
    for _ in range(repeats):
        _copy(a, b, c, count)


@kernel
def triad(a, b, c, count, repeats):
    """Read two arrays, write a third."""
    for _ in range(repeats):
        _triad(a, b, c, count)


@kernel
def non_temporal_copy(a, b, c, count, repeats):
    """As ``copy``, past the caches."""
    for _ in range(repeats):
        _non_temporal(a, b, c, count)


KERNELS = {COPY: copy, TRIAD: triad, NON_TEMPORAL: non_temporal_copy}


@lru_cache(maxsize=1)
def cache_bytes() -> dict[str, int]:
    """Bytes of each level of the data caches of a core, as Linux tells them; usual sizes where it does not."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size[:-1]) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[size[-1]]
    return found or {"L1": 32 << 10, "L2": 1 << 20, "L3": 16 << 20}


@dataclass(frozen=True)
class Bandwidths:
    """GB/s by level ("L1", ..., "memory") and kind of traffic, and how many bytes each level holds for all threads."""

    gb_per_second: dict[str, dict[str, float]]
    holds: dict[str, float]

    def best_of(self, other: "Bandwidths") -> "Bandwidths":
        """The faster of two measurements, level by level."""
        best = {
            level: {kind: max(speed, other.gb_per_second[level][kind]) for kind, speed in kinds.items()}
            for level, kinds in self.gb_per_second.items()
        }
        return Bandwidths(best, self.holds)

    def level(self, working_set: float) -> str:
        """The first level that holds so many bytes."""
        return next((level for level, size in self.holds.items() if working_set <= size), "memory")

    def of(self, working_set: float) -> float:
        """The fastest traffic at that level, in GB/s."""
        return max(self.gb_per_second[self.level(working_set)].values())


def bandwidths(threads: int, best_rate: Callable[[list[Callable], float], float]) -> Bandwidths:
    """Measure all levels with ``threads`` threads, each on arrays of its own; ``best_rate`` is that of ``limits``."""
    caches = cache_bytes()
    last = list(caches)[-1]
    holds = {level: float(size if level == last else size * threads) for level, size in caches.items()}
    found: dict[str, dict[str, float]] = {}
    for level, size in {**holds, "memory": 2.0 * max(MEMORY, 4 * caches[last])}.items():
        kinds = ARRAYS if level == "memory" else (COPY, TRIAD)
        found[level] = {kind: _gb_per_second(kind, int(size / 2 / threads), threads, best_rate) for kind in kinds}
    return Bandwidths(found, holds)


def _gb_per_second(kind: str, working_set: int, threads: int, best_rate: Callable) -> float:
    """With ``working_set`` bytes for each thread."""
    count = working_set // 4 // ARRAYS[kind] // STRIDE * STRIDE
    moved = 4 * count * ARRAYS[kind]
    repeats = max(1, round(2e6 / moved))  # in one call, so that calling does not count
    memory = [_aligned(3 * (count + LINE)) for _ in range(threads)]

    def call(part: np.ndarray) -> None:
        first = part.ctypes.data
        apart = 4 * (count + LINE)
        KERNELS[kind](first, first + apart, first + 2 * apart, count, repeats)

    calls = [lambda part=part: call(part) for part in memory]
    return 1e-9 * moved * repeats * best_rate(calls, 0.05)


def _aligned(elements: int) -> np.ndarray:
    """Ones from the start of a cache line on."""
    block = np.ones(elements + LINE, np.float32)
    return block[-block.ctypes.data % LINE // 4 :]
