"""Why a growth curve bends where it does, in words, from the numbers of the run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .results import Result, Run
from .table import duration

PER_ROW = "growth by rows"  # the one curve whose times are those of a row and not of a step


@dataclass(frozen=True)
class Curve:
    """One provider's way through the rows of a job, by growing place.

    ``seconds`` are those of a whole step (an epoch, by rows), ``flops`` what it computes; ``fixed`` is the part of the
    seconds that does not grow, ``per_flop`` the part that does.
    """

    provider: str
    places: np.ndarray
    seconds: np.ndarray
    flops: np.ndarray
    working_sets: np.ndarray

    @property
    def gflops(self) -> np.ndarray:
        """The rate at each size, in GFLOP/s."""
        return 1e-9 * self.flops / self.seconds

    @property
    def fit(self) -> tuple[float, float]:
        """``fixed`` and ``per_flop`` with the least relative errors, neither below 0."""
        columns = np.stack([np.ones_like(self.flops), self.flops], axis=1) / self.seconds[:, None]
        fixed, per_flop = np.linalg.lstsq(columns, np.ones(len(columns)), rcond=None)[0]
        if fixed < 0:
            return 0.0, float(np.median(self.seconds / self.flops))
        return float(fixed), float(max(per_flop, 0.0))

    @property
    def knee(self) -> float | None:
        """The place where the fixed part is half of the time; None where that lies outside of the curve."""
        fixed, per_flop = self.fit
        if fixed <= 0 or per_flop <= 0 or not self.flops[0] <= fixed / per_flop <= self.flops[-1]:
            return None
        return float(np.exp(np.interp(np.log(fixed / per_flop), np.log(self.flops), np.log(self.places))))


def curve(results: Sequence[Result], provider: str) -> Curve | None:
    """None where the provider has fewer than three of the rows."""
    found = sorted((r for r in results if provider in r.entries), key=lambda r: r.info["place"])
    if len(found) < 3:
        return None
    whole = [r.info["place"] if r.info["job"] == PER_ROW else 1 for r in found]
    seconds = [r.entries[provider].spread.median * n for r, n in zip(found, whole, strict=True)]
    flops = [r.info["flops"] * n for r, n in zip(found, whole, strict=True)]
    places, sets = ([r.info[name] for r in found] for name in ("place", "working_set"))
    return Curve(provider, *(np.array(a, float) for a in (places, seconds, flops, sets)))


def explanation(run: Run, results: Sequence[Result]) -> list[str]:
    """Sentences on the fixed cost of each provider, and on the caches that fastbp's working set outgrows."""
    unit = "an epoch" if results[0].info["job"] == PER_ROW else "a step"
    sentences = []
    for provider in dict.fromkeys(name for result in results for name in result.entries):
        one = curve(results, provider)
        if one is not None:
            sentences.append(_fixed_cost(one, unit))
    ours = curve(results, "fastbp")
    if ours is not None:
        limits = run.machine["limits"].get(str(results[0].info["threads"]))
        holds = limits["holds_bytes"] if limits else {}
        sentences += [s for level, size in holds.items() if (s := _outgrown(ours, level, size))]
        sentences += _steepest_fall(ours)
    return sentences


def _fixed_cost(one: Curve, unit: str) -> str:
    fixed, per_flop = one.fit
    best = int(np.argmax(one.gflops))
    start = f"{one.provider}: {duration(fixed)} of {unit} are fixed" if fixed else f"{one.provider}: nothing is fixed"
    if one.knee is not None:
        start += f", half of the time at {one.knee:,.0f}"
    elif fixed and fixed < per_flop * one.flops[0]:
        start += ", less than half of the time everywhere"
    return f"{start}; best at {one.places[best]:,.0f}, {one.gflops[best]:.3g} GFLOP/s."


def _outgrown(ours: Curve, level: str, size: float) -> str:
    """Where the working set passes the size of a cache, and what that costs."""
    inside = ours.working_sets <= size
    if inside.all() or not inside.any():
        return ""
    last = int(np.flatnonzero(inside)[-1])
    before, after = ours.gflops[last : last + 2]
    return (
        f"Between {ours.places[last]:,.0f} and {ours.places[last + 1]:,.0f} the working set outgrows {level} "
        f"({_bytes(size)}): fastbp goes from {before:.3g} to {after:.3g} GFLOP/s."
    )


def _steepest_fall(ours: Curve) -> list[str]:
    """Between which neighbours the speed falls most, if it falls by a tenth."""
    kept = ours.gflops[1:] / ours.gflops[:-1]
    worst = int(np.argmin(kept))
    if kept[worst] > 0.9:
        return []
    (a, b), (slow, fast) = ours.places[worst : worst + 2], ours.gflops[[worst + 1, worst]]
    sets = " to ".join(_bytes(size) for size in ours.working_sets[worst : worst + 2])
    return [
        f"fastbp loses most between {a:,.0f} and {b:,.0f}, from {fast:.3g} to {slow:.3g} GFLOP/s, as the working set "
        f"grows from {sets}."
    ]


def _bytes(size: float) -> str:
    for scale, unit in ((2**20, "MiB"), (2**10, "KiB")):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} B"
