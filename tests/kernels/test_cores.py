"""Threads that leave a core."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from calls import address, python_json

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
        found = [in_a_thread(left, core, allowed) for _ in range(21)]
        assert all(may_use == allowed for _, may_use in found)
        # Where other programs run, the kernel may have moved one back before it is asked where it is.
        assert sum(now != core for now, _ in found) > 10


def test_a_thread_with_one_core_stays():
    core = min(os.sched_getaffinity(0))
    assert in_a_thread(left, core, {core}) == (core, {core})


@pytest.mark.parametrize("core", [-1, 64 * LEAVE_WORDS])
def test_a_core_without_a_number_in_the_set_changes_nothing(core):
    allowed = os.sched_getaffinity(0)
    in_a_thread(leave_core, core, address(np.zeros(LEAVE_WORDS, np.int64)))
    assert os.sched_getaffinity(0) == allowed


PINNED_MEANWHILE = """
import ctypes, json, sys
import llvmlite.binding
import numpy as np
BYTES = 128
now = [0b1111, *[0] * 15]  # the cores that the thread may use
sets = []  # what the kernel asked for

def get(thread, size, at):
    ctypes.memmove(at, np.array(now, np.int64).ctypes.data, BYTES)
    return 0

def set_(thread, size, at):
    now[:] = np.frombuffer(ctypes.string_at(at, BYTES), np.int64).tolist()
    sets.append(now[0])
    if len(sets) == 1 and PINNED:
        now[0] = 0b1000  # by somebody else, while the thread waited for its new core
    return 0

FORM = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
kept = FORM(get), FORM(set_)
for name, function in zip(("sched_getaffinity", "sched_setaffinity"), kept):
    llvmlite.binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
from fastbp.kernels.cores import LEAVE_WORDS, leave_core
words = np.zeros(LEAVE_WORDS, np.int64)
leave_core(1, words.ctypes.data)
print(json.dumps([sets, now[0]]))
"""


@pytest.mark.parametrize(
    ("pinned", "sets", "finally_allowed"), [(False, [0b1101, 0b1111], 0b1111), (True, [0b1101], 0b1000)]
)
def test_a_core_that_somebody_pins_the_thread_to_meanwhile_stays(tmp_path, pinned, sets, finally_allowed):
    code = PINNED_MEANWHILE.replace("PINNED", str(pinned))
    assert python_json(code, NUMBA_CACHE_DIR=tmp_path) == [sets, finally_allowed]
