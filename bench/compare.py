"""What got slower from one run to the next, beyond the noise of both.

What is compared are not times but fastbp's time over a yardstick's in the same turn of the same run: another clock
speed, or a neighbour on the machine, is no regression then. The yardstick is NumPy, or where a row lacks it another
peer of both runs in the same version; a row without any is compared by its times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .peers import FORMS
from .results import Result, Run
from .statistics import Spread, ratios

LEAST = 1.10  # changes below it are noise: another run of the same code differs so much, by where its memory lies
FEW, LEAST_OF_FEW = 5, 1.5  # fewer turns say little of the noise: it takes more then

SLOWER, FASTER, SAME = "slower", "faster", "same"


@dataclass(frozen=True)
class Change:
    """fastbp's time (or bytes) in a row of both runs, over the yardstick's; a yardstick of "" is a second (a byte)."""

    label: str
    yardstick: str
    before: Spread
    now: Spread
    turns: int

    @property
    def factor(self) -> float:
        """How many times as long fastbp takes now."""
        return self.now.median / self.before.median

    @property
    def verdict(self) -> str:
        """Slower or faster only where the ranges between the 20 % and 80 % quantiles do not meet."""
        least = LEAST if self.turns >= FEW else LEAST_OF_FEW
        if self.now.low > self.before.high and self.factor > least:
            return SLOWER
        if self.now.high < self.before.low and self.factor < 1 / least:
            return FASTER
        return SAME


def changes(before: Run, now: Run) -> list[Change]:
    """Of the rows that fastbp did in both runs."""
    old = {result.label: result for result in before.results if result.ours}
    found = []
    for result in now.results:
        if result.ours and result.label in old:
            both = old[result.label], result
            yardstick = _yardstick(before, both[0], now, result)
            first, second = (_in_units_of(yardstick, r) for r in both)
            turns = min(len(r.ours.figures) for r in both if r.ours)
            found.append(Change(result.label, yardstick, first, second, turns))
    return found


def _yardstick(before: Run, old: Result, now: Run, new: Result) -> str:
    def version(run: Run, provider: str) -> str | None:
        return run.machine["versions"].get(FORMS[provider].peer.package if provider in FORMS else provider)

    common = [p for p in new.peers if p in old.entries and version(before, p) == version(now, p)]
    return "numpy" if "numpy" in common else next(iter(common), "")


def _in_units_of(yardstick: str, result: Result) -> Spread:
    assert result.ours is not None
    ours: Sequence[float] = result.ours.figures
    return ratios(ours, result.entries[yardstick].figures if yardstick else [1.0] * len(ours))


def text(found: Sequence[Change]) -> str:
    """A line for each row that changed, and how many did not."""
    lines = []
    for verdict in (SLOWER, FASTER):
        for change in found:
            if change.verdict == verdict:
                over = f" of {change.yardstick}'s" if change.yardstick else ""
                lines.append(
                    f"{verdict} by {change.factor:.2f}: {change.label} "
                    f"({change.before.median:.3g} to {change.now.median:.3g}{over})"
                )
    same = sum(change.verdict == SAME for change in found)
    return "\n".join([*lines, f"{same} of {len(found)} rows are as fast as before, within the noise."])
