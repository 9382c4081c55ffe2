"""One step of Adam over a flat vector of parameters."""

import numpy as np

from .networks import ADAM_EPS, RATES
from .row import Expected, Row, rows

SIZES = (39_760, 1_000_000, 10_000_000)  # the first is the book's network
RATE = RATES["adam"]
ARRAYS = 4  # parameters, gradients and two states are read, all but the gradients written


def parameters_and_gradients(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(n, np.float32) for _ in range(2)]


def expected(n: int) -> Expected:
    """After the first step, in which every parameter moves by RATE against the sign of its gradient, but for eps."""
    p, g = (a.astype(np.float64) for a in parameters_and_gradients(n))
    return [(p - RATE * g / (np.abs(g) + ADAM_EPS), np.maximum(np.abs(p), RATE))]


ROWS = [
    Row(
        "adam",
        f"{n:,}",
        (n,),
        moved=4.0 * n * (2 * ARRAYS - 1),
        working_set=4.0 * n * ARRAYS,
        tolerance=1000,  # 1 - BETA2 of a float32 0.999 is off by so many eps
        quick=n == SIZES[0],
    )
    for n in SIZES
]


@rows(ROWS, "adam")
def bench_adam(measure, row, provider):
    measure(expected)
