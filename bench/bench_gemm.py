"""Matrix products of training steps, in their three forms.

fastbp is called from compiled code, as its networks do; the others from Python, into an array made beforehand where
they can.
"""

import math

import numpy as np

from fastbp.basics import _team
from fastbp.kernels._jit import kernel
from fastbp.kernels.gemm import NO_EPILOGUE, NOTHING, gemm
from fastbp.kernels.memory import address

from . import peers
from .row import Expected, Row, Work, rows

# Rows, inputs, outputs.
QUICK = ((100, 784, 50), (100, 50, 10), (1024, 1024, 1024))
SHAPES = (*QUICK, (32, 64, 64), (128, 784, 512), (128, 512, 512), (256, 256, 256), (2048, 2048, 2048))
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


@kernel
def repeat_gemm(team, repeats, a, a_strides, b, b_strides, c, one):
    """``C = A B`` as often as ``repeats`` says; strides in elements."""
    shape = (c.shape[0], c.shape[1], a.size // c.shape[0])
    at_a, at_b, at_c = (address(a), *a_strides), (address(b), *b_strides), (address(c), c.shape[1])
    for _ in range(repeats):
        gemm(team, shape, at_a, at_b, at_c, (NOTHING, 0), one, NO_EPILOGUE)


def fastbp_product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    a, b = factors(form, shape, dtype)
    c = np.empty((a.shape[0], b.shape[1]), dtype)
    team, one = _team.address_for(np.dtype(dtype)), np.dtype(dtype).type(1)
    repeats = max(1, round(2e7 / 2 / math.prod(shape)))  # so that the one call from Python does not count
    operands = [value for m in (a, b) for value in (m.T if m.flags.f_contiguous else m, _strides(m))]
    return Work(lambda: repeat_gemm(team, repeats, *operands, c, one), lambda: [c], repeats)


def _strides(matrix: np.ndarray) -> tuple[int, int]:
    return matrix.strides[0] // matrix.itemsize, matrix.strides[1] // matrix.itemsize


def numpy_product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    a, b = factors(form, shape, dtype)
    c = np.empty((a.shape[0], b.shape[1]), dtype)
    return Work(lambda: np.dot(a, b, out=c), lambda: [c])


def torch_product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    torch = peers.torch()
    a, b = (torch.from_numpy(factor) for factor in factors(form, shape, dtype))
    c = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype)
    return Work(lambda: torch.mm(a, b, out=c), lambda: [c.numpy()])


def jax_product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    """The transpose is written in the function, so that the compiler may choose how to read it."""
    a, b = factors(form, shape, dtype)
    if form == "x W":
        return peers.jitted(lambda x, w: x @ w, a, b, dtype=dtype)
    if form == "x.T dout":
        return peers.jitted(lambda x, dout: x.T @ dout, a.T, b, dtype=dtype)
    return peers.jitted(lambda dout, w: dout @ w.T, a, b.T, dtype=dtype)


PROVIDERS = {"fastbp": fastbp_product, "numpy": numpy_product, "torch": torch_product, "jax": jax_product}

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


@rows(ROWS, PROVIDERS)
def bench_gemm(measure, row, provider):
    measure(PROVIDERS, expected)
