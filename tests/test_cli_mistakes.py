"""Every subcommand with whatever it may be handed: one line that says what is wrong, and no word of Python's."""

import os

import numpy as np
import pytest

import fastbp
from fastbp import cli

WORDS_OF_PYTHON = ("Error", "Traceback", "NoneType", "Errno", "object at", "0x", "codec", "b'\\", "argparse")
MODELS = ("garbage", "missing", "folder", "zeros", "huge", "table.csv", "arrays.npz", "empty")
DATA = ("wide.npz", "table.csv", "missing.csv", "missing.npz", "digits", "table.txt", "folder")
VALUES = """
    --hidden=0 --hidden=many --hidden=1e9 --lr=abc --lr=0 --dropout=1 --dropout=-0.1 --epochs=0 --epochs=1.5
    --batch-size=99999 --seed=-1 --threads=0 --validation=1 --scale=0 --every=0 --patience=no --clip-norm=nan
    --class-weight=a --class-weight=9=1 --setting=eps --setting=weight_decay=-1 --drop=a --target=z --sample-weight=z
    --loss=sigmoid --loss=hinge --activation=gleu --dtype=int8
"""
OUTPUTS = ("nowhere/file", "folder", "", "closed/file")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with models, data and what is neither."""
    place = tmp_path_factory.mktemp("mistakes")
    rng = np.random.default_rng(0)
    fastbp.mlp([4, 5, 3], seed=0).save(place / "model")
    fastbp.mlp([4, 5, 1], seed=0, loss=fastbp.MeanSquaredError()).save(place / "numbers")
    x, t = rng.normal(size=(30, 4)), np.arange(30) % 3
    np.savez(place / "arrays.npz", x=x, t=t)
    np.savez(place / "wide.npz", x=rng.normal(size=(30, 9)), t=t)
    np.savez(place / "labels.npz", x=x, t=t + 7)
    np.savez(place / "no-targets.npz", x=x)
    (place / "table.csv").write_text("a,b,y\n" + "".join(f"{i},{i % 3},{'uvw'[i % 3]}\n" for i in range(30)))
    (place / "garbage").write_bytes(rng.bytes(300))
    (place / "zeros").write_bytes(bytes(100))
    (place / "huge").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    (place / "empty").touch()
    (place / "wrong.toml").write_text("epochs = 'many'\n")
    (place / "nested.toml").write_text("hidden = [[1, 2], [3]]\n")
    (place / "list.toml").write_text("lr = [1.0]\n")
    (place / "date.toml").write_text("lr = 2020-01-01\n")
    (place / "none.toml").write_text("nothing = 1\n")
    (place / "folder").mkdir()
    (place / "closed").mkdir()
    (place / "closed").chmod(0o500)
    return place


def cases():
    train = ["train", "--data", "arrays.npz", "--epochs", "1"]
    for command in ("predict", "evaluate"):
        yield from ([command, model, "--data", "arrays.npz"] for model in MODELS)
        for data in (
            "wide.npz",
            "table.csv",
            "missing.csv",
            "missing.npz",
            "digits",
            "table.txt",
            "folder",
        ):
            yield [command, "model", "--data", data]
        yield [command, "model"]
        yield [command]
    for command in ("inspect", "gradcheck"):
        yield from ([command, model] for model in MODELS)
    yield from (["export", model, "--format", "c"] for model in MODELS)
    yield from (["export", "model", "--format", "c", "--output", output] for output in OUTPUTS)
    yield from (["predict", "model", "--data", "arrays.npz", "--output", output] for output in (*OUTPUTS, "a.txt"))
    yield from ([*train, option, output] for option in ("--save", "--json", "--plot") for output in OUTPUTS)
    yield from ([command, "model", "--data", "arrays.npz", "--json", "nowhere/a"] for command in ("evaluate",))
    yield from (["inspect", "model", "--json", output] for output in OUTPUTS)
    yield from (["info", "--json", output] for output in OUTPUTS)
    files = "garbage", "missing", "folder", "wrong.toml", "nested.toml", "list.toml", "date.toml", "none.toml"
    yield from (["train", "--config", file] for file in files)
    yield from (["train", *train[1:], "--resume", model] for model in (*MODELS, "model"))
    yield from (["bench", "--results", file] for file in ("garbage", "missing", "folder", "empty"))
    yield ["bench", "--only", "("]
    yield ["evaluate", "model", "--data", "labels.npz"]
    yield ["evaluate", "model", "--data", "no-targets.npz"]
    yield ["evaluate", "numbers", "--data", "arrays.npz", "--plot", "a.png"]
    yield ["evaluate", "model", "--data", "arrays.npz", "--plot", "a.abc"]
    yield ["predict", "numbers", "--data", "arrays.npz", "--probabilities"]
    yield ["gradcheck", "--layers", "1000000", "100000000"]
    yield ["gradcheck", "--layers", "-3", "1"]
    yield from ([*train, *pair.split("=", 1)] for pair in VALUES.split())


@pytest.mark.parametrize("arguments", list(cases()), ids=" ".join)
def test_a_mistake_is_one_line_in_the_words_of_the_command(arguments, place, capsys, monkeypatch):
    if "closed/file" in arguments and os.access(place / "closed", os.W_OK):
        pytest.skip("this user may write everywhere")
    monkeypatch.chdir(place)
    before = sorted(os.listdir(place))
    code = cli.main(arguments)
    output, errors = capsys.readouterr()
    assert code in (1, 2)
    assert output == ""
    assert errors.startswith("fastbp")
    assert errors.count("\n") == 1
    assert len(errors) < 400
    assert not [word for word in WORDS_OF_PYTHON if word in errors]
    assert sorted(os.listdir(place)) == before
