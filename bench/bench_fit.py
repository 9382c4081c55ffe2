"""What ``fit`` and ``net.step`` cost beside the steps that they do: many steps, and calls that do a single one.

``fit`` is held against the program that it writes, which copies batches from the data as well.
"""

from dataclasses import dataclass

from .bench_step import step_row
from .networks import Perceptron, expected
from .row import rows
from .servers import all_cores


@dataclass(frozen=True)
class OneStep(Perceptron):
    """A network of which a call does one step."""

    @property
    def steps(self) -> int:  # noqa: D102
        return 1


@dataclass(frozen=True)
class ManySteps(Perceptron):
    """A network of which a call does so many that what ``fit`` does once does not count."""

    @property
    def steps(self) -> int:  # noqa: D102
        return max(1, int(6e10 / self.flops))


LARGE = (((784, 50, 10), 100), ((784, 512, 512, 10), 128), ((1024, 1024, 1024, 1024), 1024))
SMALL = (((4, 16, 16, 2), 16), ((64, 32, 10), 32))

MANY = [
    step_row("fit", network.name, network, threads, quick=threads == 1 and network.batch < 1024)
    for network in (ManySteps(*of) for of in LARGE)
    for threads in sorted({1, all_cores()})
]
SINGLE = [
    step_row(job, network.name, network, 1, quick=job != "first fit of one step")
    for network in (OneStep(*of) for of in SMALL)
    for job in ("first fit of one step", "fit of one step", "net.step")
]


@rows(MANY, "fit")
def bench_fit(measure, row, provider):
    measure(expected)


@rows([row for row in SINGLE if row.job == "first fit of one step"], "first fit of one step")
def bench_first_fit(measure, row, provider):
    measure(expected)


@rows([row for row in SINGLE if row.job == "fit of one step"], "fit of one step")
def bench_fit_of_one_step(measure, row, provider):
    measure(expected)


@rows([row for row in SINGLE if row.job == "net.step"], "net.step")
def bench_net_step(measure, row, provider):
    measure(expected)
