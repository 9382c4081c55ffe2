"""Ensembles: means of networks, what they refuse, and their files."""

import re

import numpy as np
import pytest
from strategies import FLOATS, assert_same_bits, assert_within, eps

import fastbp
from fastbp.files import _tensor_file

X = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
T = np.arange(20) % 3


def nets(loss="softmax", n=3, outputs=3, dtype=np.float32):
    return [fastbp.mlp([4, 5 + k, outputs], "tanh", loss=loss, dtype=dtype, seed=k) for k in range(n)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "mse"])
@pytest.mark.parametrize("weights", [None, [1, 0, 3]])
def test_the_mean_and_the_spread_are_of_probabilities_or_outputs(loss, dtype, weights):
    members, x = nets(loss, dtype=dtype), X.astype(dtype)
    ensemble = fastbp.Ensemble(members, weights)
    each = np.array([net.predict(x) if loss == "mse" else net.predict_proba(x) for net in members], np.float64)
    shares = np.ones(3) / 3 if weights is None else np.array(weights) / 4
    mean = np.tensordot(shares, each, 1)
    spread = np.sqrt(np.tensordot(shares, (each - mean) ** 2, 1))
    assert ensemble.predict(x).dtype == ensemble.predict_std(x).dtype == dtype
    assert_within(ensemble.predict(x), mean, 4 * eps(dtype) * np.abs(each).max())
    assert_within(ensemble.predict_std(x), spread, 8 * eps(dtype) * np.abs(each).max())
    assert_same_bits(ensemble.predict_all(x), each.astype(dtype))


def test_members_that_agree_have_no_spread():
    net = fastbp.mlp([4, 3], loss="mse", seed=0)
    net.params["b1"][...] = 1e6
    assert np.all(fastbp.Ensemble([net] * 3).predict_std(X) == 0)


def test_an_ensemble_of_one_is_its_network():
    net = nets()[0]
    assert_same_bits(fastbp.Ensemble([net]).predict(X), net.predict_proba(X))
    assert fastbp.Ensemble([net]).accuracy(X, T) == net.accuracy(X, T)


@pytest.mark.parametrize(("loss", "outputs"), [("softmax", 3), ("sigmoid", 3), ("sigmoid", 1)])
def test_classes_are_those_of_the_mean(loss, outputs):
    ensemble = fastbp.Ensemble(nets(loss, outputs=outputs))
    mean = ensemble.predict_proba(X)
    classes = mean.argmax(axis=1) if outputs > 1 else (mean[:, 0] > 0.5).astype(int)
    np.testing.assert_array_equal(ensemble.predict_classes(X), classes)
    t = T if outputs > 1 else T % 2
    assert ensemble.accuracy(X, t) == np.mean(classes == t)


def test_networks_that_are_trained_further_are_followed():
    members = nets()
    ensemble = fastbp.Ensemble(members)
    before = ensemble.predict(X)
    fastbp.fit_many(ensemble, X, T, epochs=3)
    assert not np.array_equal(ensemble.predict(X), before)
    assert ensemble.nets == tuple(members)
    assert len(ensemble) == 3
    assert repr(ensemble).startswith("Ensemble of 3 networks, the first Sequential([Affine")


def test_images_may_be_predicted():
    x = np.random.default_rng(0).standard_normal((5, 1, 10, 10)).astype(np.float32)
    members = [fastbp.convnet("simple-conv", 3, (1, 10, 10), seed=k) for k in range(2)]
    assert fastbp.Ensemble(members).predict(x).shape == (5, 3)


MIXED = [*nets(n=1), *nets(n=1, dtype=np.float64)]


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: fastbp.Ensemble([]), ValueError, "nets must hold at least one network, got none"),
        (lambda: fastbp.Ensemble(nets()[0]), TypeError, "nets must be a sequence of networks, got Sequential"),
        (lambda: fastbp.Ensemble([*nets(), 3]), TypeError, "nets[3] must be a network of fastbp, got 3"),
        (lambda: fastbp.Ensemble([*nets(), fastbp.mlp([5, 3])]), ValueError, "nets[3] has (5,) for its inputs"),
        (lambda: fastbp.Ensemble([*nets(), *nets(outputs=2)]), ValueError, "nets[3] has 2 for its outputs, nets[0] 3"),
        (lambda: fastbp.Ensemble([*nets(), *nets("mse")]), ValueError, "nets[3] has numbers for its loss"),
        (lambda: fastbp.Ensemble([*nets(), *nets("sigmoid")]), ValueError, "nets[3] has probabilities of Sigmoid"),
        (
            lambda: fastbp.Ensemble(nets(), [1, 2]),
            ValueError,
            "weights must hold one number for each of the 3",
        ),
        (
            lambda: fastbp.Ensemble(nets(), [1, -2, 1]),
            ValueError,
            "weights[1] is -2.0, not a finite number",
        ),
        (lambda: fastbp.Ensemble(nets(), [1, 1, np.nan]), ValueError, "weights[2] is nan, not a finite number"),
        (lambda: fastbp.Ensemble(nets(), [0, 0, 0]), ValueError, "weights are all 0"),
        (lambda: fastbp.Ensemble(nets(), "abc"), TypeError, "weights must hold real numbers"),
        (lambda: fastbp.Ensemble(nets()).predict(X[0]), ValueError, "x must have two dimensions or more"),
        (lambda: fastbp.Ensemble(nets()).predict(X[:, 1:]), ValueError, "4"),
        (lambda: fastbp.Ensemble(nets("mse")).predict_proba(X), TypeError, "has no probabilities"),
        (lambda: fastbp.Ensemble(nets("mse")).predict_classes(X), TypeError, "has no classes"),
        (lambda: fastbp.Ensemble(nets("mse")).accuracy(X, T), TypeError, "has no accuracy"),
        (lambda: fastbp.Ensemble(nets()).accuracy(X[:0], T[:0]), ValueError, "x must hold at least one sample"),
        (lambda: fastbp.Ensemble(nets()).accuracy(X, T + 1), ValueError, "t[2] is 3"),
        (lambda: fastbp.Ensemble(MIXED).to_numpy("x.py"), ValueError, "the networks compute in float32 and float64"),
        (lambda: fastbp.Ensemble(nets()).to_c("x.c", prefix="3"), ValueError, "prefix must be the beginning of a name"),
    ],
)
def test_what_has_no_mean_is_refused(make, kind, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=re.escape(says)):
        make()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("weights", [None, [0.1, 0.2, 0.5]])
def test_a_file_gives_the_same_bits_and_the_same_file(weights, tmp_path):
    ensemble = fastbp.Ensemble([*nets(n=2), fastbp.mlp([4, 3, 3], scale=0.5, dtype=np.float64, seed=1)], weights)
    ensemble.save(tmp_path / "a.safetensors")
    other = fastbp.Ensemble.load(tmp_path / "a.safetensors")
    assert_same_bits(other.predict(X), ensemble.predict(X))
    assert_same_bits(other.weights, ensemble.weights)
    assert [net.dtype for net in other] == [net.dtype for net in ensemble]
    other.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_file_of_a_network_and_one_of_an_ensemble_are_told_apart(tmp_path):
    net = nets()[0]
    net.save(tmp_path / "net")
    fastbp.Ensemble([net]).save(tmp_path / "ensemble")
    with pytest.raises(fastbp.ModelFileError, match=r"it has several, an ensemble, which fastbp\.Ensemble\.load reads"):
        fastbp.load(tmp_path / "ensemble")
    with pytest.raises(fastbp.ModelFileError, match=r"it has a single network, which fastbp\.load reads"):
        fastbp.Ensemble.load(tmp_path / "net")


def spoilt(tmp_path, spoil):
    """The path of an ensemble's file with a right checksum, whose content ``spoil`` has changed."""
    path = tmp_path / "spoilt"
    fastbp.Ensemble(nets()).save(path)
    description, tensors = _tensor_file.read(path)
    spoil(description, tensors)
    _tensor_file.write(path, description, tensors)
    return path


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d, t: d["ensemble"].pop(), "weights must be 2 numbers"),
        (lambda d, t: d.update(ensemble=[]), "ensemble must be a list of networks"),
        (lambda d, t: d.update(ensemble=3), "ensemble must be a list of networks"),
        (lambda d, t: d["ensemble"].__setitem__(1, 3), "a member must be an object, got 3"),
        (lambda d, t: d["ensemble"][1].pop("loss"), "the description must have"),
        (lambda d, t: d.update(weights=[1, 1, 1]), "weights must sum to 1, not 3"),
        (lambda d, t: d.update(weights=[2, -1, 0]), "weights[1] must be a finite number of at least 0"),
        (lambda d, t: d.update(weights=["a", 0, 1]), "weights[0] must be a finite number"),
        (lambda d, t: d.update(more=1), "the description has more, which this fastbp does not know"),
        (lambda d, t: t.pop("1.W1"), "'W1' is missing"),
        (lambda d, t: t.update({"1.W9": np.ones(2)}), "there are tensors of no layer: W9"),
        (lambda d, t: t.update({"7.W1": np.ones(2)}), "there is a tensor of no member: '7.W1'"),
        (lambda d, t: t.update({"W1": np.ones(2)}), "there is a tensor of no member: 'W1'"),
        (lambda d, t: d["ensemble"][2].update(loss={"class": "MeanSquaredError"}), "nets[2] has numbers for its loss"),
    ],
)
def test_a_file_with_other_content_is_refused(spoil, says, tmp_path):
    with pytest.raises(fastbp.ModelFileError, match=re.escape(says)):
        fastbp.Ensemble.load(spoilt(tmp_path, spoil))


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "a"
    fastbp.Ensemble(nets()).save(path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(fastbp.ModelFileError):
            fastbp.Ensemble.load(path)
        path.write_bytes(whole[:at])
        with pytest.raises(fastbp.ModelFileError):
            fastbp.Ensemble.load(path)
