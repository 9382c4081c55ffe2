"""One number of this machine after the other, tried at several values: ``python -m fastbp.bench.tune NAME``.

For each number of ``kernels.machine.Machine`` there is a job that shows it: calls whose time depends on it. All values
take turns, since a neighbour is busy for some of the time; a value is as good as its times are beside those of the
machine's own number in the same turn. No call's result depends on any of this.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

import fastbp
from fastbp.basics import _machine
from fastbp.kernels.machine import NUMBERS, Machine
from fastbp.kernels.team import CHUNK

Calls = Sequence[Callable[[], object]]
Clock = Callable[[], float]
CLEAR = 0.97  # times that have to be this much shorter, or a number stays as it is
LEAST_TURNS = 5
BLOCK = 2e-4  # seconds of a call that are timed together


class Probe(NamedTuple):
    """What shows a number.

    Attributes
    ----------
    values : to be tried beside the machine's own
    calls : makes what is timed, anew for each value: what is planned beforehand is planned by it
    shared : whether it takes a team of several threads to show it; the others are measured on one
    """

    values: Sequence[int]
    calls: Callable[[], Calls]
    shared: bool = False


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _there_and_back(layer: fastbp.Affine, x: np.ndarray, dout: np.ndarray) -> None:
    layer.forward(x)
    layer.backward(dout)


def _products(*shapes: tuple[int, int, int]) -> Callable[[], Calls]:
    """The three products of a layer: rows, inputs, outputs."""
    return lambda: [
        partial(_there_and_back, fastbp.Affine(_normal(i, o), _normal(o)), _normal(n, i), _normal(n, o))
        for n, i, o in shapes
    ]


def _forward(layer: Callable[[], fastbp.Layer], *sizes: int) -> Callable[[], Calls]:
    """A layer of functions of one number, on so many elements."""
    return lambda: [partial(layer().forward, _normal(1, size)) for size in sizes]


def _through(layer: fastbp.Layer, x: np.ndarray) -> None:
    """Somebody reads what a layer writes."""
    layer.backward(layer.forward(x))


def _read(layer: Callable[[], fastbp.Layer], *sizes: int) -> Callable[[], Calls]:
    """A layer of so many elements, with what comes after it."""
    return lambda: [partial(_through, layer(), _normal(1, size)) for size in sizes]


def _training(sizes: Sequence[int], batch: int, steps: int = 30) -> Callable[[], Calls]:
    """A network's steps in compiled code."""
    x, t = partial(_normal, batch * steps, sizes[0]), np.zeros(batch * steps, np.int64)
    return lambda: [partial(fastbp.mlp(sizes, seed=0).fit, x(), t, batch_size=batch, seed=0, progress=False)]


def _step_after(pause: float, net: fastbp.Sequential, x: np.ndarray, t: np.ndarray) -> None:
    if pause:
        time.sleep(pause)
    net.step(x, t)


def _steps(*batches: tuple[int, int], pauses: Sequence[float] = (0.0,)) -> Callable[[], Calls]:
    """Single steps on rows and inputs, after pauses in seconds."""
    return lambda: [
        partial(
            _step_after, pause, fastbp.mlp([inputs, 50, 10], seed=0), _normal(rows, inputs), np.zeros(rows, np.int64)
        )
        for rows, inputs in batches
        for pause in pauses
    ]


def _prediction(rows: int) -> Callable[[], Calls]:
    """The scores of many rows."""
    return lambda: [partial(fastbp.mlp([64, 256, 256, 10], seed=0).predict, _normal(rows, 64))]


_SMALL = _products((4, 16, 16), (16, 32, 16), (32, 64, 32), (100, 50, 10), (32, 64, 60))
_LARGE = _products((256, 784, 512), (512, 512, 512), (128, 1000, 1000))
_DEEP = _products((100, 784, 50), (16, 512, 512), (128, 784, 512), (200, 120, 128), (200, 60, 128))
_PANELS = _products((500, 32, 300), (300, 90, 300), (200, 120, 400))
_AROUND = _products((100, 64, 32), (100, 100, 50), (128, 128, 64), (100, 256, 100), (128, 256, 256), (256, 512, 128))
_PAUSED = _steps((100, 784), (32, 64), pauses=(0.0, 2e-4, 1e-3))
_PARTS = (1, 2, 4, 8, 16)

# Products first: what is shared is measured by what they have come to.
PROBES = {
    "small_product": Probe([0, 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 20], _SMALL),
    "block_n": Probe([64, 96, 128, 192, 240], _LARGE),
    "panel_bytes": Probe([0, 1 << 14, 24 << 10, 1 << 15, 1 << 16, 1 << 20], _PANELS),
    "pack_bytes": Probe([1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 23], _LARGE),
    "pack_rows": Probe([16, 28, 64, 128, 256, 512], _products((24, 784, 784), (50, 784, 784), (200, 784, 784))),
    "page_rows": Probe([256, 512, 1024, 1 << 40], _products((24, 512, 1024), (24, 1024, 1024), (200, 1024, 1024))),
    "k_ahead": Probe([0, 4, 8, 12, 16], _DEEP),
    "ahead_bytes": Probe([1 << 14, 24 << 10, 1 << 15, 40 << 10, 48 << 10, 96 << 10], _DEEP),
    "turn_depth": Probe([1 << 10, 1 << 11, 1 << 12, 1 << 40], _products((256, 784, 512), (1000, 784, 256))),
    "turn_width": Probe([128, 256, 512], _products((1000, 784, 144), (1000, 784, 304))),
    "stream_row_bytes": Probe([1 << 15, 1 << 17, 1 << 18, 1 << 20, 1 << 23], _products((1, 200, 200), (1, 784, 300))),
    "gather_ahead": Probe([0, 1 << 11, 1 << 12, 1 << 13, 1 << 14], _training([784, 8, 4], 256, 120)),
    "gather_part": Probe([1 << 12, 1 << 14, 1 << 16, 1 << 18], _training([784, 8, 4], 256), True),
    "stream_bytes": Probe([1 << 22, 1 << 24, 1 << 26, 1 << 30], _read(fastbp.Relu, 1 << 20, 1 << 22, 1 << 23)),
    "short_call": Probe([0, 1 << 12, 1 << 14, 1 << 17], _products((8, 16, 16), (64, 64, 64))),
    "short_program": Probe([0, 1 << 18, 1 << 20, 1 << 22], _steps((32, 64), (16, 100), (100, 784))),
    "predict_bytes": Probe([1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 25], _prediction(20_000), True),
    "predict_work": Probe([1 << 27, 1 << 29, 1 << 31, 1 << 33], _prediction(20_000)),
    "read_in_place": Probe([1 << 10, 1 << 12, 1 << 14, 1 << 17], _steps((32, 64), (100, 100), (100, 784))),
    "parallel_flops": Probe([250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000], _AROUND, True),
    "many_flops": Probe([4_000_000, 8_000_000, 16_000_000, 32_000_000], _LARGE, True),
    "few_parts": Probe(_PARTS, _AROUND, True),
    "many_parts": Probe(_PARTS, _LARGE, True),
    "least_parts": Probe([2, 3, 4, 6], _forward(fastbp.Sigmoid, *(CHUNK * n for n in (2, 3, 4, 6, 10))), True),
    "spins": Probe([300, 1000, 3000, 10_000, 30_000, 100_000], _training([784, 50, 10], 100), True),
    "stall": Probe([20_000, 200_000, 2_000_000], _PAUSED, True),
    "most_alone": Probe([16, 256, 4096, 65536], _PAUSED, True),
    "waking": Probe([0, 30_000, 100_000, 300_000, 1_000_000], _PAUSED, True),
    "pause": Probe([20_000, 200_000, 2_000_000], _PAUSED, True),
    "many_in_a_row": Probe([1, 4, 16, 64], _PAUSED, True),
}
# How a team bears with neighbours, and for how long others wait, is no matter of this machine's speed today.
OF_COMPANY = {"stall", "most_alone", "waking", "pause", "many_in_a_row", "short_call", "short_program", "predict_work"}
TUNED = [name for name in PROBES if name not in OF_COMPANY]


class Tried(NamedTuple):
    """A value of a number, and its time over that of the machine's own, in the middle of turns and at its best."""

    value: int
    middle: float
    best: float

    @property
    def is_clear(self) -> bool:
        """Whether it is better beyond doubt."""
        return max(self.middle, self.best) < CLEAR


def try_values(name: str, values: Sequence[int], seconds: float, threads: int | None = None) -> list[Tried]:
    """What ``values`` of a number come to in that time, beside the machine's own, which is left as it was."""
    before, job = _machine.numbers(), PROBES[name]
    own = getattr(before, name)
    values = sorted({own, *values})
    with_threads, n = fastbp.get_num_threads(), threads or (fastbp.get_num_threads() if job.shared else 1)
    try:
        fastbp.set_num_threads(n)
        # On one thread, what a neighbour takes of the core is no part of the time.
        clock = time.process_time if n == 1 and sys.platform != "win32" else time.perf_counter
        times = _in_turns(before, name, {value: _made(before, name, value) for value in values}, seconds, clock)
    finally:
        _machine.use(before)
        fastbp.set_num_threads(with_threads)
    return [_judged(value, times[value], times[own]) for value in values]


def _made(before: Machine, name: str, value: int) -> Calls:
    """The calls of a value, each once done."""
    _machine.use(before._replace(**{name: value}))
    calls = PROBES[name].calls()
    for call in calls:
        call()
    return calls


def _in_turns(
    before: Machine, name: str, calls: dict[int, Calls], seconds: float, clock: Clock
) -> dict[int, list[list[float]]]:
    """Times of each call at each value, one a turn."""
    repeats = [max(1, round(BLOCK / max(1e-9, _seconds(call, 1, clock)))) for call in next(iter(calls.values()))]
    times: dict[int, list[list[float]]] = {value: [] for value in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[next(iter(times))]) < LEAST_TURNS:
        for value in calls:
            _machine.use(before._replace(**{name: value}))
            times[value].append([_seconds(call, n, clock) for call, n in zip(calls[value], repeats, strict=True)])
    return times


def _seconds(call: Callable[[], object], repeats: int, clock: Clock) -> float:
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def _judged(value: int, times: list[list[float]], own: list[list[float]]) -> Tried:
    """Every call counts alike; a turn in which somebody else was busy is one of many."""
    mine, beside = zip(*times, strict=True), zip(*own, strict=True)
    middles, bests = [], []
    for one, other in zip(mine, beside, strict=True):
        middles.append(math.log(statistics.median(a / b for a, b in zip(one, other, strict=True))))
        bests.append(math.log(min(one) / min(other)))
    return Tried(value, math.exp(statistics.fmean(middles)), math.exp(statistics.fmean(bests)))


def better(name: str, seconds: float) -> int | None:
    """A value that is better than the machine's own beyond doubt: twice, the second time against it alone."""
    clear = [one for one in try_values(name, PROBES[name].values, seconds * 2 / 3) if one.is_clear]
    if not clear:
        return None
    least = min(clear, key=lambda one: one.middle)
    again = next(one for one in try_values(name, [least.value], seconds / 3) if one.value == least.value)
    return again.value if again.is_clear else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the curve of one number."""
    parser = argparse.ArgumentParser("python -m fastbp.bench.tune", description=__doc__)
    parser.add_argument("name", metavar="NAME", choices=list(PROBES), help=f"one of {', '.join(PROBES)}")
    parser.add_argument("--values", metavar="N", type=int, nargs="+", help="to be tried (default: a usual few)")
    parser.add_argument("--threads", metavar="N", type=int, help="default: 1, or all where it is about sharing")
    parser.add_argument(
        "--seconds", metavar="S", type=float, default=20.0, help="to measure for (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    name, number = options.name, NUMBERS[options.name]
    for value in options.values or ():
        if not number.least <= value <= number.most:
            parser.error(f"{name} is from {number.least} to {number.most}, got {value}")
    own = getattr(_machine.numbers(), name)
    print(f"{name}: {number.unit} {number.meaning}; {own} now ({_machine.row().name}, {_machine.sources()[name]})")
    print(f"{'value':>14}  {'median':>7}  {'least':>7}   time beside that of {own}")
    for one in try_values(name, options.values or PROBES[name].values, options.seconds, options.threads):
        bar = "#" * min(60, round(40 * one.middle))
        print(f"{one.value:>14}  {one.middle:7.3f}  {one.best:7.3f}   {bar}{' now' if one.value == own else ''}")


if __name__ == "__main__":
    main()
