"""The scripts of docs/book, in the book's style: with fastbp.book and with its plain twin they find the same."""

import gzip
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from fastbp import datasets
from fastbp.reference.book.deep_convnet import DeepConvNet
from fastbp.reference.book.simple_convnet import SimpleConvNet

SCRIPTS = Path(__file__).parents[1] / "docs" / "book"
HIDDEN = {"hidden_size_list": [12, 10]}
# What is set in a script for it to be short, and what it finds.
RUNS = {
    "ch03_activations": ({}, ["curves"]),
    "ch03_inference": ({}, ["accuracy", "y"]),
    "ch04_gradients": ({}, ["arrows", "path"]),
    "ch04_two_layer_net": ({"hidden_size": 4, "iters_num": 5}, ["train_loss_list", "grads", "exact"]),
    "ch05_backpropagation": ({"iters_num": 40}, ["price", "dapple_num", "train_loss_list", "test_acc_list"]),
    "ch06_optimizers_naive": ({}, ["paths"]),
    "ch06_optimizers_mnist": ({"max_iterations": 25, **HIDDEN}, ["train_loss"]),
    "ch06_weight_init_histogram": ({"sample_num": 50}, ["activations"]),
    "ch06_weight_init_compare": ({"max_iterations": 25, **HIDDEN}, ["train_loss"]),
    "ch06_batch_norm": (
        {"train_num": 200, "max_epochs": 3, "weight_scale_list": [1.0, 0.1, 0.001], **HIDDEN},
        ["slow", "fast", "results"],
    ),
    "ch06_overfit": ({"train_num": 200, "epochs": 4, **HIDDEN}, ["results"]),
    "ch06_random_search": ({"train_num": 250, "epochs": 3, "trials": 2, "shown": 2, **HIDDEN}, ["results"]),
    "ch07_train": (
        {"train_num": 200, "test_num": 40, "epochs": 2, "hidden_size": 10, "weight_file": "'trained.pkl'"},
        ["train_acc_list", "test_acc_list"],
    ),
    "ch07_gradient_check": ({}, ["slow", "fast"]),
    "ch07_filters": ({"shown": 2}, ["before", "after", "edges"]),
    "ch08_train": (
        {"train_num": 20, "test_num": 10, "epochs": 1, "batch_size": 10, "weight_file": "'trained.pkl'"},
        ["train_acc_list", "test_acc_list"],
    ),
    "ch08_half_float": ({"test_num": 10}, ["accuracy", "half_accuracy"]),
    "ch08_misclassified": ({"test_num": 10, "shown": 4}, ["found"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits):
    """The packaged digits as MNIST's files, and weights for chapters 3, 7 and 8."""
    folder, (x, t) = tmp_path_factory.mktemp("mnist"), digits
    images = np.pad(np.kron(x.reshape(-1, 8, 8), np.ones((3, 3))) * 15, [(0, 0), (2, 2), (2, 2)]).astype(np.uint8)
    for stem, array in zip(datasets.IDX_FILES, (images[:1400], t[:1400], images[1400:], t[1400:]), strict=True):
        header = np.array([2048 + array.ndim, *array.shape], ">u4").tobytes()
        (folder / f"{stem}.gz").write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), 1))
    rng, sizes = np.random.default_rng(0), (784, 50, 100, 10)
    weights = {f"W{n}": 0.1 * rng.standard_normal(sizes[n - 1 : n + 1]).astype(np.float32) for n in (1, 2, 3)}
    weights |= {f"b{n}": rng.standard_normal(sizes[n]).astype(np.float32) for n in (1, 2, 3)}
    (folder / "sample_weight.pkl").write_bytes(pickle.dumps(weights))
    SimpleConvNet().save_params(folder / "params.pkl")
    DeepConvNet().save_params(folder / "deep_convnet_params.pkl")
    return folder


def run(name, library, settings):
    """What the script leaves, with the modules of ``library`` and other ``settings`` at its beginning."""
    text = (SCRIPTS / f"{name}.py").read_text("utf-8")
    text = text.replace("fastbp.book.", f"{library}.")
    if library != "fastbp.book":
        text = text.replace("from fastbp.book import weights as pickle", "import pickle")
    for setting, value in settings.items():
        text, found = re.subn(rf"^{setting} = .*$", f"{setting} = {value}", text, flags=re.M)
        assert found == 1, setting
    left = {"__name__": name}
    exec(compile(text, name, "exec"), left)
    return left


def flat(value):
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in flat(value[key])]
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in flat(item)]
    return np.asarray(value, np.float64).reshape(-1).tolist()


def test_every_script_is_run():
    assert {path.stem for path in SCRIPTS.glob("ch*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_a_script_finds_what_it_finds_in_numpy(name, folder, monkeypatch, capsys, set_threads):
    set_threads(1)
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setenv("FASTBP_DATA_DIR", str(folder))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    settings, names = RUNS[name]
    left, printed = [], []
    for library in ("fastbp.book", "fastbp.reference.book"):
        np.random.seed(7)
        left.append(run(name, library, settings))
        printed.append(capsys.readouterr().out)
    for result in names:
        got, expected = (np.array(flat(one[result])) for one in left)
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    assert len(printed[0].splitlines()) == len(printed[1].splitlines())
