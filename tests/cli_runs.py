"""Running the command in this process, for tests of it."""

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from fastbp import cli


def run(*arguments):
    """Run a command that must not fail."""
    assert cli.main([str(argument) for argument in arguments]) == 0


def refused(capsys, *arguments, code=1):
    """Run a command that fails before it says anything; return the one line of its error."""
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == code
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    return errors


def interrupted(*arguments):
    """Start ``fastbp train`` in a process of its own, and send it Ctrl-C after an epoch; its exit code and errors."""
    command = [sys.executable, "-m", "fastbp", "train", "--epochs", "1000000", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("epoch")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, errors


def train(*arguments, epochs=1):
    """Train on a file for a short time, and save the network as ``model``."""
    run("train", *arguments, "--epochs", epochs, "--save", "model")


def told(capsys, *arguments):
    """The lines that ``train`` prints before the first epoch, by their first word."""
    capsys.readouterr()
    train(*arguments)
    lines = capsys.readouterr().out.partition("epoch")[0].splitlines()
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines}


def understood(capsys, *arguments):
    """What ``train`` tells programs of its data."""
    capsys.readouterr()
    train(*arguments, "--json", "-")
    return json.loads(capsys.readouterr().out.splitlines()[0])["data"]


def predicted(capsys, *arguments):
    """The rows that ``predict`` prints, as dicts."""
    capsys.readouterr()
    run("predict", "model", *arguments)
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def write_flowers():
    """Write ``flowers.csv``: 60 rows of a number far from 0 and a word, with a class and a number to predict."""
    rng = np.random.default_rng(0)
    rows = ["length,soil,kind,price"]
    for _ in range(60):
        length = 100 + 3 * rng.random()
        soil = ("wet", "dry")[rng.integers(2)]
        rows.append(f"{length:.3f},{soil},{'ab'[length > 101.5]},{length * 2 + (soil == 'wet'):.3f}")
    Path("flowers.csv").write_text("\n".join(rows))
