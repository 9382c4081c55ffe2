"""Matrix products of drawn shapes beside those of all peers, to find those in which fastbp is the slower one.

``python -m fastbp.bench.sweep_gemm`` draws 300 shapes, forms and types, always the same ones, and times each on one
core, as the rows of ``bench_gemm`` are timed, in two minutes or so; ``--quick`` takes the first 30. It prints the
products that take fastbp longer than a peer, the worst ratio among those above 64^3 (below, a call from Python counts),
and who did not answer.
"""

import argparse
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from . import peers
from .bench_gemm import FORMS, expected
from .laboratory import Laboratory
from .row import Row

SHAPES, QUICK = 300, 30
LARGEST = 4096  # of a side
MOST_WORK = 1 << 28  # multiply-adds of a product
MOST_ELEMENTS = 1 << 21  # of a factor or of the product
COUNTED = 64**3  # multiply-adds from which a ratio counts
TURNS, LEAST = 3, 0.004  # turns of each provider, and seconds of one


@dataclass(frozen=True)
class Timed:
    """A product and each peer's time over fastbp's, or why it has none."""

    label: str
    work: int
    ratios: dict[str, float]
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The ratio of the fastest peer."""
        return min(self.ratios.values(), default=math.inf)

    def __str__(self) -> str:
        ratios = ", ".join(f"{peer} {ratio:.2f}" for peer, ratio in self.ratios.items())
        return f"{self.label:<44}{ratios}"


def drawn(seed: int = 0) -> Iterator[Row]:
    """Rows without end: sides drawn evenly by their logarithms, a third of them a multiple of 16."""
    rng = np.random.default_rng(seed)
    while True:
        sides = np.exp(rng.uniform(0, math.log(LARGEST + 1), 3)).astype(int)
        if rng.random() < 1 / 3:
            sides = np.where(sides > 8, np.maximum(16, sides // 16 * 16), sides)
        form, dtype = FORMS[rng.integers(3)], ("float32", "float64")[rng.integers(2)]
        n, i, o = shape = tuple(int(side) for side in sides)
        if n * i * o > MOST_WORK or max(n * i, i * o, n * o) > MOST_ELEMENTS:
            continue
        name, tolerance = f"{form} {n}x{i}x{o}", 4 * math.sqrt(max(shape))
        yield Row("gemm", name, (form, shape, dtype), dtype=dtype, flops=2 * n * i * o, tolerance=tolerance)


def timed(laboratory: Laboratory, row: Row) -> Timed:
    """Measure a row; a wrong answer ends the sweep."""
    outcomes = laboratory.measure(row, peers.providers("gemm"), expected)
    for provider, outcome in outcomes.items():
        if outcome.failed:
            raise SystemExit(f"{row.label}: {provider}: {outcome.absent}")
    least = {provider: min(outcome.seconds) for provider, outcome in outcomes.items() if outcome.seconds}
    own = least.pop("fastbp")
    ratios = {provider: seconds / own for provider, seconds in least.items()}
    absent = {provider: outcome.absent for provider, outcome in outcomes.items() if outcome.absent}
    return Timed(f"{row.name} {row.dtype}", math.prod(row.arguments[1]), ratios, absent)


def summary(found: Sequence[Timed]) -> str:
    """How often fastbp is the slower one, the worst ratio that counts, and who did not answer."""
    counted = [product for product in found if product.work > COUNTED]
    slower = sum(product.worst < 1 for product in counted)
    small = sum(product.worst < 1 for product in found if product.work <= COUNTED)
    lines = [f"{len(found)} products, {len(counted)} of them above 64^3: a peer takes less in {slower} of these"]
    lines[0] += f", and in {small} of the smaller ones."
    if counted:
        lines.append(f"Worst above 64^3: {min(counted, key=lambda product: product.worst)}")
    missing = Counter(answer for product in found for answer in product.absent.items())
    lines += [f"No answer from {peer} in {times} of them: {reason}" for (peer, reason), times in missing.items()]
    return "\n".join(lines)


def main() -> None:
    """Draw, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m fastbp.bench.sweep_gemm", description="Products of drawn shapes.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} shapes (default: {SHAPES})")
    parser.add_argument("--seed", type=int, default=0, help="draw other shapes (default: 0)")
    options = parser.parse_args()
    laboratory = Laboratory(full=False)
    laboratory.turns, laboratory.least = TURNS, LEAST
    found = []
    try:
        for row in islice(drawn(options.seed), QUICK if options.quick else SHAPES):
            found.append(product := timed(laboratory, row))
            if product.worst < 1:
                print(product, "" if product.work > COUNTED else "  (small)", flush=True)
    finally:
        laboratory.close()
    print(summary(found))


if __name__ == "__main__":
    main()
