"""Settings shared by every test file."""

import gc
import os
import signal
from importlib import resources

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import fastbp
from fastbp.basics import _machine, _team

# A first call compiles for seconds, so no deadline. CI draws the same examples every time.
settings.register_profile(
    "fastbp",
    deadline=None,
    max_examples=int(os.environ.get("FASTBP_TEST_EXAMPLES", "30")),
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fastbp")

# A shell lets what it runs in the background, and all its children, ignore Ctrl-C; tests send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """Spare the garbage collector what lives to the end: thousands of tests, and all that they import."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def crowded_teams():
    """Teams have as many members as are asked for: races show where these are more than the cores."""
    patch = pytest.MonkeyPatch()
    patch.setattr(_team, "most_members", lambda: 64)
    yield
    patch.undo()


@pytest.fixture
def set_threads():
    """``fastbp.set_num_threads``, undone after the test."""
    before = fastbp.get_num_threads()
    yield fastbp.set_num_threads
    fastbp.set_num_threads(before)


@pytest.fixture
def set_numbers():
    """Numbers of the machine by name, for what is planned and run from then on; undone after the test."""
    before = _machine.numbers()
    yield lambda **numbers: _machine.use(before._replace(**numbers))
    _machine.use(before)


@pytest.fixture(scope="session")
def digits():
    """The packaged 8x8 digits as rows: (1797, 64) uint8 in 0..16, and their labels."""
    with resources.files("fastbp").joinpath("data/digits.npz").open("rb") as file:
        archive = np.load(file)
        images, labels = archive["images"].reshape(-1, 64), archive["labels"].astype(np.int64)
    images.flags.writeable = labels.flags.writeable = False
    return images, labels
