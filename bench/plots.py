"""The pictures of a report, by matplotlib; none of its global state is used or changed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from .curves import PER_ROW, Curve, curve
from .peers import FORMS
from .results import Result, Run
from .table import amount, duration

GREY, LOSS = "#555555", "#FBE3DC"
DASHES = (":", "-.", "--", (0, (8, 3)), "-")
WIDTH = 10.0


def ratios(results: Sequence[Result], title: str) -> Figure:
    """Each peer's time over fastbp's, a row a line; what lies in the tinted part takes less than fastbp."""
    shown = [r for r in results if r.ours and r.peers]
    figure = Figure(figsize=(WIDTH, 1.7 + 0.42 * len(shown)), layout="constrained")
    axes = figure.subplots()
    peers = list(dict.fromkeys(peer for result in shown for peer in result.peers))
    found = [(y, peer, result.ratio(peer)) for y, result in enumerate(shown) for peer in result.peers]
    medians = [ratio.median for _, _, ratio in found if ratio]
    low, high = min(0.7, *medians) / 1.3, max(2.0, *medians) * 1.3
    axes.axvspan(low, 1, color=LOSS, zorder=0)
    axes.axvline(1, color=style("fastbp")[0], linewidth=1.5)
    for peer in peers:
        colour, marker = style(peer)
        points = [(ratio, y) for y, name, ratio in found if name == peer and ratio]
        for ratio, y in points:
            axes.plot([ratio.low, ratio.high], [y, y], color=colour, linewidth=1.5, zorder=2)
        x = [ratio.median for ratio, _ in points]
        axes.plot(x, [y for _, y in points], marker, color=colour, label=peer, markersize=7, alpha=0.9, zorder=3)
    axes.set_yticks(range(len(shown)), [_row_label(result) for result in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_xlabel("time of the peer over that of fastbp; tinted: the peer takes less")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    figure.legend(loc="outside lower center", ncols=min(7, len(peers)), frameon=False)
    return figure


def _row_label(result: Result) -> str:
    assert result.ours is not None
    return f"{result.name}   {amount(result.ours)}"


def roofline(run: Run, threads: int) -> Figure | None:
    """GFLOP/s over flops per byte, under what the machine can do; None where no row has both."""
    shown = [r for r in run.of("gemm", "step") if (r.info["threads"], r.info["dtype"]) == (threads, "float32")]
    shown = [r for r in shown if r.info["flops"] and r.info["bytes"]]
    limits = run.machine["limits"].get(str(threads))
    if not shown or limits is None:
        return None
    figure = Figure(figsize=(WIDTH, 6.2), layout="constrained")
    axes = figure.subplots()
    peak = limits["gflops"]["float32"]
    speeds = {level: max(kinds.values()) for level, kinds in limits["gb_per_second"].items()}
    intensity = {r.label: r.info["flops"] / r.info["bytes"] for r in shown}
    x = np.geomspace(min(*intensity.values(), peak / max(speeds.values())) / 3, max(intensity.values()) * 2, 300)
    ceilings = [axes.axhline(peak, color="black", linewidth=1.5, label=f"multiply-adds {peak:.0f} GFLOP/s")]
    for (level, speed), dashes in zip(speeds.items(), DASHES, strict=False):
        y = np.minimum(peak, speed * x)
        ceilings += axes.plot(x, y, color=GREY, linewidth=1, linestyle=dashes, label=f"{level} {speed:.0f} GB/s")
    axes.add_artist(axes.legend(handles=ceilings, loc="lower right", fontsize=9, title="what the machine can do"))
    for provider in dict.fromkeys(name for result in shown for name in result.entries):
        colour, marker = style(provider)
        points = [
            (intensity[r.label], 1e-9 * r.info["flops"] / r.entries[provider].spread.median)
            for r in shown
            if provider in r.entries
        ]
        size, order = (8, 4) if provider == "fastbp" else (5, 3)
        axes.plot(*zip(*points, strict=True), marker, color=colour, label=provider, markersize=size, zorder=order)
    _log_axes(axes, "flops per byte moved at the least", "GFLOP/s")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(top=peak * 1.6)
    name = f"Roofline: matrix products and training steps, float32, {threads} thread{'s' * (threads > 1)}"
    figure.suptitle(name, fontsize=12, fontweight="bold")
    handles = [line for line in axes.get_lines() if line not in ceilings]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False)
    return figure


def growth(results: Sequence[Result], job: str) -> Figure | None:
    """Time over place for each provider, the knees marked; None where there are too few rows."""
    names = dict.fromkeys(name for result in results for name in result.entries)
    curves = [found for name in names if (found := curve(results, name)) is not None]
    if not curves:
        return None
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    for one in curves:
        colour, marker = style(one.provider)
        axes.plot(one.places, _shown_seconds(one, job), marker + "-", color=colour, label=one.provider, markersize=6)
        if one.knee is not None:
            axes.axvline(one.knee, color=colour, linewidth=1, linestyle=":")
    what = job.removeprefix("growth by ")
    unit = "row" if job == PER_ROW else "step"
    _log_axes(axes, f"{what}; dotted: where the fixed part is half of the time", f"time of a {unit}")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 100 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(curves[0].places, [f"{place:,.0f}" for place in curves[0].places])
    axes.xaxis.set_minor_locator(NullLocator())
    figure.suptitle(f"How the cost grows with the {what}", fontsize=12, fontweight="bold")
    figure.legend(loc="outside lower center", ncols=7, frameon=False)
    return figure


def _shown_seconds(one: Curve, job: str) -> Any:
    return one.seconds / one.places if job == PER_ROW else one.seconds


def _log_axes(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(color="#dddddd", linewidth=0.6)


def style(provider: str) -> tuple[str, str]:
    """Colour and marker of a provider, grey dots for one that has none of its own."""
    form = FORMS.get(provider)
    return (form.colour, form.marker) if form else (GREY, "o")
