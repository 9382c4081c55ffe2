"""A run as one self-contained HTML page, and its plots as files."""

import io
import os
from collections.abc import Iterator
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from . import plots
from .curves import explanation
from .results import Entry, Result, Run
from .table import amount, block, duration, in_order, jobs, machine, summary

TITLES = {
    "book": "The book's whole job",
    "book step": "Training steps of the book's networks, as its scripts do them",
    "step": "One training step, the mini-batch chosen already",
    "start": "What a user waits for",
    "memory": "Peak of memory while training, beyond imports",
    "call": "Calls from one number to a thousand rows",
    "predict": "Predictions of whole networks",
    "layer": "The book's layers, called one by one from Python",
    "gemm": "Matrix products",
    "adam": "One step of Adam over a flat vector",
}
HEAD = ("row", "provider", "median", "20 %", "80 %", "of limit", "GFLOP/s", "GB/s", "ratio", "compiling", "error", "")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
svg { max-width: 100%; height: auto; } pre { white-space: pre-wrap; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; text-align: right; white-space: nowrap; }
th { border-bottom: 1px solid #888; position: sticky; top: 0; background: #fff; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
tr.first td { border-top: 1px solid #ccc; } tr.ours td { font-weight: 600; }
tr.less td { background: #fbe3dc; } tr.absent td { color: #777; text-align: left; }
"""


def write(run: Run, folder: str | os.PathLike) -> Path:
    """Write ``index.html`` and the plots, SVG and PNG, into ``folder``; return the page's path."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    page.write_text("\n".join(_page(run, out)), encoding="utf-8")
    return page


def _page(run: Run, out: Path) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>fastbp's benchmarks</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    yield f"<h1>fastbp's benchmarks</h1>\n<p>{escape(machine(run))}</p>\n<pre>{escape(summary(run))}</pre>"
    yield (
        "<p>Every answer was checked before it was timed. The providers of a row took turns on the same cores; a ratio "
        "is the median over the turns of a peer's time (or bytes) over fastbp's. Tinted rows are those in which a "
        "peer takes less than fastbp.</p>"
    )
    for threads in map(int, run.machine["limits"]):
        yield from _figure(plots.roofline(run, threads), out, f"roofline-{threads}")
    for job, results in jobs(run):
        yield f"<h2>{escape(job[0].upper() + job[1:])}</h2>"
        if job.startswith("growth"):
            yield from _figure(plots.growth(results, job), out, job.replace(" ", "-"))
            yield "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in explanation(run, results)) + "</ul>"
        elif results[0].is_of_grid:
            yield f"<pre>{escape(block(results))}</pre>"
        elif any(result.ours and result.peers for result in results):
            yield from _figure(
                plots.ratios(results, TITLES.get(job, job[0].upper() + job[1:])), out, job.replace(" ", "-")
            )
        yield from _table(results)
    yield "</body>\n</html>"


def _figure(figure: Figure | None, out: Path, name: str) -> Iterator[str]:
    """The plot as inline SVG, and as files."""
    if figure is None:
        return
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):  # ids that differ from plot to plot, not from run to run
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    (out / f"{name}.svg").write_text(svg, encoding="utf-8")
    figure.savefig(out / f"{name}.png", dpi=150)
    yield f"<figure>{svg[svg.index('<svg') :]}</figure>"


def _table(results: list[Result]) -> Iterator[str]:
    yield '<div class="scroll"><table>\n<tr>' + "".join(f"<th>{name}</th>" for name in HEAD) + "</tr>"
    for result in results:
        kinds = result.better_peers()
        for number, entry in enumerate(in_order(result)):
            classes = ["first"] * (number == 0) + ["ours"] * (entry.provider == "fastbp")
            classes += ["less"] * (entry.provider in kinds)
            texts = (result.name if number == 0 else "", entry.provider, *_cells(result, entry))
            cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
            yield f'<tr class="{" ".join(classes)}">{cells}</tr>'
        for provider, reason in result.absent.items():
            yield f'<tr class="absent"><td></td><td>{escape(provider)}</td><td colspan="10">{escape(reason)}</td></tr>'
    yield "</table></div>"


def _cells(result: Result, entry: Entry) -> list[str]:
    info, times, ratio = entry.info, entry.spread, result.ratio(entry.provider)
    is_time = entry.figures is entry.seconds
    return [
        amount(entry),
        *((duration(times.low), duration(times.high)) if is_time else ("", "")),
        "" if entry.share is None else f"{entry.share:.0%}",
        _number(info.get("gflops")),
        _number(info.get("gb_per_second")),
        "" if ratio is None or entry.provider == "fastbp" else f"{ratio.median:.2f}",
        f"{info['compile_seconds']:.2f} s" if info["compile_seconds"] else "",
        f"{info['max_error']:.1e}" if info["max_error"] else "",
        f"{info['facts']['test_accuracy']:.1%} of the test images" if "test_accuracy" in info["facts"] else "",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
