"""A model of how a training step speeds up with threads, from parts that are measured on one core and two.

Assumptions:

- A step takes what its instructions take, one after the other. Each is timed on one core, again and again, so that its
  data lie in that core's cache; what moving them to another core's costs is not in the model.
- An instruction that shares k even parts among n threads takes ceil(k / n) / k of that time, and the sharing.
- Sharing between two threads costs what a job that does nothing costs. It passes four cache lines between the cores
  (the job, the next part, the parts left, and that none is left), and each further thread moves two of them once more.
- Every thread has a core of its own, all cores are as fast as one alone, and memory serves them all.

``python -m fastbp.bench.growth_by_threads`` prints the speed-ups it comes to, and what was measured beside them.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np

from fastbp.basics import _cpu, _machine, _team
from fastbp.kernels._jit import kernel
from fastbp.kernels.machine import fitted
from fastbp.kernels.program import NO_STEP, ROWS, SAMPLES, execute
from fastbp.kernels.team import POSTED, package, spread

from .bench_step import NETWORKS
from .networks import Perceptron
from .peers.fastbp import networks as ours
from .servers import SETTLE, Server, all_cores

THREADS = (1, 2, 4, 8, 16)
REPEATS, LEAST = 9, 1e-2  # times of at least so many seconds, of which the least counts
RUNS = 64  # of an instruction, of which the one that shared most says how much it shares: not all find the team awake
EMPTY_JOBS, EMPTY_PARTS = 1000, 8


@dataclass(frozen=True)
class Instruction:
    """Seconds that an instruction takes on one core, and the parts that it shares; 1 if none."""

    seconds: float
    parts: int

    def predicted(self, threads: int, sharing: float) -> float:
        """Seconds with so many threads, where sharing between two costs ``sharing``."""
        n = min(threads, self.parts)
        if n == 1:
            return self.seconds
        return self.seconds * ceil(self.parts / n) / self.parts + sharing * (1 + (n - 2) / 2)


@kernel
def repeat_program(team, program, step, one, repeats):
    """Run instructions again and again."""
    for _ in range(repeats):
        execute(team, program, step, one)


@kernel
def _nothing(part, member):
    pass


@kernel
def share_nothing(team, jobs):
    """Share jobs that do nothing."""
    for _ in range(jobs):
        spread(team, EMPTY_PARTS, package(_nothing, ()))


def _settle(call: Callable[[], object]) -> None:
    """Call until threads are awake and on cores of their own."""
    end = time.perf_counter() + SETTLE
    while time.perf_counter() < end:
        call()


def _least_seconds(call: Callable[[int], object]) -> float:
    """Of one of the repeats that ``call`` is told to make."""
    call(1)
    repeats = 1
    while True:
        begin = time.perf_counter()
        call(repeats)
        if time.perf_counter() - begin >= LEAST:
            break
        repeats *= 2
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call(repeats)
        times.append((time.perf_counter() - begin) / repeats)
    return min(times)


def instructions(state: dict, network: Perceptron) -> list[Instruction]:
    """Those of a step, its work cut as on a machine of as many cores; to be called with two threads."""
    _machine.use(fitted(_machine.row(), _cpu.this().caches, THREADS[-1]))
    program = ours.program_of(network)[0]
    one, step, order = np.float32(1), np.array(NO_STEP), np.arange(network.batch)
    step[SAMPLES], step[ROWS] = order.ctypes.data, network.batch
    _team.learn(np.dtype(np.float32))
    team = _team.current()
    everything = partial(repeat_program, team.address, program.whole, step.ctypes.data, one)
    _settle(lambda: everything(1))
    found = []
    for i in range(len(program.whole)):
        row = program.whole[i : i + 1]
        parts = 1
        for _ in range(RUNS):
            everything(1)  # members are awake then, and help with short jobs
            before = int(team._words[POSTED])
            repeat_program(team.address, row, step.ctypes.data, one, 1)
            parts = max(parts, int(team._words[POSTED]) - before)
        alone = partial(repeat_program, team.members_own, row, step.ctypes.data, one)
        found.append(Instruction(_least_seconds(alone), parts))
    return found


def sharing(state: dict) -> float:
    """Seconds that a job with nothing to do takes two threads."""
    team = _team.address_for(np.dtype(np.float32))
    _settle(lambda: share_nothing(team, EMPTY_JOBS))
    return _least_seconds(lambda jobs: share_nothing(team, jobs))


def measured(state: dict, network: Perceptron) -> float:
    """Seconds of a step with the threads of this process."""
    work = ours.steps(network)
    _settle(work.call)
    return _least_seconds(lambda calls: [work.call() for _ in range(calls)]) / work.units


def main() -> int:
    """Print a line for each network."""
    servers = one, two, cut = Server(1), Server(2), Server(2)
    try:
        cost = two.ask(sharing)
        print(f"sharing a job between two threads costs {1e9 * cost:.0f} ns; speed-up by threads, as the model has it")
        print(f"{'':44}{''.join(f'{n:>7}' for n in THREADS)}   measured with 2" if all_cores() > 1 else "")
        for network in NETWORKS:
            parts = cut.ask(instructions, network)
            seconds = [sum(part.predicted(n, cost) for part in parts) for n in THREADS]
            line = "".join(f"{seconds[0] / s:7.2f}" for s in seconds)
            ratio = one.ask(measured, network) / two.ask(measured, network)
            print(f"{network.name:44}{line}   {ratio:.2f}")
    finally:
        for server in servers:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
