"""How the cost of a training step grows with the batch, the width and the depth of the network; one thread."""

from .bench_step import step_row
from .networks import Perceptron, expected
from .row import rows

CURVES: dict[str, dict[int, Perceptron]] = {
    "growth by batch": {n: Perceptron((784, 50, 10), n) for n in (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)},
    "growth by width": {n: Perceptron((n, n, 10), 32) for n in (8, 32, 128, 512, 2048, 8192)},
    "growth by depth": {n: Perceptron((*[64] * (n + 1), 10), 100) for n in (1, 2, 4, 8, 16, 32, 64)},
}

ROWS = [
    step_row(job, f"{n:,}", network, threads=1, quick=False, turns=3, place=n)
    for job, curve in CURVES.items()
    for n, network in curve.items()
]


@rows(ROWS, "growth")
def bench_growth(measure, row, provider):
    measure(expected)
