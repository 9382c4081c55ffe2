"""What ``fastbp evaluate`` says of each class, and the columns that ``fastbp predict`` carries along."""

import csv
import json
import re

import numpy as np
import pytest
from cli_runs import refused, run

import fastbp
from fastbp.basics._extra import install
from fastbp.commands import _classes, evaluate


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data(n_classes, n=300, seed=0):
    """A network that guesses, samples for it and their classes."""
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(n, 4)).astype(np.float32), np.arange(n) % n_classes
    net = fastbp.mlp([4, 8, n_classes], seed=1)
    net.save("model")
    np.savez("a.npz", x=x, t=t)
    return net, x, t


# ---- evaluate -------------------------------------------------------------------------------------------


def test_the_measures_of_classes_are_scikit_learn_s(folder, capsys):
    metrics = pytest.importorskip("sklearn.metrics")
    net, x, t = data(3)
    run("evaluate", "model", "--data", "a.npz", "--json", "m.json")
    measures = json.loads((folder / "m.json").read_text())
    found = net.predict(x).argmax(axis=1)
    assert measures["balanced_accuracy"] == metrics.balanced_accuracy_score(t, found)
    assert "roc_auc" not in measures
    report = metrics.classification_report(t, found, output_dict=True)
    names = {"precision": "precision", "recall": "recall", "f1": "f1-score", "samples": "support"}
    for row in measures["classes"]:
        theirs = report[str(row["class"])]
        assert {name: row[name] for name in names} == {name: theirs[their] for name, their in names.items()}

    head, blank, columns, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"300 samples:  loss \S+  accuracy \S+  balanced accuracy \S+", head)
    assert (blank, columns.split()) == ("", ["class", "precision", "recall", "F1", "samples"])
    assert [row.split() for row in rows] == [
        [str(row["class"]), *(f"{row[name]:.4f}" for name in ("precision", "recall", "f1")), str(row["samples"])]
        for row in measures["classes"]
    ]


@pytest.mark.parametrize("outputs", [1, 2])
def test_two_classes_have_an_area_under_the_roc_curve(outputs, capsys):
    metrics = pytest.importorskip("sklearn.metrics")
    net, x, t = data(2)
    if outputs == 1:
        net = fastbp.mlp([4, 8, 1], seed=2, loss=fastbp.SigmoidWithLoss())
        net.save("model")
    run("evaluate", "model", "--data", "a.npz", "--json", "-")
    scores = net.predict(x).astype(np.float64)
    expected = metrics.roc_auc_score(t, scores[:, 0] if outputs == 1 else scores[:, 1] - scores[:, 0])
    assert json.loads(capsys.readouterr().out)["roc_auc"] == pytest.approx(expected, abs=1e-3)
    run("evaluate", "model", "--data", "a.npz")
    assert f"ROC AUC {expected:.3f}"[:-1] in capsys.readouterr().out


def test_classes_that_do_not_occur_are_rows_of_zeros_and_no_warning(capsys):
    pytest.importorskip("sklearn")
    _, x, t = data(2)
    np.savez("a.npz", x=x, t=np.zeros_like(t))
    run("evaluate", "model", "--data", "a.npz", "--json", "-")
    measures = json.loads(capsys.readouterr().out)
    assert "roc_auc" not in measures
    assert measures["balanced_accuracy"] == measures["accuracy"]
    assert measures["classes"][1] == {"class": 1, "precision": 0, "recall": 0, "f1": 0, "samples": 0}


def test_of_many_classes_the_table_has_the_hardest(capsys):
    pytest.importorskip("sklearn")
    data(100, n=2000)
    run("evaluate", "model", "--data", "a.npz")
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines[3:-1]]
    assert len(rows) == _classes.MOST_ROWS
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)
    assert lines[-1] == f"and {100 - _classes.MOST_ROWS} classes with an F1 of at least {rows[-1][3]}: --json has all"


def test_long_names_of_classes_leave_the_columns_in_their_places():
    row = {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "samples": 12}
    table = _classes.class_table([row | {"class": "a"}, row | {"class": "b" * 200}])
    head, *rows = table.splitlines()
    assert len({len(line) for line in (head, *rows)}) == 1
    assert len(head) < 80
    assert rows[1].startswith("b" * 27 + "... ")


def test_without_scikit_learn_it_is_told_how_to_have_the_measures(monkeypatch, capsys):
    data(3)
    monkeypatch.setattr(evaluate, "find_spec", lambda name: None)
    run("evaluate", "model", "--data", "a.npz", "--json", "-")
    output, errors = capsys.readouterr()
    assert json.loads(output).keys() == {"samples", "loss", "accuracy"}
    assert errors == f"fastbp: precision, recall and F1 of each class need scikit-learn: {install('sklearn')}\n"


def test_numbers_have_no_classes(capsys):
    fastbp.mlp([4, 8, 1], seed=0, loss=fastbp.MeanSquaredError()).save("model")
    np.savez("a.npz", x=np.ones((5, 4)), t=np.arange(5.0))
    run("evaluate", "model", "--data", "a.npz")
    assert re.fullmatch(r"5 samples:  loss \S+  rmse \S+  mae \S+  R2 \S+\n", capsys.readouterr().out)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_outputs_that_are_not_finite_are_told_and_no_answer(command, capsys):
    _, x, t = data(3)
    x[7] = 3e38
    np.savez("a.npz", x=x, t=t)
    message = refused(capsys, command, "model", "--data", "a.npz", code=1)
    assert message == "fastbp: the network's output for sample 8 is not finite: are its numbers far too large?\n"


def test_errors_beyond_the_largest_float_are_told(capsys):
    net = fastbp.mlp([4, 8, 1], seed=0, dtype=np.float64, loss=fastbp.MeanSquaredError())
    net.save("model")
    np.savez("a.npz", x=1e200 * np.eye(4), t=np.arange(4.0))
    message = refused(capsys, "evaluate", "model", "--data", "a.npz", "--json", "-", code=1)
    assert message == (
        "fastbp: the network's outputs are so far from the targets that their distance is no finite number\n"
    )


# ---- predict --keep -------------------------------------------------------------------------------------

TABLE = 'id,name,a,kind\n007," Null, J.",1,x\n8,NA,2,y\n9,,3,x\n'


@pytest.fixture
def table(folder):
    pytest.importorskip("polars")
    (folder / "a.csv").write_text(TABLE)
    run("train", "--data", "a.csv", "--target", "kind", "--drop", "id", "name", "--epochs", "1", "--save", "model")


@pytest.mark.parametrize("reader", ["polars", "pandas"])
def test_columns_are_carried_along_as_they_are_written(reader, table, capsys, monkeypatch):
    pytest.importorskip(reader)
    if reader == "pandas":
        find = evaluate.find_spec
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "polars" else find(name))
    capsys.readouterr()
    run("predict", "model", "--data", "a.csv", "--keep", "name", "id", "kind", "--probabilities")
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert rows[0] == ["name", "id", "kind", "predicted_kind", "p(x)", "p(y)"]
    assert [row[:3] for row in rows[1:]] == [[" Null, J.", "007", "x"], ["NA", "8", "y"], ["", "9", "x"]]
    run("predict", "model", "--data", "a.csv", "--keep", "id", "--output", "out.csv")
    assert [row.split(",")[0] for row in open_lines("out.csv")] == ["id", "007", "8", "9"]
    assert open_lines("out.csv")[0] == "id,kind"


def test_no_column_is_written_over_another(table, folder, capsys):
    (folder / "b.csv").write_text("a,kind,predicted_kind\n1,x,y\n")
    capsys.readouterr()
    run("predict", "model", "--data", "b.csv", "--keep", "kind", "predicted_kind")
    head, row = capsys.readouterr().out.splitlines()
    assert head == "kind,predicted_kind,predicted_predicted_kind"
    assert row.startswith("x,y,")


def open_lines(path):
    with open(path) as file:
        return file.read().splitlines()


def test_what_cannot_be_kept(table, capsys):
    message = refused(capsys, "predict", "model", "--data", "a.csv", "--keep", "nam", code=2)
    assert message == "fastbp: --keep: there is no column 'nam', only id, name, a, kind; did you mean name?\n"
    message = refused(capsys, "predict", "model", "--data", "a.csv", "--keep", "id", "--output", "a.npy", code=2)
    assert message == "fastbp: --keep goes with CSV, and --output is an array\n"
    data(3)
    message = refused(capsys, "predict", "model", "--data", "a.npz", "--keep", "id", code=2)
    assert message == "fastbp: --keep goes with a table, .csv or .parquet, and the data are arrays\n"
