"""What ``fastbp train`` prints on the way, and of the epoch whose weights it keeps."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fastbp import cli


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(capsys, *arguments):
    """What the command prints, and the report that it writes."""
    capsys.readouterr()
    assert cli.main(["train", *arguments, "--json", "run.json"]) == 0
    return capsys.readouterr().out.splitlines(), json.loads(Path("run.json").read_text())


def epochs(lines):
    return [int(match[1]) for match in (re.match(r"epoch +(\d+)/", line) for line in lines) if match]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--epochs", "20"], list(range(1, 21))),
        (["--epochs", "50"], [1, *range(3, 50, 3), 50]),
        (["--epochs", "7", "--every", "3"], [1, 3, 6, 7]),
        (["--epochs", "4", "--every", "100"], [1, 4]),
        (["--epochs", "45", "--max-steps", "100"], [1, 3, 6]),
    ],
)
def test_about_twenty_epochs_have_a_line_and_the_first_and_the_last_always(options, expected, capsys):
    printed, report = lines(capsys, *options)
    assert epochs(printed) == expected
    assert printed[-1].startswith(f"{len(report['epochs'])} epochs in ")
    assert [epoch["epoch"] for epoch in report["epochs"]] == list(range(1, expected[-1] + 1)), "the file has them all"


def test_json_lines_are_all_epochs(capsys):
    assert cli.main(["train", "--epochs", "45", "--every", "20", "--json", "-"]) == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["start", *["epoch"] * 45, "end"]


def test_the_last_line_tells_the_epoch_whose_weights_are_kept(capsys):
    options = ["--optimizer", "adam", "--lr", "0.3", "--patience", "2", "--save", "model"]
    printed, report = lines(capsys, *options)
    losses = [epoch["validation_loss"] for epoch in report["epochs"]]
    best = report["epochs"][int(np.argmin(losses))]
    assert best["epoch"] == len(losses) - 2
    assert printed[-1] == (
        f"kept the weights of epoch {best['epoch']}, the best: "
        f"validation accuracy {best['validation_accuracy']:.4f}, validation loss {best['validation_loss']:.4f}"
    )
    assert report["totals"]["best_epoch"] == best["epoch"]
    assert cli.main(["evaluate", "model", "--data", "digits", "--json", "-"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["loss"] == pytest.approx(best["validation_loss"], rel=1e-4)
    assert measured["accuracy"] == best["validation_accuracy"]


def test_a_resumed_run_may_keep_the_weights_of_an_epoch_before(capsys):
    options = ["--optimizer", "adam", "--lr", "0.001", "--patience", "3"]
    lines(capsys, *options, "--epochs", "5", "--save", "model", "--save-state")
    printed, report = lines(capsys, *[*options[:3], "0.9"], "--patience", "3", "--epochs", "8", "--resume", "model")
    assert report["totals"]["best_epoch"] == 5
    assert re.fullmatch(r"kept the weights of epoch 5, the best: validation loss \d\.\d{4}", printed[-1])


def test_without_patience_nothing_is_kept(capsys):
    printed, report = lines(capsys, "--epochs", "2")
    assert "best_epoch" not in report["totals"]
    assert "epochs in" in printed[-1]
