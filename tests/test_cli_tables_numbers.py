"""Standardised columns of any mean, splits and weights of classes, and trainings that explode."""

import json
import math

import numpy as np
import pytest
from cli_runs import refused, run, told, train

import fastbp
from fastbp.tables._errors import DataError
from fastbp.tables._explosion import Explosion
from fastbp.tables._features import ArrayFeatures, TableFeatures
from fastbp.tables._frames import read_table
from fastbp.tables._standard import mean_std
from fastbp.training.history import History

pandas = pytest.importorskip("pandas")
pytest.importorskip("polars")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def learnt(name, **settings):
    table = read_table(name)
    settings = {"without": (), "categorical": (), "standardize": True, "fill": False} | settings
    return table, TableFeatures.learn(table, np.arange(len(table)), **settings)


# ---- standardisation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ratio", [10.0**k for k in range(15)])
def test_columns_are_standardised_whatever_their_mean_is_in_spreads(ratio, dtype):
    spread = np.random.default_rng(0).normal(0, 1, 9000)
    stored = ratio + spread
    exact = stored - ratio  # what float64 has kept of it
    pandas.DataFrame({"a": stored, "b": -96 * stored}).to_csv("a.csv", index=False)
    table, features = learnt("a.csv")
    for x in (features.transform(table, dtype), *_of_arrays(np.stack([stored, -96 * stored], axis=1), dtype)):
        assert x.dtype == dtype
        rounding = 4 * ratio * np.finfo(np.float64).eps  # of the mean and of -96 times a number
        tolerance = 16 * np.finfo(dtype).eps + rounding
        np.testing.assert_allclose(x[:, 0], (exact - exact.mean()) / exact.std(), atol=tolerance, rtol=tolerance)
        np.testing.assert_allclose(x[:, 1], -x[:, 0], atol=tolerance, rtol=tolerance)


def _of_arrays(x, dtype):
    features = ArrayFeatures.learn(x, np.arange(len(x)), standardize=True, scale=None)
    yield features.transform(x, dtype)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_spreads_of_any_size(scale):
    x = scale * np.array([[1.0], [2.0], [4.0], [5.0]])
    mean, std = mean_std(x, str)
    np.testing.assert_allclose([mean[0] / scale, std[0] / scale], [3, math.sqrt(2.5)], rtol=1e-14)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9, -1e300])
def test_a_constant_is_a_column_whose_values_are_all_equal(value, capsys):
    pandas.DataFrame({"a": np.full(40, value), "b": np.arange(40.0) % 7, "c": ["x", "y"] * 20}).to_csv("a.csv")
    table, features = learnt("a.csv", without=["c", "column_1"])
    assert not features.transform(table, "float64")[:, 0].any()
    assert mean_std(np.full((3, 1), value), str)[1] == 1


def test_a_column_that_float64_cannot_resolve_is_an_error_that_names_it(capsys):
    close = np.where(np.arange(40) % 2, 0.1 + 0.2, 0.3)
    pandas.DataFrame({"a": close, "c": ["x", "y"] * 20}).to_csv("a.csv", index=False)
    message = refused(capsys, "train", "--data", "a.csv", "--target", "c")
    assert "column 'a' varies by 2.78e-17 around 0.3, which float64 cannot resolve: leave it out" in message
    message = refused(capsys, "train", "--data", "a.csv", "--target", "a")
    assert "target 'a' varies by " in message
    np.savez("a.npz", x=np.stack([close, close], axis=1), t=np.arange(40) % 2)
    assert "column 1 of the samples varies by " in refused(capsys, "train", "--data", "a.npz")
    pandas.DataFrame({"id": 10**18 + np.arange(40), "c": ["x", "y"] * 20}).to_csv("a.csv", index=False)
    message = refused(capsys, "train", "--data", "a.csv", "--target", "c")
    assert "column 'id' has different numbers near 1e+18, which float64 cannot tell apart" in message
    with pytest.raises(DataError, match=r"reaches from -1\.5e\+308 to 1\.5e\+308, which float64 cannot subtract"):
        mean_std(np.array([[-1.5e308], [1.5e308]]), str)


def test_a_target_that_is_always_the_same_number_is_an_error(capsys):
    pandas.DataFrame({"a": np.arange(40.0), "y": np.full(40, 2.5)}).to_csv("a.csv", index=False)
    message = refused(capsys, "train", "--data", "a.csv", "--target", "y")
    assert "target 'y' is always 2.5: there is nothing to learn" in message


def test_a_sample_that_is_not_finite_is_named(capsys):
    x = np.ones((20, 3))
    x[7, 2] = np.inf
    np.savez("a.npz", x=x, t=np.arange(20) % 2)
    message = refused(capsys, "train", "--data", "a.npz")
    assert "the samples have a number that is not finite: inf in row 8, column 3" in message


@pytest.mark.parametrize(("number", "dtype"), [(1e300, "float32"), (1.7e308, "float32"), (1.7e308, "float64")])
def test_a_sample_too_large_for_the_networks_type_is_named(capsys, number, dtype):
    x = np.random.default_rng(0).random((40, 3))
    arrays = {"x_train": x, "t_train": np.arange(40) % 2, "x_test": np.full((3, 3), number), "t_test": [0, 1, 1]}
    np.savez("a.npz", **arrays)
    message = refused(capsys, "train", "--data", "a.npz", "--dtype", dtype)
    assert f"the samples have a number in row 1, column 1, that is too large for {dtype}" in message


# ---- explosions -----------------------------------------------------------------------------------------


def test_a_training_that_explodes_ends_with_a_word_on_what_to_do(capsys, folder):
    a = 1e9 + 1e7 * np.arange(60)
    pandas.DataFrame({"a": a, "c": ["x", "y"] * 30}).to_csv("a.csv", index=False)
    capsys.readouterr()
    arguments = ["--data", "a.csv", "--target", "c", "--no-standardize", "--epochs", "3", "--save", "model"]
    assert fastbp.cli.main(["train", *arguments]) == 1
    output, errors = capsys.readouterr()
    assert "epoch 1/3" in output
    assert errors.startswith("fastbp: the loss is ")
    assert "in epoch 1, where guessing has 0.69: try a lower --lr, --clip-norm 1, and inputs that are stand" in errors
    assert errors.count("\n") == 1
    assert not (folder / "model").exists()


class _Model:
    def __init__(self, n_classes):
        from fastbp.tables._targets import Classes, Numbers

        self.targets = Classes("c", list(range(n_classes))) if n_classes else Numbers("c", [0.0], [1.0])


class _Data:
    weights = None


@pytest.mark.parametrize(
    ("n_classes", "losses", "message"),
    [
        (10, [2.3, 1.0, 0.5, 300.0], None),
        (10, [1e5, 200.0, 2.0], None),
        (0, [1e-9, 1e-4, 0.9, 500.0], None),
        (10, [1e7], "the loss is 1e\\+07 in epoch 1, where guessing has 2.3"),
        (10, [2.3, 0.1, 5e3], "the loss has risen from 0.1 to 5000 in epoch 3"),
        (0, [0.5, 3e32], "the loss has risen from 0.5 to 3e\\+32 in epoch 2, where guessing has 1"),
    ],
)
def test_noise_is_no_explosion_and_orders_of_magnitude_are(n_classes, losses, message):
    watch = Explosion(_Model(n_classes), _Data())
    history = History()
    for loss in losses[:-1]:
        history.loss.append(loss)
        watch(history)
    history.loss.append(losses[-1])
    if message is None:
        watch(history)
    else:
        with pytest.raises(FloatingPointError, match=message):
            watch(history)


# ---- splits and weights of classes ----------------------------------------------------------------------


def rare(n=100):
    """A table in which one class of four is rare, and one is there once."""
    kind = np.array([2] + [1] * 5 + [0] * (n - 6) + [3] * 10)
    a = kind + np.random.default_rng(0).normal(0, 0.1, len(kind))
    return pandas.DataFrame({"a": a, "c": np.array(["common", "rare", "once", "some"])[kind]})


@pytest.mark.parametrize("seed", range(5))
def test_each_class_has_its_share_of_the_validation_part(seed):
    from fastbp.tables._prepare import _stratified

    classes = np.array([0] * 50 + [1] * 30 + [2] * 19 + [3])
    order, kept = _stratified(np.random.default_rng(seed).permutation(100), classes, 20)
    assert sorted(order.tolist()) == list(range(100))
    assert np.bincount(classes[order[:kept]], minlength=4).tolist() == [10, 6, 4, 0], "the only one of class 3 trains"


def test_the_command_splits_by_classes_and_the_same_way_again(capsys):
    rare().to_csv("a.csv", index=False)
    arguments = ["--data", "a.csv", "--target", "c", "--validation", "0.5", "--save", "model", "--save-state"]
    assert "once (1)" in told(capsys, *arguments)["target"]
    run("train", *arguments, "--epochs", "3")
    whole = fastbp.load("model").params
    run("train", *arguments, "--epochs", "1")
    resumed = ["--resume", "model", "--data", "a.csv", "--target", "c", "--validation", "0.5", "--epochs", "3"]
    run("train", *resumed, "--save", "resumed")
    for name, array in fastbp.load("resumed").params.items():
        np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_balanced_classes_weigh_the_same_in_all(loss):
    table = pandas.DataFrame({"a": np.arange(40.0), "c": ["x"] * 30 + ["y"] * 10})
    table["w"] = np.where(table["c"] == "x", 40 / 60, 40 / 20)
    table.to_csv("a.csv", index=False)
    arguments = ["--data", "a.csv", "--target", "c", "--loss", loss, "--validation", "0"]
    params = []
    for weights in (["--class-weight", "balanced", "--drop", "w"], ["--sample-weight", "w"], ["--drop", "w"]):
        train(*arguments, *weights)
        params.append(fastbp.load("model").params["W1"])
    np.testing.assert_array_equal(params[0], params[1])
    assert not np.array_equal(params[0], params[2])


def test_class_weights_go_with_the_sigmoid_loss_too():
    table = pandas.DataFrame({"a": np.arange(40.0), "c": ["x"] * 30 + ["y"] * 10})
    table.assign(w=np.where(table["c"] == "y", 3.0, 1.0)).to_csv("a.csv", index=False)
    arguments = ["--data", "a.csv", "--target", "c", "--loss", "sigmoid", "--validation", "0"]
    train(*arguments, "--class-weight", "y=3", "--drop", "w")
    expected = fastbp.load("model").params["W1"]
    train(*arguments, "--sample-weight", "w")
    np.testing.assert_array_equal(fastbp.load("model").params["W1"], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--target", "c", "--class-weight", "commn=2"],
            "there is no class 'commn', only common, once, rare, some; did",
        ),
        (["--target", "c", "--class-weight", "rare=-2"], "--class-weight rare=-2 is below 0"),
        (["--target", "c", "--class-weight", "balance"], "argument --class-weight: must be NAME=NUMBER"),
        (["--target", "c", "--class-weight", "balanced", "rare=2"], "--class-weight is balanced or CLASS=X, not both"),
        (
            ["--target", "a", "--class-weight", "balanced"],
            "--class-weight goes with classes, and the target is numbers",
        ),
    ],
)
def test_class_weights_that_do_not_fit_are_told(capsys, arguments, message):
    rare().to_csv("a.csv", index=False)
    assert message in refused(capsys, "train", "--data", "a.csv", *arguments, code=2)


def test_the_report_says_which_weights_were_asked_for(folder):
    rare().to_csv("a.csv", index=False)
    train("--data", "a.csv", "--target", "c", "--class-weight", "balanced", "--json", "run.json")
    assert json.loads((folder / "run.json").read_text())["options"]["class_weight"] == ["balanced"]
