"""What goes wrong with a TableModel is told in the library's words: the argument, the column, the row, what came."""

import re
import subprocess
import sys

import numpy as np
import pytest

import fastbp
from fastbp import ModelFileError, TableModel
from fastbp.tables import read_table

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

N = 60
TABLE = pandas.DataFrame(
    {
        "area": np.linspace(30, 200, N),
        "town": ["Ulm", "Bonn", "Köln"] * (N // 3),
        "sold": pandas.date_range("2024-01-01", periods=N),
        "kind": ["flat", "hut"] * (N // 2),
        "price": np.linspace(1e5, 9e5, N) ** 1.1,
    }
)
SETTINGS = {"dates": True, "epochs": 1, "progress": False}


@pytest.fixture(scope="module")
def model():
    return TableModel.fit(TABLE, "kind", drop=["price"], **SETTINGS)


def at(row, column, entry):
    """The table with another entry."""
    return TABLE.astype({column: object}).assign(**{column: [*TABLE[column][:row], entry, *TABLE[column][row + 1 :]]})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TABLE.drop(columns="area"), "there is no column 'area', only town, sold, kind, price"),
        (TABLE.rename(columns={"area": "aera"}), "there is no column 'area', only .*; did you mean 'aera'"),
        (at(7, "area", "large"), "column 'area' held numbers in training, and is 'large' in row 7"),
        (at(7, "area", None), "column 'area' has 1 missing entry, the first in row 7: .* or train with fill_missing="),
        (at(0, "town", None), "column 'town' has 1 missing entry, the first in row 0"),
        (at(7, "area", np.inf), "column 'area' is infinite in row 7"),
        (at(7, "area", 1e300), "column 'area' has a number in row 7 that is too large for float32"),
        (at(7, "sold", "soon"), "column 'sold' held dates in training, and is 'soon' in row 7"),
        (
            TABLE.assign(area=[[1]] * N),
            "column 'area' holds .*, neither numbers nor text: leave it out with drop=",
        ),
        (TABLE[:0], "there are no rows in the data"),
        (pandas.DataFrame(), "there are no rows in the data"),
        ({}, "there are no rows in the data"),
        (pandas.concat([TABLE, TABLE[["area"]]], axis=1), "there are several columns 'area' in the data"),
        ({"area": [1.0, 2.0], "town": ["Ulm"]}, "columns must be of one length, got {'area': 2, 'town': 1}"),
        ({"area": np.ones((3, 2))}, r"column 'area' must be of one dimension, got an array of shape \(3, 2\)"),
        ({"area": [1, "x", object()]}, "the columns make no table: "),
        ("nowhere.csv", "nowhere.csv: there is no such file"),
        ("houses.xlsx", r"houses.xlsx: the name of a table's file ends in \.csv, \.tsv, "),
    ],
)
def test_data_that_do_not_fit_are_value_errors(model, data, message):
    with pytest.raises(ValueError, match=message) as told:
        model.predict(data)
    assert "--" not in str(told.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "data must be a DataFrame of polars or pandas, a dict of columns, the path .*, got None"),
        (TABLE.to_numpy(), "data must be a DataFrame .*, got array"),
        (TABLE["area"], "data must be a DataFrame"),
        (polars.from_pandas(TABLE).lazy(), r"got a LazyFrame: call its collect\(\)"),
        ({"area": 1.0}, "column 'area' must be a list or an array, got 1.0"),
        ({"area": "30"}, "column 'area' must be a list or an array, got '30'"),
        ({3: [1.0]}, "names of columns must be text, got 3"),
    ],
)
def test_what_is_no_table_is_a_type_error(model, data, message):
    with pytest.raises(TypeError, match=message):
        model.predict(data)
    with pytest.raises(TypeError, match=message):
        TableModel.fit(data, "kind")


def test_rows_of_a_file_are_counted_from_1_as_on_the_command_line(model, tmp_path):
    at(7, "area", "large").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match="is 'large' in row 8"):
        model.predict(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"target": "kinds"}, ValueError, "there is no column 'kinds', only .*; did you mean 'kind'"),
        ({"target": TABLE["kind"]}, TypeError, "target must be the name of a column, got "),
        ({"sample_weight": np.ones(N)}, TypeError, "sample_weight must be the name of a column, got "),
        ({"sample_weight": "town"}, ValueError, "column 'town' of weights is 'Ulm' in row 0, no number"),
        ({"drop": "area"}, TypeError, "drop must be a list of words, got 'area'"),
        ({"drop": ["aera"]}, ValueError, "there is no column 'aera', only .*; did you mean 'area'"),
        ({"dates": False}, ValueError, r"dates=True takes year, .*; drop=\['sold'\] leaves the column out"),
        ({"dates": "yes"}, TypeError, "dates must be True or False, got 'yes'"),
        ({"hidden": 50}, TypeError, "hidden must be a list of integers, one for each hidden layer, got 50"),
        ({"hidden": [0]}, ValueError, r"hidden\[0\] must be an integer of at least 1, got 0"),
        ({"activation": "rleu"}, ValueError, "activation must be one of relu, .*; did you mean 'relu'"),
        ({"activation": ["relu", "tanh"]}, ValueError, "one for each of the 1 hidden layers, got "),
        ({"normalization": "bacth"}, ValueError, "normalization must be one of batch, layer, .*; did you mean 'batch'"),
        ({"loss": "mse"}, ValueError, "target 'kind' is text, and loss='mse' needs numbers: it is 'flat' in row 0"),
        ({"loss": "hinge"}, ValueError, "loss must be one of softmax, "),
        ({"target": "town", "loss": "sigmoid"}, ValueError, "loss='sigmoid' needs two classes, target 'town' has 3"),
        ({"target": "price", "loss": "softmax"}, ValueError, "in row 0, and loss='softmax' needs classes"),
        ({"target": "price", "label_smoothing": 0.1}, ValueError, r"label_smoothing=\.\.\. goes with loss='softmax'"),
        ({"target": "price", "class_weight": "balanced"}, ValueError, r"class_weight=\.\.\. goes with classes"),
        ({"class_weight": {"hat": 2}}, ValueError, "there is no class 'hat', only flat, hut"),
        ({"class_weight": {"hut": -2}}, ValueError, r"class_weight\['hut'\] must be a finite number of at least 0"),
        ({"class_weight": "even"}, TypeError, "class_weight must be \"balanced\" or a dict of numbers, got 'even'"),
        ({"validation": 1}, ValueError, "validation must be a finite number of at least 0 below 1, got 1"),
        ({"patience": 2, "validation": 0}, ValueError, "patience needs validation"),
        ({"optimizer": "sdg"}, ValueError, "optimizer must be one of sgd, .*; did you mean 'sgd'"),
        ({"optimizer": fastbp.optimizers.SGD(), "lr": 0.1}, TypeError, "settings go with the name of an optimizer"),
        ({"dtype": "float16"}, ValueError, "dtype must be float32 or float64, got 'float16'"),
        ({"epoch": 3}, TypeError, "unexpected keyword argument 'epoch'"),
    ],
)
def test_settings_that_do_not_fit_are_told_by_their_names(settings, error, message):
    with pytest.raises(error, match=message):
        TableModel.fit(TABLE, **{"target": "kind"} | SETTINGS | settings)


def test_a_missing_target_is_told_with_the_way_out():
    with pytest.raises(ValueError, match="in row 3: drop_missing_target=True leaves such rows out"):
        TableModel.fit(at(3, "kind", None), "kind", **SETTINGS)


def test_a_training_that_explodes_is_no_model():
    table = {"a": 1e9 + 1e7 * np.arange(60), "c": ["x", "y"] * 30}
    with pytest.raises(
        FloatingPointError, match=r"in epoch 1, where guessing has 0\.69: try a lower lr=\.\.\., clip_norm"
    ):
        TableModel.fit(table, "c", standardize=False, epochs=3, progress=False)
    with pytest.raises(TypeError, match="callbacks must be"):
        TableModel.fit(TABLE, "kind", callbacks=3, **SETTINGS)


def test_numbers_have_no_probabilities():
    model = TableModel.fit(TABLE, "price", drop=["kind"], **SETTINGS)
    with pytest.raises(TypeError, match="this model predicts numbers, 'price': there are no classes"):
        model.predict_proba(TABLE)


def test_a_file_without_a_table_is_a_model_file_error(model, tmp_path):
    path = tmp_path / "net"
    fastbp.mlp([4, 3], seed=0).save(path)
    with pytest.raises(ModelFileError, match="was trained on arrays and knows no columns of a table: fastbp"):
        TableModel.load(path)
    path.write_bytes(b"no model")
    with pytest.raises(ModelFileError):
        TableModel.load(path)
    model.network.save(path, extra={"data": {"features": "all"}})
    with pytest.raises(ModelFileError, match="what it says about data is not what fastbp train writes"):
        TableModel.load(path)
    with pytest.raises(FileNotFoundError):
        TableModel.load(tmp_path / "nowhere")


def test_more_than_a_file_has_room_for_is_told_before_it_is_written(tmp_path):
    names = [f"n{i}" * 75 for i in range(100, 160)]
    table = pandas.DataFrame({f"column {k}": names for k in range(8)} | {"y": ["a", "b"] * 30})
    model = TableModel.fit(table, "y", validation=0, epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"room for 100000: standardize=False, or drop=\.\.\. for columns with many"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"separator": "ab"}, "separator must be one character that is in no number or name, or tab, got 'ab'"),
        ({"separator": 3}, "separator must be one character"),
        ({"encoding": "klingon"}, "encoding must name an encoding of text, as utf-16 or cp1252, got 'klingon'"),
        ({"decimal": ";"}, "decimal must be one of "),
    ],
)
def test_how_a_text_is_read_is_checked(settings, message, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "a.csv", **settings)


def test_a_text_that_needs_to_be_told_about_says_how(model, tmp_path):
    TABLE.to_csv(tmp_path / "a.csv", index=False, encoding="latin-1", sep=";", decimal=",")
    with pytest.raises(ValueError, match=re.escape("with fastbp.tables.read_table(path, encoding=...), as cp1252")):
        model.predict(tmp_path / "a.csv")
    table = read_table(tmp_path / "a.csv", encoding="latin-1", decimal=",")
    np.testing.assert_array_equal(model.predict(table), model.predict(TABLE))


def test_tables_know_nothing_of_the_command_line():
    code = "import sys, fastbp.tables; print(*(name for name in sys.modules if name.startswith('fastbp.c')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "fastbp.commands" not in done.stdout
    assert "fastbp.cli" not in done.stdout
