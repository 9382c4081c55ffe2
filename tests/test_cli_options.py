"""What a command's options become: a frozen dataclass; and ``--activation``, which may name one for each layer."""

import dataclasses
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import refused, run

import fastbp
from fastbp import cli
from fastbp.commands import CommandError
from fastbp.commands._config import words_of

ARGUMENTS = {
    "predict": ["model", "--data", "digits"],
    "evaluate": ["model", "--data", "digits"],
    "inspect": ["model"],
    "export": ["model", "--format", "c"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_options_are_made_once_and_cannot_be_written_to(command):
    module, options = cli._parse([command, *ARGUMENTS.get(command, [])])
    assert module is importlib.import_module(f"fastbp.commands.{command}")
    assert not [name for name, value in dataclasses.asdict(options).items() if isinstance(value, list)]
    for name in [field.name for field in dataclasses.fields(options)] or ["more"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(options, name, 1)


def test_defaults_that_depend_on_others_are_there_from_the_beginning():
    _, options = cli._parse(["train", "--data", "houses.csv", "--target", "y", "--optimizer", "adam"])
    assert (options.epochs, options.lr, options.hidden, options.dtype) == (100, 0.001, (50,), "float32")
    _, options = cli._parse(["train"])
    assert (options.epochs, options.lr) == (150, 0.1)
    with pytest.raises(CommandError, match="--hidden does not go with --resume"):
        cli._parse(["train", "--resume", "model", "--hidden", "3"])


# ---- an activation for each layer ----------------------------------------------------------------------


def layers(path="model"):
    return [layer.word for layer in fastbp.load(path).layers.values() if type(layer) in fastbp.activations.CLASSES]


def test_one_activation_is_for_all_layers_and_several_are_one_each():
    train = ["train", "--epochs", "1", "--save", "model"]
    run(*train, "--hidden", "6", "5", "--activation", "tanh")
    assert layers() == ["tanh", "tanh"]
    run(*train, "--hidden", "6", "5", "--activation", "gelu,tanh", "--json", "run.json")
    assert layers() == ["gelu", "tanh"]
    assert json.loads(Path("run.json").read_text())["options"]["activation"] == ["gelu", "tanh"]
    run("gradcheck", "--layers", "4", "6", "5", "3", "--activation", "silu,tanh", "--entries", "3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--activation", "relu,tanh"], "must be one name, or one for each of 1 hidden layer, got 2: relu,tanh"),
        (["--hidden", "6", "5", "4", "--activation", "relu,tanh"], "one for each of 3 hidden layers, got 2: relu,tanh"),
        (["--activation", "relu,tahn"], "argument --activation: invalid choice: 'tahn' (choose from relu, "),
        (["--activation", "relu,"], "argument --activation: invalid choice: '' (choose from relu, "),
        (["--activation", "relu, tanh"], "argument --activation: invalid choice: ' tanh' "),
    ],
)
def test_activations_that_do_not_fit_are_told_before_anything_is_done(arguments, message, capsys):
    assert message in refused(capsys, "train", *arguments, code=2)


def test_gradcheck_tells_them_too(capsys):
    message = refused(capsys, "gradcheck", "--layers", "4", "3", "--activation", "relu,tanh", code=2)
    assert "--activation must be none, where there is no hidden layer, got 2: relu,tanh" in message
    assert "got 3: relu,tanh,elu" in refused(
        capsys, "gradcheck", "--layers", "4", "3", "2", "--activation", "relu,tanh,elu", code=2
    )


def test_a_file_of_options_may_list_them():
    _, parser = cli.command("train")
    for text in ('activation = ["relu", "tanh"]', 'activation = "relu,tanh"'):
        Path("run.toml").write_text(f"{text}\nhidden = [6, 5]\n")
        assert parser.parse_args(words_of("run.toml", parser)).activation == ("relu", "tanh")
    Path("run.toml").write_text("activation = [1, 2]\n")
    with pytest.raises(CommandError, match="activation takes one value, got"):
        words_of("run.toml", parser)


# ---- what predict writes -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_written_with_digits_enough_to_be_read_back(dtype, capsys):
    rng = np.random.default_rng(0)
    fastbp.mlp([4, 3], seed=0, dtype=dtype).save("model")
    x = rng.standard_normal((2000, 4)).astype(dtype)
    np.savez("a.npz", x=x)
    run("predict", "model", "--data", "a.npz", "--probabilities", "--output", "a.npy")
    capsys.readouterr()
    run("predict", "model", "--data", "a.npz", "--probabilities")
    rows = [line.split(",")[1:] for line in capsys.readouterr().out.splitlines()[1:]]
    np.testing.assert_array_equal(np.array(rows, dtype), np.load("a.npy"))
