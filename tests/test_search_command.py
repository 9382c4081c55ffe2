"""``fastbp search``: what is tried, how it is measured and ranked, and what is saved."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import refused, run, write_flowers

import fastbp
from fastbp.commands import search
from fastbp.tables._prepare import Preparation, learn, prepare
from fastbp.tables._samples import samples_of

GRID = """
data = "flowers.csv"
target = "kind"
drop = ["price"]
epochs = 3
[search]
optimizer = ["adam", "sgd"]
hidden = [[8], [6, 4], 5]
"""
AS_GRID = "--data", "flowers.csv", "--target", "kind", "--drop", "price", "--epochs", "3"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_flowers()


def searched(text, *arguments):
    """The candidates that a search writes, the best first."""
    Path("search.toml").write_text(text)
    run("search", "--config", "search.toml", "--results", "all.json", *arguments)
    return json.loads(Path("all.json").read_text())["candidates"]


def same_parameters(one, other):
    return all(np.array_equal(array, other.params[name]) for name, array in one.params.items())


# ---- what is tried --------------------------------------------------------------------------------------


def test_all_combinations_are_tried_and_ranked(capsys):
    found = searched(GRID)
    options = [(one["options"]["optimizer"], tuple(one["options"]["hidden"])) for one in found]
    assert set(options) == {(name, sizes) for name in ("adam", "sgd") for sizes in ((8,), (6, 4), (5,))}
    assert [one["rank"] for one in found] == [1, 2, 3, 4, 5, 6]
    means = [one["mean"] for one in found]
    assert means == sorted(means, reverse=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "6 candidates on samples kept apart, ranked by accuracy"
    assert lines[1].split() == ["rank", "accuracy", "optimizer", "hidden"]
    assert len(lines) == 8


def test_some_of_the_combinations_are_drawn_by_the_seed():
    tried = [sorted(map(str, (one["options"] for one in searched(GRID, "--n-iter", "3", "--seed", s)))) for s in "001"]
    assert tried[0] == tried[1] != tried[2]
    assert len(set(tried[0])) == 3, "each is another"


def test_more_draws_than_combinations_are_all_of_them():
    assert len(searched(GRID, "--n-iter", "50")) == 6


def test_ranges_are_drawn_within_their_ends():
    text = 'data = "flowers.csv"\ntarget = "kind"\nepochs = 1\n[search]\n'
    text += (
        "lr = {low = 1e-4, high = 1e-1, log = true}\nbatch_size = {low = 4, high = 9}\ndropout = {low = 0, high = 0.5}"
    )
    options = [one["options"] for one in searched(text, "--n-iter", "20")]
    rates = [one["lr"] for one in options]
    assert 1e-4 <= min(rates) < 1e-3 < 1e-2 < max(rates) <= 1e-1
    assert {one["batch_size"] for one in options} <= set(range(4, 10))
    assert all(0 <= one["dropout"] <= 0.5 for one in options)


def test_no_normalization_is_searched_beside_the_two():
    text = 'data = "flowers.csv"\ntarget = "kind"\nepochs = 3\n[search]\nnormalization = ["none", "batch", "layer"]\n'
    found = searched(text)
    assert {one["options"]["normalization"] for one in found} == {"none", "batch", "layer"}


def test_a_setting_of_the_optimizer_can_be_searched():
    text = 'data = "flowers.csv"\ntarget = "kind"\nepochs = 1\noptimizer = "adam"\n[search]\n'
    found = searched(text + "setting = [{weight_decay = 0.1}, {weight_decay = 0.0}]")
    assert sorted(one["options"]["setting"] for one in found) == [[["weight_decay", 0.0]], [["weight_decay", 0.1]]]


def test_an_option_for_all_may_go_with_what_is_searched_alone():
    text = 'data = "flowers.csv"\ntarget = "kind"\nepochs = 1\nactivation = ["relu", "tanh"]\n'
    text += "[setting]\nmomentum = 0.5\n[search]\nhidden = [[4, 3], [5, 2]]\noptimizer = ['momentum', 'nesterov']\n"
    assert len(searched(text)) == 4


# ---- how it is measured ---------------------------------------------------------------------------------


def test_a_candidate_is_measured_as_train_measures_it():
    found = {tuple(one["options"]["hidden"]): one for one in searched(GRID.replace('"adam", "sgd"', '"adam"'))}
    assert len(found) == 3
    for sizes, one in found.items():
        hidden = list(map(str, sizes))
        run(
            "train",
            *AS_GRID,
            "--threads",
            "1",
            "--json",
            "alone.json",
            "--optimizer",
            one["options"]["optimizer"],
            "--hidden",
            *hidden,
        )
        last = json.loads(Path("alone.json").read_text())["epochs"][-1]
        assert one["scores"] == [last["validation_accuracy"]]


def test_each_fold_is_measured_by_networks_that_know_nothing_of_it():
    text = 'data = "flowers.csv"\ntarget = "price"\ndrop = ["kind"]\nepochs = 4\n[search]\nhidden = [7]\n'
    (one,) = searched(text, "--cv", "3", "--seed", "2")
    table = fastbp.tables.read_table("flowers.csv")
    samples, scores, seen = samples_of(table, "price"), [], []
    for k in range(3):
        asked = Preparation(drop=("kind",), seed=2, fold=(k, 3))
        features, targets = learn(asked, samples, None)
        data = prepare(asked, samples, None, features, targets, "float32", print)
        np.testing.assert_allclose(data.x[:, 0].mean(), 0, atol=1e-5)  # standardised by those that it trains on
        net = fastbp.mlp([3, 7, 1], loss="mse", seed=2)
        optimizer = fastbp.optimizers.SGD(0.1)
        net.fit(data.x, data.t, epochs=4, batch_size=32, seed=2, optimizer=optimizer, threads=1)
        x, t = data.held
        scores.append(float(np.sqrt(np.mean(((net.predict(x) - t) * targets.std) ** 2))))
        seen.append(targets.decode(t))
    np.testing.assert_allclose(one["scores"], scores, rtol=1e-6)
    assert one["mean"] == pytest.approx(np.mean(scores))
    assert one["spread"] == pytest.approx(np.std(scores))
    np.testing.assert_allclose(np.sort(np.concatenate(seen)), np.sort(samples.targets.astype(float)))


def test_folds_have_of_each_class_its_share():
    samples = samples_of(fastbp.tables.read_table("flowers.csv"), "kind")
    counts = []
    for k in range(4):
        asked = Preparation(drop=("price",), fold=(k, 4))
        data = prepare(asked, samples, None, *learn(asked, samples, None), "float32", print)
        counts.append(np.bincount(data.held[1], minlength=2))
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.sum(counts) == 60


@pytest.mark.parametrize(("metric", "rising"), [("rmse", False), ("r2", True), ("mae", False), ("loss", False)])
def test_the_best_has_the_least_error_or_the_most_that_is_explained(metric, rising):
    text = 'data = "flowers.csv"\ntarget = "price"\nepochs = 4\n[search]\nlr = [0.1, 0.001, 0.01]\n'
    means = [one["mean"] for one in searched(text, "--metric", metric, "--cv", "2")]
    assert means == sorted(means, reverse=rising)
    assert len(set(means)) == 3


def test_a_candidate_that_fails_comes_last_and_stops_no_other(capsys):
    text = 'data = "flowers.csv"\ntarget = "price"\nepochs = 30\n[search]\nlr = [1e30, 0.01]\n'
    found = searched(text, "--cv", "2")
    assert [one["options"]["lr"] for one in found] == [0.01, 1e30]
    assert found[1]["mean"] is None
    assert "failed" in capsys.readouterr().out


# ---- what is written ------------------------------------------------------------------------------------


def test_the_best_is_saved_as_train_makes_it_of_all_data(capsys):
    best = searched(GRID, "--save", "best", "--cv", "3")[0]["options"]
    assert "trained on all 60 samples as candidate" in capsys.readouterr().out
    run(
        "train",
        *AS_GRID,
        "--validation",
        "0",
        "--save",
        "alone",
        "--optimizer",
        best["optimizer"],
        "--hidden",
        *map(str, best["hidden"]),
    )
    assert same_parameters(fastbp.load("best"), fastbp.load("alone"))
    run("evaluate", "best", "--data", "flowers.csv")


def test_options_of_training_are_those_of_all_candidates():
    more = "clip-norm = 0.1\nno-shuffle = true\nmax-steps = 5\n"
    best = searched(more + GRID, "--save", "best")[0]
    options = "--clip-norm", "0.1", "--no-shuffle", "--max-steps", "5", "--threads", "1"
    chosen = "--optimizer", best["options"]["optimizer"], "--hidden", *map(str, best["options"]["hidden"])
    run("train", *AS_GRID, *options, *chosen, "--json", "alone.json")
    assert best["scores"] == [json.loads(Path("alone.json").read_text())["epochs"][-1]["validation_accuracy"]]
    run("train", *AS_GRID, *options, *chosen, "--validation", "0", "--save", "alone")
    assert same_parameters(fastbp.load("best"), fastbp.load("alone"))


PATIENT = """
data = "flowers.csv"
target = "kind"
drop = ["price"]
epochs = 40
patience = 2
optimizer = "adam"
schedule = "cosine"
[search]
lr = [0.3, 0.1]
"""


def test_with_patience_a_candidate_is_measured_at_its_best(capsys):
    found = {one["options"]["lr"]: one for one in searched(PATIENT)}
    assert "best-epoch" in capsys.readouterr().out
    alone = "train", *AS_GRID[:-1], "40", "--optimizer", "adam", "--schedule", "cosine", "--threads", "1"
    for lr, one in found.items():
        run(*alone, "--patience", "2", "--lr", str(lr), "--json", "alone.json")
        report = json.loads(Path("alone.json").read_text())
        epoch = report["totals"]["best_epoch"]
        assert epoch < 40
        assert one["best_epoch"] == epoch
        assert one["scores"] == [report["epochs"][epoch - 1]["validation_accuracy"]]


def test_the_best_trains_on_all_for_as_long_as_it_took_on_the_mean(capsys):
    best = searched(PATIENT, "--cv", "3", "--save", "best")[0]
    epochs = round(best["best_epoch"])
    assert f"as candidate {best['candidate']}, {epochs} epochs" in capsys.readouterr().out
    alone = "train", *AS_GRID[:-1], "40", "--optimizer", "adam", "--schedule", "cosine", "--validation", "0"
    run(*alone, "--lr", str(best["options"]["lr"]), "--max-steps", str(2 * epochs), "--save", "alone")
    assert same_parameters(fastbp.load("best"), fastbp.load("alone"))
    run("search", "--config", "search.toml", "--cv", "2", "--results", "all.csv")
    with open("all.csv", newline="") as file:
        assert all(float(row["best_epoch"]) >= 1 for row in csv.DictReader(file))


def test_a_table_has_a_row_for_each_candidate_with_all_scores():
    Path("search.toml").write_text(GRID)
    run("search", "--config", "search.toml", "--cv", "2", "--results", "all.csv")
    with open("all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert list(rows[0]) == ["rank", "candidate", "mean", "spread", "accuracy_1", "accuracy_2", "optimizer", "hidden"]
    for row in rows:
        assert float(row["mean"]) == pytest.approx((float(row["accuracy_1"]) + float(row["accuracy_2"])) / 2)


def test_the_test_part_of_a_set_is_not_touched(monkeypatch):
    seen = []
    learned = search.learn
    monkeypatch.setattr(
        search, "learn", lambda asked, train, test: seen.append((len(train), test)) or learned(asked, train, test)
    )
    searched("epochs = 1\n[search]\nlr = [0.1, 0.2]\n")
    assert set(seen) == {(len(fastbp.datasets.digits().x_train), None)}


# ---- wrong turns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "there must be a table [search] with values to try"),
        ("[search]", "there must be a table [search] with values to try"),
        ("[search]\nhiden = [[3]]", "search.hiden is no option to search for, only"),
        ("[search]\nloss = ['mse']", "search.loss is no option to search for, only"),
        ("[search]\nlr = []", "search.lr has no values to try"),
        ("[search]\nlr = 0.1", "search.lr must be a list of values, or a table with low and high, got 0.1"),
        ("[search]\nlr = [-1]", "argument --lr: must be a finite number above 0, got '-1'"),
        ("[search]\noptimizer = ['adan']", "did you mean adam?"),
        ("[search]\nhidden = [[0]]", "argument --hidden: must be a whole number from 1"),
        ("[search]\nlr = {low = 1}", "search.lr must have low and high, and may have log, got low"),
        ("[search]\nlr = {low = 2, high = 1}", "search.lr must have a low below its high, got 2 and 1"),
        ("[search]\nlr = {low = 0, high = 1, log = true}", "search.lr.low must be above 0 where log is true, got 0"),
        ("[search]\nlr = {low = 'a', high = 1}", "search.lr.low must be a number, got 'a'"),
        ("[search]\nlr = {low = 0.1, high = 1, log = 1}", "search.lr.log must be true or false, got 1"),
        ("[search]\nepochs = {low = 1.5, high = 3}", "search.epochs.low must be a whole number, got 1.5"),
        ("[search]\nlr = {low = 0.1, high = 1}", "search.lr is a range, of which --n-iter says how many"),
        ("[search]\noptimizer = {low = 0.1, high = 1}", "search.optimizer must be a list of values: it is no number"),
        (
            "[search]\nactivation = [['relu', 'tanh']]",
            "candidate 1, activation=relu,tanh: --activation must be one name",
        ),
        ("cv = 1\n[search]\nlr = [0.1]", "--cv must be at least 2 folds, got 1"),
        ("cv = 61\n[search]\nlr = [0.1]", "--cv must be at most 60, the samples, got 61"),
        ("cv = 2\nvalidation = 0.1\n[search]\nlr = [0.1]", "--validation does not go with --cv"),
        ("validation = 0\n[search]\nlr = [0.1]", "--validation 0 leaves no samples"),
        (
            "metric = 'rmse'\n[search]\nlr = [0.1]",
            "--metric rmse does not go with classes: it is one of accuracy, loss",
        ),
        ("results = 'all.txt'\n[search]\nlr = [0.1]", "--results must end in .csv or .json, got 'all.txt'"),
        ("lr = 0.2\n[search]\nlr = [0.1]", "--lr has a value beside those of search.lr in search.toml"),
        ("saev = 'best'\n[search]\nlr = [0.1]", "there is no option 'saev'; did you mean save?"),
    ],
)
def test_a_wrong_file_is_one_error(table, said, capsys):
    Path("search.toml").write_text(f'data = "flowers.csv"\ntarget = "kind"\n{table}')
    assert said in refused(capsys, "search", "--config", "search.toml", code=2)


def test_a_search_needs_a_file(capsys):
    assert "a search needs --config FILE" in refused(capsys, "search", code=2)


def test_missing_data_are_one_error(capsys):
    Path("search.toml").write_text('data = "no.csv"\ntarget = "kind"\n[search]\nlr = [0.1]')
    assert "no.csv: there is no such file" in refused(capsys, "search", "--config", "search.toml")


def test_too_many_combinations_are_told(capsys):
    values = ", ".join(str(k) for k in range(1, 102))
    Path("search.toml").write_text(f"[search]\nepochs = [{values}]\nhidden = [{values}]")
    message = refused(capsys, "search", "--config", "search.toml", code=2)
    assert "these are 10201 candidates, more than 10000: --n-iter draws some of them" in message
