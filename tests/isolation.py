"""Python in a process of its own, for what could kill or stop the one that tests."""

import subprocess
import sys
import textwrap


def isolated(code, *arguments, seconds=120):
    """What ``code`` prints with ``arguments`` as its own; it must end, and not with an error."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert run.returncode == 0, f"ended with {run.returncode}: {run.stdout[-500:]}{run.stderr[-2000:]}"
    return run.stdout
