"""Names that others have chosen: of columns, classes and files. A terminal shows them, and does nothing else."""

import csv
import gzip

import pytest
from cli_runs import refused, run

from fastbp.tables import read_table

pytest.importorskip("polars")

TITLE, UP = "\x1b]0;mine\x07", "\x1b[1A\x1b[2K"
A, B, RED, BLUE, TARGET = f"a{TITLE}\n", f"b\r{UP}", f"red{UP}", "blue\u202e", f"kind\t{TITLE}"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table whose every name would move the cursor, take a title or begin a line."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"n{UP}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([A, B, TARGET])
        writer.writerows([[n % 7, (RED, BLUE)[n % 3 == 0], (RED, BLUE)[n % 2]] for n in range(40)])
    return path


def test_a_terminal_is_told_names_and_obeys_none(table, capsys):
    path, target = table.name, TARGET.strip()
    run("train", "--data", path, "--target", target, "--epochs", "2", "--save", "model")
    run("inspect", "model")
    run("evaluate", "model", "--data", path)
    for form in ("c", "numpy"):
        run("export", "model", "--format", form, "--output", f"n{UP}.{form}")
    output, errors = capsys.readouterr()
    lines = (output + errors).splitlines()
    assert len(lines) == len((output + errors).split("\n")) - 1
    assert all(line.isprintable() for line in lines)
    assert r"red\x1b[1A\x1b[2K" in output


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_name_that_is_a_pattern_is_that_of_one_file(tmp_path, suffix):
    """Where a library takes it for a pattern, the data come from other files."""
    polars = pytest.importorskip("polars")
    for name, number in (("a[1]*", 1.0), ("a1", 2.0), ("a12", 3.0)):
        frame, path = polars.DataFrame({"a": [number] * 3}), tmp_path / f"{name}{suffix}"
        if suffix == ".parquet":
            frame.write_parquet(path)
        else:
            pack = gzip.compress if suffix.endswith("gz") else bytes
            path.write_bytes(pack(frame.write_csv().encode()))
    assert read_table(tmp_path / f"a[1]*{suffix}").numbers("a")[0].tolist() == [1.0] * 3


def test_a_mistake_is_told_in_one_line(table, capsys):
    for arguments, code in [
        (("--target", f"no{UP}such"), 2),
        (("--target", TARGET.strip(), "--drop", f"no\n{UP}"), 2),
        (("--target", TARGET.strip(), f"--no{UP}"), 2),
        (("--target", TARGET.strip(), "--epochs", f"1{UP}\n"), 2),
    ]:
        message = refused(capsys, "train", "--data", table.name, *arguments, code=code)
        assert message[:-1].isprintable()
