"""What ``fastbp train`` makes of the columns and the target of a table, and how it says so before it starts."""

import json
import re

import numpy as np
import pytest
from cli_runs import predicted, refused, run, told, train, understood

import fastbp

pandas = pytest.importorskip("pandas")
pytest.importorskip("polars")
pytest.importorskip("pyarrow")


def penguins(n=90):
    rng = np.random.default_rng(0)
    kind = np.arange(n) % 3
    return pandas.DataFrame(
        {
            "id": range(1, n + 1),
            "species": np.array(["Adelie", "Gentoo", "Chinstrap"])[kind],
            "island": np.array(["Biscoe", "Dream"])[rng.integers(0, 2, n)],
            "bill": (40 + 5 * kind + rng.normal(0, 1, n)).round(1),
            "mass": 25 * rng.integers(110, 250, n),
            "date": pandas.date_range("2007-11-11", periods=n, freq="9D").strftime("%Y-%m-%d"),
        }
    )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    penguins().to_csv("penguins.csv", index=False)
    return tmp_path


SPECIES = ["--data", "penguins.csv", "--target", "species"]


# ---- what is said before the first epoch ----------------------------------------------------------------


def test_train_says_what_it_understood(capsys):
    lines = told(capsys, *SPECIES, "--drop", "id", "--dates")
    assert lines == {
        "rows": "90 of penguins.csv",
        "inputs": "7, from",
        "numbers": "bill, mass",
        "dates": "date: year, month, day of week",
        "categories": "island (2)",
        "left": "out id",
        "target": "species, 3 classes: Adelie (30), Chinstrap (30), Gentoo (30)",
        "split": "72 to train on, 18 for validation, of each class its share",
    }


def test_programs_are_told_the_same_in_the_start_event_and_in_the_report(capsys, folder):
    event = understood(capsys, *SPECIES, "--drop", "id", "--dates")
    assert event["rows"] == 90
    assert (event["training"], event["validation"], event["inputs"]) == (72, 18, 7)
    assert event["features"]["numbers"] == ["bill", "mass"]
    assert event["features"]["dates"] == ["date"]
    assert event["features"]["categories"] == {"island": 2}
    assert event["features"]["left_out"] == ["id"]
    assert event["target"]["classes"] == {"Adelie": 30, "Chinstrap": 30, "Gentoo": 30}
    train(*SPECIES, "--drop", "id", "--dates", "--json", "run.json")
    assert json.loads((folder / "run.json").read_text())["data"] == event


def test_arrays_are_told_too(capsys):
    np.savez("a.npz", x=np.arange(120.0).reshape(20, 2, 3), t=np.arange(20) % 2)
    lines = told(capsys, "--data", "a.npz")
    assert lines["inputs"] == "6 numbers a sample, of shape (2, 3), standardised"
    assert lines["target"] == "t, 2 classes: 0 (10), 1 (10); --loss mse takes them as numbers"


def test_the_part_that_stopping_selects_on_is_called_validation(capsys, folder):
    run("train", *SPECIES, "--drop", "id", "date", "--epochs", "1", "--json", "run.json", "--patience", "1")
    (epoch,) = json.loads((folder / "run.json").read_text())["epochs"]
    assert "validation_accuracy" in epoch
    assert not any("test" in name for name in epoch)
    assert re.search(r"epoch 1/1 .* validation \d", capsys.readouterr().out)
    message = refused(capsys, "train", *SPECIES, "--patience", "3", "--validation", "0", "--drop", "date", code=2)
    assert "--patience needs samples to validate with, and --validation 0 leaves none" in message


# ---- numbers with entries that are none, dates ----------------------------------------------------------


def write(table, name="a.csv", **columns):
    table = table.astype(dict.fromkeys(columns, object))
    for column, entries in columns.items():
        for row, entry in entries.items():
            table.loc[row, column] = entry
    table.to_csv(name, index=False)


def test_a_bad_cell_among_numbers_is_named_and_can_be_called_missing(capsys):
    write(penguins().drop(columns=["id", "date"]), bill={2: "?", 7: "?"})
    arguments = ["--data", "a.csv", "--target", "species"]
    message = refused(capsys, "train", *arguments)
    assert "column 'bill' has numbers, and 2 entries that are none, first '?' in row 3: --missing '?'" in message
    assert "--categorical bill" in message
    assert "column 'bill' has 2 missing entries" in refused(capsys, "train", *arguments, "--missing", "?")
    lines = told(capsys, *arguments, "--missing", "?", "--fill-missing")
    assert lines["numbers"] == "bill, mass"
    assert len(predicted(capsys, "--data", "a.csv")) == 90, "the model knows the word"
    run("evaluate", "model", "--data", "a.csv")
    write(penguins().rename(columns={"bill": "bill length"}), "b.csv", **{"bill length": {4: "so so"}})
    message = refused(capsys, "train", "--data", "b.csv", "--target", "species", "--drop", "id")
    assert "--missing 'so so' takes it as missing; --drop 'bill length' leaves" in message, "as a shell wants it"
    write(penguins(), bill={4: "!"})
    assert "column 'bill' held numbers in training, and is '!' in row 5" in refused(
        capsys, "predict", "model", "--data", "a.csv"
    )
    assert told(capsys, *arguments, "--categorical", "bill", "--drop", "id", "date")["categories"].startswith("island")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_number_can_stand_for_a_missing_entry(capsys, suffix):
    table = penguins().drop(columns=["id", "date"])
    table.loc[[3, 5], "bill"] = -999.0
    getattr(table, f"to_{suffix}")(f"a.{suffix}", index=False)
    train("--data", f"a.{suffix}", "--target", "species", "--missing", "-999", "--fill-missing", "--validation", "0")
    (bill,) = (c for c in fastbp.load_checkpoint("model").extra["data"]["features"]["columns"] if c["name"] == "bill")
    assert bill["mean"] == pytest.approx(penguins()["bill"].drop([3, 5]).mean(), rel=1e-12)


def test_text_with_some_numbers_in_it_is_categories(capsys):
    write(penguins().drop(columns=["id", "date"]), island={row: str(row % 4) for row in range(40)})
    assert told(capsys, "--data", "a.csv", "--target", "species")["categories"] == "island (6)"


def test_dates_are_an_error_that_says_what_to_do(capsys):
    message = refused(capsys, "train", *SPECIES, "--drop", "id")
    assert "column 'date' has dates, as '2007-11-11' in row 1: --dates takes year, month, day of week" in message
    assert "--drop date" in message


@pytest.mark.parametrize(
    ("form", "order"), [("%Y/%m/%d", "ymd"), ("%d.%m.%Y", "dmy"), ("%m/%d/%Y", "mdy"), ("%Y-%m-%dT%H:%M:%SZ", "ymd")]
)
def test_dates_are_year_month_and_day_of_week(form, order):
    from fastbp.tables._features import TableFeatures
    from fastbp.tables._frames import read_table

    days = pandas.to_datetime(penguins()["date"])
    days.dt.strftime(form).to_frame().to_csv("days.csv", index=False)
    days.to_frame().to_parquet("days.parquet")
    table = read_table("days.csv")
    settings = {"without": (), "categorical": (), "standardize": False, "fill": False, "dates": True}
    features = TableFeatures.learn(table, np.arange(90), **settings)
    assert {column["order"] for column in features.columns} == {order}
    expected = np.stack([days.dt.year, days.dt.month, [day.weekday() for day in days]], axis=1)
    np.testing.assert_array_equal(features.transform(table, "float64"), expected)
    table = read_table("days.parquet")
    np.testing.assert_array_equal(
        TableFeatures.learn(table, np.arange(90), **settings).transform(table, "float64"), expected
    )


def test_a_model_reads_dates_as_it_learnt_to(capsys):
    table = penguins().drop(columns="id")
    table.assign(date=pandas.to_datetime(table["date"]).dt.strftime("%d/%m/%Y")).to_csv("a.csv", index=False)
    train("--data", "a.csv", "--target", "species", "--dates")
    rows = predicted(capsys, "--data", "a.csv")
    table[:1].assign(date="11/11/2007").to_csv("one.csv", index=False)
    assert predicted(capsys, "--data", "one.csv") == rows[:1]
    table[:1].assign(date="soon").to_csv("one.csv", index=False)
    message = refused(capsys, "predict", "model", "--data", "one.csv")
    assert "column 'date' held dates in training, and is 'soon' in row 1" in message
    run("inspect", "model")
    assert "year of 'date' (mean 2008" in capsys.readouterr().out


def test_dates_that_can_be_read_in_two_ways_are_an_error(capsys):
    penguins(3).assign(date=["01/02/2024", "03/04/2024", "05/06/2024"]).to_csv("a.csv", index=False)
    message = refused(capsys, "train", "--data", "a.csv", "--target", "species", "--dates")
    assert "column 'date' has dates that can be read in two ways, as '01/02/2024' in row 1" in message


# ---- the target -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("loss", ["softmax", "sigmoid", None])
def test_whole_numbers_stored_as_floats_are_classes(capsys, suffix, loss):
    table = penguins()[["bill", "mass"]].assign(y=np.arange(90) % 2 * 1.0)
    getattr(table, f"to_{suffix}")(f"a.{suffix}", index=False)
    loss = ["--loss", loss] if loss else []
    assert told(capsys, "--data", f"a.{suffix}", "--target", "y", *loss)["target"].startswith("y, 2 classes: 0 (45), 1")
    assert fastbp.load_checkpoint("model").extra["data"]["targets"]["values"] == [0, 1]
    assert {row["y"] for row in predicted(capsys, "--data", f"a.{suffix}")} <= {"0", "1"}
    run("evaluate", "model", "--data", f"a.{suffix}")


def test_floats_of_an_array_are_classes_by_the_same_rule(capsys):
    x = np.random.default_rng(0).random((40, 3))
    np.savez("a.npz", x=x, t=np.arange(40) % 2 * 1.0)
    assert told(capsys, "--data", "a.npz", "--loss", "sigmoid")["target"] == "t, 2 classes: 0 (20), 1 (20)"
    np.savez("a.npz", x=x, t=np.eye(4)[np.arange(40) % 4])
    assert told(capsys, "--data", "a.npz")["target"].startswith("t, 4 classes: 0 (10)")


def test_many_whole_numbers_are_numbers_unless_they_are_labels(capsys):
    arguments = ["--data", "penguins.csv", "--target", "mass", "--drop", "id", "date"]
    different = penguins()["mass"].nunique()
    line = told(capsys, *arguments)["target"]
    assert line.endswith(f"{different} of them different; --loss softmax takes them as classes")
    assert type(fastbp.load("model").loss_layer) is fastbp.MeanSquaredError
    assert f"{different} classes" in told(capsys, *arguments, "--loss", "softmax")["target"]
    assert f"{different} classes" in told(capsys, *arguments, "--categorical", "mass")["target"]
    penguins().assign(label=np.arange(90) % 30 + 1).to_csv("a.csv", index=False)
    line = told(capsys, "--data", "a.csv", "--target", "label", "--drop", "id", "date")["target"]
    assert line.startswith("label, 30 classes: 1 (3), 2 (3)")
    assert line.endswith("and 22 more; --loss mse takes them as numbers")
    assert "numbers" in told(capsys, "--data", "a.csv", "--target", "id", "--drop", "date")["target"], "one row a class"


def test_a_target_of_numbers_with_a_bad_cell_is_named(capsys):
    write(penguins().drop(columns=["id", "date"]), mass={6: "heavy"})
    arguments = ["--data", "a.csv", "--target", "mass"]
    message = refused(capsys, "train", *arguments)
    assert "target 'mass' has numbers, and 1 entry that is none, first 'heavy' in row 7" in message
    lines = told(capsys, *arguments, "--missing", "heavy", "--drop-missing-target")
    assert lines["rows"] == "89 of a.csv, 1 without a target left out"
    assert "numbers from" in lines["target"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_without_a_target_can_be_left_out(capsys, folder, suffix):
    table = penguins().drop(columns=["id", "date"])
    table.loc[[3, 8], ["species", "bill"]] = [None, np.nan]
    table.loc[20, "bill"] = np.nan
    getattr(table, f"to_{suffix}")(f"a.{suffix}", index=False)
    arguments = ["--data", f"a.{suffix}", "--target", "species"]
    message = refused(capsys, "train", *arguments)
    assert "'species' is missing in 2 of 90 rows, first in row 4: --drop-missing-target leaves such rows" in message
    message = refused(capsys, "train", *arguments, "--drop-missing-target")
    assert "column 'bill' has 1 missing entry, the first in row 21" in message, "as the file counts"
    lines = told(capsys, *arguments, "--drop-missing-target", "--fill-missing")
    assert lines["rows"] == f"88 of a.{suffix}, 2 without a target left out"
    run("evaluate", "model", "--data", f"a.{suffix}", "--drop-missing-target", "--json", "m.json")
    assert json.loads((folder / "m.json").read_text())["samples"] == 88


def test_rows_of_an_array_without_a_target_can_be_left_out(capsys):
    t = np.arange(40) % 2 * 1.0
    t[[1, 5]] = np.nan
    np.savez("a.npz", x=np.random.default_rng(0).random((40, 3)), t=t)
    message = refused(capsys, "train", "--data", "a.npz")
    assert "target 't' is not finite in row 2: --drop-missing-target leaves rows without a number out" in message
    assert told(capsys, "--data", "a.npz", "--drop-missing-target")["target"].startswith("t, 2 classes: 0 (20), 1 (18)")


def test_whole_numbers_beyond_64_bits_can_be_numbers(capsys):
    penguins()[["bill"]].assign(y=[f"{2**70 + 2**60 * i}" for i in range(90)]).to_csv("a.csv", index=False)
    assert told(capsys, "--data", "a.csv", "--target", "y", "--loss", "mse")["target"].startswith(
        "y, numbers from 1.18"
    )
    assert len(predicted(capsys, "--data", "a.csv")) == 90


def test_a_wrong_column_is_told_with_the_right_one(capsys):
    for arguments in (["--target", "specis"], ["--target", "species", "--drop", "ilsand"]):
        message = refused(capsys, "train", "--data", "penguins.csv", *arguments, code=2)
        assert re.search(r"no column '(specis|ilsand)', only id, .*; did you mean '(species|island)'\?", message)


# ---- files of before ------------------------------------------------------------------------------------


def test_a_model_without_the_newer_fields_still_loads(capsys):
    train(*SPECIES, "--drop", "id", "date")
    expected = predicted(capsys, "--data", "penguins.csv")
    checkpoint = fastbp.load_checkpoint("model")
    features = dict(checkpoint.extra["data"]["features"])
    del features["missing"]
    checkpoint.net.save("model", extra={"data": dict(checkpoint.extra["data"]) | {"features": features}})
    assert predicted(capsys, "--data", "penguins.csv") == expected
