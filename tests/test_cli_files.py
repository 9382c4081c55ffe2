"""``fastbp train``, ``predict`` and ``evaluate`` on files of a user's own, read by the real polars and pandas."""

import json
import sys

import numpy as np
import pytest
from cli_runs import predicted, refused, run

import fastbp
from fastbp.basics._extra import install

pandas = pytest.importorskip("pandas")
pytest.importorskip("polars")
pytest.importorskip("pyarrow")


def flowers(n=120, seed=0):
    """A table of numbers, text and classes that are easily told apart."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    return pandas.DataFrame(
        {
            "id": [f"n{i}" for i in range(n)],
            "length": 100 + 5 * kind + rng.normal(0, 1, n),
            "height": 7e6 * rng.random(n),
            "soil": np.array(["wet", "dry", "sand"])[(kind + rng.integers(0, 2, n)) % 3],
            "zone": rng.integers(1, 4, n),
            "species": np.array(["rose", "lily", "iris"])[kind],
        }
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with the same table as .csv and .parquet."""
    monkeypatch.chdir(tmp_path)
    flowers().to_csv("flowers.csv", index=False)
    flowers().to_parquet("flowers.parquet", index=False)
    return tmp_path


def train(*arguments, data="flowers.csv", target="species", epochs=20):
    settings = ["--optimizer", "adam", "--lr", "0.01", "--epochs", epochs, "--save", "model"]
    run("train", "--data", data, "--target", target, *settings, *arguments)


# ---- classes of a table --------------------------------------------------------------------------------


def test_a_table_is_learnt_and_its_classes_come_back_by_name(folder, capsys):
    train("--drop", "id", "--json", "run.json")
    assert json.loads((folder / "run.json").read_text())["epochs"][-1]["validation_accuracy"] > 0.9
    new = flowers(seed=1)
    new.drop(columns="species").to_csv("new.csv", index=False)
    rows = predicted(capsys, "--data", "new.csv", "--probabilities")
    assert list(rows[0]) == ["species", "p(iris)", "p(lily)", "p(rose)"]
    assert np.mean([row["species"] for row in rows] == new["species"]) > 0.9
    for row in rows:
        shares = {name[2:-1]: float(share) for name, share in row.items() if name != "species"}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
        assert max(shares, key=shares.get) == row["species"]


def test_inputs_are_standardised_numbers_and_one_for_each_category(folder):
    train("--drop", "id", "--validation", "0", "--categorical", "zone", epochs=1)
    parts = fastbp.load_checkpoint("model").extra["data"]["features"]["columns"]
    table = flowers()
    assert [part["name"] for part in parts] == ["length", "height", "soil", "zone"]
    for part in parts[:2]:
        assert part["mean"] == pytest.approx(table[part["name"]].mean(), rel=1e-12)
        assert part["std"] == pytest.approx(table[part["name"]].std(ddof=0), rel=1e-12)
    assert parts[2]["categories"] == ["dry", "sand", "wet"]
    assert parts[3]["categories"] == ["1", "2", "3"]
    assert fastbp.load("model").params["W1"].shape[0] == 8


def test_standardisation_is_learnt_from_the_training_part_alone(folder):
    table = flowers()
    train("--drop", "id", target="height", epochs=1)
    (length, *_) = fastbp.load_checkpoint("model").extra["data"]["features"]["columns"]
    kept = np.sort(np.random.default_rng(0).permutation(120)[24:])
    assert length["mean"] == pytest.approx(table["length"][kept].mean(), rel=1e-12)


@pytest.mark.parametrize("data", ["flowers.csv", "flowers.parquet"])
@pytest.mark.parametrize("hidden", ["polars", "pandas"])
def test_polars_and_pandas_and_both_formats_give_the_same_bits(folder, monkeypatch, data, hidden):
    train("--drop", "id", epochs=2)
    expected = fastbp.load("model")
    monkeypatch.setitem(sys.modules, hidden, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == hidden else True)
    train("--drop", "id", epochs=2, data=data)
    for name, array in fastbp.load("model").params.items():
        np.testing.assert_array_equal(array, expected.params[name])


def test_without_polars_and_pandas_the_error_names_the_extra(folder, monkeypatch, capsys):
    for name in ("polars", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = refused(capsys, "train", "--data", "flowers.csv", "--target", "species")
    assert message == f"fastbp: this needs polars, which is not installed: {install('tables')}\n"


def test_an_unknown_category_counts_as_none_and_is_told_once(folder, capsys):
    train("--drop", "id")
    new = flowers(6)
    new.loc[[1, 4], "soil"] = ["rock", "ice"]
    new.to_csv("new.csv", index=False)
    capsys.readouterr()
    run("predict", "model", "--data", "new.csv")
    errors = capsys.readouterr().err
    assert errors == "fastbp: column 'soil' has categories not seen in training, taken as none: 'ice', 'rock'\n"


def test_columns_are_found_by_name_in_any_order(folder, capsys):
    train("--drop", "id")
    expected = predicted(capsys, "--data", "flowers.csv")
    table = flowers()
    table[table.columns[::-1]].assign(more=1).to_csv("other.csv", index=False)
    assert predicted(capsys, "--data", "other.csv") == expected
    table.drop(columns="soil").to_csv("less.csv", index=False)
    assert "there is no column 'soil', only id, length" in refused(capsys, "predict", "model", "--data", "less.csv")


def test_evaluate_measures_as_predict_answers(folder, capsys):
    train("--drop", "id")
    rows = predicted(capsys, "--data", "flowers.csv")
    run("evaluate", "model", "--data", "flowers.csv", "--json", "measures.json")
    measures = json.loads((folder / "measures.json").read_text())
    assert measures["samples"] == 120
    assert measures["accuracy"] == np.mean([row["species"] for row in rows] == flowers()["species"])
    assert f"accuracy {measures['accuracy']:.4g}" in capsys.readouterr().out


def test_a_class_that_training_did_not_see_is_an_error(folder, capsys):
    train("--drop", "id", epochs=1)
    flowers().replace({"species": {"lily": "tulip"}}).to_csv("new.csv", index=False)
    message = refused(capsys, "evaluate", "model", "--data", "new.csv")
    assert "target 'species' is tulip in row" in message
    assert "none of iris, lily, rose" in message


def test_two_classes_and_one_output(folder, capsys):
    table = flowers()
    table["wet"] = np.where(table["length"] > 105, "yes", "no")
    table.to_csv("two.csv", index=False)
    train("--drop", "id", "--loss", "sigmoid", data="two.csv", target="wet")
    assert fastbp.load("model").params["W2"].shape[1] == 1
    rows = predicted(capsys, "--data", "two.csv", "--probabilities")
    assert np.mean([row["wet"] for row in rows] == table["wet"]) > 0.9
    for row in rows:
        assert (float(row["p(yes)"]) > 0.5) == (row["wet"] == "yes")
    message = refused(capsys, "train", "--data", "two.csv", "--target", "species", "--loss", "sigmoid", code=2)
    assert "--loss sigmoid needs two classes, target 'species' has 3" in message


def test_whole_numbers_are_classes_and_stay_whole_numbers(folder, capsys):
    train("--drop", "id", target="zone", epochs=1)
    assert fastbp.load_checkpoint("model").extra["data"]["targets"]["values"] == [1, 2, 3]
    assert {row["zone"] for row in predicted(capsys, "--data", "flowers.csv")} <= {"1", "2", "3"}


# ---- numbers to predict --------------------------------------------------------------------------------


def houses(n=200, seed=0):
    rng = np.random.default_rng(seed)
    area, town = rng.uniform(40, 200, n), rng.choice(["Bonn", "Köln"], n)
    return pandas.DataFrame({"area": area, "town": town, "price": 3000.5 * area + 50000 * (town == "Köln")})


def test_numbers_are_predicted_in_their_own_unit(folder, capsys):
    houses().to_csv("houses.csv", index=False)
    train("--json", "run.json", data="houses.csv", target="price", epochs=60)
    last = json.loads((folder / "run.json").read_text())["epochs"][-1]
    spread = houses()["price"].std()
    assert last["validation_rmse"] < 0.1 * spread
    new = houses(seed=1)
    new.to_csv("new.csv", index=False)
    answers = np.array([float(row["price"]) for row in predicted(capsys, "--data", "new.csv")])
    errors = answers - new["price"]
    assert np.sqrt(np.mean(errors**2)) < 0.1 * spread

    metrics = pytest.importorskip("sklearn.metrics")
    run("evaluate", "model", "--data", "new.csv", "--json", "measures.json")
    measures = json.loads((folder / "measures.json").read_text())
    assert measures["rmse"] == pytest.approx(metrics.root_mean_squared_error(new["price"], answers), rel=1e-4)
    assert measures["mae"] == pytest.approx(metrics.mean_absolute_error(new["price"], answers), rel=1e-4)
    assert measures["r2"] == pytest.approx(metrics.r2_score(new["price"], answers), abs=1e-4)


def test_the_loss_is_by_the_target_unless_it_is_given(folder, capsys):
    flowers().to_csv("a.csv", index=False)
    train("--drop", "id", target="zone", epochs=1)
    assert type(fastbp.load("model").loss_layer) is fastbp.SoftmaxWithLoss
    train("--drop", "id", "--loss", "mse", target="zone", epochs=1)
    assert type(fastbp.load("model").loss_layer) is fastbp.MeanSquaredError
    houses().assign(price=lambda table: table["price"].round().astype(int)).to_csv("b.csv", index=False)
    train(data="b.csv", target="price", epochs=1)
    assert type(fastbp.load("model").loss_layer) is fastbp.MeanSquaredError
    message = refused(capsys, "train", "--data", "a.csv", "--target", "species", "--loss", "mse", code=2)
    assert "target 'species' is text, and --loss mse needs numbers" in message
    message = refused(capsys, "train", "--data", "a.csv", "--target", "length", "--loss", "softmax", code=2)
    assert "target 'length' is 109.564" in message
    assert "in row 1, and --loss softmax needs classes" in message


# ---- what is missing or wrong --------------------------------------------------------------------------


def test_missing_entries_are_an_error_unless_they_are_to_be_filled(folder, capsys):
    table = flowers()
    table.loc[[6, 9], "length"] = np.nan
    table.loc[3, "soil"] = None
    table.to_csv("holes.csv", index=False)
    message = refused(capsys, "train", "--data", "holes.csv", "--target", "species", "--drop", "id", "soil")
    assert "column 'length' has 2 missing entries, the first in row 7: " in message
    message = refused(capsys, "train", "--data", "holes.csv", "--target", "species", "--drop", "id", "length")
    assert "column 'soil' has 1 missing entry, the first in row 4: " in message
    train("--drop", "id", "--fill-missing", data="holes.csv")
    assert len(predicted(capsys, "--data", "holes.csv")) == 120
    table.loc[5, "species"] = None
    table.to_csv("holes.csv", index=False)
    message = refused(capsys, "train", "--data", "holes.csv", "--target", "species", "--drop", "id")
    assert "target 'species' is missing in 1 of 120 rows, first in row 6" in message


def test_filled_entries_count_as_the_mean_and_as_no_category(folder):
    from fastbp.tables._features import TableFeatures
    from fastbp.tables._frames import read_table

    (folder / "a.csv").write_text("a,b\n1,x\n3,y\nNA,\n")
    table = read_table("a.csv")
    features = TableFeatures.learn(table, np.arange(3), without=(), categorical=(), standardize=True, fill=True)
    x = features.transform(table, "float64")
    np.testing.assert_array_equal(x, [[-1, 1, 0], [1, 0, 1], [0, 0, 0]])


def test_a_column_of_names_is_refused(folder, capsys):
    flowers(1500).to_csv("many.csv", index=False)
    message = refused(capsys, "train", "--data", "many.csv", "--target", "species")
    assert "column 'id' is text with " in message
    assert "leave it out with --drop" in message


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "nowhere.csv", "--target", "a"], 1, "nowhere.csv: there is no such file"),
        (["--data", "flowers.csv"], 2, "--data flowers.csv needs --target, one of id, length, "),
        (["--data", "flowers.csv", "--target", "weight"], 2, "there is no column 'weight', only id, length"),
        (["--data", "flowers.csv", "--target", "species", "--drop", "a"], 2, "there is no column 'a', only id"),
        (["--data", "flowers.csv", "--target", "species", "--scale", "2"], 2, "--scale goes with arrays"),
        (["--data", "flowers.csv", "--target", "species", "--validation", "1"], 2, "--validation: must be a number of"),
        (["--data", "empty.csv", "--target", "a"], 1, "empty.csv: there are no rows in it"),
        (["--data", "text.parquet", "--target", "a"], 1, "text.parquet: cannot be read: "),
        (["--data", "one.csv", "--target", "b"], 1, "target 'b' is always x: there is nothing to learn"),
        (["--data", "one.csv", "--target", "a", "--drop", "b"], 1, "there is no column to learn from"),
        (["--data", "digits", "--target", "a"], 2, "--target goes with a file, digits has its own"),
        (["--data", "digits", "--sample-weight", "a"], 2, "--sample-weight goes with a file"),
        (["--data", "digits", "--validation", "0.1"], 2, "--validation does not go with digits, which has a test part"),
        (["--data", "digits", "--drop", "a"], 2, "--drop goes with a table, not with arrays"),
        (
            ["--patience", "3", "--data", "one.csv", "--target", "a", "--validation", "0"],
            2,
            "--patience needs samples to validate with, and --validation 0 leaves none",
        ),
        (["--class-weight", "11=2"], 2, "there is no class '11', only 0, 1, 2"),
        (["--class-weight", "x"], 2, "argument --class-weight: must be NAME=NUMBER, got 'x'"),
        (["--setting", "speed=3"], 2, "--setting speed: sgd has no such setting, only weight_decay"),
        (
            ["--setting", "momentum=2", "--optimizer", "momentum"],
            2,
            "--setting: momentum must be a finite number",
        ),
        (["--save-state"], 2, "--save-state goes with --save"),
        (["--plot", "a.xyz"], 2, "--plot a.xyz: the name must end in ."),
    ],
)
def test_mistakes_are_told_in_one_line(folder, capsys, arguments, code, message):
    (folder / "empty.csv").write_text("a,b\n")
    (folder / "one.csv").write_text("a,b\n1,x\n2,x\n1,x\n")
    (folder / "text.parquet").write_text("no parquet")
    assert message in refused(capsys, "train", *arguments, code=code)


# ---- arrays --------------------------------------------------------------------------------------------


def arrays(n=200):
    rng = np.random.default_rng(0)
    x = rng.normal(50, 10, (n, 2, 3))
    return x, (x.sum(axis=(1, 2)) > 300).astype(int)


def test_arrays_of_an_npz_file(folder, capsys):
    x, t = arrays()
    np.savez("a.npz", x=x, t=t)
    run("train", "--data", "a.npz", "--save", "model", "--optimizer", "adam", "--lr", "0.01")
    run("predict", "model", "--data", "a.npz", "--output", "answers.npy")
    assert np.mean(np.load("answers.npy") == t) > 0.9
    run("predict", "model", "--data", "a.npz", "--output", "shares.npy", "--probabilities")
    np.testing.assert_array_equal(np.load("shares.npy").argmax(axis=1), np.load("answers.npy"))
    run("evaluate", "model", "--data", "a.npz", "--plot", "confusion.png")
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_a_pair_of_npy_files_gives_the_same_bits_as_an_npz_file(folder):
    x, t = arrays()
    np.savez("a.npz", points=t, x=x)
    np.save("x.npy", x)
    np.save("t.npy", t)
    for data, target in (("a.npz", "points"), ("x.npy", "t.npy")):
        run("train", "--data", data, "--target", target, "--save", f"{data}.model", "--epochs", "2")
    one, other = (fastbp.load(f"{data}.model").params for data in ("a.npz", "x.npy"))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_an_npz_file_with_a_test_part_and_bytes(folder):
    data = fastbp.datasets.digits()
    images = {"x_train": data.x_train.reshape(-1, 8, 8), "x_test": data.x_test.reshape(-1, 8, 8)}
    np.savez("d.npz", **images, y_train=data.t_train, y_test=np.eye(10, dtype=int)[data.t_test])
    settings = ["--scale", "0.0625", "--epochs", "20", "--optimizer", "adam"]
    run("train", "--data", "d.npz", *settings, "--save", "model", "--json", "run.json")
    report = json.loads((folder / "run.json").read_text())
    run("evaluate", "model", "--data", "digits", "--json", "measures.json")
    measures = json.loads((folder / "measures.json").read_text())
    assert measures["samples"] == 360
    assert measures["accuracy"] == report["epochs"][-1]["validation_accuracy"] > 0.9


def test_several_numbers_to_predict(folder, capsys):
    x, _ = arrays()
    np.savez("a.npz", x=x, t=np.stack([x.sum(axis=(1, 2)), -1000 * x[:, 0, 0]], axis=1))
    run("train", "--data", "a.npz", "--save", "model", "--optimizer", "adam", "--lr", "0.01")
    rows = predicted(capsys, "--data", "a.npz")
    assert list(rows[0]) == ["t_0", "t_1"]
    errors = np.array([float(row["t_1"]) for row in rows]) + 1000 * x[:, 0, 0]
    assert errors.std() < 2000
    assert "--probabilities go with classes" in refused(
        capsys, "predict", "model", "--data", "a.npz", "--probabilities", code=2
    )


def test_sample_weights_are_a_column_or_an_array(folder):
    x, t = arrays()
    np.savez("a.npz", x=x, t=t, w=np.arange(200) % 2)
    run("train", "--data", "a.npz", "--sample-weight", "w", "--validation", "0", "--no-standardize", "--save", "model")
    net = fastbp.mlp([6, 50, 2], seed=0)
    net.fit(x, t, epochs=100, optimizer=fastbp.optimizers.SGD(0.1), seed=0, sample_weight=np.arange(200) % 2)
    np.testing.assert_array_equal(fastbp.load("model").params["W1"], net.params["W1"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.ones(3)}, "a.npz has no array x, only a"),
        ({"x": np.ones((3, 2)), "t": np.ones(4)}, r"there are 3 samples, and targets of shape (4,)"),
        ({"x": np.ones(3), "t": np.ones(3)}, "samples must be numbers of shape (N, ...), got float64 of shape (3,)"),
        ({"x": np.full((3, 2), np.nan), "t": np.arange(3)}, "a number that is not finite: nan in row 1, column 1"),
        (
            {"x": np.ones((3, 2)), "t": np.array([1, None, 2])},
            "a.npz: array 't' holds Python objects, which are not loaded",
        ),
        ({"x": np.ones((3, 2))}, "there are no targets in the data: --target says where they are"),
    ],
)
def test_arrays_that_do_not_fit_are_told_in_one_line(folder, capsys, content, message):
    np.savez("a.npz", **content)
    code = 2 if "--target" in message else 1
    assert message in refused(capsys, "train", "--data", "a.npz", code=code)


def test_a_table_and_arrays_are_not_taken_for_each_other(folder, capsys):
    x, t = arrays()
    np.savez("a.npz", x=x, t=t)
    train("--drop", "id", epochs=1)
    assert "was trained on a table" in refused(capsys, "predict", "model", "--data", "a.npz")
    run("train", "--data", "a.npz", "--save", "model", "--epochs", "1")
    assert "was trained on arrays" in refused(capsys, "predict", "model", "--data", "flowers.csv")
    message = refused(capsys, "predict", "model", "--data", "digits")
    assert "the samples are of shape (360, 64), the network has 6 inputs" in message


def test_large_whole_numbers_stay_different_classes(folder):
    first = 2**60
    rows = "".join(f"{i},{first + i % 2}\n" for i in range(20))
    (folder / "large.csv").write_text("a,b\n" + rows)
    run("train", "--data", "large.csv", "--target", "b", "--epochs", "1", "--save", "model")
    assert fastbp.load_checkpoint("model").extra["data"]["targets"]["values"] == [first, first + 1]
