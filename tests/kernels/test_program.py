"""The executor: instructions in their order, steps with their samples and rates, one compilation for all networks."""

import math

import numpy as np
import pytest
from calls import FLOATS, address, python_json, team_for, uncached
from numba import types, void

import fastbp
from fastbp.kernels import program
from fastbp.kernels._jit import compiled_address
from fastbp.kernels.batch import shuffle
from fastbp.kernels.memory import load, store
from fastbp.kernels.program import INSTRUCTION_WORDS, LOSS, LR, SAMPLES, SEED, STEP, TRAINING_WORDS, execute, train

NUMBA = {np.float32: types.float32, np.float64: types.float64}
ENTRY = 5  # words of an entry in the log: what the instruction is called, and the step's words

dtypes = pytest.mark.parametrize("dtype", FLOATS)


@uncached
def note(team, row, step, one):
    """Add an entry to a log. Operands: the log, whose first word counts its entries, and a number."""
    log = load(row)
    entry = log + 8 * (1 + ENTRY * load(log))
    store(entry, load(row + 8))
    store(entry + 8, load(step + 8 * STEP))
    store(entry + 16, load(step + 8 * SAMPLES))
    store(entry + 24, load(step + 8 * LR))
    store(entry + 32, load(step + 8 * SEED))
    store(log, load(log) + 1)


@uncached
def lose(team, row, step, one):
    """Set the loss to that of the step. Operand: the losses of all steps."""
    store(step + 8 * LOSS, load(load(row) + 8 * load(step + 8 * STEP)))


class Machine:
    """Programs of ``note`` and ``lose``, and what they leave behind."""

    def __init__(self, dtype, n_steps=40):
        self.one = dtype(1)
        self.team = team_for(dtype)
        self.log = np.zeros(1 + ENTRY * 1000, np.int64)
        self.losses = np.linspace(1, 2, n_steps)
        signature = void(types.int64, types.int64, types.int64, NUMBA[dtype])
        self.operations = {"note": compiled_address(note, signature), "lose": compiled_address(lose, signature)}
        self.words = np.zeros(TRAINING_WORDS, np.int64)
        self.words[SEED] = 11

    def program(self, *instructions):
        """A table of notes, given by their numbers, and of "lose"."""
        table = np.zeros((len(instructions), INSTRUCTION_WORDS), np.int64)
        for row, instruction in zip(table, instructions, strict=True):
            name = instruction if instruction == "lose" else "note"
            operands = (address(self.losses), 0) if name == "lose" else (address(self.log), instruction)
            row[:3] = self.operations[name], *operands
        return table

    def entries(self):
        return self.log[1 : 1 + ENTRY * self.log[0]].reshape(-1, ENTRY).tolist()

    def notes(self):
        return [entry[0] for entry in self.entries()]

    def execute(self, *instructions):
        return execute(self.team, self.program(*instructions), address(self.words), self.one)

    def train(self, n_samples, batch_size, first=0, steps=10, shuffled=False, order=None, rows=()):
        order = np.arange(n_samples) if order is None else order
        self.lrs, self.got, self.order = np.linspace(0.1, 0.2, steps), np.full(steps, -1.0), order
        whole, last = self.program(1, "lose"), self.program(2, "lose")
        samples = order, np.array(rows, np.int64), batch_size, shuffled
        return train(self.team, whole, last, *samples, first, self.lrs, self.got, self.words, self.one)


@dtypes
def test_instructions_run_in_their_order(dtype):
    machine = Machine(dtype)
    assert machine.execute(5, 3, 9, 3)
    assert machine.notes() == [5, 3, 9, 3]


def test_a_program_without_instructions_runs():
    machine = Machine(np.float32)
    assert machine.execute()
    assert machine.notes() == []


@dtypes
@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_keeps_the_instructions_after_it_from_running(loss, dtype):
    machine = Machine(dtype)
    machine.losses[0] = loss
    assert not machine.execute(1, "lose", 2, 3)
    assert machine.notes() == [1]


@dtypes
def test_each_step_knows_its_number_samples_rate_and_seed(dtype):
    machine = Machine(dtype)
    assert machine.train(n_samples=10, batch_size=4, steps=7) == 7
    start = address(machine.order)
    samples = [start, start + 4 * 8, start + 8 * 8] * 3
    rates = machine.lrs.view(np.int64).tolist()
    expected = [[2 if i % 3 == 2 else 1, i, samples[i], rates[i], 11] for i in range(7)]
    assert machine.entries() == expected
    np.testing.assert_array_equal(machine.got, machine.losses[:7])


@pytest.mark.parametrize(
    ("n_samples", "batch_size", "programs"),
    [(8, 4, [1, 1] * 3), (9, 4, [1, 1, 2] * 2), (3, 4, [2] * 6), (4, 4, [1] * 6), (2, 1, [1] * 6)],
)
def test_the_smaller_batch_at_the_end_of_an_epoch_has_a_program_of_its_own(n_samples, batch_size, programs):
    machine = Machine(np.float32)
    machine.train(n_samples, batch_size, steps=6)
    assert machine.notes() == programs


def test_steps_go_on_from_the_first_one_given():
    machine = Machine(np.float32)
    assert machine.train(n_samples=10, batch_size=4, first=4, steps=3) == 3
    assert [entry[1] for entry in machine.entries()] == [4, 5, 6]
    assert machine.notes() == [1, 2, 1]
    assert [(entry[2] - address(machine.order)) // 8 for entry in machine.entries()] == [4, 8, 0]
    np.testing.assert_array_equal(machine.got, machine.losses[4:7])


def test_the_order_stays_unless_it_is_to_be_shuffled():
    order = np.array([3, 1, 2, 0, 4])
    machine = Machine(np.float32)
    machine.train(n_samples=5, batch_size=2, steps=9, order=order)
    assert order.tolist() == [3, 1, 2, 0, 4]


def test_each_epoch_begins_with_the_order_of_its_number():
    machine, expected = Machine(np.float32), np.empty(7, np.int64)
    machine.train(n_samples=7, batch_size=3, steps=5, shuffled=True)  # epochs 0 and 1
    shuffle(expected, 11, 1)
    np.testing.assert_array_equal(machine.order, expected)


def test_each_epoch_has_the_rows_in_the_order_of_its_number():
    machine, expected, rows = Machine(np.float32), np.empty(7, np.int64), [70, 3, 3, 41, 5, 0, 12]
    machine.train(n_samples=7, batch_size=3, first=3, steps=4, shuffled=True, rows=rows)  # epochs 1 and 2
    shuffle(expected, 11, 2)
    assert machine.order.tolist() == [rows[place] for place in expected]


def test_an_epoch_taken_up_in_its_middle_keeps_the_order_it_is_given():
    order = np.array([3, 1, 2, 0, 4, 6, 5])
    machine = Machine(np.float32)
    machine.train(n_samples=7, batch_size=3, first=1, steps=2, shuffled=True, order=order)
    assert order.tolist() == [3, 1, 2, 0, 4, 6, 5]
    machine.train(n_samples=7, batch_size=3, first=1, steps=3, shuffled=True, order=order)
    expected = np.empty(7, np.int64)
    shuffle(expected, 11, 1)
    np.testing.assert_array_equal(order, expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 3, 9])
def test_training_stops_at_a_loss_that_is_not_finite_and_says_where(at, bad):
    machine = Machine(np.float32)
    machine.losses[at] = bad
    assert machine.train(n_samples=10, batch_size=4, steps=10) == at
    assert len(machine.entries()) == at + 1
    np.testing.assert_array_equal(machine.got[: at + 1], machine.losses[: at + 1])
    assert (machine.got[at + 1 :] == -1).all()


def test_no_steps_are_no_steps():
    machine = Machine(np.float32)
    assert machine.train(n_samples=10, batch_size=4, steps=0) == 0
    assert machine.notes() == []


def test_loss_of_a_step_does_not_outlive_it():
    machine = Machine(np.float32)
    machine.train(n_samples=4, batch_size=4, steps=1)
    lrs, got = np.ones(2), np.full(2, -1.0)
    without = machine.program(1)
    train(
        machine.team,
        without,
        without,
        np.arange(4),
        np.zeros(0, np.int64),
        4,
        False,
        1,
        lrs,
        got,
        machine.words,
        machine.one,
    )
    assert got.tolist() == [0, 0]


def fit(sizes, activation, dtype, **options):
    net = fastbp.mlp(sizes, activation, dtype=dtype, seed=0)
    x, t = np.ones((20, sizes[0])), np.zeros(20, int)
    net.fit(x, t, progress=False, **options)


def test_the_executor_is_compiled_once_for_each_element_type():
    for dtype in FLOATS:
        fit([4, 5, 3], "relu", dtype)
    compiled = train.signatures.copy()
    for dtype in FLOATS:
        fit([9, 8, 7, 6, 2], "tanh", dtype, optimizer="adam", batch_size=7, shuffle=False)
        fit([3, 2], "sigmoid", dtype, clip_norm=1.0, threads=2)
    assert train.signatures == compiled


CHILD = """
import json
import numpy as np
import fastbp
from fastbp.kernels.program import train

net = fastbp.mlp([6, 5, 4, 3, 2], "sigmoid", dtype=np.dtype("DTYPE"), seed=0)
net.fit(np.ones((20, 6)), np.zeros(20, int), optimizer="nesterov", progress=False)
print(json.dumps([sum(train.stats.cache_hits.values()), sum(train.stats.cache_misses.values())]))
"""


@dtypes
def test_a_later_process_finds_the_executor_on_disk_whatever_its_network(dtype):
    fit([4, 5, 3], "relu", dtype)
    if program.train._cache.cache_path is None:
        pytest.skip("no folder for machine code can be written")
    assert python_json(CHILD.replace("DTYPE", np.dtype(dtype).name)) == [1, 0]
