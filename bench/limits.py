"""What the machine can do at the most, measured in the run that quotes it."""

import time

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastbp.kernels._jit import kernel
from fastbp.kernels.isa import ISA
from fastbp.kernels.simd import Vectors, element_bytes, element_type

CHAINS = 12 if ISA.vector_bytes < 64 else 24  # independent multiply-adds: enough to hide their latency


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
    return _multiply_adds(steps, one)


def peak_gflops(dtype: type, seconds: float = 0.5) -> float:
    """Multiply-add rate of one core in GFLOP/s: the best of many short runs."""
    one, steps = dtype(0.5), 20_000
    flops = 2 * steps * CHAINS * ISA.lanes(np.dtype(dtype).itemsize)
    multiply_adds(steps, one)
    best, stop = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        multiply_adds(steps, one)
        best = min(best, time.perf_counter() - start)
    return 1e-9 * flops / best
