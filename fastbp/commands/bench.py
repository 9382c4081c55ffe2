"""Measure fastbp beside NumPy, PyTorch, JAX and scikit-learn, as far as they are installed."""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fastbp.basics._extra import install
from fastbp.commands import CommandError
from fastbp.commands import _options as types

SUITE = ("pytest", "pytest_benchmark")
EXAMPLES = """\
examples:
  fastbp bench
  fastbp bench --only "step 784" --json new.json --compare old.json
  fastbp bench --full --report report
"""


@dataclass(frozen=True, kw_only=True)
class Options(types.Options):
    """What is measured, and where it is written or compared."""

    full: bool
    only: str
    json: str | None
    compare: str | None
    report: str | None
    readme: str | None
    results: str | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which rows to measure, how long, and what to make of the figures."""
    add = parser.add_argument
    add("--full", action="store_true", help="all rows, and longer, for figures to be quoted (default: some minutes)")
    add("--only", metavar="PATTERN", type=_pattern, default="", help="rows whose name this regular expression finds")
    add("--json", metavar="FILE", type=types.output, help="write all that was measured there (.json, .json.gz)")
    add("--compare", metavar="OLD.json", help="say what got slower since, and end with exit code 1 if something did")
    add("--report", metavar="DIR", help="write a page with plots there")
    add("--readme", metavar="FILE", help="write the table of whole jobs between the marks of this file")
    add("--results", metavar="FILE", help="measure nothing; take what --json wrote there")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"must be a regular expression, got {text!r}: {error}") from None
    return text


def run(options: Options) -> None:
    """Measure what the parsed ``options`` say, or read it from a file; print and write what they ask for."""
    for needed in SUITE:
        if importlib.util.find_spec(needed) is None:
            raise CommandError(f"bench needs {needed.replace('_', '-')}: {install('bench')}")
    if options.report and importlib.util.find_spec("matplotlib") is None:
        raise CommandError(f"bench --report needs matplotlib: {install('plot')}")

    from fastbp.bench import compare, readme, results, table

    try:
        old = results.load(options.compare) if options.compare else None
        with tempfile.TemporaryDirectory() as folder:
            path = options.results or str(Path(folder, "run.json"))
            if not options.results:
                measure(path, full=options.full, only=options.only)
            found = results.load(path)
            if options.json:
                results.copy(path, options.json)
    except results.NotARun as error:
        raise CommandError(str(error)) from None
    print(table.text(found))
    if options.report:
        from fastbp.bench import page

        print(f"\nreport: {page.write(found, options.report)}")
    if options.readme:
        try:
            readme.write(found, options.readme)
        except readme.NoMarks as error:
            raise CommandError(str(error)) from None
    if old is not None:
        changes = compare.changes(old, found)
        print(f"\n{compare.text(changes)}")
        slower = sum(change.verdict == compare.SLOWER for change in changes)
        if slower:
            raise CommandError(f"{slower} row{'s' * (slower > 1)} got slower")
    if found.failures:
        raise CommandError("\n".join(["some benchmarks failed", *found.failures]))


def measure(path: str, *, full: bool = False, only: str = "") -> None:
    """Run the suite in a process of its own, which writes the JSON file ``path``; CommandError where it can not."""
    import pytest

    from fastbp.bench import results

    suite = Path(results.__file__).parent
    command = [sys.executable, "-m", "pytest", "-s", "--benchmark-quiet", str(suite)]
    command += [f"--benchmark-storage=file://{Path(path).parent}"]  # else it makes a folder where we are
    command += [f"--only={only}", f"--benchmark-json={path}", *["--full"] * full]
    search = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryFile("w+") as log:
        # A pytest that calls this, or a worker of it, is none of the suite's business.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment = inherited | {"PYTHONPATH": search}
        code = subprocess.run(command, stdout=log, env=environment).returncode
        log.seek(0)
        said = log.read().strip()
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise CommandError(f"--only {only}: no benchmark has such a name", code=2)
    failed = code == pytest.ExitCode.TESTS_FAILED and os.path.exists(path) and results.load(path).failures
    if not os.path.exists(path) or (code != pytest.ExitCode.OK and not failed):
        raise CommandError(f"the benchmarks did not run:\n{said}")
