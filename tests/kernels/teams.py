"""Teams of threads as the tests watch them: their members, work that is shared, and how long to wait."""

import os
import threading
import time

import numpy as np
import pytest

import fastbp
from fastbp.kernels.team import THREADS_WORK

needs_threads = pytest.mark.skipif(not THREADS_WORK, reason="one thread here")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
PATIENCE = 60  # seconds after which something hangs


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def members():
    """The threads of all teams."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastbp-")]


def living_members():
    return [member for member in members() if member.is_alive()]


def operands(seed=0):
    """Arguments of an affine map that is large enough to be shared."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in ((300, 200), (200, 130), 130)]


def affine_bits(seed=0):
    x, w, b = operands(seed)
    return fastbp.Affine(w, b).forward(x).tobytes()
