"""Forks of a process that has a team: the child computes the same bits, on a team of its own."""

import multiprocessing
import threading
import warnings

import numpy as np
import pytest
from calls import team_for, uncached
from teams import PATIENCE, affine_bits, living_members, needs_fork, needs_threads, operands

import fastbp
from fastbp.basics import _team
from fastbp.kernels.team import MUTEX, THREADS_WORK

if THREADS_WORK:
    from fastbp.kernels.team import mutex_lock, mutex_unlock


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
