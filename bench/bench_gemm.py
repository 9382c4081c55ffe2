"""Matrix products of one training step in their three forms, against NumPy's BLAS and the FMA peak; one thread.

    python -m bench.bench_gemm            (NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= for the AVX2 row of the table)

fastbp is called from compiled code, as its networks do; NumPy from Python with ``out=``. Every answer is checked
against float64 before it is timed. ``share`` is fastbp's part of the peak measured in the same run.
"""

from bench import runner

runner.pin_to_one_core()

import numpy as np  # noqa: E402

from bench.limits import peak_gflops  # noqa: E402
from fastbp import _team  # noqa: E402
from fastbp.kernels._jit import kernel  # noqa: E402
from fastbp.kernels.gemm import LINEAR, NOTHING, gemm  # noqa: E402
from fastbp.kernels.isa import ISA  # noqa: E402
from fastbp.kernels.memory import address  # noqa: E402

SHAPES = [
    (100, 784, 50),
    (100, 50, 10),
    (128, 784, 512),
    (128, 512, 512),
    (32, 64, 64),
    (256, 256, 256),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
]
FORMS = ("x W", "x.T dout", "dout W.T")
WIDTHS = (9, 16, 9, 9, 9, 7, 7)


@kernel
def repeat_gemm(team, repeats, a, a_strides, b, b_strides, c, one):
    """``C = A B`` as often as ``repeats`` says; strides in elements."""
    shape = (c.shape[0], c.shape[1], a.size // c.shape[0])
    at_a, at_b, at_c = (address(a), *a_strides), (address(b), *b_strides), (address(c), c.shape[1])
    for _ in range(repeats):
        gemm(team, shape, at_a, at_b, at_c, (NOTHING, 0), one, LINEAR)


def operands(form: str, shape: tuple[int, int, int], dtype: type):
    """The two factors as NumPy has them, for fastbp with their strides, and what their product should be."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    x, w, dout = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (m, n)))
    if form == "x W":
        return (x, w), (x, (k, 1)), (w, (n, 1))
    if form == "x.T dout":
        return (x.T, dout), (x, (1, k)), (dout, (n, 1))
    return (dout, w.T), (dout, (n, 1)), (w, (1, n))


def row(form: str, shape: tuple[int, int, int], dtype: type, seconds: float) -> tuple[float, float, float]:
    """GFLOP/s of fastbp and of NumPy, and how many times as fast fastbp is."""
    (a, b), (at_a, a_strides), (at_b, b_strides) = operands(form, shape, dtype)
    ours, blas = np.empty((a.shape[0], b.shape[1]), dtype), np.empty((a.shape[0], b.shape[1]), dtype)
    team = _team.address_for(np.dtype(dtype))
    flops = 2 * shape[0] * shape[1] * shape[2]
    repeats = max(1, round(2e7 / flops))  # so that the one call from Python does not count

    def fastbp_gemm() -> None:
        repeat_gemm(team, repeats, at_a, a_strides, at_b, b_strides, ours, dtype(1))

    def numpy_gemm() -> None:
        for _ in range(repeats):
            np.dot(a, b, out=blas)

    fastbp_gemm()
    error = np.abs(ours - a.astype(float) @ b.astype(float)) / (np.abs(a).astype(float) @ np.abs(b).astype(float))
    if not np.max(error) < (1e-5 if dtype is np.float32 else 1e-14):
        raise AssertionError(f"{form} {shape} {dtype.__name__}: residual {np.max(error)}")
    first, second = runner.in_turns([fastbp_gemm, numpy_gemm], seconds=seconds)
    scale = 1e-9 * flops * repeats
    return scale / first.median, scale / second.median, second.ratio_to(first)


def main() -> None:
    given = runner.options(__doc__.splitlines()[0])
    print(f"table row {ISA.name}")
    for dtype in (np.float32, np.float64):
        runner.print_row("form", "M x K x N", dtype.__name__, "numpy", "peak", "ratio", "share", widths=WIDTHS)
        for shape in SHAPES:
            for form in FORMS:
                name = "x".join(map(str, shape))
                if given.only not in f"{form} {name} {dtype.__name__}":
                    continue
                seconds = 0.1 if given.quick else 1.5
                peak = peak_gflops(dtype, seconds=seconds / 5)
                ours, blas, ratio = row(form, shape, dtype, seconds)
                cells = form, name, f"{ours:.1f}", f"{blas:.1f}", f"{peak:.1f}", f"{ratio:.2f}", f"{ours / peak:.2f}"
                runner.print_row(*cells, widths=WIDTHS)


if __name__ == "__main__":
    main()
