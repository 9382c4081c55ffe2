"""Measure which numbers suit this machine, in at most two minutes, and keep them for later runs.

The package knows some machines, and goes by the one that is nearest. This tries other sizes of blocks and parts, and
other limits from which on work is shared; a number is changed where that is faster beyond doubt. No result changes by a
bit. Interrupted, it leaves everything as it was. Best while nothing else runs; kernels are compiled first, if they have
to be, which is not counted.
"""

import argparse
from dataclasses import dataclass
from typing import Any

from fastbp.basics import _machine, _tuned
from fastbp.basics._progress import Bar, silence, why_not_kept
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._report import write_report

EXAMPLES = """\
examples:
  fastbp tune
  fastbp tune --seconds 30 --json tuned.json
  fastbp tune --reset
"""
SECONDS = 100.0


@dataclass(frozen=True, kw_only=True)
class Options(types.Options):
    """For how long, and whether instead to forget."""

    seconds: float
    reset: bool
    json: str | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """How long to measure, or to forget."""
    add = parser.add_argument
    add(
        "--seconds",
        metavar="S",
        type=_seconds,
        default=SECONDS,
        help=f"to measure for, at most {SECONDS:.0f} (default: {SECONDS:.0f}); with less, fewer gains are beyond doubt",
    )
    add("--reset", action="store_true", help="measure nothing; forget what was measured before")
    add("--json", metavar="FILE", type=types.output_or_stdout, help="write what came out there; - for stdout")


def _seconds(text: str) -> float:
    seconds = types.above_0(text)
    if seconds > SECONDS:
        raise argparse.ArgumentTypeError(f"must be at most {SECONDS:.0f}, got {text!r}")
    return seconds


def run(options: Options) -> None:
    """Measure, keep and tell, or forget."""
    if _tuned.path() is None:
        raise CommandError(f"there is no place to keep what would be measured: {why_not_kept()}")
    report = _forget() if options.reset else _measure(options.seconds)
    if options.json != types.STDOUT:
        print(report["text"])
    write_report(options.json, {name: value for name, value in report.items() if name != "text"})


def _forget() -> dict[str, Any]:
    there = _tuned.forget()
    text = "forgotten: later runs go by" if there else "nothing was kept: runs go by"
    return {"reset": there, "row": _machine.row().name, "text": f"{text} the row {_machine.row().name}"}


def _measure(seconds: float) -> dict[str, Any]:
    import fastbp
    from fastbp.bench import tune

    names = [name for name in tune.TUNED if fastbp.get_num_threads() > 1 or not tune.PROBES[name].shared]
    before, found = _machine.numbers(), {}
    try:
        _machine.use(_machine.untuned())
        with Bar(len(names), "number") as bar, silence():
            for name in names:
                bar.describe(f"measuring {name}")
                value = tune.better(name, seconds / len(names))
                if value is not None:
                    found[name] = value
                    _machine.use(_machine.numbers()._replace(**{name: value}))
                bar.advance()
    finally:
        _machine.use(before)
    file = _tuned.save(found)
    lines = [f"{name}: {value}, was {getattr(_machine.untuned(), name)}" for name, value in found.items()]
    about = f"{len(names)} numbers measured, {len(found)} better than in the row {_machine.row().name}; kept in {file}"
    return {
        "row": _machine.row().name,
        "measured": names,
        "changed": found,
        "file": str(file),
        "text": "\n".join([*lines, about]),
    }
