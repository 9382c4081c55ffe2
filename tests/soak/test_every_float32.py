"""exp, log, sigmoid and tanh as networks have them, over every float32: errors in units in the last place."""

import numpy as np
import pytest
from amounts import amounts

from fastbp.bench.ulp_exhaustive import BLOCKS, FUNCTIONS, largest_errors, patterns, worst


@amounts("every", 127, 1)  # blocks of 65,536 numbers: 127 go round all signs and exponents
@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_are_within_their_limits(name, every):
    error = largest_errors(range(0, BLOCKS, every), [name])[name]
    print(f"{name}: at most {error:.3f} units in the last place")
    assert error <= FUNCTIONS[name].limit


def test_blocks_are_all_float32_and_their_samples_have_every_exponent():
    first, last = patterns(0), patterns(BLOCKS - 1)
    assert BLOCKS * first.size == 2**32
    assert first[0] == 0 and np.isnan(last[-1]) and last.view(np.uint32)[-1] == 2**32 - 1
    exponents = {int(patterns(block).view(np.uint32)[0]) >> 23 for block in range(0, BLOCKS, 127)}
    assert exponents == set(range(512))


@pytest.mark.parametrize("wrong", [3, -1, np.nan, np.inf])
@np.errstate(over="ignore")
def test_a_single_wrong_number_is_found(wrong):
    exact = np.exp(np.linspace(-3, 3, 1000))
    assert worst(exact.astype(np.float32), exact) <= 0.5
    spoilt = exact.astype(np.float32)
    spoilt[500] = spoilt[500] + wrong * np.spacing(spoilt[500])
    assert not worst(spoilt, exact) <= 0.8
    assert [worst(np.zeros(1, np.float32), np.array([x])) for x in (1e300, np.nan)] == [np.inf] * 2
