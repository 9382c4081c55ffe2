"""Matrix products of training steps, in their three forms.

fastbp is called from compiled code, as its networks do; the others from Python, into an array made beforehand where
they can.
"""

import math

import numpy as np

from .row import Expected, Row, rows

# Rows, inputs, outputs.
QUICK = ((100, 784, 50), (100, 50, 10), (1024, 1024, 1024))
MORE = ((32, 64, 64), (128, 784, 512), (128, 512, 512), (256, 256, 256), (2048, 2048, 2048))
THIN = ((1000, 100, 1), (256, 128, 10), (3, 64, 2880))  # few outputs, and few rows of a gradient
SHAPES = (*QUICK, *MORE, *THIN)
FORMS = ("x W", "x.T dout", "dout W.T")


def factors(form: str, shape: tuple[int, int, int], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The two factors, which are views where a form has a transpose."""
    n, i, o = shape
    rng = np.random.default_rng(0)
    x, w, dout = (rng.standard_normal(s).astype(dtype) for s in ((n, i), (i, o), (n, o)))
    return {"x W": (x, w), "x.T dout": (x.T, dout), "dout W.T": (dout, w.T)}[form]


def expected(form: str, shape: tuple[int, int, int], dtype: str) -> Expected:
    """In float64; errors are in units of the products' absolute sums."""
    a, b = (factor.astype(np.float64) for factor in factors(form, shape, dtype))
    return [(a @ b, np.abs(a) @ np.abs(b))]


def operand_bytes(shape: tuple[int, int, int], dtype: str) -> float:
    """Of both factors and their product."""
    return np.dtype(dtype).itemsize * sum(math.prod(shape) / side for side in shape)


ROWS = [
    Row(
        "gemm",
        f"{form} {'x'.join(map(str, shape))}",
        (form, shape, dtype),
        dtype=dtype,
        threads=1,
        flops=2 * math.prod(shape),
        moved=operand_bytes(shape, dtype),
        working_set=operand_bytes(shape, dtype),
        tolerance=4 * math.sqrt(max(shape)),  # rounding errors of a long sum are as good as random
        quick=shape in QUICK and dtype == "float32",
    )
    for dtype in ("float32", "float64")
    for shape in SHAPES
    for form in FORMS
]


@rows(ROWS, "gemm")
def bench_gemm(measure, row, provider):
    measure(expected)
