"""Threads that leave a core."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from calls import address

from fastbp.kernels.cores import LEAVE_WORDS, THREADS_MOVE, current_core, leave_core

pytestmark = pytest.mark.skipif(not THREADS_MOVE, reason="threads do not choose their cores here")


def in_a_thread(function, *arguments):
    """What the function returns in a thread of its own, whose cores it may change."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()
    thread.join(60)
    return results[0]


def core_of_this_thread():
    return int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])


def left(core, allowed):
    """Where a thread is that was on ``core``, may use ``allowed``, and has left; and which cores it may use then."""
    os.sched_setaffinity(0, {core})
    os.sched_setaffinity(0, allowed)
    words = np.full(LEAVE_WORDS + 2, -7)
    leave_core(core, address(words[1:]))
    assert words[0] == words[-1] == -7
    return core_of_this_thread(), os.sched_getaffinity(0)


def test_the_current_core():
    def core(number):
        os.sched_setaffinity(0, {number})
        return current_core()

    for number in os.sched_getaffinity(0):
        assert in_a_thread(core, number) == number


@pytest.mark.skipif(not THREADS_MOVE or len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_a_thread_leaves_a_core_and_may_use_all_afterwards():
    allowed = os.sched_getaffinity(0)
    for core in sorted(allowed)[:2]:
        now, may_use = in_a_thread(left, core, allowed)
        assert now != core
        assert may_use == allowed


def test_a_thread_with_one_core_stays():
    core = min(os.sched_getaffinity(0))
    assert in_a_thread(left, core, {core}) == (core, {core})


@pytest.mark.parametrize("core", [-1, 64 * LEAVE_WORDS])
def test_a_core_without_a_number_in_the_set_changes_nothing(core):
    allowed = os.sched_getaffinity(0)
    in_a_thread(leave_core, core, address(np.zeros(LEAVE_WORDS, np.int64)))
    assert os.sched_getaffinity(0) == allowed
