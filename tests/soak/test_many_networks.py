"""Many networks at once against each by itself, on thousands of mixtures."""

import pytest
from hypothesis import given, settings
from test_fit_many import MIXTURES, assert_same_bits_as_alone

pytestmark = pytest.mark.soak


@pytest.mark.filterwarnings("ignore:BatchNormalization expects at least 2 samples")
@settings(max_examples=2000)
@given(*MIXTURES)
def test_each_network_comes_to_the_same_bits_as_by_itself(call, loss, threads, random):
    assert_same_bits_as_alone(call, loss, threads, random)
