"""What the machine can do at the most, measured in the run that quotes it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastbp.kernels._jit import kernel
from fastbp.kernels.isa import ISA
from fastbp.kernels.simd import Vectors, element_bytes, element_type

from .bandwidth import Bandwidths, bandwidths

CHAINS = 12 if ISA.vector_bytes < 64 else 24  # independent multiply-adds: enough to hide their latency
STEPS = 20_000


@intrinsic
def _multiply_adds(typingctx, steps, one):
    """``steps`` times CHAINS vector multiply-adds that touch no memory; returns a number that depends on all."""

    def codegen(context, builder, signature, arguments):
        v = Vectors(builder, element_type(one))
        lanes = ISA.lanes(element_bytes(v.element))
        factor = v.splat(arguments[1], lanes)
        slots = [cgutils.alloca_once_value(builder, v.splat(arguments[1], lanes)) for _ in range(CHAINS)]
        with cgutils.for_range(builder, arguments[0]):
            for slot in slots:
                builder.store(v.fmuladd(builder.load(slot), factor, factor), slot)
        total = v.zero(lanes)
        for slot in slots:
            total = builder.fadd(total, builder.load(slot))
        return builder.extract_element(total, ir.IntType(32)(0))

    return one(types.int64, one), codegen


@kernel
def multiply_adds(steps, one):
    """The same, as Python can call it."""
    return _multiply_adds(steps, one)


def peak_gflops(dtype: type, threads: int = 1, seconds: float = 0.1) -> float:
    """Multiply-add rate of ``threads`` threads together, in GFLOP/s."""
    one = dtype(0.5)
    flops = 2 * STEPS * CHAINS * ISA.lanes(np.dtype(dtype).itemsize)
    return 1e-9 * flops * best_rate([lambda: multiply_adds(STEPS, one)] * threads, seconds)


def best_rate(calls: list[Callable[[], object]], seconds: float, runs: int = 5) -> float:
    """Calls a second of functions that each run in a thread of their own, all at once: the best of ``runs`` runs."""
    for call in calls:
        call()
    start = time.perf_counter()
    calls[0]()
    repeats = max(1, round(seconds / runs / max(time.perf_counter() - start, 1e-9)))
    return max(_rate(calls, repeats) for _ in range(runs))


def _rate(calls: list[Callable[[], object]], repeats: int) -> float:
    barrier = threading.Barrier(len(calls))
    rates = [0.0] * len(calls)

    def run(number: int) -> None:
        barrier.wait()
        start = time.thread_time()  # without what a neighbour takes of the core
        for _ in range(repeats):
            calls[number]()
        rates[number] = repeats / (time.thread_time() - start)

    others = [threading.Thread(target=run, args=(number,)) for number in range(1, len(calls))]
    for thread in others:
        thread.start()
    run(0)
    for thread in others:
        thread.join()
    return sum(rates)


@dataclass(frozen=True)
class Limits:
    """Of ``threads`` threads together: GFLOP/s of multiply-adds by dtype, GB/s by level and kind of traffic."""

    threads: int
    gflops: dict[str, float]
    bandwidths: Bandwidths

    @staticmethod
    def measured(state: dict, threads: int) -> "Limits":
        """Measure in the calling process; ``state`` is that of its server and not used."""
        gflops = {dtype.__name__: peak_gflops(dtype, threads) for dtype in (np.float32, np.float64)}
        return Limits(threads, gflops, bandwidths(threads, best_rate))

    def best_of(self, other: "Limits") -> "Limits":
        """Each limit as the better of two measurements has it."""
        gflops = {dtype: max(rate, other.gflops[dtype]) for dtype, rate in self.gflops.items()}
        return Limits(self.threads, gflops, self.bandwidths.best_of(other.bandwidths))

    def seconds(self, dtype: str, flops: float, moved: float, working_set: float) -> float:
        """The least time of so much arithmetic and traffic, were they to overlap entirely."""
        by_flops = flops / self.gflops[dtype] / 1e9
        return max(by_flops, moved / self.bandwidths.of(working_set) / 1e9)
