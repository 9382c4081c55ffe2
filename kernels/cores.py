"""The core that a thread runs on, and how it leaves that core, where the operating system lets it choose."""

import sys

from numba import types
from numba.core import config

from ._jit import kernel
from .memory import load, store

THREADS_MOVE = sys.platform == "linux"

SET_WORDS = 16  # of a set of cores, a bit each
LEAVE_WORDS = 3 * SET_WORDS  # what ``leave_core`` needs

if THREADS_MOVE and not config.DISABLE_JIT:
    sched_getcpu = types.ExternalFunction("sched_getcpu", types.int32())
    sched_getaffinity = types.ExternalFunction("sched_getaffinity", types.int32(types.int32, types.int64, types.int64))
    sched_setaffinity = types.ExternalFunction("sched_setaffinity", types.int32(types.int32, types.int64, types.int64))

    @kernel
    def current_core():
        """The number of the core that the calling thread is on; -1 where it is not known."""
        return sched_getcpu()

    @kernel
    def leave_core(core, scratch):
        """Have the calling thread, which is on ``core``, go to another one if it may use any; it may come back later.

        Going takes until the other core is free. Where somebody else says meanwhile which cores the thread may use,
        that stands.

        scratch : address of LEAVE_WORDS int64 words, overwritten
        """
        allowed, others, now = scratch, scratch + 8 * SET_WORDS, scratch + 16 * SET_WORDS
        if not 0 <= core < 64 * SET_WORDS or sched_getaffinity(0, 8 * SET_WORDS, allowed) != 0:
            return
        for i in range(SET_WORDS):
            store(others + 8 * i, load(allowed + 8 * i))
        at = others + 8 * (core // 64)
        store(at, load(at) & ~(1 << (core % 64)))
        if sched_setaffinity(0, 8 * SET_WORDS, others) != 0:  # where there are none
            return
        sched_getaffinity(0, 8 * SET_WORDS, now)
        for i in range(SET_WORDS):
            if load(now + 8 * i) != load(others + 8 * i):
                return
        sched_setaffinity(0, 8 * SET_WORDS, allowed)

else:

    @kernel
    def current_core():
        """-1: the system does not say."""
        return -1

    @kernel
    def leave_core(core, scratch):
        """Nothing: the system does not say which core a thread is on."""
