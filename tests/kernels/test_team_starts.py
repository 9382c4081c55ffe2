"""Teams whose start fails or is interrupted, and the block in which another number of threads is used."""

import os
import signal
import sys
import threading

import pytest
from calls import python

import fastbp
from fastbp import _team
from fastbp.kernels.team import THREADS_WORK

pytestmark = pytest.mark.skipif(not THREADS_WORK, reason="one thread here")


def members():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastbp-")]


@pytest.fixture
def starting(set_threads):
    """Call a function before a member of a team of 5 is started, with its number."""
    set_threads(1)
    patch = pytest.MonkeyPatch()
    start = threading.Thread.start

    def use(function):
        def started(thread):
            if thread.name.startswith("fastbp-"):
                function(int(thread.name.removeprefix("fastbp-")))
            start(thread)

        patch.setattr(threading.Thread, "start", started)

    yield use
    patch.undo()


def test_members_of_a_team_that_cannot_start_whole_are_ended(starting):
    def no_more(member):
        if member == 3:
            raise RuntimeError("can't start new thread")

    before = members()
    starting(no_more)
    with pytest.raises(RuntimeError, match=r"lets only 3 of 5 threads start: ask for fewer, with set_num_threads\(n\)"):
        fastbp.set_num_threads(5)
    assert members() == before
    assert fastbp.get_num_threads() == 1


@pytest.mark.parametrize("member", [1, 3, 4])
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_an_interrupt_while_a_team_starts_leaves_no_thread(starting, member):
    def interrupt(at):
        if at == member:
            signal.raise_signal(signal.SIGINT)

    before, handler = members(), signal.signal(signal.SIGINT, signal.default_int_handler)
    starting(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), _team.threads(5):
            raise AssertionError("the block began")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert members() == before
    assert fastbp.get_num_threads() == 1


def test_a_block_with_other_threads_ends_with_the_team_from_before(set_threads):
    set_threads(3)
    team, before = _team.current(), members()
    with pytest.raises(ZeroDivisionError), _team.threads(2):
        assert fastbp.get_num_threads() == 2
        raise ZeroDivisionError
    assert _team.current() is team
    assert members() == before
    with _team.threads(None):
        assert _team.current() is team


def test_in_a_fork_it_ends_with_a_team_of_the_childs_own():
    code = """
import os, warnings
import numpy as np
import fastbp
from fastbp import _team
warnings.simplefilter("ignore")
x = np.ones((300, 300), np.float32)
fastbp.set_num_threads(2)
with _team.threads(3):
    fastbp.Affine(x, x[0]).forward(x)
    child = os.fork()
if child == 0:
    assert fastbp.get_num_threads() == _team.default_num_threads()
    fastbp.Affine(x, x[0]).forward(x)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    python(code, timeout=60)


def test_asking_for_the_number_starts_no_thread():
    code = """
import threading
import fastbp
assert fastbp.get_num_threads() == 3
fastbp.set_num_threads(2)
assert threading.active_count() == 2, "the default team was never started"
"""
    python(code, NUMBA_NUM_THREADS=3)
