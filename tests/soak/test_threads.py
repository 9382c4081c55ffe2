"""Sixteen Python threads that mix forward, fit, predict, load and errors: no abort, no wrong number, no leak."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc")
MIXED = Path(__file__).with_name("mixed.py")


@pytest.mark.parametrize(("seconds", "grows"), [(3, 100), pytest.param(600, 20, marks=pytest.mark.soak)])
def test_sixteen_threads_get_the_numbers_of_one(seconds, grows):
    command = [sys.executable, "-X", "faulthandler", str(MIXED), str(seconds), "16"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300 + 3 * seconds)
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)
    print(found)
    assert found["wrong"] == []
    assert found["kinds"] > 30
    assert found["left"] == 0, "a thread is left"
    assert found["grown"] < grows, "MiB in the last three quarters of the time"
