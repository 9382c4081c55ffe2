"""ReLU of arrays that no cache holds, which is stored past the caches."""

import numpy as np
import pytest
from calls import FLOATS, run_kernel

from fastbp.basics._machine import numbers
from fastbp.kernels.relu import relu_forward
from fastbp.kernels.team import CHUNK


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("skipped", [0, 1, 5])
def test_large_arrays_of_any_alignment_give_what_small_ones_do(dtype, skipped, set_numbers):
    set_numbers(stream_bytes=1 << 20)
    n = numbers().stream_bytes // np.dtype(dtype).itemsize + CHUNK // 2 + 3
    x = np.random.default_rng(0).standard_normal(n + skipped).astype(dtype)[skipped:]
    x[[0, 7, n - 1]] = np.nan
    x[[1, 8, n - 2]] = -0.0
    y, mask = np.full(n + 10, 7, dtype), np.full(n + 10, True)
    run_kernel(relu_forward, x[None], y[skipped : skipped + n][None], mask[3 : 3 + n][None])
    np.testing.assert_array_equal(mask[3 : 3 + n], x <= 0)
    np.testing.assert_array_equal(y[skipped : skipped + n], np.where(x <= 0, dtype(0), x))
    assert not np.signbit(y[skipped + 1])
    assert (y[:skipped] == 7).all()
    assert (y[skipped + n :] == 7).all()
    assert mask[:3].all()
    assert mask[3 + n :].all()
