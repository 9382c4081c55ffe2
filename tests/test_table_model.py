"""``fastbp.TableModel``: the model of ``fastbp train`` and ``fastbp predict`` in Python."""

import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from cli_runs import run

import fastbp
from fastbp import TableModel
from fastbp.tables import read_table

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pytest.importorskip("pyarrow")


def houses(n=120, seed=0):
    """A table with all kinds of columns, a class and a number to predict."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    area = rng.uniform(30, 200, n)
    return pandas.DataFrame(
        {
            "id": [f"n{i}" for i in range(n)],
            "area": area,
            "rooms": rng.integers(1, 5, n),
            "town": np.array(["Ulm", "Köln", "Bonn"])[kind],
            "garden": kind == 2,
            "sold": pandas.date_range("2024-01-30", periods=n),
            "kind": np.array(["flat", "house", "hut"])[kind],
            "price": 1e6 + 3e3 * area + 1e5 * kind,
        }
    )


TRAIN = ["--drop", "id", "--dates", "--categorical", "rooms", "--epochs", "8", "--optimizer", "adam", "--seed", "3"]
FIT = {"drop": ["id"], "dates": True, "categorical": ["rooms"], "epochs": 8, "optimizer": "adam", "seed": 3}


def fit(data, target, **settings):
    return TableModel.fit(data, target, **FIT | {"progress": False} | settings)


def plain(data, target, **settings):
    """A model of two columns, trained for a moment."""
    columns = data[["area", "town", target]]
    return TableModel.fit(columns, target, epochs=1, progress=False, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the table as .csv and .parquet, and the models that the command line makes of it."""
    folder = tmp_path_factory.mktemp("houses")
    houses().to_csv(folder / "houses.csv", index=False)
    houses().to_parquet(folder / "houses.parquet", index=False)
    for target in ("kind", "price"):
        run("train", "--data", folder / "houses.csv", "--target", target, *TRAIN, "--save", folder / target)
    return folder


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


FORMS = {
    "pandas": lambda table: table,
    "pandas of nullable types": lambda table: table.convert_dtypes(),
    "pandas with an index of its own": lambda table: table.set_index(np.repeat(7, len(table))),
    "categories": lambda table: table.astype({"town": "category"}),
    "polars": polars.from_pandas,
    "dict of lists": lambda table: {name: table[name].tolist() for name in table},
    "dict of arrays": lambda table: {name: table[name].to_numpy() for name in table},
    "csv": lambda table: "houses.csv",
    "parquet": lambda table: "houses.parquet",
    "read_table": lambda table: read_table("houses.csv"),
}


@pytest.mark.parametrize("form", FORMS)
def test_answers_are_those_of_the_command_line_whatever_the_data_are_in(form, capsys):
    data = FORMS[form](houses())
    rows = predicted_by("kind", capsys, "--probabilities")
    model = TableModel.load("kind")
    assert model.predict(data).tolist() == [row["kind"] for row in rows]
    shares = [[float(row[f"p({name})"]) for name in model.classes] for row in rows]
    np.testing.assert_array_equal(model.predict_proba(data), np.float32(shares))
    numbers = TableModel.load("price").predict(data)
    np.testing.assert_allclose(numbers, [float(row["price"]) for row in predicted_by("price", capsys)], rtol=1e-6)


def predicted_by(model, capsys, *arguments):
    capsys.readouterr()
    run("predict", model, "--data", "houses.csv", *arguments)
    header, *lines = capsys.readouterr().out.splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


@pytest.mark.parametrize("target", ["kind", "price"])
def test_a_model_trained_in_python_is_that_of_the_command_line_to_the_byte(target, folder):
    model = fit("houses.csv", target)
    assert len(model.history.loss) == 8
    model.save("again")
    assert (folder / "again").read_bytes() == (folder / target).read_bytes()
    run("evaluate", "again", "--data", "houses.csv", "--json", "measures.json")


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--class-weight", "hut=3"], {"class_weight": {"hut": 3}}),
        (["--class-weight", "balanced"], {"class_weight": "balanced"}),
        (["--sample-weight", "price"], {"sample_weight": "price"}),
        (["--hidden", "6", "5", "--activation", "relu,tanh"], {"hidden": [6, 5], "activation": ["relu", "tanh"]}),
        (["--validation", "0", "--no-standardize"], {"validation": 0, "standardize": False}),
        (["--lr", "0.01", "--batch-size", "7", "--no-shuffle"], {"lr": 0.01, "batch_size": 7, "shuffle": False}),
        (["--patience", "1", "--clip-norm", "0.1"], {"patience": 1, "clip_norm": 0.1}),
        (["--normalization", "batch", "--hidden", "6", "5"], {"normalization": "batch", "hidden": [6, 5]}),
        (["--normalization", "layer"], {"normalization": "layer"}),
        (["--normalization", "none"], {"normalization": None}),
        (["--dropout", "0.2", "--label-smoothing", "0.1"], {"dropout": 0.2, "label_smoothing": 0.1}),
        (["--dtype", "float64", "--missing", "Ulm", "--fill-missing"], {"dtype": "float64", "missing": ["Ulm"]}),
    ],
    ids=str,
)
def test_every_setting_is_the_option_of_that_name(options, settings, folder):
    run("train", "--data", "houses.csv", "--target", "kind", *TRAIN, *options, "--save", "by-options")
    fit("houses.csv", "kind", **settings, fill_missing="missing" in settings).save("by-settings")
    assert (folder / "by-settings").read_bytes() == (folder / "by-options").read_bytes()


def test_a_model_says_what_it_takes_and_gives(capsys):
    model = TableModel.load("kind")
    assert model.features == ("area", "rooms", "town", "garden", "sold", "price")
    assert (model.target, model.classes, model.history) == ("kind", ("flat", "house", "hut"), None)
    assert repr(model) == (
        "TableModel('kind', one of 'flat', 'house', 'hut', from 'area', 'rooms', 'town', 'garden', 'sold', and 1 more)"
    )
    assert isinstance(model.network, fastbp.Sequential)
    numbers = TableModel.load("price")
    assert numbers.classes is None
    assert repr(numbers).startswith("TableModel('price', numbers, from 'area', ")


def test_columns_are_found_by_name_and_others_do_not_matter():
    model, table = TableModel.load("kind"), houses()
    expected = model.predict(table)
    shuffled = table.drop(columns=["id", "kind"])[list(model.features)[::-1]].assign(new="x")
    np.testing.assert_array_equal(model.predict(shuffled), expected)


def test_what_a_frame_writes_in_its_own_way_is_the_same_category():
    """Categories and dates learnt from text: 1, False, 31.01.2024. Frames write 1.0, false, 2024-01-31."""
    table = houses()
    text = table.assign(sold=table["sold"].dt.strftime("%d.%m.%Y"))
    text.to_csv("text.csv", index=False)
    model = fit("text.csv", "kind")
    expected = model.predict_proba("text.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_objects = table.astype({"rooms": float, "garden": object})
        for frame in (table, of_objects, polars.from_pandas(table)):
            np.testing.assert_array_equal(model.predict_proba(frame), expected)


def test_measures_are_those_of_the_command_line(folder):
    for target, names in (("kind", ["loss", "accuracy"]), ("price", ["loss", "rmse", "mae", "r2"])):
        run("evaluate", target, "--data", "houses.csv", "--json", "measures.json")
        measures = TableModel.load(target).evaluate(houses())
        assert list(measures) == names
        told = json.loads((folder / "measures.json").read_text())
        assert measures == pytest.approx({name: told[name] for name in names}, rel=1e-12)
    renamed = houses().rename(columns={"price": "cost"})
    with pytest.raises(ValueError, match="there is no column 'price', only "):
        TableModel.load("price").evaluate(renamed)
    model = plain(houses(), "price")
    assert model.evaluate(renamed, target="cost") == model.evaluate(houses())


def test_a_category_not_seen_in_training_is_none_and_the_caller_is_warned():
    model, table = TableModel.load("kind"), houses()
    with pytest.warns(UserWarning, match="'town' has categories not seen in training, taken as none: 'Rome'") as told:
        model.predict(table.assign(town="Rome"))
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match="'id' has categories not seen in training") as told:
        TableModel.fit(table[["id", "kind"]], "kind", epochs=1, progress=False)
    assert told[0].filename == __file__


def test_data_stay_as_they_are():
    table = houses()
    table.loc[4, "kind"] = None
    frame, columns, read = polars.from_pandas(table), table.to_dict("list"), read_table("houses.csv")
    before = table.copy()
    for data in (table, frame, columns, read):
        model = fit(data, "kind", drop_missing_target=True, epochs=1)
        model.predict(data)
    pandas.testing.assert_frame_equal(table, before)
    assert frame.equals(polars.from_pandas(before))
    assert columns == before.to_dict("list")
    assert len(read) == 120


def test_a_table_that_is_read_says_what_it_is():
    assert repr(read_table("houses.csv")) == (
        "PolarsTable(houses.csv: 120 rows of id, area, rooms, town, garden, sold, kind, price)"
    )


def test_names_that_are_no_text_are_called_as_they_are_written():
    model = TableModel.fit(houses()[["area", "kind"]].set_axis([0, 1], axis=1), "1", epochs=1, progress=False)
    assert model.features == ("0",)


def test_a_model_can_be_pickled():
    model = TableModel.load("kind")
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(houses()), model.predict(houses()))


def test_without_polars_pandas_does_it_all(monkeypatch):
    expected = TableModel.load("kind").predict("houses.csv")
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "polars" else True)
    model = TableModel.load("kind")
    for data in (houses(), houses().to_dict("list"), "houses.csv", "houses.parquet"):
        np.testing.assert_array_equal(model.predict(data), expected)


PANDAS_ALONE = """
import sys, importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "polars" else find(name)
sys.modules |= {"polars": None, "pyarrow": None}
import fastbp, pandas
model, table = fastbp.TableModel.load("kind"), pandas.read_csv("houses.csv")
for data in (table, table.to_dict("list"), "houses.csv"):
    print(*model.predict(data))
try:
    model.predict("houses.parquet")
except ImportError as error:
    print("pyarrow" in str(error))
"""


def test_pandas_needs_pyarrow_for_parquet_alone():
    expected = " ".join(TableModel.load("kind").predict("houses.csv"))
    done = subprocess.run([sys.executable, "-c", PANDAS_ALONE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [expected] * 3 + ["True"]


def test_without_both_the_extra_is_named_and_loading_needs_neither(monkeypatch):
    for name in ("polars", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model = TableModel.load("kind")
    for data in ({"area": [1.0]}, "houses.csv"):
        with pytest.raises(ImportError, match=r"this needs polars, which is not installed: pip install .*\[tables\]"):
            model.predict(data)


def test_the_same_model_answers_the_command_line(capsys):
    model = plain(houses(), "kind")
    model.save("saved")
    rows = [row["kind"] for row in predicted_by("saved", capsys)]
    assert rows == TableModel.load("saved").predict(houses()).tolist() == model.predict(houses()).tolist()
