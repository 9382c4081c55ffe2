"""Data that ``fastbp`` refuses, in one line that names the column or array and the row; and forms that it takes."""

import os

import numpy as np
import pytest
from cli_runs import predicted, refused, train

pytest.importorskip("polars")

X = np.arange(12, dtype=np.float32).reshape(6, 2)
T = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(path, a=("1", "2", "3"), y=("0", "1", "0")):
    with open(path, "w") as file:
        file.writelines(["a,y\n", *(f"{one},{other}\n" for one, other in zip(a, y, strict=True))])
    return "--data", path


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"y": ("", "", "")}, ["--drop-missing-target"], "target 'y' is missing in every row"),
        ({"y": ("0.5", "inf", "1")}, [], "target 'y' is infinite in row 2"),
        ({"a": ("1", "2", "-inf")}, [], "column 'a' is infinite in row 3"),
        ({"a": ("1", "heavy", "2")}, ["--sample-weight", "a"], "column 'a' of weights is 'heavy' in row 2, no number"),
    ],
)
def test_tables(capsys, columns, options, message):
    data = table("rows.csv", **columns)
    assert message in refused(capsys, "train", *data, "--target", "y", *options)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"t": T.astype(complex)}, [], "target 't' must be numbers or text, (N,) or (N, K), got complex128 of shape"),
        ({"t": T.reshape(6, 1, 1)}, [], "target 't' must be numbers or text, (N,) or (N, K), got int64 of shape (6, 1"),
        ({"t": np.full(6, np.nan)}, ["--drop-missing-target"], "target 't' is missing in every row"),
        ({"w": T.astype(str)}, ["--sample-weight", "w"], "sample weights must be numbers, got <U"),
    ],
)
def test_arrays(capsys, arrays, options, message):
    np.savez("rows.npz", **{"x": X, "t": T} | arrays)
    assert message in refused(capsys, "train", "--data", "rows.npz", *options)


def test_an_array_of_samples_needs_one_of_targets(capsys):
    np.save("x.npy", X)
    assert "--data x.npy needs --target, the .npy file" in refused(capsys, "train", "--data", "x.npy", code=2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_is_no_data(capsys):
    os.mkfifo("rows.csv")
    message = refused(capsys, "train", "--data", "rows.csv", "--target", "y")
    assert "rows.csv: it is no regular file" in message


def test_rows_of_numbers_are_no_classes(capsys):
    np.savez("rows.npz", x=X, t=X + 0.5)
    message = refused(capsys, "train", "--data", "rows.npz", "--loss", "softmax", code=2)
    assert "target 't' is of shape (6, 2), and --loss softmax needs a class a sample" in message


def test_targets_of_another_number_than_the_outputs(capsys):
    np.savez("two.npz", x=X, t=X + 0.5)
    np.savez("one.npz", x=X, t=X[:, 0] + 0.5)
    train("--data", "two.npz")
    message = refused(capsys, "evaluate", "model", "--data", "one.npz")
    assert "targets have 1 numbers a sample, the network has 2" in message


def test_smoothed_labels_go_with_softmax(capsys):
    data = table("rows.csv", y=("0.5", "1.5", "2"))
    options = "--target", "y", "--loss", "mse", "--label-smoothing", "0.1"
    assert "--label-smoothing goes with --loss softmax" in refused(capsys, "train", *data, *options, code=2)


def test_classes_may_be_a_column_of_text(capsys):
    np.savez("rows.npz", x=X, t=np.array(["rose", "lily", "iris"])[T][:, None])
    train("--data", "rows.npz")
    assert {row["t"] for row in predicted(capsys, "--data", "rows.npz")} <= {"rose", "lily", "iris"}
