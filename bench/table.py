"""A run as a table of text: fastbp's time and share of the limit, and each peer's time and ratio."""

from collections.abc import Collection, Sequence
from itertools import groupby

import numpy as np

from .peers import FORMS
from .results import Entry, Result, Run

LOSES = "<"
HEAD = f"A peer's ratio is its time (or bytes) over fastbp's; {LOSES} marks the peers that take less than fastbp."
ORDER = ("book", "step", "predict", "start", "memory", "layer", "call", "gemm")  # of the jobs; the rest follows


def text(run: Run) -> str:
    """The table, job by job, and what it comes to."""
    blocks = [machine(run), HEAD]
    blocks += [block(results) for _, results in jobs(run)]
    blocks.append(summary(run))
    return "\n\n".join(blocks)


def machine(run: Run) -> str:
    """One line on where the figures are from."""
    versions = ", ".join(f"{name} {version}" for name, version in run.machine["versions"].items())
    commit = f", commit {run.machine['commit']}" if run.machine["commit"] else ""
    cpu = run.machine["cpu"]["brand_raw"]
    cores = run.machine["cores"]
    return f"{cpu}, {cores} core{'s' * (cores > 1)}; Python {run.machine['python_version']}, {versions}{commit}"


def summary(run: Run) -> str:
    """How many rows fastbp wins, and which it does not."""
    compared = [result for result in run.timed if result.ours and result.peers and not result.is_of_grid]
    lost = [result for result in compared if result.better_peers()]
    lines = [f"fastbp takes least in {len(compared) - len(lost)} of {len(compared)} rows."]
    lines += [f"  {', '.join(result.better_peers())} less: {result.label}" for result in sorted(lost, key=_place)]
    lines += [of_grids(results) for _, results in jobs(run) if results[0].is_of_grid]
    return "\n".join(lines)


def of_grids(results: Sequence[Result]) -> str:
    """What the grids of a job come to: the worst ratio of a peer to fastbp, and the geometric mean of all."""
    found = {result.label: ratio for result in results for peer in result.peers if (ratio := result.ratio(peer))}
    if not found:
        return f"{results[0].info['job']}: no peer was timed beside fastbp."
    medians = {label: ratio.median for label, ratio in found.items()}
    worst, less = min(medians, key=medians.__getitem__), sum(median < 1 for median in medians.values())
    mean = float(np.exp(np.mean(np.log(list(medians.values())))))
    return (
        f"{results[0].info['job']}: geometric mean of {len(medians)} ratios {mean:.2f}, worst {medians[worst]:.2f} "
        f"({worst}); the peer takes less in {less}."
    )


def jobs(run: Run) -> list[tuple[str, list[Result]]]:
    """The rows by job, the whole jobs first."""
    grouped = groupby(sorted(run.timed, key=_place), key=lambda result: result.info["job"])
    return [(job, list(results)) for job, results in grouped]


def in_order(result: Result) -> list[Entry]:
    """Ours first, then the peers."""
    return [*([result.ours] if result.ours else []), *(result.entries[peer] for peer in result.peers)]


def _place(result: Result) -> tuple[int, str]:
    job = result.info["job"]
    return (ORDER.index(job), "") if job in ORDER else (len(ORDER), job)


def block(results: Sequence[Result]) -> str:
    """The rows of one job, with a column for each of its peers; or the grids that they make."""
    if results[0].is_of_grid:
        return "\n\n".join([_grid(name, list(found)) for name, found in groupby(results, _name_of_grid)])
    peers = _peers({name for result in results for name in (*result.entries, *result.absent)})
    cells = [[results[0].info["job"], "threads", "fastbp", "limit", *peers]]
    for result in results:
        ours = result.ours
        share = "" if ours is None or ours.share is None else f"{ours.share:.0%}"
        name = result.info["row"] + (" float64" if result.info["dtype"] == "float64" else "")
        first = [name, str(result.info["threads"]), amount(ours) if ours else "-", share]
        cells.append([*first, *(_peer(result, peer) for peer in peers)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in cells
    ]
    reasons = sorted({f"  {name}: {why}" for result in results for name, why in result.absent.items()})
    return "\n".join(lines + reasons)


def _name_of_grid(result: Result) -> str:
    return result.info["grid"][0]


def _grid(name: str, results: Sequence[Result]) -> str:
    """Ratios of the least of the peers, by lines and columns."""
    columns = sorted({result.info["grid"][2] for result in results})
    lines: dict[int, dict[int, str]] = {}
    for result in results:
        _, line, column = result.info["grid"]
        least = min((ratio.median for peer in result.peers if (ratio := result.ratio(peer))), default=None)
        cell = "-" if least is None else f"{least:.2f}{LOSES if least < 1 else ' '}"
        lines.setdefault(line, {})[column] = cell
    head = f"{name:<34}" + "".join(f"{column:>8} " for column in columns)
    rows = [f"{line:>33} " + "".join(f"{lines[line].get(c, ''):>9}" for c in columns) for line in sorted(lines)]
    return "\n".join(line.rstrip() for line in [head, *rows])


def _peers(names: Collection[str]) -> list[str]:
    """Those among the ``names`` in the order of FORMS, then by name whoever is not among these."""
    known = [name for name in FORMS if name in names and name != "fastbp"]
    return known + sorted(set(names) - {*known, "fastbp"})


def _peer(result: Result, peer: str) -> str:
    if peer in result.absent:
        return "not installed" if result.absent[peer] == "not installed" else "-"
    if peer not in result.entries:
        return ""
    ratio = result.ratio(peer)
    taken = amount(result.entries[peer])
    if ratio is None:
        return taken
    return f"{taken} {ratio.median:6.2f}{LOSES if ratio.median < 1 else ' '}"


def amount(entry: Entry) -> str:
    """The median with its unit."""
    median = entry.spread.median
    return duration(median) if entry.figures is entry.seconds else f"{1e-6 * median:.0f} MB"


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for scale, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if seconds * scale < 999.5:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"
