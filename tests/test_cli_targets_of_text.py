"""A target that is text, where the network that is measured predicts numbers."""

from pathlib import Path

import pytest
from cli_runs import refused, train

pytest.importorskip("polars")


@pytest.mark.parametrize("entry", ["?", "north"])
def test_evaluate_tells_the_row_and_no_options_of_train(entry, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [f"{n},{n * 0.5 + 0.25}" for n in range(40)]
    Path("houses.csv").write_text("\n".join(["area,price", *rows]))
    train("--data", "houses.csv", "--target", "price")
    Path("more.csv").write_text("\n".join(["area,price", *rows[:2], f"3,{entry}", *rows[4:]]))
    error = refused(capsys, "evaluate", "model", "--data", "more.csv")
    assert error == f"fastbp: target 'price' is '{entry}' in row 3, and the network predicts numbers\n"
