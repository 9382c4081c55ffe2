"""One network for each group, to the bits that it has by itself."""

import re

import numpy as np
import pytest
from fits import assert_same_weights
from strategies import assert_same_bits

import fastbp
from fastbp.optimizers import SGD

N = 60
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 4)).astype(np.float32)
T = RNG.standard_normal((N, 1)).astype(np.float32)
DAYS = np.array(["2024-01-01", "2024-01-02"], "M8[D]")
SHOPS = np.array(["west", "north", "south"])[RNG.integers(0, 3, N)]


def small(label=None):
    return fastbp.mlp([4, 5, 1], loss="mse", seed=0)


@pytest.mark.parametrize("threads", [1, 2])
def test_each_group_has_the_network_that_its_samples_alone_make(threads):
    nets = fastbp.fit_groups(small, X, T, SHOPS, epochs=3, seeds=1, threads=threads)
    assert list(nets) == ["north", "south", "west"]
    assert len(nets) == 3
    for shop, net in nets.items():
        other, own = small(), shop == SHOPS
        history = other.fit(X[own], T[own], epochs=3, seed=1, threads=1)
        assert_same_weights(net, other)
        assert nets.histories[shop].loss == history.loss


@pytest.mark.parametrize(
    ("groups", "labels"),
    [
        (np.arange(N) % 3 + 5, [5, 6, 7]),
        ((np.arange(N) % 2).astype(bool), [False, True]),
        (list("ab" * 30), ["a", "b"]),
        (np.array(["b", "a", 3] * 20, object), ["b", "a", 3]),
        (np.arange(N) % 2 / 2, [0.0, 0.5]),
        (
            np.repeat(np.array(["2024-01-02", "2024-01-01"], "M8[D]"), 30),
            [np.datetime64("2024-01-01"), np.datetime64("2024-01-02")],
        ),
    ],
    ids=["integers", "flags", "text", "mixed", "numbers", "days"],
)
def test_labels_may_be_whatever_can_be_a_key(groups, labels):
    called = []
    nets = fastbp.fit_groups(lambda label: called.append(label) or small(), X, T, groups)
    assert list(nets) == labels == called
    assert all(nets[label] is net for label, net in nets.items())


def test_groups_may_be_a_column_of_pandas():
    pandas = pytest.importorskip("pandas")
    nets = fastbp.fit_groups(small, X, T, pandas.Series(SHOPS).astype("category"))
    assert list(nets) == ["north", "south", "west"]


def test_options_may_be_one_for_all_or_a_dict_by_label():
    epochs = {"south": 1, "north": 2, "west": 3}
    nets = fastbp.fit_groups(small, X, T, SHOPS, epochs=epochs, batch_sizes=4)
    assert {shop: len(history.loss) for shop, history in nets.histories.items()} == epochs


def test_a_sample_is_predicted_by_the_network_of_its_group():
    nets = fastbp.fit_groups(small, X, T, SHOPS)
    scores = nets.predict(X, SHOPS)
    for shop, net in nets.items():
        assert_same_bits(scores[shop == SHOPS], net.predict(X[shop == SHOPS]))
    assert nets.predict(X[:1], ["west"]).shape == (1, 1)


def test_a_group_that_diverges_is_named_and_the_others_are_trained():
    optimizers = {"south": "sgd", "north": SGD(1e30), "west": "sgd"}
    with pytest.raises(FloatingPointError, match=r"^the network of group 'north': "):
        fastbp.fit_groups(small, X, T, SHOPS, optimizers=optimizers, epochs=3)
    nets = fastbp.fit_groups(small, X, T, SHOPS, optimizers=optimizers, epochs=3, errors="keep")
    assert isinstance(nets.histories["north"], FloatingPointError)


ONE = small()


def groups_with(missing):
    groups = SHOPS.astype(object)
    groups[7] = missing
    return groups


@pytest.mark.parametrize(
    ("wrong", "kind", "says"),
    [
        ({"groups": SHOPS[1:]}, ValueError, "groups must hold one label for each of the 60 samples, got shape (59,)"),
        ({"groups": SHOPS[:, None]}, ValueError, "got shape (60, 1)"),
        ({"groups": groups_with(None)}, ValueError, "groups[7] is missing"),
        ({"groups": groups_with(np.nan)}, ValueError, "groups[7] is missing"),
        ({"groups": np.where(np.arange(N) == 7, np.nan, 1.0)}, ValueError, "groups[7] is missing"),
        ({"groups": np.full(N, "NaT", "M8[D]")}, ValueError, "groups[0] is missing"),
        ({"make_net": small()}, TypeError, "make_net must be a function that returns a new network"),
        ({"make_net": lambda label: 3}, TypeError, "the network of group 'north' must be a network of fastbp, got 3"),
        ({"make_net": fastbp.mlp}, TypeError, "sizes must be at least two integers"),
        (
            {"make_net": lambda label: ONE},
            ValueError,
            "group 'south' is the network of group 'north' once",
        ),
        ({"rows": [0]}, TypeError, "fit_groups takes the options of fit_many but for rows, got rows"),
        ({"epoch": 3}, TypeError, "fit_groups takes the options of fit_many but for rows, got epoch"),
        ({"epochs": {"north": 3}}, ValueError, "epochs must have all groups, it lacks 'south'"),
        ({"epochs": {"north": 3, "south": -1, "west": 1}}, ValueError, "the network of group 'south': epochs must be"),
        ({"t": T[1:]}, ValueError, "the network of group 'north': t"),
        ({"x": X[:, 1:]}, ValueError, "the network of group 'north': x has 3 elements a sample, the network has 4 inp"),
        ({"progress": 1}, TypeError, "progress must be True or False, got 1"),
    ],
    ids=lambda case: str(case)[:30],
)
def test_what_does_not_fit_is_named(wrong, kind, says):
    with pytest.raises(kind, match=re.escape(says)):
        fastbp.fit_groups(**{"make_net": small, "x": X, "t": T, "groups": SHOPS} | wrong)


def test_predictions_refuse_groups_without_a_network():
    nets = fastbp.fit_groups(small, X, T, SHOPS)
    with pytest.raises(ValueError, match=re.escape("groups[1] is 'east', a group that has no network")):
        nets.predict(X[:2], ["west", "east"])
    with pytest.raises(ValueError, match="groups must hold one label for each of the 2 samples"):
        nets.predict(X[:2], ["west"])
    with pytest.raises(ValueError, match="x must hold at least one sample"):
        nets.predict(X[:0], [])
    with pytest.raises(KeyError):
        nets["east"]


def test_predictions_refuse_networks_of_different_outputs():
    t = np.arange(N) % 2
    make = {"north": 2, "south": 3, "west": 2}
    nets = fastbp.fit_groups(lambda shop: fastbp.mlp([4, make[shop]]), X, t, SHOPS)
    with pytest.raises(ValueError, match="different numbers of outputs"):
        nets.predict(X, SHOPS)


def test_it_says_what_it_is():
    assert repr(fastbp.fit_groups(small, X, T, SHOPS)) == "<3 networks by group: ['north', 'south', 'west']>"
