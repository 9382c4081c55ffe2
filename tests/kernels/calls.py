"""Kernels as the tests call them: on NumPy arrays, with the calling thread's team, from compiled code where need be."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from numba import from_dtype, types, void
from numba.core.caching import NullCache

import fastbp
from fastbp.basics import _machine, _team
from fastbp.kernels import _jit, activations
from fastbp.kernels import gemm as gemm_kernels
from fastbp.kernels._jit import compiled_address, kernel
from fastbp.kernels.elementwise import apply_function, apply_function_back
from fastbp.kernels.enter import EXTRA, FIRST, OPERAND_WORDS
from fastbp.kernels.gemm import NO_EPILOGUE, NOTHING
from fastbp.kernels.plan import plan_product

HERE = Path(__file__).parent
PACKAGE, KERNELS = Path(fastbp.__file__).parent, Path(_jit.__file__).parent
NOT_COPIED = shutil.ignore_patterns("__pycache__", "kernels", "machine_code")
FLOATS = (np.float32, np.float64)


def uncached(function):
    """``kernel`` for a function of a test file: compiled with the same options, never kept on disk."""
    dispatcher = kernel(function)
    dispatcher._cache = dispatcher.part._cache = NullCache()
    return dispatcher


@uncached
def call_gemm(team, shape, a, b, c, start, alpha, epilogue):
    gemm_kernels.gemm(team, shape, a, b, c, start, alpha, epilogue)


def team_for(dtype):
    """Address of the calling thread's team."""
    return _team.address_for(np.dtype(dtype))


def address(x):
    return x.__array_interface__["data"][0]


def run_kernel(kernel, *operands, extras=()):
    """Call a kernel in the form of an ``Entry``'s on arrays of our own, given and made, and numbers; None is no array.

    A number that is made comes out in an array of no dimension. Returns whether the operands fit.
    """
    dtype = operands[0].dtype
    words = np.zeros(FIRST + OPERAND_WORDS * len(operands), np.int64)
    words[EXTRA : EXTRA + len(extras)] = extras
    for place, operand in zip(range(FIRST, words.size, OPERAND_WORDS), operands, strict=True):
        if isinstance(operand, float):
            words[place] = np.float64(operand).view(np.int64)
        elif operand is not None:
            x = np.atleast_2d(operand)
            by_row, by_column = (stride // x.itemsize for stride in x.strides)
            words[place : place + OPERAND_WORDS] = address(x), *x.shape, by_row, by_column
    function = compiled_address(kernel, types.int64(types.int64, types.int64, from_dtype(dtype)))
    one = {4: ctypes.c_float, 8: ctypes.c_double}[dtype.itemsize]
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, one)(function)
    fits = bool(call(team_for(dtype), address(words), 1))
    for place, operand in zip(range(FIRST, words.size, OPERAND_WORDS), operands, strict=True):
        if isinstance(operand, np.ndarray) and operand.ndim == 0:
            operand[...] = words[place : place + 1].view(np.float64)[0]
    return fits


def strides(x):
    """``x``, two-dimensional, as gemm wants its operands: address, elements from row to row, from column to column."""
    return address(x), x.strides[0] // x.itemsize, x.strides[1] // x.itemsize


def function_address(function, dtype):
    """Address of a function of ``activations``."""
    return compiled_address(function, void(*[types.int64] * 3, from_dtype(np.dtype(dtype))))


def loss_address(function, dtype, result=void):
    """Address of a kernel in the form of ``element_losses``."""
    one = from_dtype(np.dtype(dtype))
    return compiled_address(function, result(*[types.int64] * 4, one, one))


def apply(name, x, y=None, number=1):
    """What a function of ``activations`` makes of ``x``, (N, D), written into ``y``."""
    y = np.full_like(x, np.nan) if y is None else y
    function = function_address(getattr(activations, name), x.dtype)
    apply_function(team_for(x.dtype), function, address(x), address(y), x.size, x.dtype.type(number))
    return y


def apply_back(name, dy, kept, number=1):
    """The gradient ``dy``, (N, D), with respect to what stands before a function of ``activations``."""
    dx = np.full_like(dy, np.nan)
    function = function_address(getattr(activations, name + "_back"), dy.dtype)
    places = address(dy), address(kept), address(dx)
    apply_function_back(team_for(dy.dtype), function, *places, dy.size, dy.dtype.type(number))
    return dx


def epilogue(name, dtype, number=1.0):
    """What ``gemm`` takes for a function of ``activations``."""
    return function_address(getattr(activations, name), dtype), NOTHING, int(np.float64(number).view(np.int64))


def gemm(a, b, c, start=None, alpha=1, epilogue=NO_EPILOGUE):
    """``c = f(alpha a b + start)`` in place, whatever the strides of ``a``.

    ``start`` may be of one dimension, a bias.
    """
    if start is None:
        begin = (NOTHING, 0)
    elif start.ndim == 1:
        begin = (address(start), 0)
    else:
        begin = strides(start)[:2]
    shape = (*c.shape, a.shape[1])
    alpha = c.dtype.type(alpha)
    call_gemm(team_for(c.dtype), shape, strides(a), strides(b), strides(c)[:2], begin, alpha, epilogue)
    return c


# The three products of a layer: whether A, and whether B, is the transpose of what lies in memory.
FORMS = {"x W": (False, False), "x.T dout": (True, False), "dout W.T": (False, True)}


def blocks(form, dtype, m=2000, n=2000, k=2000, step=2000):
    """Depth and columns of the blocks that a product of a form is cut into; ``step`` elements from k to k in ``x.T``.

    Without sizes, those of a large product whose steps do not fall on each other in the cache.
    """
    a = (1, step) if FORMS[form][0] else (k, 1)
    b = (1, k) if FORMS[form][1] else (n, 1)
    plan = plan_product((m, n, k), a, b, n, 0, np.dtype(dtype).itemsize, _machine.numbers())
    return plan.block_k, plan.block_n


def framed(values, transposed=False, frame=np.nan):
    """``values`` inside a larger array full of ``frame``, no row of it at the start of a vector.

    Rows lie in memory one after the other, or columns where ``transposed``.
    """
    values = values.T if transposed else values
    whole = np.full((values.shape[0] + 2, values.shape[1] + 5), frame, values.dtype)
    inside = whole[1:-1, 3:-2]
    inside[...] = values
    return inside.T if transposed else inside


def frame_of(inside):
    """The whole array that ``framed`` put something into, with the inside blanked out."""
    whole = inside.base.copy()
    whole[1:-1, 3:-2] = 0
    return whole


def whole_numbers(rng, shape, dtype):
    """Small whole numbers: sums of their products are exact in any order."""
    return rng.integers(-8, 9, shape).astype(dtype)


def ulps(got, expected):
    """Errors in units in the last place of the type of ``got``; ``expected`` is of a wider one.

    Infinities count as the first number too large for the type. NaN counts nothing where both have it, else infinity.
    """
    kind = np.finfo(got.dtype)
    wide = expected.dtype.type
    top = wide(2) ** kind.maxexp
    mine, right = (np.clip(x, -top, top) for x in (got.astype(wide), expected))
    exponents = np.frexp(right)[1]
    unit = np.ldexp(wide(1), np.maximum(exponents, kind.minexp + 1) - kind.nmant - 1)
    error = np.abs(mine - right) / unit
    return np.where(np.isnan(got) | np.isnan(expected), np.where(np.isnan(got) & np.isnan(expected), 0, np.inf), error)


def copied_checkout(root):
    """A copy of the package in the folder ``root`` as in a checkout: its kernels beside it, and no machine code."""
    shutil.copytree(PACKAGE, root / "fastbp", ignore=NOT_COPIED)
    shutil.copytree(KERNELS, root / "kernels", ignore=NOT_COPIED)
    return root


def python(code, *arguments, timeout=120, cwd=HERE, root=None, **environment):
    """Run ``code`` in a Python of its own; return what it prints. Fails where its exit code is not 0.

    A value of None takes a variable out of the environment; ``root`` is the folder whose fastbp is imported.
    """
    root = Path(fastbp.__file__).parents[1] if root is None else root
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    settings = os.environ | {"PYTHONPATH": path} | environment
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={name: str(value) for name, value in settings.items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=timeout)
    finally:
        if process.returncode is None:  # it hangs: end it, and what it has forked
            os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
            process.communicate()
    assert process.returncode == 0, f"exit code {process.returncode}\n{out}\n{errors}"
    return out


def python_json(code, *arguments, **options):
    """As ``python``; what the last line holds as JSON."""
    return json.loads(python(code, *arguments, **options).splitlines()[-1])
