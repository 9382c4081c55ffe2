"""Forks of a process that has used fastbp: of a fork, in a pool, while another thread trains; all have the numbers."""

import json
import os

import pytest
from isolation import isolated

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

FORKS = """
import concurrent.futures, json, multiprocessing, os, random, select, signal, sys, threading, warnings
import numpy as np
import fastbp

warnings.simplefilter("ignore")
times, draw = int(sys.argv[1]), random.Random(0)
rng = np.random.default_rng(0)
x, t = rng.random((60, 20), dtype=np.float32), rng.integers(0, 3, 60)
large = rng.random((300, 200), dtype=np.float32)
shared = fastbp.mlp([20, 30, 3], "tanh", seed=1)

def bits(threads=2):
    # A training, a prediction and a product, by as many threads.
    net = fastbp.mlp([20, 30, 3], seed=0)
    net.fit(x, t, batch_size=10, seed=0, threads=threads, progress=False)
    y = fastbp.Affine(large.T.copy(), large[:, 0].copy()).forward(large)
    return b"".join(a.tobytes() for a in (*net.params.values(), shared.predict(x), y))

expected = bits()

def forked(work):
    # 1 where the child's work is True.
    child = os.fork()
    if child == 0:
        signal.alarm(120)  # a child that hangs ends
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        failed.append(code)
    return code == 0

def in_a_pool(n):
    return bits(1 + n % 3) == expected

def pool():
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return all(workers.map_async(in_a_pool, range(4)).get(120))

def executor():
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, context) as workers:
        return all(workers.map(in_a_pool, range(4), timeout=120))

failed, counts, stop = [], {}, threading.Event()
KINDS = {
    "a fork": (1, lambda: forked(lambda: bits(1 + draw.randrange(3)) == expected)),
    "a fork of a fork": (2, lambda: forked(lambda: forked(lambda: bits() == expected) and bits() == expected)),
    "of one that did nothing": (2, lambda: forked(lambda: forked(lambda: bits() == expected))),
    "a pool": (2, pool),
    "a pool in a fork": (3, lambda: forked(pool)),
    "an executor": (2, executor),
}

def busy(threads):
    while not stop.is_set():
        if bits(threads) != expected:
            failed.append("in the parent")

def round(most):
    done = 0
    while done < most:
        name = draw.choice(list(KINDS)) if draw.random() < 0.3 else draw.choice(list(KINDS)[:3])
        forks, work = KINDS[name]
        if not work():
            failed.append(name)
        counts[name] = counts.get(name, 0) + forks
        done += forks
        if failed:
            raise SystemExit(repr(failed[:5]))

round(times // 2)
threads = [threading.Thread(target=busy, args=(n,)) for n in (1, 2)]
for thread in threads:
    thread.start()
try:
    round(times // 2)
finally:
    stop.set()
    for thread in threads:
        thread.join()
assert bits() == expected and not failed, failed
print(json.dumps(counts))
"""


@pytest.mark.parametrize("times", [30, pytest.param(2000, marks=pytest.mark.soak)])
def test_forks_of_all_kinds_have_the_right_numbers_and_none_hangs(times):
    counts = json.loads(isolated(FORKS, times, seconds=120 + 4 * times))
    print(counts)
    assert sum(counts.values()) >= times - 1
