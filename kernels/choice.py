"""Whether the steps of a program are shared with the team or done by its owner alone: whichever takes less time.

A second core helps less than it might where both are one to the host of a virtual machine, where other programs keep it
busy, or where a program's work is just large enough to be shared. No machine says so; the steps themselves do. Now and
then a few are done the other way, and if the last of them took clearly less time, that is the way from then on. The
others let members wake up and caches fill. Results are the same bits either way.

Tries take a fixed share of the time, the smaller the longer none has changed anything.
"""

from ._jit import kernel
from .memory import load, store
from .team import POSTED, SIZE, alone_of, call_for_help, nanoseconds

# Words of a program's choice, all 0 at first: whether its steps have anything to share, whether they are done alone,
# steps of the try at hand; nanoseconds that most steps take, that all since the last try took, and that a try takes;
# how many times as long as a try it is to the next; and of the step at hand the beginning, and the parts shared before.
SHARES, ALONE, TRIED, TIME, SPENT, COST, DISTANCE, BEGAN, POSTED_BEFORE = range(9)
CHOICE_WORDS = 9

STEPS_OF_TRY = 4
STEADINESS = 64  # a step moves what is held of the time by so small a part
FIRST_DISTANCE, LAST_DISTANCE, DISTANCE_AFTER_CHANGE = 32, 128, 8
GAIN = 1.05  # of the way that takes less: below, noise would have the ways take turns


@kernel
def begin_step(team, choice):
    """The team whose address the next step is to be given: ``team``, or its owner's alone."""
    if load(team + 8 * SIZE) == 1:
        return team
    if load(choice + 8 * SHARES) == 0:
        store(choice + 8 * POSTED_BEFORE, load(team + 8 * POSTED))
        return team
    store(choice + 8 * BEGAN, nanoseconds(team))
    is_try = load(choice + 8 * TRIED) > 0
    if (load(choice + 8 * ALONE) != 0) != is_try:
        return alone_of(team, 0)
    if is_try:  # which is over before members that sleep would be woken for short jobs, one after the other
        call_for_help(team)
    return team


@kernel
def end_step(team, choice):
    """Learn from a step that ``begin_step`` began. Steps are not timed until one has shared anything."""
    if load(team + 8 * SIZE) == 1:
        return
    if load(choice + 8 * SHARES) != 0:
        learn(choice, nanoseconds(team) - load(choice + 8 * BEGAN))
    elif load(team + 8 * POSTED) != load(choice + 8 * POSTED_BEFORE):
        store(choice + 8 * SHARES, 1)
        store(choice + 8 * DISTANCE, FIRST_DISTANCE)


@kernel
def learn(choice, spent):
    """Take in how many nanoseconds a step took, and decide on the next."""
    tried, time, distance = load(choice + 8 * TRIED), load(choice + 8 * TIME), load(choice + 8 * DISTANCE)
    if tried == 0:
        if time == 0:
            time = spent
        else:  # towards the median: that a step was interrupted says nothing
            time += time // STEADINESS if spent > time else -(time // STEADINESS)
        cost = load(choice + 8 * COST)
        if cost == 0:
            cost = 2 * STEPS_OF_TRY * time  # until one was seen
        since = load(choice + 8 * SPENT) + spent
        store(choice + 8 * TIME, time)
        store(choice + 8 * SPENT, since)
        if since > distance * cost:
            store(choice + 8 * TRIED, 1)
            store(choice + 8 * COST, 0)
        return
    store(choice + 8 * COST, load(choice + 8 * COST) + spent)
    if tried < STEPS_OF_TRY:
        store(choice + 8 * TRIED, tried + 1)
        return
    if GAIN * spent < time:
        store(choice + 8 * ALONE, 1 - load(choice + 8 * ALONE))
        store(choice + 8 * TIME, spent)
        store(choice + 8 * DISTANCE, DISTANCE_AFTER_CHANGE)
    else:
        store(choice + 8 * DISTANCE, min(LAST_DISTANCE, 2 * distance))
    store(choice + 8 * TRIED, 0)
    store(choice + 8 * SPENT, 0)
