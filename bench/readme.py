"""The short table of results in a Markdown file, between two marks."""

import os
from collections.abc import Iterator
from pathlib import Path

from .peers import FORMS
from .results import Result, Run
from .table import amount, jobs, machine

BEGIN, END = "<!-- benchmarks: written by fastbp bench --readme -->", "<!-- end of benchmarks -->"
JOBS = {"book": "whole job", "step": "step", "start": "start", "memory": "memory"}


class NoMarks(ValueError):
    """The file lacks the lines between which the table belongs."""


def write(run: Run, path: str | os.PathLike) -> None:
    """Replace what stands between the marks of the file ``path``. Raises NoMarks where there are none."""
    file = Path(path)
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoMarks(f"{os.fspath(path)} must hold the lines {BEGIN} and {END}")
    file.write_text(f"{before}{BEGIN}\n{text(run)}\n{END}{after}", encoding="utf-8")


def text(run: Run) -> str:
    """The table: whole jobs and steps, each peer's ratio to fastbp in brackets, bold where the peer takes less.

    A row that fastbp has no figure of says nothing, and is left out.
    """
    results = [result for job, found in jobs(run) if job in JOBS for result in found]
    timed = {peer for result in results for peer in result.peers}
    peers = [name for name, form in FORMS.items() if form.quick and name in timed]
    return "\n".join([f"{machine(run)}.", "", *_rows(results, peers)])


def _rows(results: list[Result], peers: list[str]) -> Iterator[str]:
    head = ["", "threads", "fastbp", "of the limit", *peers]
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for result in results:
        info, ours = result.info, result.ours
        if ours is None:
            continue
        share = "" if ours.share is None else f"{ours.share:.0%}"
        cells = [f"{JOBS[info['job']]}: {info['row']}", str(info["threads"]), amount(ours), share]
        yield f"| {' | '.join([*cells, *(_peer(result, peer) for peer in peers)])} |"


def _peer(result: Result, peer: str) -> str:
    ratio = result.ratio(peer)
    if ratio is None:
        return ""
    cell = f"{amount(result.entries[peer])} ({ratio.median:.2f})"
    return f"**{cell}**" if ratio.median < 1 else cell
