"""Teams of threads: every part is done once, whoever sleeps or was stalled; and how many threads there are."""

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from calls import apply, python, python_json, team_for, uncached
from teams import PATIENCE, needs_threads, wait_until

import fastbp
from fastbp.basics import _team
from fastbp.basics._machine import numbers
from fastbp.kernels.team import (
    ALONE,
    CHUNK,
    GENERATION,
    IN_A_ROW,
    LAST,
    SLEEPERS,
    _learn,
    has_help,
    package,
    parts_of,
    spread,
)
from fastbp.kernels.team import PATIENCE as PATIENCE_WORD

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
        learn(team, numbers().stall, numbers().stall + 1)
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
    for worked, waited in ((0, numbers().stall), (2 * numbers().stall, 2 * numbers().stall)):
        learn(team, worked, waited)
        assert words[ALONE] == words[PATIENCE_WORD] == 0
    for _ in range(3):
        learn(team, 0, numbers().stall + 1)
    for left in (3, 2, 1, 0, 0):  # of four jobs alone, one less after each job without a stall
        learn(team, 0, 0)
        assert words[PATIENCE_WORD] == left
    for _ in range(40):
        learn(team, 0, numbers().stall + 1)
    assert words[ALONE] == numbers().most_alone


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


@uncached
def would_help(team):
    return has_help(team)


@needs_threads
def test_a_sleeping_team_is_not_woken_for_a_short_job_but_for_many_in_a_row(set_threads):
    set_threads(1)
    set_threads(2)  # a new team
    team, words = team_for(np.float32), _team.current()._words
    done, by = np.zeros(9, np.int64), np.zeros(2, np.int64)
    count_parts(team, 9, done, by)

    def left_asleep():  # unless this thread lost its core within the job
        assert wait_until(lambda: words[SLEEPERS] == 1)
        words[LAST] = 0
        woken, by[:] = words[GENERATION], 0
        count_parts(team, 9, done, by)
        return words[GENERATION] == woken and by.tolist() == [9, 0] and words[IN_A_ROW] == 1

    def woken_after_many():  # unless it did so for longer than jobs in a row are apart
        assert wait_until(lambda: words[SLEEPERS] == 1)
        words[LAST] = 0
        woken = words[GENERATION]
        count_many(team, 10 * numbers().many_in_a_row, 9, np.zeros(10, np.int64), by)
        return words[GENERATION] > woken

    assert wait_until(left_asleep)
    assert wait_until(woken_after_many)


@needs_threads
def test_a_short_product_is_cut_where_members_are_awake_or_come_to_be(set_threads):
    set_threads(1)
    set_threads(2)  # a new team
    team, words = team_for(np.float32), _team.current()._words
    count_parts(team, 9, np.zeros(9, np.int64), np.zeros(2, np.int64))

    def helps_after_many():
        assert wait_until(lambda: words[SLEEPERS] == 1)
        words[LAST] = 0
        many = numbers().many_in_a_row
        return [would_help(team) for _ in range(many + 1)] == [False] * many + [True]

    assert wait_until(helps_after_many)
    words[SLEEPERS] = 0
    assert would_help(team)
    words[SLEEPERS] = 1


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
from calls import run_kernel
from fastbp.kernels.relu import relu_forward
from fastbp.kernels.team import CHUNK
fastbp.set_num_threads(3)
rng = np.random.default_rng(0)
x = rng.standard_normal((1, 2 * CHUNK + 5)).astype(np.float32)
right = np.maximum(x, 0)
for i in range(2000):
    y, mask = np.full_like(x, np.nan), np.empty(x.shape, bool)
    run_kernel(relu_forward, x, y, mask)
    assert np.array_equal(y, right)
    time.sleep(0.002 if i % 10 == 0 else rng.uniform(0, 0.0005))
"""
    python(code, timeout=PATIENCE)


@needs_threads
def test_hundreds_of_teams_come_and_go():
    code = """
import time, numpy as np
import fastbp
from calls import run_kernel
from fastbp.kernels.relu import relu_forward
from fastbp.kernels.team import CHUNK
rng = np.random.default_rng(0)
x = np.ones((1, 2 * CHUNK), np.float32)
y, mask = np.empty_like(x), np.empty(x.shape, bool)
for i in range(400):
    fastbp.set_num_threads(2 + i % 2)
    run_kernel(relu_forward, x, y, mask)
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
few = threading.active_count()  # it has no work for others
fastbp.Relu().forward(np.ones(100_000))
print(json.dumps([fastbp.get_num_threads(), few, threading.active_count()]))
"""
    assert python_json(code, NUMBA_NUM_THREADS=3) == [3, 1, min(3, _team._usable_cores())]


@needs_threads
def test_no_more_threads_start_than_there_are_cores():
    code = """
import json, os, threading, numpy as np
import fastbp
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
fastbp.set_num_threads(1000)
y = fastbp.Relu().forward(np.ones(1_000_000))
print(json.dumps([fastbp.get_num_threads(), threading.active_count() <= cores, float(y.sum())]))
"""
    assert python_json(code) == [1000, True, 1_000_000.0]


def test_importing_starts_no_thread():
    code = "import fastbp, threading; print(threading.active_count())"
    assert python_json(code, NUMBA_NUM_THREADS=4) == 1


OWN = "/proc/self/cgroup"
V1 = "3:cpuset:/b\n2:cpu,cpuacct:/a\n"


@needs_threads
@pytest.mark.skipif(sys.platform != "linux", reason="Linux has control groups")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 6),
        ({"cpu.max": "max 100000\n"}, 6),
        ({"cpu.max": "400000 100000\n"}, 4),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 6),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 6),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        # A group within others, as a service of systemd is, or a container that sees the groups of its host.
        ({OWN: "0::/a/b\n", "cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n", "a/b/cpu.max": "9 1\n"}, 3),
        ({OWN: "0::/a/b\n", "a/cpu.max": "max 100000\n", "a/b/cpu.max": "50000 100000\n"}, 1),
        ({OWN: "0::/a\n", "b/cpu.max": "50000 100000\n"}, 6),
        ({OWN: V1, "cpu/a/cpu.cfs_quota_us": "200000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 2),
        ({OWN: V1, "cpu/b/cpu.cfs_quota_us": "200000\n", "cpu/b/cpu.cfs_period_us": "100000\n"}, 6),
    ],
)
def test_default_is_the_cores_within_the_quotas_of_all_groups(monkeypatch, files, expected):
    def read_text(self):
        try:
            return files[str(self).removeprefix("/sys/fs/cgroup/")]
        except KeyError:
            raise FileNotFoundError(self) from None

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(6), raising=False)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert _team.default_num_threads() == expected
