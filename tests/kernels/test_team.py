"""Teams of threads: every part is done once, whoever calls, forks, sleeps or exits."""

import gc
import multiprocessing
import os
import threading
import time
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
from calls import apply, python, python_json, team_for, uncached

import fastbp
from fastbp import _team
from fastbp.kernels.team import (
    ALONE,
    CHUNK,
    MOST_ALONE,
    MUTEX,
    STALL,
    THREADS_WORK,
    _learn,
    package,
    parts_of,
    spread,
)
from fastbp.kernels.team import PATIENCE as PATIENCE_WORD

if THREADS_WORK:
    from fastbp.kernels.team import mutex_lock, mutex_unlock

needs_threads = pytest.mark.skipif(not THREADS_WORK, reason="one thread here")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
PATIENCE = 60  # seconds after which something hangs


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def members():
    """The threads of all teams."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastbp-")]


def living_members():
    return [member for member in members() if member.is_alive()]


def operands(seed=0):
    """Arguments of an affine map that is large enough to be shared."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in ((300, 200), (200, 130), 130)]


def affine_bits(seed=0):
    x, w, b = operands(seed)
    return fastbp.Affine(w, b).forward(x).tobytes()


# ---- Jobs and parts ----


@uncached
def count(done, by, part, member):
    done[part] += 1
    by[member] += 1


@uncached
def count_parts(team, parts, done, by):
    spread(team, parts, package(count, (done, by)))


@uncached
def count_many(team, jobs, most, done, by):
    for job in range(jobs):
        spread(team, job % (most + 1), package(count, (done, by)))


@needs_threads
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_every_part_is_done_once_by_a_member(set_threads, n):
    set_threads(n)
    for parts in (0, 1, 2, 3, 7, 1000):
        done, by = np.zeros(parts + 1, np.int64), np.zeros(n + 1, np.int64)
        count_parts(team_for(np.float32), parts, done, by)
        assert done.tolist() == [1] * parts + [0]
        assert by[n] == 0
        assert by.sum() == parts


@uncached
def learn(team, worked, waited):
    _learn(team, worked, waited)


@needs_threads
def test_after_a_member_was_stalled_the_next_jobs_are_done_without_help_and_then_with_it_again(set_threads):
    set_threads(1)
    set_threads(2)  # a new team
    team, words = team_for(np.float32), _team.current()._words
    for alone in (1, 2, 4):
        learn(team, STALL, STALL + 1)
        assert words[ALONE] == alone
        done, by = np.zeros(9, np.int64), np.zeros(2, np.int64)
        for _ in range(alone):
            count_parts(team, 9, done, by)
        assert by.tolist() == [9 * alone, 0]
        assert words[ALONE] == 0


@needs_threads
def test_neither_short_waits_nor_such_as_are_shorter_than_the_work_are_stalls(set_threads):
    set_threads(1)
    set_threads(2)  # a new team
    team, words = team_for(np.float32), _team.current()._words
    for worked, waited in ((0, STALL), (2 * STALL, 2 * STALL)):
        learn(team, worked, waited)
        assert words[ALONE] == words[PATIENCE_WORD] == 0
    for _ in range(3):
        learn(team, 0, STALL + 1)
    for left in (3, 2, 1, 0, 0):  # of four jobs alone, one less after each job without a stall
        learn(team, 0, 0)
        assert words[PATIENCE_WORD] == left
    for _ in range(40):
        learn(team, 0, STALL + 1)
    assert words[ALONE] == MOST_ALONE


@needs_threads
@pytest.mark.parametrize("n", [2, 3, 8])
def test_twenty_thousand_small_jobs(set_threads, n):
    set_threads(n)
    done, by = np.zeros(10, np.int64), np.zeros(n, np.int64)
    count_many(team_for(np.float32), 20_000, 9, done, by)
    assert done.tolist() == [2000 * (9 - part) for part in range(10)]
    assert by.sum() == done.sum()


@needs_threads
def test_more_than_one_member_works(set_threads):
    set_threads(3)
    done, by = np.zeros(9, np.int64), np.zeros(3, np.int64)

    def helped():
        count_many(team_for(np.float32), 1000, 9, done, by)
        return by[1:].any()

    assert wait_until(helped)


@uncached
def take_time(x, by, part, member):
    by[member] += 1
    for i in range(x.size):
        x[i] = x[i] * 0.5 + part


@uncached
def take_time_for_parts(team, parts, x, by):
    spread(team, parts, package(take_time, (x, by)))


@needs_threads
def test_a_sleeping_team_is_woken_to_help(set_threads):
    set_threads(2)

    def helped():
        by = np.zeros(2, np.int64)
        time.sleep(0.05)  # long enough for the other member to fall asleep
        take_time_for_parts(team_for(np.float32), 20, np.zeros(100_000), by)
        return by[1]

    assert wait_until(helped)


@pytest.mark.parametrize("n", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 3])
def test_elementwise_work_is_cut_without_a_gap(n):
    x = np.linspace(-5, 5, n).reshape(1, n)
    y = np.full((1, n + 3), np.nan)
    apply("sigmoid", x, y[:, :n])
    np.testing.assert_allclose(y[:, :n], 1 / (1 + np.exp(-x)), rtol=1e-14)
    assert np.isnan(y[:, n:]).all()
    assert parts_of.py_func(n) == -(-n // CHUNK)


@needs_threads
def test_two_thousand_jobs_for_a_team_that_sleeps_or_is_about_to():
    code = """
import time, numpy as np
import fastbp
from calls import team_for
from fastbp.kernels.relu import relu_forward
from fastbp.kernels.team import CHUNK
fastbp.set_num_threads(3)
rng = np.random.default_rng(0)
x = rng.standard_normal((1, 2 * CHUNK + 5)).astype(np.float32)
right = np.maximum(x, 0)
for i in range(2000):
    y, mask = np.full_like(x, np.nan), np.empty(x.shape, bool)
    relu_forward(team_for(x.dtype), x, y, mask)
    assert np.array_equal(y, right)
    time.sleep(0.002 if i % 10 == 0 else rng.uniform(0, 0.0005))
"""
    python(code, timeout=PATIENCE)


@needs_threads
def test_hundreds_of_teams_come_and_go():
    code = """
import time, numpy as np
import fastbp
from calls import team_for
from fastbp.kernels.relu import relu_forward
from fastbp.kernels.team import CHUNK
rng = np.random.default_rng(0)
x = np.ones((1, 2 * CHUNK), np.float32)
y, mask = np.empty_like(x), np.empty(x.shape, bool)
for i in range(400):
    fastbp.set_num_threads(2 + i % 2)
    relu_forward(team_for(x.dtype), x, y, mask)
    time.sleep(rng.uniform(0, 0.0005))
"""
    python(code, timeout=PATIENCE)


# ---- How many threads ----


@pytest.mark.parametrize("n", [0, -1, 1.0, 2.5, "2", None, True, np.nan, [2], np.float64(2)])
def test_set_num_threads_refuses(n):
    before = fastbp.get_num_threads()
    kind = ValueError if type(n) is int else TypeError
    with pytest.raises(kind, match="n must be an integer of at least 1, got "):
        fastbp.set_num_threads(n)
    assert fastbp.get_num_threads() == before


@needs_threads
@pytest.mark.parametrize("n", [1, 2, 5, np.int64(3), np.uint8(4)])
def test_set_num_threads_is_heeded(set_threads, n):
    set_threads(n)
    assert fastbp.get_num_threads() == n
    assert type(fastbp.get_num_threads()) is int
    assert _team.current().size == n


@needs_threads
def test_setting_the_same_number_keeps_the_team(set_threads):
    set_threads(2)
    team = _team.current()
    set_threads(2)
    assert _team.current() is team


def in_thread(function):
    """What ``function()`` returns in another Python thread."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert answers, "no answer from the thread"
    return answers[0]


def test_one_thread_by_default_off_the_main_thread():
    assert in_thread(fastbp.get_num_threads) == 1


@needs_threads
def test_another_thread_sets_its_own_number(set_threads):
    set_threads(2)

    def other():
        fastbp.set_num_threads(3)
        return fastbp.get_num_threads()

    assert in_thread(other) == 3
    assert fastbp.get_num_threads() == 2


@needs_threads
def test_numba_num_threads_is_honoured():
    code = """
import json, threading, numpy as np
import fastbp
fastbp.Relu().forward(np.ones(3))
print(json.dumps([fastbp.get_num_threads(), threading.active_count()]))
"""
    assert python_json(code, NUMBA_NUM_THREADS=3) == [3, 3]


def test_importing_starts_no_thread():
    code = "import fastbp, threading; print(threading.active_count())"
    assert python_json(code, NUMBA_NUM_THREADS=4) == 1


@needs_threads
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 6),
        ({"cpu.max": "max 100000\n"}, 6),
        ({"cpu.max": "400000 100000\n"}, 4),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 6),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, 6),
        ({"cpu.cfs_quota_us": "250000\n", "cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_default_is_the_cores_within_the_quota_of_a_container(monkeypatch, files, expected):
    def read_text(self):
        if self.name in files:
            return files[self.name]
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(_team.config, "NUMBA_DEFAULT_NUM_THREADS", 6)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert _team.default_num_threads() == expected


# ---- Many callers ----


def test_many_python_threads_each_get_their_own_right_answers():
    n_callers, rounds = 12, 25

    def job(caller, layers):
        affine, relu, loss, x, t = layers
        value = loss.forward(relu.forward(affine.forward(x)), t)
        affine.backward(relu.backward(loss.backward()))
        return [np.array(value), affine.dW, affine.db]

    def layers(caller):
        x, w, b = operands(caller)
        x = x[: 20 + 20 * caller]
        return fastbp.Affine(w, b), fastbp.Relu(), fastbp.SoftmaxWithLoss(), x, np.arange(len(x)) % b.size

    expected = [job(caller, layers(caller)) for caller in range(n_callers)]
    start = threading.Barrier(n_callers)
    finished, wrong = [], []

    def call(caller):
        if THREADS_WORK:
            fastbp.set_num_threads(1 + caller % 3)
        mine = layers(caller)
        start.wait(PATIENCE)
        for _ in range(rounds):
            got = job(caller, mine)
            if [x.tobytes() for x in got] != [x.tobytes() for x in expected[caller]]:
                wrong.append(caller)
        finished.append(caller)

    threads = [threading.Thread(target=call, args=(caller,), daemon=True) for caller in range(n_callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(finished) == list(range(n_callers))
    assert wrong == []


@needs_threads
def test_team_of_a_finished_thread_is_dismissed():
    gc.collect()
    before = set(members())
    seen = []

    def work():
        fastbp.set_num_threads(4)
        affine_bits()
        seen.append((set(members()) - before, weakref.ref(_team.current())))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    new, team = seen[0]
    assert len(new) == 3
    assert wait_until(lambda: team() is None)
    assert wait_until(lambda: not any(member.is_alive() for member in new))


@needs_threads
def test_a_smaller_team_dismisses_the_larger(set_threads):
    set_threads(1)
    before = len(members())
    for n in (5, 2, 7, 1):
        set_threads(n)
        affine_bits()
        assert wait_until(lambda n=n: len(members()) == before + n - 1)


# ---- Fork ----


@pytest.fixture
def forked():
    """Call a function in a forked child; return its answer."""
    context = multiprocessing.get_context("fork")

    def answer(function, connection):
        connection.send(function())
        connection.close()

    def call(function):
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=answer, args=(function, sender))
        with warnings.catch_warnings():
            # Python 3.12 and newer warn of any fork beside threads: of what is tested here.
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        sender.close()
        try:
            assert receiver.poll(PATIENCE), "the child hangs"
            result = receiver.recv()
            child.join(PATIENCE)
            assert child.exitcode == 0
            return result
        finally:
            if child.is_alive():
                child.kill()
            child.join()

    return call


@needs_fork
def test_a_forked_child_computes_the_same_bits_on_as_many_threads(forked, set_threads):
    if THREADS_WORK:
        set_threads(2)
    expected = affine_bits()
    bits, threads, helpers = forked(lambda: (affine_bits(), fastbp.get_num_threads(), len(living_members())))
    assert bits == expected
    assert threads == _team.default_num_threads()
    assert helpers == threads - 1
    assert affine_bits() == expected  # and the parent goes on


@needs_fork
def test_a_grandchild_computes_the_same_bits(forked, set_threads):
    if THREADS_WORK:
        set_threads(3)
    expected = affine_bits()
    assert forked(lambda: (affine_bits(), forked(affine_bits))) == (expected, expected)
    assert forked(lambda: forked(affine_bits)) == expected  # also where the child itself never called a kernel


@needs_fork
@needs_threads
def test_a_child_may_use_more_threads_than_its_parent(forked, set_threads):
    set_threads(2)
    expected = affine_bits()

    def child():
        fastbp.set_num_threads(4)
        return affine_bits(), len(living_members())

    assert forked(child) == (expected, 3)


@uncached
def lock(team):
    mutex_lock(team + 8 * MUTEX)


@uncached
def unlock(team):
    mutex_unlock(team + 8 * MUTEX)


@needs_fork
@needs_threads
def test_a_child_does_not_wait_for_a_lock_that_was_held_at_the_fork(forked, set_threads):
    set_threads(3)
    expected = affine_bits()
    team = team_for(np.float32)
    lock(team)  # as a member does for a moment before it sleeps
    try:
        assert forked(affine_bits) == expected
    finally:
        unlock(team)
    assert affine_bits() == expected


@needs_fork
def test_forks_while_other_threads_compute(forked):
    expected = affine_bits()
    stop, ready = threading.Event(), threading.Barrier(3)

    def busy(n):
        if THREADS_WORK:
            fastbp.set_num_threads(n)
        x, w, b = operands()
        layer = fastbp.Affine(w, b)
        layer.forward(x)
        ready.wait(PATIENCE)
        while not stop.is_set():
            layer.forward(x)

    threads = [threading.Thread(target=busy, args=(n,), daemon=True) for n in (1, 2)]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    try:
        for _ in range(5):
            assert forked(affine_bits) == expected
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


# ---- The end ----

EXITS = {
    "asleep": "work(); time.sleep(0.2)",
    "spinning": "work()",
    "of several threads": """
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
work()""",
    "at work for a daemon thread": """
def busy():
    while True: work()
threading.Thread(target=busy, daemon=True).start()
time.sleep(0.2)""",
    "inherited by a fork": """
work()
if os.fork() == 0:
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0""",
    "of a fork's own": """
work()
if os.fork() == 0:
    work()
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0""",
}


@needs_threads
@pytest.mark.parametrize("end", EXITS.values(), ids=EXITS)
def test_the_interpreter_exits_promptly_with_a_team(end):
    if "fork" in end and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    code = f"""
import os, sys, threading, time
import numpy as np
import fastbp
x = np.ones((300, 300), np.float32)
def work():
    fastbp.set_num_threads(3)
    fastbp.Affine(x, x[0]).forward(x)
{end}
"""
    python(code, timeout=PATIENCE)
