"""The model of more machines, where it can be reckoned by hand."""

import pytest

from fastbp.bench.growth_by_ranks import LATENCY, MEMORY, SENDING, Node

NODE = Node(start=1e-3, row=1e-5, update=2e-4, gradient_bytes=10**7)


def test_two_nodes_send_half_of_the_gradient_twice_and_wait_for_the_one_with_more_rows():
    rows = 100 + (200 * 0.6931471805599453) ** 0.5
    sent, messages = 1e7 / 1.25e9, 2 * (LATENCY + SENDING) + LATENCY
    expected = 1e-3 + 1e-5 * rows + 2e-4 + sent + messages + 1e7 / MEMORY
    assert NODE.among(2, 100, 10) == pytest.approx(expected, rel=1e-12)
    assert NODE.speed_up(2, 200, 10, False) == pytest.approx(3.2e-3 / expected, rel=1e-12)
    assert NODE.speed_up(2, 100, 10, True) == pytest.approx(2 * 2.2e-3 / expected, rel=1e-12)
