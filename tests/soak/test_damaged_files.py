"""Damaged files of all kinds: refused in one line or taken for what they are; no crash, no hang, no memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from damage import KINDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no bound on memory")
pytest.importorskip("polars")
MOST = 150  # MiB that a process may grow by over thousands of files: what libraries keep, and no file explains


def read(kind, n):
    """What comes of ``n`` damaged files, read in a process of its own: by their kind."""
    command = [sys.executable, "-X", "faulthandler", str(Path(__file__).with_name("damage.py")), kind, "0", str(n)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, f"{kind}: ended with {run.returncode}: {run.stderr[-3000:]}"
    return json.loads(run.stdout)


@pytest.mark.parametrize(
    ("kind", "n"), [("all", 40), *(pytest.param(kind, 10_000, marks=pytest.mark.soak) for kind in KINDS)]
)
def test_a_damaged_file_is_refused_or_taken_for_what_it_is(kind, n):
    for name, result in read(kind, n).items():
        assert result["wrong"] == [], name
        assert result["refused"] + result["taken"] == n
        assert result["refused"] > 0.2 * n
        assert name == "toml" or result["grown"] < MOST  # options may ask for a network of any size
