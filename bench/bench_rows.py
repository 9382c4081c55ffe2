"""How the cost of an epoch grows with the rows of a memory-mapped file: mini-batches of 1,000 rows, drawn anew."""

from functools import lru_cache

import numpy as np

from .mapped_rows import BATCH, NETWORK
from .peers.numpy import epoch
from .row import Expected, Row, rows

ROWS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
APART = 0.05  # accuracies after an epoch in another order are no further apart


@lru_cache(maxsize=1)
def expected(n: int) -> Expected:
    """The accuracy that a plain epoch comes to, whose order is one of many."""
    plain = epoch(n)
    plain.call()
    return [(plain.answer()[0], 1.0)]


@rows(
    [
        Row(
            "growth by rows",
            f"{n:,}",
            (n,),
            flops=NETWORK.flops / BATCH,
            working_set=(4.0 * NETWORK.sizes[0] + 8) * n,  # a row and its label
            tolerance=APART / float(np.finfo(np.float32).eps),
            quick=False,
            turns=2,
            place=n,
        )
        for n in ROWS
    ],
    "growth by rows",
)
def bench_rows(measure, row, provider):
    measure(expected)
