"""Many tasks on a few threads: all are done once, errors stay apart, and nothing goes on after an end."""

import signal
import sys
import threading
import time

import numpy as np
import pytest

import fastbp
from fastbp.basics import _pool, _team

THREADS = [1, 2, 5]


def interrupt_main_thread():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def threads_of_pools():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastbp-pool")]


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert threads_of_pools() == []


@pytest.fixture
def in_another_thread():
    """What a function returns in a thread that is not the main one."""

    def call(function):
        results = []
        thread = threading.Thread(target=lambda: results.append(function()))
        thread.start()
        thread.join()
        return results[0]

    return call


@pytest.mark.parametrize("threads", THREADS)
def test_each_task_is_done_once_and_results_stand_at_their_places(threads):
    done = []
    assert _pool.run_all(50, lambda k: done.append(k) or k * k, threads) == [k * k for k in range(50)]
    assert sorted(done) == list(range(50))


def test_no_tasks_are_done_at_once():
    assert _pool.run_all(0, lambda k: 1 / 0) == []


@pytest.mark.parametrize("threads", THREADS)
def test_an_error_stands_at_its_place_and_the_others_are_done(threads):
    outcomes = _pool.run_all(4, lambda k: 1 // (k - 2), threads)
    assert outcomes[:2] + outcomes[3:] == [-1, -1, 1]
    assert isinstance(outcomes[2], ZeroDivisionError)


@pytest.mark.parametrize("threads", THREADS)
def test_a_task_has_a_team_of_one_and_the_caller_its_own_again(threads):
    before = fastbp.get_num_threads()
    assert _pool.run_all(6, lambda k: fastbp.get_num_threads(), threads) == [1] * 6
    assert fastbp.get_num_threads() == before


def test_tasks_are_done_at_the_same_time():
    both = threading.Barrier(2)
    _pool.run_all(2, lambda k: both.wait(60), 2)


def test_one_thread_is_the_calling_one():
    assert _pool.run_all(3, lambda k: threading.get_ident(), 1) == [threading.get_ident()] * 3


def test_there_are_no_more_threads_than_tasks_or_cores(monkeypatch, in_another_thread):
    assert _pool.threads_for(3, 8) == 3
    assert _pool.threads_for(100, None) == fastbp.get_num_threads()
    assert in_another_thread(lambda: _pool.threads_for(100, None)) == 1
    monkeypatch.setattr(_team, "most_members", lambda: 2)
    assert _pool.threads_for(100, 8) == 2


@pytest.mark.parametrize("threads", THREADS)
def test_it_works_from_another_thread(threads, in_another_thread):
    assert in_another_thread(lambda: _pool.run_all(9, lambda k: k, threads)) == list(range(9))


def test_a_task_may_have_tasks():
    assert _pool.run_all(3, lambda outer: _pool.run_all(3, lambda k: (outer, k), 2), 2) == [
        [(outer, k) for k in range(3)] for outer in range(3)
    ]


@pytest.mark.parametrize("threads", THREADS)
def test_settings_of_the_context_hold_in_tasks(threads):
    with np.errstate(all="ignore"):
        assert _pool.run_all(4, lambda k: np.geterr()["divide"], threads) == ["ignore"] * 4


@pytest.mark.parametrize("threads", THREADS)
def test_the_last_that_is_told_is_that_all_are_done(threads):
    told = []
    _pool.run_all(7, lambda k: None, threads, tell=told.append)
    assert told[-1] == 7
    assert told == sorted(told)


def test_the_caller_is_told_while_others_work():
    told, heard = [], threading.Event()

    def tell(done):
        told.append(done)
        heard.set()

    _pool.run_all(2, lambda k: heard.wait(60), 2, tell=tell)
    assert told[0] < 2


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_an_interrupt_stops_tasks_at_their_next_look_and_is_raised_when_none_is_left():
    begun, ended = [], []

    def work(k):
        begun.append(k)
        if len(begun) == 2:
            interrupt_main_thread()
        try:
            while True:
                _pool.look()
                time.sleep(0.001)
        finally:
            ended.append(k)

    with pytest.raises(KeyboardInterrupt):
        _pool.run_all(100, work, 2)
    assert sorted(ended) == sorted(begun) == [0, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_an_interrupt_ends_tasks_on_the_calling_thread():
    begun = []

    def work(k):
        begun.append(k)
        interrupt_main_thread()
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        _pool.run_all(100, work, 1)
    assert begun == [0]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_a_task_that_wants_an_end_ends_all(threads, end):
    begun = []

    def work(k):
        begun.append(k)
        if k == 3:
            raise end
        while k > 3:
            _pool.look()
            time.sleep(0.001)

    with pytest.raises(end):
        _pool.run_all(100, work, threads)
    assert len(begun) <= 3 + threads


def test_tasks_of_tasks_stop_with_them():
    both = threading.Barrier(2)

    def endless(k):
        both.wait(60)
        while True:
            _pool.look()
            time.sleep(0.001)

    def work(k):
        if k == 0:
            return _pool.run_all(1, endless, 1)
        both.wait(60)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _pool.run_all(2, work, 2)


def test_a_look_outside_of_a_pool_is_nothing():
    _pool.look()


def test_where_threads_cannot_be_started_that_is_an_error(monkeypatch):
    start = threading.Thread.start

    def refused(thread):
        if thread.name == "fastbp-pool-1":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        _pool.run_all(4, lambda k: None, 2)
