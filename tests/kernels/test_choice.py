"""Whether steps are shared or done alone: what is learnt from how long they took, and that no bit depends on it."""

import numpy as np
from calls import team_for, uncached
from teams import needs_threads, wait_until

import fastbp
from fastbp.basics import _team
from fastbp.kernels.choice import (
    ALONE,
    CHOICE_WORDS,
    DISTANCE,
    DISTANCE_AFTER_CHANGE,
    FIRST_DISTANCE,
    LAST_DISTANCE,
    SHARES,
    STEPS_OF_TRY,
    TRIED,
    begin_step,
    end_step,
    learn,
)
from fastbp.kernels.program import CHOICE
from fastbp.kernels.team import ALONE as WITHOUT_HELP
from fastbp.kernels.team import POSTED, SLEEPERS, TEAM_WORDS, package, spread


@uncached
def take_in(choice, spent):
    learn(choice, spent)


class Steps:
    """Steps that take ``shared`` or ``alone`` nanoseconds, and what is chosen of them."""

    def __init__(self, shared, alone):
        self.times = shared, alone
        self.words = np.zeros(CHOICE_WORDS, np.int64)
        self.words[SHARES], self.words[DISTANCE] = 1, FIRST_DISTANCE

    def run(self, steps):
        """Returns the nanoseconds of all."""
        total = 0
        for _ in range(steps):
            spent = self.times[bool(self.words[ALONE]) != bool(self.words[TRIED])]
            take_in(self.words.ctypes.data, spent)
            total += spent
        return total

    @property
    def alone(self):
        return bool(self.words[ALONE])


def test_steps_that_are_faster_alone_are_soon_done_alone():
    steps = Steps(shared=84_000, alone=71_000)
    steps.run(400)
    assert steps.alone


def test_steps_that_are_faster_shared_stay_shared_and_tries_cost_little():
    steps = Steps(shared=40_000, alone=71_000)
    total = steps.run(10_000)
    assert not steps.alone
    assert total < 1.005 * 10_000 * 40_000
    assert steps.words[DISTANCE] == LAST_DISTANCE


def test_ways_that_take_the_same_do_not_take_turns():
    steps = Steps(shared=71_000, alone=70_000)
    changes = 0
    for _ in range(5000):
        before = steps.alone
        steps.run(1)
        changes += steps.alone != before
    assert changes == 0


def test_steps_that_are_interrupted_now_and_then_change_nothing():
    steps = Steps(shared=40_000, alone=71_000)
    for _ in range(200):
        steps.run(20)
        if not steps.words[TRIED]:
            take_in(steps.words.ctypes.data, 4_000_000)
        assert not steps.alone


def test_a_machine_that_changes_is_followed():
    steps = Steps(shared=84_000, alone=71_000)
    steps.run(3000)
    assert steps.alone
    steps.times = 40_000, 71_000
    steps.run(3000)
    assert not steps.alone
    assert steps.words[DISTANCE] > DISTANCE_AFTER_CHANGE
    steps.times = 84_000, 71_000
    steps.run(3000)
    assert steps.alone


def test_a_try_is_judged_by_its_last_step():
    steps = Steps(shared=84_000, alone=71_000)
    while not steps.words[TRIED]:
        steps.run(1)
    for spent in [10**9] * (STEPS_OF_TRY - 1) + [70_000]:
        take_in(steps.words.ctypes.data, spent)
    assert steps.alone
    assert not steps.words[TRIED]


@uncached
def nothing(done, part, member):
    done[part] += 1


@uncached
def one_step(team, choice, parts, done):
    used = begin_step(team, choice)
    spread(used, parts, package(nothing, (done,)))
    end_step(team, choice)
    return used - team


@needs_threads
def test_steps_with_nothing_to_share_are_not_timed(set_threads):
    set_threads(2)
    choice, done = np.zeros(CHOICE_WORDS, np.int64), np.zeros(8, np.int64)
    for _ in range(5):
        assert one_step(team_for(np.float32), choice.ctypes.data, 1, done) == 0
    assert choice[2:-2].tolist() == [0] * (CHOICE_WORDS - 4)
    assert done.tolist() == [5] + [0] * 7


@needs_threads
def test_a_step_that_is_done_alone_posts_nothing_to_the_team(set_threads):
    set_threads(2)
    team, words = team_for(np.float32), _team.current()._words
    choice, done = np.zeros(CHOICE_WORDS, np.int64), np.zeros(8, np.int64)
    choice[SHARES], choice[ALONE], choice[DISTANCE] = 1, 1, FIRST_DISTANCE
    before = words[POSTED]
    assert one_step(team, choice.ctypes.data, 8, done) == 8 * TEAM_WORDS
    assert words[POSTED] == before
    assert done.tolist() == [1] * 8


@needs_threads
def test_a_try_of_sharing_wakes_members_for_the_shortest_of_jobs(set_threads):
    """Else none would help before the try is over, and steps that were once done alone would stay so for good."""
    set_threads(2)
    team, words = team_for(np.float32), _team.current()._words
    choice, done = np.zeros(CHOICE_WORDS, np.int64), np.zeros(8, np.int64)
    for tried in range(1, STEPS_OF_TRY + 1):
        choice[SHARES], choice[ALONE], choice[TRIED], choice[DISTANCE] = 1, 1, tried, FIRST_DISTANCE
        assert wait_until(lambda: words[SLEEPERS] == 1)
        words[WITHOUT_HELP], before = 0, words[POSTED]  # whatever a busy machine has taught the team
        assert one_step(team, choice.ctypes.data, 8, done) == 0
        assert words[POSTED] == before + 8
    assert done.tolist() == [STEPS_OF_TRY] * 8


@needs_threads
def test_no_bit_depends_on_the_choice(set_threads):
    set_threads(2)
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((100, 784)).astype(np.float32), rng.integers(0, 10, 100)

    def trained(alone, tried):
        net = fastbp.mlp([784, 50, 10], seed=0)
        for _ in range(6):
            net.step(x, t, "sgd")
            words = net._stepper._batch.words[CHOICE:]
            words[SHARES], words[ALONE], words[TRIED], words[DISTANCE] = 1, alone, tried, LAST_DISTANCE
        return b"".join(p.tobytes() for p in net.params.values())

    assert len({trained(alone, tried) for alone in (0, 1) for tried in (0, 1)}) == 1
