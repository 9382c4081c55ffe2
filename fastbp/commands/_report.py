"""What commands write beside their lines: reports, pictures, words of warning."""

import io
import json
import sys
from collections.abc import Sequence
from typing import Any

from fastbp.basics._extra import import_extra
from fastbp.commands import CommandError
from fastbp.commands._options import STDOUT
from fastbp.commands._words import in_a_line
from fastbp.files._files import write_whole
from fastbp.files.json_file import write_json


def write_report(path: str | None, report: dict[str, Any]) -> None:
    """Write ``report`` to the file ``path``, or as a line to stdout for "-"; nothing for None."""
    if path == STDOUT:
        print_line(report)
    elif path:
        write_json(path, report)


def print_line(value: dict[str, Any]) -> None:
    """One line of JSON, on its way at once."""
    print(json.dumps(value, allow_nan=False), flush=True)


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """Lines of cells, each as far right as the longest of its column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)


def tell(message: str) -> None:
    """A line on stderr, if there is one."""
    if sys.stderr:
        print(f"fastbp: {in_a_line(message)}", file=sys.stderr)


def write_picture(path: str, figure: Any) -> None:
    """Write a matplotlib Figure, in the format that the name ends in."""
    image = io.BytesIO()
    figure.savefig(image, format=path.rpartition(".")[2].lower())
    write_whole(path, image.getvalue())


def check_picture(path: str | None) -> None:
    """Raise CommandError where matplotlib cannot write ``path``, ImportError where it is not installed.

    To be asked before long work, whose result would be lost.
    """
    if path:
        kinds = import_extra("matplotlib.figure", "plot").Figure().canvas.get_supported_filetypes()
        if path.rpartition(".")[2].lower() not in kinds:
            raise CommandError(f"--plot {path}: the name must end in .{', .'.join(sorted(kinds))}", 2)
