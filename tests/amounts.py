"""How much of it."""

import pytest


def amounts(name, short, long):
    """Give a test's argument two values: a small one in every run, a large one under ``-m soak``."""
    return pytest.mark.parametrize(name, [short, pytest.param(long, marks=pytest.mark.soak)])
