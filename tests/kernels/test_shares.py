"""Sums over processes, against NumPy's from left to right."""

from functools import reduce

import numpy as np
import pytest

from fastbp.basics import _team
from fastbp.kernels.shares import add_in_order
from fastbp.kernels.team import CHUNK


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("n", [0, 5, 2 * CHUNK + 3])
def test_vectors_are_added_from_left_to_right(n, place, set_threads):
    set_threads(2)
    rng = np.random.default_rng(n)
    vectors = (rng.standard_normal((4, n)) * 10.0 ** rng.integers(-8, 8, (4, n))).astype(np.float32)
    own, others = vectors[place].copy(), vectors.copy()
    others[place] = np.nan  # which nobody reads
    add_in_order(_team.address(), own, others, place)
    assert own.tobytes() == reduce(np.add, vectors).tobytes()
