"""The other subcommands, and what ``fastbp train`` can do beside training: configuration, resuming, reports, files."""

import ctypes
import importlib.util
import json
import os
import re
import subprocess
import sys

import numba
import numpy as np
import pytest
from cli_runs import interrupted, refused, run

import fastbp
from fastbp import cli
from fastbp.commands import gradcheck

FASTBP = [sys.executable, "-m", "fastbp"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same_parameters(one, other):
    return all(np.array_equal(array, other.params[name]) for name, array in one.params.items())


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_has_help_with_examples(command, capsys):
    assert cli.main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"fastbp {command}" in text.partition("examples:")[2]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_fits_the_terminal(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([command, "--help"]) == 0
    before, _, _ = capsys.readouterr().out.partition("examples:")  # which are to be copied whole
    assert max(map(len, before.splitlines())) <= 80
    assert before.count("\n\n") >= 2
    assert (" --format {onnx,c,numpy,torch} " in before) == (command == "export"), "what is required has no brackets"


# ---- train: files it reads and writes -------------------------------------------------------------------


def test_a_convolutional_network_is_trained_saved_and_read(capsys):
    run("train", "--network", "simple-conv", "--epochs", "1", "--max-steps", "2", "--save", "model")
    data, net = fastbp.datasets.digits(), fastbp.convnet("simple-conv", 10, (1, 8, 8), seed=0)
    options = {"batch_size": 100, "optimizer": fastbp.optimizers.SGD(0.1), "seed": 0, "scale": 1 / 16}
    net.fit(data.x_train, data.t_train, epochs=1, max_steps=2, **options)
    assert same_parameters(fastbp.load("model"), net)
    run("evaluate", "model", "--data", "digits")
    message = refused(capsys, "train", "--network", "deep-conv", "--dropout", "0.5", code=2)
    assert "--dropout does not go with --network: deep-conv has its own" in message
    np.savez("rows.npz", x=np.ones((20, 6)), t=np.arange(20) % 2)
    message = refused(capsys, "train", "--data", "rows.npz", "--network", "simple-conv", code=2)
    assert "simple-conv takes square images of one channel, got samples of 6 numbers" in message


def test_a_saved_network_is_the_one_that_fit_trains(capsys):
    run("train", "--epochs", "2", "--hidden", "30", "20", "--activation", "tanh", "--save", "model")
    data, net = fastbp.datasets.digits(), fastbp.mlp([64, 30, 20, 10], "tanh", seed=0)
    net.fit(
        data.x_train, data.t_train, epochs=2, batch_size=100, optimizer=fastbp.optimizers.SGD(0.1), seed=0, scale=1 / 16
    )
    assert same_parameters(fastbp.load("model"), net)


def test_every_option_of_fit_reaches_it():
    options = "--optimizer adam --lr 0.01 --schedule cosine --warm-up 5 --setting beta1=0.8 weight_decay=0.001"
    options += (
        " --clip-norm 0.5 --class-weight 3=2 --max-steps 33 --no-shuffle --seed 7 --dtype float64 --batch-size 64"
    )
    options += " --dropout 0.25 --label-smoothing 0.1 --epochs 4 --no-progress --threads 1"
    run("train", *options.split(), "--save", "model")

    data = fastbp.datasets.digits()
    loss = fastbp.SoftmaxWithLoss(eps=0, label_smoothing=0.1)
    net = fastbp.mlp([64, 50, 10], dtype=np.float64, seed=7, loss=loss)
    first, relu, last = net.layers.values()
    net = fastbp.Sequential([first, relu, fastbp.Dropout(0.25), last], loss)
    schedules = fastbp.schedules
    lr = schedules.warm_up(schedules.cosine(0.01, epochs=4), 5)
    net.fit(
        data.x_train,
        data.t_train,
        epochs=4,
        batch_size=64,
        optimizer=fastbp.optimizers.Adam(lr, beta1=0.8, weight_decay=0.001),
        seed=7,
        shuffle=False,
        clip_norm=0.5,
        class_weight={3: 2.0},
        max_steps=33,
        scale=1 / 16,
    )
    assert same_parameters(fastbp.load("model"), net)


def test_patience_stops_early_and_keeps_the_best(folder):
    run("train", "--optimizer", "adam", "--lr", "0.3", "--patience", "2", "--save", "model", "--json", "run.json")
    epochs = json.loads((folder / "run.json").read_text())["epochs"]
    assert len(epochs) < 150
    run("evaluate", "model", "--data", "digits", "--json", "m.json")
    assert json.loads((folder / "m.json").read_text())["accuracy"] == epochs[-3]["validation_accuracy"]


def test_a_resumed_run_ends_in_the_same_bits():
    settings = ["--optimizer", "adam", "--hidden", "20", "--activation", "relu"]
    run("train", *settings, "--epochs", "4", "--save", "whole")
    run("train", *settings, "--epochs", "2", "--save", "half", "--save-state")
    run("train", "--optimizer", "adam", "--resume", "half", "--epochs", "4", "--save", "resumed")
    assert same_parameters(fastbp.load("resumed"), fastbp.load("whole"))


def test_what_cannot_be_resumed(capsys):
    run("train", "--epochs", "1", "--save", "model")
    assert "model has no state to go on from" in refused(capsys, "train", "--resume", "model", code=2)
    message = refused(capsys, "train", "--resume", "model", "--hidden", "9", code=2)
    assert "--hidden does not go with --resume: the model has its own" in message
    assert "nowhere: No such file" in refused(capsys, "train", "--resume", "nowhere")
    run("train", "--epochs", "1", "--save", "model", "--save-state")
    message = refused(capsys, "train", "--resume", "model", "--optimizer", "adam", code=2)
    assert "resume does not fit: it is of a run with SGD, here the optimizer is Adam" in message


def test_options_come_from_a_file_and_the_command_line_wins(folder):
    (folder / "run.toml").write_text(
        'epochs = 3\nhidden = [20, 10]\noptimizer = "adam"\nlr = 0.02\nno-shuffle = true\nno_progress = false\n'
        "[setting]\nbeta1 = 0.8\n"
    )
    run("train", "--config", "run.toml", "--lr", "0.001", "--save", "model", "--json", "run.json")
    options = json.loads((folder / "run.json").read_text())["options"]
    assert (options["epochs"], options["hidden"], options["lr"]) == (3, [20, 10], 0.001)
    words = "--epochs 3 --hidden 20 10 --optimizer adam --lr 0.001 --no-shuffle --setting beta1=0.8 --save other"
    run("train", *words.split())
    assert same_parameters(fastbp.load("model"), fastbp.load("other"))


def test_a_value_of_the_command_line_wins_even_if_it_is_the_default(folder):
    (folder / "run.toml").write_text('optimizer = "adam"\nepochs = 1\n')
    run("train", "--config", "run.toml", "--optimizer", "sgd", "--json", "run.json")
    assert json.loads((folder / "run.json").read_text())["options"]["optimizer"] == "sgd"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3\n", "run.toml: there is no option 'epoch'; did you mean epochs?"),
        ("config = 'a'\n", "run.toml: there is no option 'config'"),
        ("epochs = 0\n", "run.toml: argument --epochs: must be a whole number from 1 to"),
        ("epochs = [1, 2]\n", "run.toml: epochs takes one value, got [1, 2]"),
        ("hidden = {a = 1}\n", "run.toml: hidden takes a list of values, got {'a': 1}"),
        ("lr = 'fast'\n", "run.toml: argument --lr: must be a finite number above 0, got 'fast'"),
        ("hidden = []\n", "run.toml: argument --hidden: expected at least one argument"),
        ("no-shuffle = 1\n", "run.toml: no-shuffle must be true or false, got 1"),
        ("epochs = \n", "run.toml: not TOML: "),
    ],
)
def test_mistakes_in_the_file_are_told_in_one_line(folder, capsys, text, message):
    (folder / "run.toml").write_text(text)
    assert message in refused(capsys, "train", "--config", "run.toml", code=2)


def test_a_file_of_options_that_is_not_there(capsys):
    assert refused(capsys, "train", "--config", "no.toml") == "fastbp: no.toml: No such file or directory\n"


def test_json_lines_on_stdout(folder, capsys):
    run("train", "--epochs", "2", "--json", "-")
    start, *epochs, end = map(json.loads, capsys.readouterr().out.splitlines())
    run("train", "--epochs", "2", "--json", "run.json")
    report = json.loads((folder / "run.json").read_text())
    assert (start["event"], end["event"], start["samples"]) == ("start", "end", 1437)
    assert start["options"] == report["options"] | {"json": "-"}
    for line, epoch in zip(epochs, report["epochs"], strict=True):
        assert line == {"event": "epoch"} | epoch | {"seconds": line["seconds"]}
    assert end.keys() == {"event"} | report["totals"].keys()


def test_the_curves_are_a_picture(folder):
    pytest.importorskip("matplotlib")
    run("train", "--epochs", "2", "--plot", "curves.svg")
    assert "<svg" in (folder / "curves.svg").read_text()
    assert os.listdir(folder) == ["curves.svg"]


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_ctrl_c_saves_what_is_trained_so_far(folder):
    assert interrupted("--save", "model") == (
        130,
        "fastbp: what is trained so far is in model\nfastbp: interrupted\n",
    )
    assert fastbp.load("model").params["W1"].shape == (64, 50)


# ---- predict, evaluate, inspect, export -----------------------------------------------------------------


def test_a_model_that_net_save_wrote_takes_arrays_as_they_are(capsys):
    net = fastbp.mlp([5, 8, 3], seed=0)
    net.save("model")
    x = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    np.save("x.npy", x)
    run("predict", "model", "--data", "x.npy", "--output", "answers.csv")
    found = np.loadtxt("answers.csv", skiprows=1, dtype=int)
    np.testing.assert_array_equal(found, net.predict(x).argmax(axis=1))
    assert "--output must end in .csv or .npy" in refused(
        capsys, "predict", "model", "--data", "x.npy", "--output", "a.b", code=2
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {
            "features": {"kind": "array", "n_inputs": 6},
            "targets": {"kind": "numbers", "name": "t", "mean": [0], "std": [1]},
        },
        {"features": {"kind": "array", "n_inputs": 5}, "targets": {"kind": "classes", "name": "t", "values": 3}},
        {
            "features": {"kind": "array", "n_inputs": 5, "mean": [1]},
            "targets": {"kind": "numbers", "name": "t", "mean": [0], "std": [1]},
        },
        {
            "features": {"kind": "table", "columns": [{"name": "a"}]},
            "targets": {"kind": "classes", "name": "t", "values": [1, 2]},
        },
        {"features": {"kind": "table", "columns": 1}, "targets": []},
        {"features": {"kind": "array", "n_inputs": 5, "more": 1}, "targets": {}},
    ],
)
def test_a_file_with_other_words_about_data_is_told_in_one_line(data, capsys):
    fastbp.mlp([5, 1]).save("model", extra={"data": data})
    assert "model: what it says about data is not what fastbp train writes" in refused(capsys, "inspect", "model")


@pytest.mark.parametrize("command", ["predict", "evaluate", "inspect", "gradcheck", "export"])
def test_a_file_that_is_no_model_is_told_in_one_line(command, folder, capsys):
    (folder / "model").write_text("no model")
    more = {"predict": ["--data", "digits"], "evaluate": ["--data", "digits"], "export": ["--format", "c"]}
    assert "model: no model file" in refused(capsys, command, "model", *more.get(command, []))
    assert "nowhere: No such file" in refused(capsys, command, "nowhere", *more.get(command, []))


def test_inspect_shows_what_is_in_the_file(capsys):
    run("train", "--epochs", "1", "--save", "model", "--save-state")
    capsys.readouterr()
    run("inspect", "model")
    text = capsys.readouterr().out
    for line in (
        *fastbp.load("model").summary().splitlines(),
        "loss      SoftmaxWithLoss(eps=1e-07, label_smoothing=0)",
        "dtype     float32",
        "inputs    arrays of 64 numbers a sample, times 0.0625",
        "target    'class', one of 0, 1, 2, 3, 4, 5, 6, 7, and 2 more",
        "training  stopped after step 15, 1 epochs of 1437 samples, seed ",
    ):
        assert line in text
    run("inspect", "model", "--json", "-")
    report = json.loads(capsys.readouterr().out)
    assert report["parameters"]["W1"] == [64, 50]
    assert report["step"] == 15


@pytest.fixture
def raw():
    """A model of standardised numbers that predicts a number, samples as they are, and what it makes of them."""
    rng = np.random.default_rng(0)
    x = rng.normal([100, -3, 0.5], [20, 2, 0.1], (300, 3))
    np.savez("a.npz", x=x, t=50 * x[:, 0] - 700 * x[:, 1] + 10_000.5)
    run("train", "--data", "a.npz", "--optimizer", "adam", "--epochs", "20", "--save", "model.st", "--dtype", "float64")
    run("predict", "model.st", "--data", "a.npz", "--output", "answers.npy")
    return x, np.load("answers.npy")


def test_exports_take_and_give_numbers_as_they_are_in_the_data(raw, folder, capsys):
    x, expected = raw
    close = {"rtol": 1e-10, "atol": 1e-8 * np.abs(expected).max()}

    run("export", "model.st", "--format", "numpy", "--output", "net.py")
    spec = importlib.util.spec_from_file_location("net", "net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.testing.assert_allclose(module.predict(x)[:, 0], expected, **close)

    run("export", "model.st", "--format", "c")
    assert "inputs   3 numbers\noutputs  t\nwritten  model.c\n" in capsys.readouterr().out
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", "net.so", "model.c", "-lm"], check=True)
    scores = np.empty(len(x))
    pointer = ctypes.POINTER(ctypes.c_double)
    ctypes.CDLL(str(folder / "net.so")).predict(
        ctypes.c_size_t(len(x)), x.ctypes.data_as(pointer), scores.ctypes.data_as(pointer)
    )
    np.testing.assert_allclose(scores, expected, **close)


def test_export_to_onnx(raw):
    runtime = pytest.importorskip("onnxruntime")
    x, expected = raw
    run("export", "model.st", "--format", "onnx")
    (scores,) = runtime.InferenceSession("model.onnx").run(None, {"x": x})
    np.testing.assert_allclose(scores[:, 0], expected, rtol=1e-6)


def test_export_tells_the_order_of_the_inputs(folder, capsys):
    pytest.importorskip("polars")
    (folder / "a.csv").write_text("a,b,c\n1,x,u\n2,y,v\n3,x,u\n4,y,v\n")
    run("train", "--data", "a.csv", "--target", "c", "--epochs", "1", "--save", "m", "--validation", "0")
    capsys.readouterr()
    run("export", "m", "--format", "numpy")
    assert capsys.readouterr().out.startswith("inputs   a, b=x, b=y\noutputs  a score for each of u, v\n")


# ---- gradcheck, warmup, info ----------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "leaky_relu"])
@pytest.mark.parametrize(("loss", "outputs"), [("softmax", "4"), ("sigmoid", "1"), ("mse", "2")])
def test_gradcheck_of_given_layers(activation, loss, outputs, capsys):
    run("gradcheck", "--layers", "6", "9", "7", outputs, "--activation", activation, "--loss", loss)
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert all(row.endswith("ok") for row in rows)


def test_gradcheck_of_a_model_leaves_out_what_has_no_gradient(capsys):
    run("train", "--epochs", "1", "--dropout", "0.5", "--save", "model")
    run("gradcheck", "model", "--entries", "5")
    run("train", "--epochs", "1", "--save", "model")  # the book's loss, with eps
    run("gradcheck", "model", "--entries", "5")


def test_gradcheck_finds_a_wrong_gradient(monkeypatch, capsys):
    right = fastbp.Tanh.backward
    monkeypatch.setattr(fastbp.Tanh, "backward", lambda self, dout: right(self, dout) * 1.0001)
    assert cli.main(["gradcheck", "--layers", "4", "5", "3", "--activation", "tanh"]) == 1
    table, errors = capsys.readouterr()
    assert [line.split()[-1] for line in table.splitlines()[1:]] == ["WRONG", "WRONG", "ok", "ok"]
    assert errors == "fastbp: the gradient of W1, b1 is off by more than 1e-06\n"


def test_gradcheck_leaves_the_parameters_as_they_were():
    net = fastbp.mlp([4, 5, 3], dtype=np.float64, seed=0)
    before = {name: array.copy() for name, array in net.params.items()}
    gradcheck.compare_gradients(net, np.ones((2, 4)), np.array([0, 1]), 10, np.random.default_rng(0))
    assert all(np.array_equal(before[name], array) for name, array in net.params.items())


def test_gradcheck_of_nothing_or_too_much(capsys):
    assert "either MODEL or --layers" in refused(capsys, "gradcheck", code=2)
    assert "either MODEL or --layers" in refused(capsys, "gradcheck", "a", "--layers", "2", "3", code=2)
    assert "at least inputs and outputs" in refused(capsys, "gradcheck", "--layers", "2", code=2)
    fastbp.mlp([2, 3]).save("model")
    assert "MODEL has its own" in refused(capsys, "gradcheck", "model", "--loss", "mse", code=2)


@pytest.mark.soak
def test_after_warmup_no_process_compiles_anything(folder):
    env = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")}
    run = subprocess.run([*FASTBP, "warmup"], capture_output=True, text=True, timeout=300, env=env)
    assert run.returncode == 0
    assert re.fullmatch(rf"\d+ parts ready in \d+\.\d s, \d+\.\d MB in {folder}/cache/\S+\n", run.stdout)
    files = {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")}
    again = subprocess.run([*FASTBP, "warmup"], capture_output=True, text=True, timeout=300, env=env, check=True)
    assert float(re.search(r"ready in (\S+) s", again.stdout)[1]) < 5
    for options in (["--dtype", "float64", "--optimizer", "adam"], ["--dropout", "0.5", "--activation", "tanh"]):
        command = [*FASTBP, "train", "--epochs", "1", *options, "--json", "-"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, check=True)
        assert json.loads(run.stdout.splitlines()[-1])["compile_seconds"] == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")} == files


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_warmup_uses_every_operation_of_compiled_training_in_both_dtypes():
    code = (
        "from fastbp import cli; from fastbp.kernels import activations, instructions;"
        "assert cli.main(['warmup']) == 0;"
        "own = {cls.__name__: f for cls, f in instructions.OPERATIONS.items()};"
        "own |= {n: f for n, f in vars(activations).items() if getattr(f, '__module__', '') == activations.__name__};"
        "print(len(own), [name for name, f in own.items() if name[0] != '_' and len(f.overloads) != 2])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=True)
    number, lacking = run.stdout.splitlines()[-1].split(" ", 1)
    assert int(number) > 20
    assert lacking == "[]"
