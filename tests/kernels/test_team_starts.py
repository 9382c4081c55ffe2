"""Teams whose start fails or is interrupted, and the block in which another number of threads is used."""

import os
import signal
import sys
import threading

import numpy as np
import pytest
from calls import python
from teams import members

import fastbp
from fastbp.basics import _team
from fastbp.kernels.team import THREADS_WORK

INTERRUPTED = """
import os, random, signal, threading, time
import numpy as np
import fastbp

signal.signal(signal.SIGINT, signal.default_int_handler)
x, t = np.ones((700, 30), np.float32), np.zeros(700, int)
net = fastbp.mlp([30, 20, 5], seed=0)
fastbp.set_num_threads(2)
net.fit(x, t, threads=4)

def interrupt():
    time.sleep(random.uniform(1e-4, 5e-3))
    os.kill(os.getpid(), signal.SIGINT)

heard = 0
for _ in range(FITS):
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        while True:
            net.fit(x, t, threads=4)
    except KeyboardInterrupt:
        heard += 1
    thread.join()
print(heard, threading.active_count(), fastbp.get_num_threads())
"""

pytestmark = pytest.mark.skipif(not THREADS_WORK, reason="one thread here")


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
        with pytest.raises(KeyboardInterrupt):
            _team.with_threads(5, lambda: pytest.fail("it was called"))
    finally:
        signal.signal(signal.SIGINT, handler)
    assert members() == before
    assert fastbp.get_num_threads() == 1


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_an_interrupt_while_the_team_from_before_ends_is_heard(set_threads, monkeypatch):
    dismiss = _team._dismiss

    def interrupted(*team):
        signal.raise_signal(signal.SIGINT)
        dismiss(*team)

    monkeypatch.setattr(_team, "_dismiss", interrupted)
    set_threads(1)
    set_threads(3)
    monkeypatch.undo()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fastbp.set_num_threads(2)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert fastbp.get_num_threads() == 2


def test_a_call_with_other_threads_ends_with_the_team_from_before(set_threads):
    set_threads(3)
    team, before = _team.current(), members()

    def fail():
        assert fastbp.get_num_threads() == 2
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _team.with_threads(2, fail)
    assert _team.current() is team
    assert members() == before
    assert _team.with_threads(None, _team.current) is team


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
@pytest.mark.parametrize("fits", [30, pytest.param(2000, marks=pytest.mark.soak)])
def test_interrupts_at_any_moment_leave_the_number_of_threads(fits):
    assert python(INTERRUPTED.replace("FITS", str(fits)), timeout=60 + fits).split() == [str(fits), "2", "2"]


def test_a_thread_that_ends_with_its_team_leaves_no_entry_in_the_list_of_threads():
    x = np.ones((300, 300), np.float32)

    def work():
        fastbp.set_num_threads(3)
        fastbp.Affine(x, x[0]).forward(x)

    before = threading.enumerate()
    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    left = [each for each in threading.enumerate() if each not in before and not each.name.startswith("fastbp-")]
    assert left == []


def test_in_a_fork_it_ends_with_a_team_of_the_childs_own():
    code = """
import os, warnings
import numpy as np
import fastbp
from fastbp.basics import _team
warnings.simplefilter("ignore")
x = np.ones((300, 300), np.float32)
fastbp.set_num_threads(2)

def fork():
    fastbp.Affine(x, x[0]).forward(x)
    return os.fork()

child = _team.with_threads(3, fork)
if child == 0:
    assert fastbp.get_num_threads() == _team.default_num_threads()
    fastbp.Affine(x, x[0]).forward(x)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    python(code, timeout=60)


@pytest.mark.slow
def test_asking_for_the_number_starts_no_thread():
    code = """
import threading
import fastbp
assert fastbp.get_num_threads() == 3
fastbp.set_num_threads(2)
assert threading.active_count() == 2, "the default team was never started"
"""
    python(code, NUMBA_NUM_THREADS=3)
