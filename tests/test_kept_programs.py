"""A run leaves its program to the next of the same shapes, and nothing that one could tell it by."""

import copy
import weakref

import numpy as np
import pytest
from fits import T, X, assert_same_weights, examples, fitted, small

import fastbp
from fastbp.optimizers import SGD, Adam
from fastbp.training._rows import RowsProgram

OPTIONS = {"batch_size": 8, "seed": 7, "progress": False}
OTHER = examples(100, 5, 3)[0][50:], np.roll(T, 1)


@pytest.fixture
def written(monkeypatch):
    """The batch sizes of the programs that are written."""
    sizes, make = [], RowsProgram.__init__

    def init(self, binding, key, data, update, batch_size):
        sizes.append(batch_size)
        make(self, binding, key, data, update, batch_size)

    monkeypatch.setattr(RowsProgram, "__init__", init)
    return sizes


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), Adam(lr=0.01)], ids=["fused", "Adam"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_second_run_on_other_data_writes_no_program_and_ends_in_the_same_bits(weighted, optimizer, written):
    weights = [{"sample_weight": np.linspace(0, a, 50)} if weighted else {} for a in (1, 2)]
    net, twin = small(dropout=0.3), small(dropout=0.3)
    for of in (net, twin):
        for (x, t), weight in zip(((X, T), OTHER), weights, strict=True):
            of.fit(x, t, optimizer=optimizer, **weight, **OPTIONS)
            if of is twin:
                of._binding().programs.clear()
    assert written == [8, 8, 8]
    assert_same_weights(net, twin)


def test_samples_that_are_their_own_targets_are_followed_by_others_that_are_not(written):
    net = fastbp.mlp([5, 4, 5], loss="mse", seed=0)
    twin = copy.deepcopy(net)
    for of in (net, twin):
        of.fit(X, X, **OPTIONS)
        of._binding().programs.clear() if of is twin else None
        of.fit(X, OTHER[0], **OPTIONS)
    assert written == [8, 8, 8]
    assert_same_weights(net, twin)


@pytest.mark.parametrize(
    "other",
    [{"batch_size": 9}, {"optimizer": Adam(beta1=0.5)}, {"clip_norm": 1.0}, {"scale": 0.5}],
    ids=str,
)
def test_other_options_have_another_program(other, written):
    net = small()
    net.fit(X, T, **OPTIONS)
    net.fit(X, T, **(OPTIONS | other))
    assert len(written) == 2


def test_a_setting_of_a_layer_has_another_program(written):
    net = small(dropout=0.3)
    net.fit(X, T, **OPTIONS)
    net.layers["Dropout1"].p = 0.6
    expected = fitted(net)[0]
    net.fit(X, T, **OPTIONS)
    assert_same_weights(net, expected)


def test_the_data_are_the_users_again():
    net, x = small(), X.copy()
    net.fit(x, T, **OPTIONS)
    gone = weakref.ref(x)
    del x
    assert gone() is None


def test_a_run_that_fails_leaves_no_program(written):
    net, x = small(), X.copy()
    x[3, 2] = np.nan
    for given in (x, X):
        try:
            net.fit(given, T, **OPTIONS)
        except FloatingPointError:
            continue
    assert written == [8, 8]


def test_large_programs_are_not_kept(written):
    net = small()
    x, t = examples(60_000, 5, 3)
    for _ in range(2):
        net.fit(x, t, batch_size=60_000, progress=False)
    assert len(written) == 2
