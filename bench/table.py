"""A run as a table of text: fastbp's time and share of the limit, and each peer's time and ratio."""

from collections.abc import Collection, Sequence
from itertools import groupby

from .peers import FORMS
from .results import Entry, Result, Run

LOSES = "<"
HEAD = f"A peer's ratio is its time (or bytes) over fastbp's; {LOSES} marks the peers that take less than fastbp."
ORDER = ("book", "step", "start", "memory", "layer", "gemm")  # of the jobs; the rest follows


def text(run: Run) -> str:
    """The table, job by job, and what it comes to."""
    blocks = [machine(run), HEAD]
    blocks += [_block(results) for _, results in jobs(run)]
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
    compared = [result for result in run.timed if result.ours and result.peers]
    lost = [result for result in compared if result.better_peers()]
    lines = [f"fastbp takes least in {len(compared) - len(lost)} of {len(compared)} rows."]
    lines += [f"  {', '.join(result.better_peers())} less: {result.label}" for result in sorted(lost, key=_place)]
    return "\n".join(lines)


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


def _block(results: Sequence[Result]) -> str:
    """The rows of one job, with a column for each of its peers."""
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
