"""Random bits by number: the i-th of a key depends on the key and i alone, whichever thread asks for it, and when.

The generator is SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), which adds a constant at each step and scrambles the
sum; the state after i steps is therefore known without taking them. It passes BigCrush.
"""

import numpy as np

from ._jit import kernel

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, odd
BITS = 53  # as many as a float64 holds: any probability is compared with as it is


@kernel(inline=True)
def mixed(state):
    """64 bits, each of which depends on every bit of ``state``, uint64."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@kernel(inline=True)
def random_bits(key, i):
    """Element ``i`` >= 0 of the stream of ``key``: an int64 in 0..2^BITS-1, each as likely as the others."""
    return np.int64(mixed(np.uint64(key) + np.uint64(GOLDEN) * (np.uint64(i) + np.uint64(1))) >> np.uint64(64 - BITS))


@kernel
def key_of(seed, stream, step):
    """The key, an int64, of draw number ``step`` of the stream number ``stream`` under ``seed``; all three int64.

    Any change to one of the three gives another key, and a stream that has nothing to do with the first.
    """
    key = mixed(np.uint64(seed) + np.uint64(GOLDEN))
    key = mixed((key ^ np.uint64(stream)) + np.uint64(GOLDEN))
    key = mixed((key ^ np.uint64(step)) + np.uint64(GOLDEN))
    return np.int64(key)
