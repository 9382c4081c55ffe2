"""One training step at a time, after pauses in which caches cool, cores slow down, and the threads of a team sleep."""

from .bench_step import step_row
from .networks import Perceptron, expected
from .row import rows
from .servers import all_cores

NETWORKS = (Perceptron((784, 50, 10), 100, most_steps=1), Perceptron((784, 512, 512, 10), 128, most_steps=1))
PAUSES = (0, 1, 50)  # milliseconds

ROWS = [
    step_row(
        "step after a pause", f"{network.name}, {pause} ms", network, threads, quick=False, turns=3, pause=pause / 1000
    )
    for network in NETWORKS
    for pause in PAUSES
    for threads in sorted({1, all_cores()})
]


@rows(ROWS, "step")
def bench_pauses(measure, row, provider):
    measure(expected)
