"""Running the command in this process, for tests of it."""

import csv
import io
import json

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
