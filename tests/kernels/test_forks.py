"""Forks while other threads are in the middle of something."""

import os

import pytest
from calls import python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

# A thread stops where a function begins to be compiled, until the child has been waited for or cannot come.
COMPILING = """
import os, sys, threading, time, warnings
import numba
from numba.core import event
from fastbp.kernels._jit import kernel
warnings.simplefilter("ignore")

begun, forking = threading.Event(), threading.Event()

class Begin(event.Listener):
    def on_start(self, event):
        begun.set()
        forking.wait(60)
        time.sleep(0.05)  # a fork that did not wait would come now
    def on_end(self, event): ...

listener = Begin()
event.register("numba:compile", listener)

@kernel
def half(x):
    return x * 0.5

@kernel
def double(x):
    return x * 2.0

thread = threading.Thread(target=half, args=(2.0,))
thread.start()
begun.wait(60)
forking.set()
child = os.fork()
if child == 0:
    event.unregister("numba:compile", listener)
    os._exit(0 if double(half(3.0)) == 3.0 else 1)
_, status = os.waitpid(child, 0)
thread.join()
assert os.waitstatus_to_exitcode(status) == 0
assert half(2.0) == 1.0
assert double(2.0) == 4.0, "the lock is free again"
"""


def test_a_fork_waits_until_another_thread_has_compiled_so_that_the_child_can(tmp_path):
    python(COMPILING, NUMBA_CACHE_DIR=tmp_path, timeout=60)


# As above, within LLVM, which has a lock of its own that is taken without numba's.
WITHIN_LLVM = """
import os, threading, time, warnings
import numpy as np
from llvmlite.binding import ffi
import fastbp
warnings.simplefilter("ignore")
begun, forking = threading.Event(), threading.Event()

def hold():
    with ffi.lib._lock:
        begun.set()
        forking.wait(60)
        time.sleep(0.05)  # a fork that did not wait would come now

thread = threading.Thread(target=hold)
thread.start()
begun.wait(60)
forking.set()
child = os.fork()
if child == 0:
    fastbp.mlp([3, 4, 2], seed=0).fit(np.ones((7, 3), np.float32), np.zeros(7, int))
    os._exit(0)
_, status = os.waitpid(child, 0)
thread.join()
assert os.waitstatus_to_exitcode(status) == 0
with ffi.lib._lock:
    pass
"""


def test_a_fork_waits_for_a_thread_that_is_within_llvm():
    python(WITHIN_LLVM, timeout=60)


FITTING = """
import os, threading, warnings
import numpy as np
import fastbp
warnings.simplefilter("ignore")
x, t = np.ones((7, 3), np.float32), np.zeros(7, int)

def fit():
    fastbp.mlp([3, 4, 2], seed=0).fit(x, t)

fit()
stop = threading.Event()

def busy():
    while not stop.is_set():
        fit()

threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(FORKS):
    child = os.fork()
    if child == 0:
        fit()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("forks", [20, pytest.param(3000, marks=pytest.mark.soak)])
def test_forks_while_three_threads_fit(forks):
    python(FITTING.replace("FORKS", str(forks)), timeout=60 + forks, NUMBA_NUM_THREADS=1)
