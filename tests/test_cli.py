"""The ``fastbp`` command: runs as a user starts them, what they print, and how they end."""

import gzip
import json
import os
import re
import struct
import subprocess
import sys

import numba
import pytest
from cli_runs import interrupted

from fastbp import TwoLayerNet, cli, datasets, optimizers
from fastbp.commands import _network, _progress

FASTBP = [sys.executable, "-m", "fastbp"]
# With its output buffered, as it is by default, the interpreter writes once more when it ends.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
EPOCH_LINE = r"epoch +(\d+)/(\d+)  loss (\d+\.\d{4})  train ([01]\.\d{4})  validation ([01]\.\d{4})"
TOTALS_LINE = r"(\d+) epochs? in (\d+\.\d\d) s, (\d+) samples/s, (\d+\.\d)% of the time compiling"


def fastbp(*arguments, **options):
    """Run the command as a process of its own."""
    return subprocess.run([*FASTBP, *arguments], capture_output=True, text=True, timeout=120, **options)


# ---- runs ----------------------------------------------------------------------------------------------


def test_a_run_prints_a_line_an_epoch_then_the_totals_and_writes_the_same_as_json(tmp_path):
    path = tmp_path / "run.json"
    run = fastbp("train", "--epochs", "10", "--lr", "0.3", "--json", str(path))
    assert run.returncode == 0
    assert run.stderr == "", "quiet where no terminal is"
    *lines, last = run.stdout.splitlines()
    report = json.loads(path.read_text())

    assert len(lines) == len(report["epochs"]) == 10
    for i, (line, epoch) in enumerate(zip(lines, report["epochs"], strict=True)):
        assert re.fullmatch(EPOCH_LINE, line)
        assert line == _progress.epoch_line(epoch, 10)
        assert epoch["epoch"] == i + 1
        assert epoch["seconds"] > 0
    assert lines[0].startswith("epoch  1/10  loss 2.")
    assert report["epochs"][-1]["loss"] < report["epochs"][0]["loss"]

    totals = report["totals"]
    assert re.fullmatch(TOTALS_LINE, last)
    assert last == _progress.totals_line(10, totals)
    assert totals["samples_per_second"] == pytest.approx(10 * 1437 / totals["seconds"])
    assert totals["seconds"] >= sum(epoch["seconds"] for epoch in report["epochs"])
    assert totals["compile_share"] == pytest.approx(totals["compile_seconds"] / totals["seconds"])
    assert (
        report["options"].items()
        >= {
            "data": "digits",
            "data_dir": None,
            "epochs": 10,
            "batch_size": 100,
            "optimizer": "sgd",
            "lr": 0.3,
            "seed": 0,
            "dtype": "float32",
            "threads": None,
            "json": str(path),
        }.items()
    )
    assert report["options"]["hidden"] == [50]
    assert os.listdir(tmp_path) == ["run.json"]


def last_epoch(folder, *options):
    """Run the command in this process; return what it wrote of the last epoch."""
    path = folder / "run.json"
    assert cli.main(["train", *options, "--json", str(path)]) == 0
    return json.loads(path.read_text())["epochs"][-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_digits_are_learnt_with_the_default_options(dtype, tmp_path, capsys):
    last = last_epoch(tmp_path, "--dtype", dtype)
    assert last["epoch"] == _network.EPOCHS["digits"]
    assert last["train_accuracy"] > 0.98
    assert last["validation_accuracy"] > 0.94
    assert len(capsys.readouterr().out.splitlines()) == 21, "the first epoch, each eighth, the last, and the totals"


def test_digits_are_learnt_with_every_optimizer(tmp_path):
    assert set(_network.LEARNING_RATES) == {cls.__name__.lower() for cls in optimizers.Optimizer.__subclasses__()}
    losses = set()
    for name in _network.LEARNING_RATES:
        last = last_epoch(tmp_path, "--optimizer", name)
        assert last["validation_accuracy"] > 0.94, name
        losses.add(last["loss"])
    assert len(losses) == len(_network.LEARNING_RATES)


@pytest.mark.slow
@pytest.mark.skipif("FASTBP_DATA_DIR" not in os.environ, reason="needs MNIST in FASTBP_DATA_DIR")
def test_mnist_is_learnt_with_the_default_options(tmp_path):
    options = ["--data", "mnist", "--data-dir", os.environ["FASTBP_DATA_DIR"]]
    assert last_epoch(tmp_path, *options)["validation_accuracy"] >= 0.965


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_epoch_reports_the_loss_of_fit_and_the_accuracy_on_all_images(dtype, tmp_path):
    options = ["--epochs", "3", "--hidden", "20", "--lr", "0.4", "--seed", "5", "--dtype", dtype]
    last = last_epoch(tmp_path, *options)
    data, net = datasets.digits(), TwoLayerNet(64, 20, 10, dtype=dtype, seed=5)
    history = net.fit(
        data.x_train, data.t_train, epochs=3, batch_size=100, optimizer=optimizers.SGD(lr=0.4), seed=5, scale=1 / 16
    )
    assert last["loss"] == history.loss[-1]
    for part, x, t in (("train", data.x_train, data.t_train), ("validation", data.x_test, data.t_test)):
        assert last[f"{part}_accuracy"] == pytest.approx(net.accuracy(x, t), abs=1e-9)


def test_the_same_options_give_the_same_lines_and_others_do_not(capsys):
    outputs = []
    same = [], [], ["--threads", "1"], ["--threads", "3"], ["--optimizer", "sgd"]
    others = ["--seed", "1"], ["--hidden", "20"], ["--batch-size", "1437"], ["--lr", "0.2"], ["--optimizer", "adam"]
    for options in same + others:
        assert cli.main(["train", "--epochs", "2", *options]) == 0
        outputs.append(capsys.readouterr().out.splitlines()[:-1])
    assert all(output == outputs[0] for output in outputs[: len(same)])
    assert all(output != outputs[0] for output in outputs[len(same) :])


def test_mnist_files_are_read_from_data_dir(tmp_path, capsys):
    from test_datasets import SHAPES, content, idx

    for name in SHAPES:
        (tmp_path / name).write_bytes(gzip.compress(idx(content(name))))
    options = ["--data-dir", str(tmp_path), "--epochs", "1", "--batch-size", "20"]
    for data in ("mnist", "fashion-mnist"):
        assert cli.main(["train", "--data", data, *options]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_time_spent_compiling_is_counted_once_and_only_then(monkeypatch, tmp_path, capsys):
    def totals(fit):
        monkeypatch.setattr(TwoLayerNet, "fit", fit)
        assert cli.main(["train", "--epochs", "1", "--json", str(tmp_path / "run.json")]) == 0
        return json.loads((tmp_path / "run.json").read_text())["totals"]

    def compiling(*_, **__):
        inner = numba.njit(lambda x: x + 1)
        numba.njit(lambda x: inner(x) * 2)(1)  # compiles one function within the other

    busy, still = totals(compiling), totals(lambda *_, **__: None)
    assert 0.01 < busy["compile_seconds"] <= busy["seconds"]
    assert 0 < busy["compile_share"] <= 1
    assert still["compile_seconds"] == still["compile_share"] == 0


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_machine_code_from_the_cache_is_not_time_spent_compiling(tmp_path):
    (tmp_path / "cached.py").write_text("import numba\n\n@numba.njit(cache=True)\ndef f(x):\n    return x + 1\n")
    (tmp_path / "run.py").write_text(
        "import cached\n"
        "from fastbp import TwoLayerNet, cli\n"
        "TwoLayerNet.fit = lambda *_, **__: cached.f(1)\n"
        "assert cli.main(['train', '--epochs', '1', '--json', 'run.json']) == 0\n"
    )
    spent = []
    for _ in range(2):
        env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        subprocess.run([sys.executable, "run.py"], cwd=tmp_path, env=env, timeout=120, check=True)
        spent.append(json.loads((tmp_path / "run.json").read_text())["totals"]["compile_seconds"])
    assert spent[0] > 0.01
    assert spent[1] == 0


# ---- a terminal ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stdout_too", [False, True])
def test_a_terminal_gets_a_progress_bar_on_stderr_that_leaves_the_lines_whole(stdout_too):
    pty = pytest.importorskip("pty")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # rows and columns
    stdout = follower if stdout_too else subprocess.PIPE
    run = subprocess.run([*FASTBP, "train", "--epochs", "2"], stdout=stdout, stderr=follower, text=True, timeout=120)
    os.set_blocking(leader, False)
    shown = os.read(leader, 100_000).decode()
    os.close(follower)
    os.close(leader)
    assert run.returncode == 0
    assert "/30 [" in shown, "two epochs of 15 batches"
    lines = re.split(r"[\r\n]+", shown if stdout_too else run.stdout)
    assert [bool(re.fullmatch(EPOCH_LINE, line)) for line in lines].count(True) == 2
    assert [bool(re.fullmatch(TOTALS_LINE, line)) for line in lines].count(True) == 1


# ---- ends ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_ctrl_c_ends_with_one_line_and_130():
    assert interrupted() == (130, "fastbp: interrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGPIPE's kin")
def test_a_reader_that_leaves_ends_the_run_without_a_word():
    run = subprocess.Popen(
        [*FASTBP, "train", "--epochs", "1000000", "--every", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=BUFFERED,
    )
    run.stdout.readline()
    run.stdout.close()
    assert run.wait(timeout=60) == 141
    assert run.stderr.read() == ""
    run.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["train", "--epochs", "1"], ["train", "--help"]])
def test_a_full_disk_is_told_in_one_line(arguments):
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [*FASTBP, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            env=BUFFERED,
        )
    assert run.returncode == 1
    assert run.stderr == "fastbp: No space left on device\n"


def test_a_run_that_diverges_names_epoch_and_batch(capsys, tmp_path):
    path = tmp_path / "run.json"
    assert cli.main(["train", "--lr", "1e30", "--json", str(path)]) == 1
    errors = capsys.readouterr().err
    assert re.fullmatch(r"fastbp: the loss is nan in epoch \d+, batch \d+; .* learning rate\n", errors)
    assert not path.exists()


def test_a_folder_that_vanishes_meanwhile_is_told_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(TwoLayerNet, "fit", lambda *_, **__: (tmp_path / "out").rmdir())
    (tmp_path / "out").mkdir()
    assert cli.main(["train", "--epochs", "1", "--json", str(tmp_path / "out" / "run.json")]) == 1
    assert re.fullmatch(r"fastbp: .*run.json: there is no folder .*/out\n", capsys.readouterr().err)


def test_a_network_too_large_for_memory_is_told_in_one_line(monkeypatch, capsys):
    def too_large(*_, **__):
        raise MemoryError("Unable to allocate 477. GiB")

    monkeypatch.setattr(_network, "TwoLayerNet", too_large)
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == "fastbp: not enough memory: Unable to allocate 477. GiB\n"


@pytest.mark.parametrize("data", ["mnist", "fashion-mnist"])
def test_missing_data_are_told_in_one_line(data, tmp_path, capsys):
    assert cli.main(["train", "--data", data, "--data-dir", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert re.fullmatch(rf"fastbp: {data} needs train-images-idx3-ubyte.gz, .* is missing\n", errors)


def test_damaged_data_are_told_in_one_line(tmp_path, capsys):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte.gz").write_bytes(b"not gzip")
    assert cli.main(["train", "--data", "mnist", "--data-dir", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert re.fullmatch(r"fastbp: .*train-images-idx3-ubyte.gz: the gzip data is damaged: .*\n", errors)


# ---- options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hidden", "0"], "argument --hidden: must be a whole number from 1 to 1000000000, got '0'"),
        (["--hidden", "2.5"], "argument --hidden: must be a whole number from 1 to 1000000000, got '2.5'"),
        (["--epochs", "-1"], "argument --epochs: must be a whole number from 1 to 1000000000, got '-1'"),
        (["--batch-size", "no"], "argument --batch-size: must be a whole number .*, got 'no'"),
        (["--batch-size", "1438"], "--batch-size must be at most 1437, the training samples, got 1438"),
        (["--lr", "0"], "argument --lr: must be a finite number above 0, got '0'"),
        (["--lr", "-1"], "argument --lr: must be a finite number above 0, got '-1'"),
        (["--lr", "nan"], "argument --lr: must be a finite number above 0, got 'nan'"),
        (["--lr", "inf"], "argument --lr: must be a finite number above 0, got 'inf'"),
        (["--optimizer", "sdg"], "argument --optimizer: invalid choice: 'sdg' .*sgd.*adamw.*"),
        (["--activation", "GELU"], r"argument --activation: invalid choice: 'GELU' .*; did you mean gelu\?"),
        (["--threads", "0"], "argument --threads: must be a whole number from 1 to 1024, got '0'"),
        (["--threads", "1025"], "argument --threads: must be a whole number from 1 to 1024, got '1025'"),
        (["--seed", "-1"], "argument --seed: must be a whole number from 0 to .*, got '-1'"),
        (["--dtype", "float16"], "argument --dtype: invalid choice: 'float16' .*float32.*float64.*"),
        (["--data", "cifar"], "argument --data: invalid choice: 'cifar' .*digits.*mnist.*fashion-mnist.*"),
        (["--data-dir", "here"], "--data-dir goes with --data mnist or fashion-mnist; .*"),
        (["--json", "nowhere/a.json"], "argument --json: cannot write 'nowhere/a.json': there is no folder .*/nowhere"),
        (["--json", "."], "argument --json: cannot write '.': it is a folder, not a regular file"),
        (["--nonsense"], "there is no option --nonsense"),
        (["--optimiser", "adam"], r"there is no option --optimiser; did you mean --optimizer\?"),
        (["--epoch", "3"], r"there is no option --epoch; did you mean --epochs\?"),
        (["--valid=0.3"], r"there is no option --valid; did you mean --validation\?"),
        (["houses.csv"], "'houses.csv' belongs to no option: data are named by --data houses.csv"),
        (["--setting", "beta1=0.8"], "--setting beta1: sgd has no such setting, only weight_decay"),
        (
            ["--optimizer", "adam", "--setting", "beta_1=0.8"],
            r"--setting beta_1: adam .*, only .*; did you mean beta1\?",
        ),
        (["--setting", "lr=0.8"], "--setting lr: the learning rate is an option of its own, --lr"),
        (["--dropout", "1"], "argument --dropout: must be a number of at least 0 and below 1, got '1'"),
    ],
)
def test_a_wrong_option_is_told_in_one_line_before_anything_is_done(options, message, capsys, monkeypatch):
    monkeypatch.setattr(_network, "TwoLayerNet", None)
    assert cli.main(["train", *options]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert re.fullmatch(rf"fastbp(?: train: {message}; see fastbp train --help|: {message})\n", errors)


def test_fastbp_alone_prints_the_help(capsys):
    assert cli.main([]) == 0
    alone = capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out == alone
    for name, summary in cli.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", alone, re.MULTILINE), "one line each"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "fastbp: there is no command 'trian'; did you mean train?; see fastbp --help"),
        (["xyzzy"], "fastbp: there is no command 'xyzzy'; see fastbp --help"),
        (["--verbose", "train"], "fastbp: there is no option --verbose; see fastbp --help"),
        (
            ["predict", "m", "new.csv"],
            "fastbp predict: 'new.csv' belongs to no option: data are named by --data new.csv;",
        ),
        (["train", "mnist"], "fastbp train: 'mnist' belongs to no option: data are named by --data mnist; see fastbp"),
        (["train", "--data", "a.csv", "price"], "fastbp train: 'price' belongs to no option; see fastbp train --help"),
        (["train", "--data=a.csv", "price"], "fastbp train: 'price' belongs to no option; see fastbp train --help"),
        (["inspect", "m", "n"], "fastbp inspect: 'n' belongs to no option; see fastbp inspect --help"),
        (["predict"], "fastbp predict: the following arguments are required: MODEL, --data; see fastbp predict --help"),
    ],
)
def test_words_that_are_nothing_known(arguments, message, capsys):
    assert cli.main(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(message)
    assert errors.count("\n") == 1


def test_help_shows_the_real_defaults_and_an_example(capsys):
    assert cli.main(["train", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for default in (
        f"default: {_network.EPOCHS['digits']} for digits, 17 for mnist, 17 for fashion-mnist",
        "hidden units, layer by layer (default: 50)",
        "samples a step (default: 100, 32 for files)",
        "move the weights (default: sgd)",
        "learning rate (default: 0.1 for sgd, 0.01 for momentum, ",
        "(default: float32)",
        "fastbp train --data mnist --data-dir",
    ):
        assert default in text


def test_version_as_a_process_and_nothing_else():
    run = fastbp("--version")
    assert run.returncode == 0
    assert re.fullmatch(r"fastbp \d+\.\d+\S*\n", run.stdout)
    assert run.stderr == ""


def test_the_parser_loads_nothing_heavy():
    """What ``import fastbp`` itself loads is not the command's to decide; a command adds what it needs when it runs."""
    code = (
        "import sys; from fastbp import cli; cli.main(['--help']);"
        "commands = [m for m in sys.modules if m.startswith('fastbp.commands.') and '._' not in m];"
        "cli.main(['train', '--help']);"
        "heavy = [m for m in ('pandas', 'polars', 'matplotlib', 'pooch', 'onnx', 'torch') if m in sys.modules];"
        "print(commands, heavy, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stderr == "[] []\n"
