"""Machines on which two threads should be slower than one: a program learns that they are, and does without.

How fast a step is, no test of the default run asks; ``tests/kernels/test_choice.py`` has what decides, and
``test_team.py`` how many threads there are. Here is what comes of both, in steps a second.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from calls import python
from teams import needs_threads

pytestmark = [
    pytest.mark.soak,
    needs_threads,
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to cores here"),
]

# Two networks take turns, one with a thread and one with as many as are asked for, in a process that is bound, nice or
# in a group of its own by then. Each is stepped by a Python thread of its own, whose team keeps what it has learnt.
# ``crowd`` binds the threads that there are already, as a host does that has one core for two.
STEPS = """
import json, os, statistics, sys, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import fastbp

sizes, threads, crowd, rounds = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
x, t = rng.standard_normal((100, sizes[0])).astype(np.float32), rng.integers(0, sizes[-1], 100)
nets = {n: fastbp.mlp(sizes, seed=0) for n in (1, threads)}
steppers = {n: ThreadPoolExecutor(1, initializer=fastbp.set_num_threads, initargs=(n,)) for n in nets}

def steps_a_second(n, seconds):
    done, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        for _ in range(5):
            nets[n].step(x, t, fastbp.optimizers.SGD(lr=0.01))
        done += 5
    return done / (time.perf_counter() - start)

def of(n, seconds):
    return steppers[n].submit(steps_a_second, n, seconds).result()

for n in nets:
    of(n, 0)
if crowd:
    for thread in map(int, os.listdir("/proc/self/task")):
        os.sched_setaffinity(thread, {min(os.sched_getaffinity(0))})
for n in nets:
    of(n, 2)  # to learn
ratios = [of(1, 0.5) / of(threads, 0.5) for _ in range(rounds)]
print(json.dumps({"ratio": statistics.median(ratios), "of": [round(r, 2) for r in sorted(ratios)]}))
"""
LOOP = [sys.executable, "-c", "import time; end = time.monotonic() + 600\nwhile time.monotonic() < end: pass"]
NETWORKS = {"784-50-10": [784, 50, 10], "784-512-512-10": [784, 512, 512, 10]}


def slower(before, sizes, threads, crowd=False, rounds=15):
    """How many times as long a step takes with ``threads`` as with one, in a process that begins with ``before``."""
    found = json.loads(python(before + STEPS, json.dumps([sizes, threads, crowd, rounds]), timeout=600))
    print(found)
    return found["ratio"]


def group_of_half_a_core():
    """The folder of a control group with that quota, of cgroup v2 or v1; None where none can be made."""
    for root, quota in (
        ("/sys/fs/cgroup", {"cpu.max": "50000 100000"}),
        ("/sys/fs/cgroup/cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}),
    ):
        group = Path(root, f"fastbp-{os.getpid()}")
        try:
            if Path(root, "cgroup.procs").exists():
                group.mkdir()
                for name, value in quota.items():
                    (group / name).write_text(value)
                return group
        except OSError:
            with suppress(OSError):
                group.rmdir()
    return None


@pytest.fixture
def half_a_core():
    """The file that a process writes its number into to get no more than half a core."""
    group = group_of_half_a_core()
    if group is None:
        pytest.skip("no group with a quota can be made here")
    yield group / "cgroup.procs"
    group.rmdir()


@pytest.fixture
def loop():
    """A process that keeps a core busy."""
    process = subprocess.Popen(LOOP)
    yield
    process.kill()
    process.wait()


each_network = pytest.mark.parametrize("sizes", NETWORKS.values(), ids=NETWORKS)


@each_network
def test_within_a_quota_of_half_a_core(sizes, half_a_core):
    into = f"open({str(half_a_core)!r}, 'w').write('0')\n"
    assert python(into + "import fastbp; print(fastbp.get_num_threads())", NUMBA_NUM_THREADS=None) == "1\n"
    assert slower(into, sizes, 2) < 1.1


@each_network
def test_nice_beside_a_loop(sizes, loop):
    assert slower("import os; os.nice(19)\n", sizes, 2) < 1.1


@each_network
@pytest.mark.parametrize("threads", [2, 8, 64])
def test_bound_to_one_core(sizes, threads):
    assert slower("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n", sizes, threads) < 1.1


@each_network
def test_threads_that_come_to_share_a_core(sizes):
    assert slower("", sizes, 2, crowd=True) < 1.1
