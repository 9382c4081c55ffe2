"""Matrix products as the tests ask for them: laid out in frames, of whole numbers, exact."""

import numpy as np
import pytest
from calls import FLOATS, FORMS, frame_of, framed, gemm, whole_numbers

from fastbp.kernels.isa import ISA

SENTINEL = 123.0
forms = pytest.mark.parametrize("form", FORMS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def bytes_of(dtype):
    return np.dtype(dtype).itemsize


def lanes_of(dtype):
    return ISA.lanes(bytes_of(dtype))


def around(*sizes):
    """Each size, one less and one more."""
    return sorted({size + d for size in sizes for d in (-1, 0, 1) if size + d > 0})


def operands(form, a, b):
    """A and B, laid out in memory as ``form`` has them."""
    a_transposed, b_transposed = FORMS[form]
    return framed(a, a_transposed), framed(b, b_transposed)


def result_frame(rows, columns, dtype):
    return framed(np.zeros((rows, columns), dtype), frame=SENTINEL)


def assert_exact(form, a, b, expected, **options):
    """The product of whole numbers, and nothing else, is written; ``expected`` is it."""
    c = result_frame(*expected.shape, expected.dtype)
    before = frame_of(c)
    gemm(*operands(form, a, b), c, **options)
    assert np.array_equal(c, expected), f"{form} of {a.shape} and {b.shape}"
    assert np.array_equal(frame_of(c), before), f"{form} of {a.shape} and {b.shape} wrote outside C"


def assert_exact_sizes(form, sizes, dtype):
    rng = np.random.default_rng(0)
    for m, n, k in sizes:
        a, b = whole_numbers(rng, (m, k), dtype), whole_numbers(rng, (k, n), dtype)
        assert_exact(form, a, b, a @ b)
