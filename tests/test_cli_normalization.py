"""``fastbp train --normalization``: the network is mlp's, and all that takes a model takes it."""

import numpy as np
import pytest
from cli_runs import refused, run

import fastbp


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalization_is_that_of_mlp_and_goes_on_when_resumed(kind):
    settings = ["--normalization", kind, "--optimizer", "adam", "--hidden", "20", "10"]
    run("train", *settings, "--epochs", "3", "--save", "whole")
    run("train", *settings, "--epochs", "1", "--save", "half", "--save-state")
    run("train", "--optimizer", "adam", "--resume", "half", "--epochs", "3", "--save", "resumed")
    data, net = fastbp.datasets.digits(), fastbp.mlp([64, 20, 10, 10], normalization=kind, seed=0)
    options = {"epochs": 3, "batch_size": 100, "optimizer": fastbp.optimizers.Adam(0.001), "seed": 0, "scale": 1 / 16}
    net.fit(data.x_train, data.t_train, **options)
    for saved in ("whole", "resumed"):
        loaded = fastbp.load(saved)
        assert all(np.array_equal(array, loaded.params[name]) for name, array in net.params.items())
        assert loaded.predict(data.x_test).tobytes() == net.predict(data.x_test).tobytes(), "running statistics too"


def test_normalization_goes_with_neither_a_network_of_the_book_nor_a_model_that_goes_on(capsys):
    message = refused(capsys, "train", "--network", "deep-conv", "--normalization", "batch", code=2)
    assert "--normalization does not go with --network: deep-conv has its own" in message
    message = refused(capsys, "train", "--resume", "model", "--normalization", "layer", code=2)
    assert "--normalization does not go with --resume: the model has its own" in message
    message = refused(capsys, "train", "--normalization", "bacth", code=2)
    assert "argument --normalization: invalid choice: 'bacth'" in message


def test_networks_of_an_ensemble_have_it_and_are_exported(folder):
    settings = ["--data", "digits", "--epochs", "1", "--hidden", "9", "--normalization", "batch"]
    run("train", *settings, "--ensemble", "2", "--save", "nets")
    run("train", *settings, "--seed", "1", "--save", "second")
    run("export", "nets", "--format", "numpy", "--output", "nets.py")
    nets, x = fastbp.Ensemble.load("nets"), fastbp.datasets.digits().x_test
    assert [type(layer).__name__ for layer in nets.nets[0].layers.values()][1] == "BatchNormalization"
    assert nets.nets[1].predict(x).tobytes() == fastbp.load("second").predict(x).tobytes()
    module = {}
    exec((folder / "nets.py").read_text(), module)
    np.testing.assert_allclose(module["predict"](x), nets.predict_proba(x), atol=1e-5)
