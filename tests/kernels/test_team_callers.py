"""Teams of many callers: each has its own, and it ends with them or with the interpreter."""

import gc
import os
import threading
import weakref

import numpy as np
import pytest
from calls import python
from teams import PATIENCE, affine_bits, members, needs_threads, operands, wait_until

import fastbp
from fastbp.basics import _team
from fastbp.kernels.team import THREADS_WORK


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


@pytest.mark.slow
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
