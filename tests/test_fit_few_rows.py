"""A batch of one sample has no variance: batch normalisation says so in fit, fit_many and step, as the layer does."""

import warnings

import numpy as np
import pytest

import fastbp
from fastbp import cli

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((33, 4)).astype(np.float32), np.arange(33) % 2
OPTIONS = {"epochs": 1, "seed": 0, "progress": False}


def normalizing(kind="batch", **options):
    return fastbp.mlp([4, 6, 2], normalization=kind, seed=0, **options)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (32, r"the last batch of an epoch has 1 \(33 in all, batch_size=32\): what it keeps for predictions "),
        (1, r"batches have 1 \(33 in all, batch_size=1\): "),
    ],
)
def test_fit_tells_of_batches_of_one(size, said):
    with pytest.warns(RuntimeWarning, match=f"^BatchNormalization expects at least 2 samples a batch, but {said}"):
        normalizing().fit(X, T, batch_size=size, **OPTIONS)


def test_the_line_is_that_of_the_call():
    with pytest.warns(RuntimeWarning, match="Another batch_size") as told:
        normalizing().fit(X, T, batch_size=16, **OPTIONS)
    assert [warning.filename for warning in told] == [__file__]


def test_of_a_data_set_of_one_no_way_out_is_told():
    with pytest.warns(RuntimeWarning, match=r"batches have 1 \(1 in all, batch_size=1\): .* will be wrong$"):
        normalizing().fit(X[:1], T[:1], **OPTIONS)


@pytest.mark.parametrize("size", [31, 33, 50])
def test_other_batches_are_no_matter(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalizing().fit(X, T, batch_size=size, **OPTIONS)
        fastbp.fit_many([normalizing()], X, T, batch_sizes=size, epochs=1, seeds=0, progress=False)


def test_nothing_is_said_of_layers_that_go_by_a_sample_or_of_images_by_channel():
    affine = fastbp.Affine(RNG.standard_normal((8, 2)).astype(np.float32), None)
    ones = np.ones(2, np.float32)
    by_channel = fastbp.Sequential(
        [fastbp.BatchNormalization(ones, 0 * ones), fastbp.Flatten(), affine], in_shape=(2, 2, 2)
    )
    images = RNG.standard_normal((33, 2, 2, 2)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalizing("layer").fit(X, T, batch_size=32, **OPTIONS)
        fastbp.mlp([4, 6, 2], dropout=0.5, seed=0).fit(X, T, batch_size=32, **OPTIONS)
        by_channel.fit(images, T, batch_size=32, **OPTIONS)


def test_step_tells_of_a_batch_of_one_at_the_first():
    net = normalizing()
    with pytest.warns(RuntimeWarning, match=r"but this step's has 1: .* will be wrong$") as told:
        net.step(X[:1], T[:1])
        net.step(X[1:2], T[1:2])
    assert [warning.filename for warning in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.step(X[:2], T[:2])
        normalizing("layer").step(X[:1], T[:1])


def test_fit_many_tells_once():
    nets = [normalizing() for _ in range(3)]
    with pytest.warns(RuntimeWarning, match=r"the last batch of an epoch has 1 .*\(This came 3 times\.\)") as told:
        fastbp.fit_many(nets, X, T, batch_sizes=32, epochs=1, seeds=0, progress=False)
    assert len(told) == 1


@pytest.mark.filterwarnings("always:BatchNormalization expects")
def test_the_command_line_says_it_in_a_line(tmp_path, capsys):
    np.savez(tmp_path / "rows.npz", x=X, t=T)
    options = ["--data", str(tmp_path / "rows.npz"), "--validation", "0", "--normalization", "batch", "--epochs", "1"]
    assert cli.main(["train", *options, "--batch-size", "16"]) == 0
    assert (
        "BatchNormalization expects at least 2 samples a batch, but the last batch of an epoch has 1 (33 in"
        in capsys.readouterr().err
    )
