"""``fastbp train --ensemble``: what is trained and saved, and what the other commands make of it."""

import ctypes
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_runs import predicted, refused, run, write_flowers
from test_exports import compiled

import fastbp
from fastbp import cli
from fastbp.commands import _ensemble
from fastbp.files import ensemble_file

CLASSES = "--data", "flowers.csv", "--target", "kind", "--optimizer", "adam"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_flowers()


def train(*arguments, n=3, epochs=2):
    run("train", *arguments, "--epochs", epochs, "--ensemble", n, "--save", "model")


def ended():
    return json.loads(Path("report.json").read_text())


def softmax(scores):
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


# ---- what is trained ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [("--data", "digits"), CLASSES, (*CLASSES, "--clip-norm", "0.1", "--no-shuffle", "--max-steps", "3")]
)
def test_a_member_has_the_bits_of_training_alone_with_its_seed(data):
    train(*data, "--seed", "7")
    members = fastbp.Ensemble.load("model").nets
    assert len(members) == 3
    run("train", *data, "--seed", "7", "--epochs", "2", "--save", "alone", "--threads", "1")
    alone = fastbp.load("alone")
    assert all(np.array_equal(array, members[0].params[name]) for name, array in alone.params.items())
    assert not np.array_equal(members[0].params["W1"], members[1].params["W1"])


def test_members_of_a_set_have_the_seeds_that_follow():
    train("--hidden", "9", "--activation", "tanh", "--seed", "4", n=2)
    data = fastbp.datasets.digits()
    for seed, member in zip((4, 5), fastbp.Ensemble.load("model"), strict=True):
        net = fastbp.mlp([64, 9, 10], "tanh", seed=seed, scale=1 / 16)
        optimizer = fastbp.optimizers.SGD(0.1)
        net.fit(data.x_train, data.t_train, epochs=2, batch_size=100, optimizer=optimizer, seed=seed, threads=1)
        assert all(np.array_equal(array, member.params[name]) for name, array in net.params.items())


def test_weights_and_patience_reach_all_members(capsys):
    train(*CLASSES, "--class-weight", "balanced", "--patience", "1", "--lr", "0.5", "--json", "report.json", epochs=40)
    networks = ended()["networks"]
    assert all(network["best_epoch"] <= network["epochs"] for network in networks)
    assert min(network["epochs"] for network in networks) < 40
    assert "best epoch" in capsys.readouterr().out


def test_fewer_steps_than_an_epoch_has_are_measured_too():
    train(*CLASSES, "--max-steps", "1", "--json", "report.json")
    assert [network["epochs"] for network in ended()["networks"]] == [0, 0, 0]
    assert all(0 <= network["train_accuracy"] <= 1 for network in ended()["networks"])


def test_lines_end_with_a_table_of_networks_and_their_mean(capsys):
    train(*CLASSES, "--every", "2", epochs=4)
    out = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("network 2/3  epoch") for line in out) == 2
    assert out[-6].split()[:2] == ["network", "seed"]
    assert [line.split()[0] for line in out[-5:]] == ["1", "2", "3", "ensemble", "3"]


def test_programs_are_told_every_epoch_and_the_figures(capsys):
    train(*CLASSES, "--json", "-")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["start", *["epoch"] * 6, "end"]
    assert sorted((event["network"], event["epoch"]) for event in events[1:-1]) == [
        (k, epoch) for k in (1, 2, 3) for epoch in (1, 2)
    ]
    assert [network["seed"] for network in events[-1]["networks"]] == [0, 1, 2]
    assert set(events[-1]["ensemble"]) == {"train_accuracy", "validation_accuracy"}


# ---- the other commands ---------------------------------------------------------------------------------


def test_predict_gives_the_mean_of_the_members_probabilities(capsys):
    train(*CLASSES, epochs=5)
    model = fastbp.TableModel.load("model")
    assert isinstance(model.network, fastbp.Ensemble)
    rows = predicted(capsys, "--data", "flowers.csv", "--probabilities")
    found = np.array([[float(row["p(a)"]), float(row["p(b)"])] for row in rows])
    parts = [member.shares(member.outputs(*_table("flowers.csv"), print)) for member in model._model.members]
    assert np.ptp(parts, axis=0).max() > 1e-3
    np.testing.assert_allclose(found, np.mean(parts, axis=0), rtol=1e-5)
    assert [row["kind"] for row in rows] == ["ab"[k] for k in found.argmax(axis=1)]
    np.testing.assert_allclose(model.predict_proba("flowers.csv"), found, rtol=1e-6)


def _table(path):
    table = fastbp.tables.read_table(path)
    return table, table.rows


def test_predict_gives_the_mean_of_the_members_numbers(capsys):
    train("--data", "flowers.csv", "--target", "price", "--drop", "kind", epochs=5)
    rows = predicted(capsys, "--data", "flowers.csv")
    model = fastbp.TableModel.load("model")._model
    parts = [member.answers(member.outputs(*_table("flowers.csv"), print)) for member in model.members]
    np.testing.assert_allclose([float(row["price"]) for row in rows], np.mean(parts, axis=0), rtol=1e-6)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_evaluate_tells_the_loss_and_accuracy_of_the_mean_and_of_the_members(loss, capsys):
    train(*CLASSES, "--loss", loss, epochs=5)
    capsys.readouterr()
    run("evaluate", "model", "--data", "flowers.csv", "--json", "report.json")
    assert "its 3 networks, each by itself:  loss " in capsys.readouterr().out
    report = ended()
    answers = fastbp.TableModel.load("model").predict_proba("flowers.csv").astype(np.float64)
    t = np.array([line.split(",")[2] == "b" for line in Path("flowers.csv").read_text().splitlines()[1:]], int)
    assert report["accuracy"] == pytest.approx(np.mean(answers.argmax(axis=1) == t))
    assert report["loss"] == pytest.approx(-np.log(answers[np.arange(len(t)), t]).mean(), rel=1e-5)
    assert len(report["networks"]) == 3
    assert report["loss"] < np.mean([network["loss"] for network in report["networks"]])  # as the logarithm is concave


def test_a_loss_of_what_is_almost_impossible_is_finite_and_right():
    from fastbp.tables._load_model import load_model

    nets = [fastbp.mlp([1, 2], seed=seed, dtype="float64") for seed in (0, 1)]
    for net, bias in zip(nets, (2000.0, 1500.0), strict=True):
        net.params["W1"][...], net.params["b1"][...] = 0, [bias, 0]
        net.loss_layer.eps = 0.0
    fastbp.Ensemble(nets).save("model")
    model = load_model("model")
    measures = model.measured(model.scores(np.zeros((1, 1))), np.array([1]))
    assert measures["loss"] == pytest.approx(1500 + np.log(2), rel=1e-12)


def test_an_ensemble_of_python_with_weights_is_taken_as_it_is(capsys):
    nets = [fastbp.mlp([4, 3], seed=seed, scale=scale) for seed, scale in ((0, 1.0), (1, 0.5))]
    fastbp.Ensemble(nets, weights=[3, 1]).save("model")
    x = np.random.default_rng(0).random((20, 4), np.float32)
    np.save("x.npy", x)
    run("predict", "model", "--data", "x.npy", "--probabilities", "--output", "p.npy")
    shares = np.load("p.npy")
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, 0.75 * softmax(nets[0].predict(x)) + 0.25 * softmax(nets[1].predict(x)), 1e-5)
    run("inspect", "model")
    assert "the mean of 2 networks, of weights 0.75, 0.25" in capsys.readouterr().out


def test_inspect_tells_of_all_networks(capsys):
    train(*CLASSES)
    capsys.readouterr()
    run("inspect", "model")
    out = capsys.readouterr().out
    assert "ensemble  the mean of 3 networks, each of the same weight" in out
    assert "target    'kind', one of 'a', 'b'" in out
    assert out.count("Affine1") == 1
    run("inspect", "model", "--json", "report.json")
    report = ended()
    assert len(report["ensemble"]) == 3
    assert report["weights"] == [1 / 3] * 3
    assert report["ensemble"][2]["parameters"] == report["parameters"]


@pytest.mark.parametrize("target", ["kind", "price"])
def test_a_module_of_numpy_takes_and_gives_numbers_as_they_are_in_the_data(target, capsys):
    other = {"kind": "price", "price": "kind"}[target]
    train("--data", "flowers.csv", "--target", target, "--drop", other, epochs=5)
    run("export", "model", "--format", "numpy", "--output", "mean.py")
    spec = importlib.util.spec_from_file_location("mean", "mean.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.INPUTS == ("length", "soil=dry", "soil=wet")
    found = module.predict(_numbers())
    model = fastbp.TableModel.load("model")
    if target == "kind":
        assert module.CLASSES == ("a", "b")
        np.testing.assert_allclose(found, model.predict_proba("flowers.csv"), rtol=1e-4)
        assert "a probability for each of a, b" in capsys.readouterr().out
    else:
        assert found.dtype == np.float64
        np.testing.assert_allclose(found[:, 0], model.predict("flowers.csv"), rtol=1e-6)


@pytest.mark.parametrize("target", ["kind", "price"])
def test_an_onnx_graph_takes_and_gives_numbers_as_they_are_in_the_data(target):
    runtime = pytest.importorskip("onnxruntime")
    other = {"kind": "price", "price": "kind"}[target]
    train("--data", "flowers.csv", "--target", target, "--drop", other, epochs=5)
    run("export", "model", "--format", "onnx", "--output", "mean.onnx")
    (found,) = runtime.InferenceSession("mean.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": _numbers()})
    model = fastbp.TableModel.load("model")
    expected = model.predict_proba("flowers.csv") if target == "kind" else model.predict("flowers.csv")[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize(("target", "result"), [("kind", np.float32), ("price", np.float64)])
def test_a_c_file_takes_and_gives_numbers_as_they_are_in_the_data(target, result):
    other = {"kind": "price", "price": "kind"}[target]
    train("--data", "flowers.csv", "--target", target, "--drop", other, epochs=5)
    run("export", "model", "--format", "c", "--output", "mean.c")
    library, x = compiled(Path("mean.c").resolve()), _numbers()
    names = (ctypes.c_char_p * 3).in_dll(library, "input_names")
    assert list(names) == [b"length", b"soil=dry", b"soil=wet"]
    model = fastbp.TableModel.load("model")
    expected = model.predict_proba("flowers.csv") if target == "kind" else model.predict("flowers.csv")[:, None]
    found = np.empty(expected.shape, result)
    library.predict(ctypes.c_size_t(len(x)), ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(found.ctypes.data))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def _numbers():
    """The columns of the table as an export takes them."""
    rows = [line.split(",") for line in Path("flowers.csv").read_text().splitlines()[1:]]
    return np.array([[float(row[0]), row[1] == "dry", row[1] == "wet"] for row in rows])


# ---- wrong turns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        "--distributed",
        "--resume old",
        "--save model --save-state",
        "--save model --save-every 2",
        "--plot curves.png",
    ],
)
def test_what_is_about_one_network_is_refused(options, capsys):
    option = next(word for word in reversed(options.split()) if word.startswith("--"))
    message = refused(capsys, "train", "--ensemble", "3", *options.split(), code=2)
    assert f"{option} goes with one network, not with --ensemble" in message


def test_a_number_of_networks_is_one_or_more(capsys):
    assert "must be a whole number from 1 to" in refused(capsys, "train", "--ensemble", "0", code=2)


def test_more_networks_than_a_file_takes_are_told_before_any_is_trained(capsys):
    message = refused(capsys, "train", "--ensemble", "900", "--hidden", "1", "--save", "model")
    assert "900 networks are too many for a model file" in message


def test_a_loss_that_explodes_names_the_network_and_what_helps(capsys):
    capsys.readouterr()
    arguments = "--data flowers.csv --target price --drop kind --lr 1e6 --ensemble 2 --epochs 3 --save model"
    assert cli.main(["train", *arguments.split()]) == 1
    errors = capsys.readouterr().err
    assert "network 1 of 2, seed 0: " in errors
    assert "try a lower --lr, --clip-norm 1, and inputs" in errors


def test_ctrl_c_saves_the_networks_that_have_an_epoch_behind_them(capsys, monkeypatch):
    train_all = _ensemble.fit_named

    def stopped(nets, called, x, t, callbacks, **settings):
        for k in (0, 2):
            (history,) = train_all([nets[k]], called, x, t, callbacks=(), **settings | {"seeds": k})
            callbacks[0](k, history)
        raise KeyboardInterrupt

    monkeypatch.setattr(_ensemble, "fit_named", stopped)
    assert cli.main(["train", *CLASSES, "--ensemble", "3", "--epochs", "1", "--save", "model"]) == 130
    assert "what is trained so far, 2 of 3 networks, is in model" in capsys.readouterr().err
    assert len(fastbp.Ensemble.load("model")) == 2


def test_an_ensemble_cannot_be_gone_on_with_nor_become_a_state_dict(capsys):
    train(*CLASSES)
    assert "an ensemble" in refused(capsys, "train", "--resume", "model", *CLASSES)
    assert "--format torch takes one network, and the model is an ensemble of 3" in refused(
        capsys, "export", "model", "--format", "torch", code=2
    )


def test_what_is_extra_in_a_file_must_be_an_object():
    ensemble = fastbp.Ensemble([fastbp.mlp([2, 2], seed=0)])
    ensemble_file.save(ensemble.nets, [1.0], "model", {"data": {"features": "all"}})
    assert len(fastbp.Ensemble.load("model")) == 1
    with pytest.raises(fastbp.ModelFileError, match="not what fastbp train writes"):
        fastbp.TableModel.load("model")
