"""What --json writes, a file when all is done or lines on stdout while it is; and whether --plot can."""

import json
from typing import Any

from fastbp._extra import needed
from fastbp.commands import CommandError
from fastbp.commands._options import STDOUT
from fastbp.json_file import write_json


def write_report(path: str | None, report: dict[str, Any]) -> None:
    """Write ``report`` to the file ``path``, or as a line to stdout for "-"; nothing for None."""
    if path == STDOUT:
        print_line(report)
    elif path:
        write_json(path, report)


def print_line(value: dict[str, Any]) -> None:
    """One line of JSON, on its way at once."""
    print(json.dumps(value, allow_nan=False), flush=True)


def check_picture(path: str | None) -> None:
    """Raise CommandError where matplotlib cannot write ``path``, ImportError where it is not installed.

    To be asked before long work, whose result would be lost.
    """
    if path:
        kinds = needed("matplotlib.figure", "plot").Figure().canvas.get_supported_filetypes()
        if path.rpartition(".")[2].lower() not in kinds:
            raise CommandError(f"--plot {path}: the name must end in .{', .'.join(sorted(kinds))}", 2)
