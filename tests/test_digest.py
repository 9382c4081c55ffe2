"""Values of other processes are alike if their digests are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbp.training._digest import digest

RNG = np.random.default_rng(0)
SIZES = [0, 1, 3, 8191, 8192, 8193, 100_003]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("size", SIZES)
def test_any_element_counts(dtype, size):
    array = RNG.integers(0, 100, size).astype(dtype)
    assert digest(array) == digest(array.copy())
    for place in {0, size // 2, size - 1} if size else ():
        other = array.copy()
        other[place] += 1
        assert digest(other) != digest(array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_sign_of_all_elements_counts(dtype):
    """A highest bit times an odd factor is a highest bit: of sums, an even number of such would be lost."""
    array = RNG.standard_normal(1 << 15).astype(dtype)
    assert digest(-array) != digest(array)
    other = array.copy()
    other[[4, 6]] *= -1
    assert digest(other) != digest(array)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=9, unique=True), st.randoms())
def test_order_counts(values, random):
    shuffled = random.sample(values, len(values))
    repeated = [np.repeat(np.array(v, np.float32), 2000) for v in (values, shuffled)]
    assert (digest(repeated[0]) == digest(repeated[1])) is (values == shuffled)
    assert (digest(values) == digest(shuffled)) is (values == shuffled)


def test_type_and_shape_count_and_strides_do_not():
    array = np.arange(6.0).reshape(2, 3)
    assert len({digest(a) for a in (array, array.ravel(), array.view(np.int64), array.T, [array])}) == 5
    assert digest(array) == digest(np.asfortranarray(array)) == digest(np.repeat(array, 2, axis=1)[:, ::2])
    assert digest({"a": array, "b": 1}) == digest({"a": array + 0, "b": 1}) != digest({"a": array, "b": 2})
    assert digest(np.array(5.0)) != digest(np.array(6.0))
