"""The loaders under a fuzzer that follows coverage: each file that it makes is refused, or taken for what it is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak
pytest.importorskip("polars")
SECONDS = 120
BOUNDS = ["-timeout=20", "-rss_limit_mb=2000"]  # of a single file


@pytest.mark.parametrize("kind", ["model", "made model", "idx", "repacked idx", "npz", "repacked npz", "csv"])
def test_a_file_that_a_fuzzer_makes_is_refused_or_taken_for_what_it_is(kind, tmp_path, record_property):
    pytest.importorskip("atheris")
    fuzzer = [sys.executable, str(Path(__file__).with_name("fuzzed.py")), kind]
    options = [*BOUNDS, f"-max_total_time={SECONDS}", "-print_final_stats=1"]
    run = subprocess.run([*fuzzer, *options], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    files = int(re.search(r"number_of_executed_units: (\d+)", run.stderr)[1])
    record_property("files", files)
    assert files > 10 * SECONDS
