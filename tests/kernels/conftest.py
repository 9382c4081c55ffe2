"""Settings of the kernel tests."""

import pytest

import fastbp


@pytest.fixture
def set_threads():
    """``fastbp.set_num_threads``, undone after the test."""
    before = fastbp.get_num_threads()
    yield fastbp.set_num_threads
    fastbp.set_num_threads(before)
