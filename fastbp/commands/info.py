"""Show what fastbp works with here: CPU, row of the tile table, threads, compile cache, versions."""

import argparse
from dataclasses import dataclass

from fastbp._show_config import collect, lines
from fastbp.commands import _options as types
from fastbp.commands._report import write_report

EXAMPLES = """\
examples:
  fastbp info
  fastbp info --json -
"""


@dataclass(frozen=True, kw_only=True)
class Options(types.Options):
    """Where it is written, beside the lines."""

    json: str | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Only where to write it: there is nothing to choose."""
    parser.add_argument("--json", metavar="FILE", type=types.output_or_stdout, help="write it there; - for stdout")


def run(options: Options) -> None:
    """Print and write it."""
    report = collect()
    if options.json != types.STDOUT:
        print(*lines(report), sep="\n")
    write_report(options.json, report)
