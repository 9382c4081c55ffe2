"""Which arrays of a file are samples, targets and weights, what they are called, and what cannot be any of them."""

import numpy as np
import pytest

from fastbp.tables._array_samples import samples_of_npy, samples_of_npz
from fastbp.tables._errors import DataError, SettingError

X, T = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])


@pytest.fixture
def npz(tmp_path):
    def written(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return str(tmp_path / "a.npz")

    return written


@pytest.mark.parametrize("x", ["x", "X", "x_train", "X_train"])
@pytest.mark.parametrize("t", ["t", "y", "t_train", "y_train"])
def test_arrays_are_known_by_their_names(npz, x, t):
    train, test = samples_of_npz(npz(**{x: X, t: T}), None)
    np.testing.assert_array_equal(train.x, X)
    np.testing.assert_array_equal(train.t, T)
    assert (train.target, test) == (t, None)


def test_a_test_part_comes_with_targets_where_they_are_wanted(npz):
    arrays = {"x_train": X, "t_train": T, "x_test": X[:1], "t_test": T[1:2]}
    train, test = samples_of_npz(npz(**arrays), None)
    assert (len(train), test.x.tolist(), test.t.tolist()) == (4, X[:1].tolist(), [1])
    _, test = samples_of_npz(npz(**arrays), None, targets=False)
    assert (test.x.tolist(), test.t, test.target) == (X[:1].tolist(), None, "target")
    del arrays["t_test"]
    assert samples_of_npz(npz(**arrays), None)[1] is None
    assert samples_of_npz(npz(x_train=X), None, targets=False)[1] is None


def test_targets_that_are_not_wanted_are_not_looked_at(npz):
    train, _ = samples_of_npz(npz(x=X, t=T.astype(complex)), None, targets=False)
    assert (train.t, train.target) == (None, "target")


def test_arrays_that_are_named(npz):
    path = npz(x=X, t=T, other=1 - T, w=T + 0.5)
    train, _ = samples_of_npz(path, "other", weight="w")
    assert (train.t.tolist(), train.target) == ([1, 0, 1, 0], "other")
    assert (train.weights.tolist(), train.weight) == ([0.5, 1.5, 0.5, 1.5], "w")
    for asked in ({"target": "othre"}, {"target": "t", "weight": "othre"}):
        with pytest.raises(SettingError, match=r"there is no array 'othre', only .*; did you mean 'other'"):
            samples_of_npz(path, **asked)
    with pytest.raises(DataError, match=r"a\.npz has no array x, only z$"):
        samples_of_npz(npz(z=X), None)


def test_files_of_one_array_give_their_names(tmp_path):
    for name, array in (("x", X), ("labels", T), ("w", T + 0.5)):
        np.save(tmp_path / f"{name}.npy", array)
    x, t, w = (str(tmp_path / f"{name}.npy") for name in ("x", "labels", "w"))
    samples = samples_of_npy(x, t, weight=w)
    assert (samples.t.tolist(), samples.target, samples.weight) == (T.tolist(), "labels", w)
    assert samples.weights.tolist() == [0.5, 1.5, 0.5, 1.5]
    assert (samples_of_npy(x, None).t, samples_of_npy(x, None).target) == (None, "target")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X.astype(complex)}, r"samples must be numbers of shape \(N, ...\), got complex128 of shape \(4, 2\)"),
        ({"x": X[:0], "t": T[:0]}, r"samples must be numbers of shape \(N, ...\), got float64 of shape \(0, 2\)"),
        ({"x": X[:, 0]}, r"samples must be numbers of shape \(N, ...\), got float64 of shape \(4,\)"),
        ({"t": np.array(3)}, r"there are 4 samples, and targets of shape \(\)"),
        ({"t": T[1:]}, r"there are 4 samples, and targets of shape \(3,\)"),
        ({"w": T[1:]}, r"there are 4 samples, and sample weights of shape \(3,\)"),
        ({"w": np.array(3.0)}, r"there are 4 samples, and sample weights of shape \(\)"),
    ],
)
def test_arrays_that_do_not_go_together_are_told(npz, arrays, message):
    with pytest.raises(DataError, match=message):
        samples_of_npz(npz(**{"x": X, "t": T, "w": T + 0.5} | arrays), None, weight="w")


def test_rows_without_a_target_are_counted(npz):
    missing = np.array([0, np.nan, 1, 1])
    arrays = {"x": X, "t": missing, "w": np.arange(1, 5)}
    train, _ = samples_of_npz(npz(**arrays), None, weight="w", drop_missing_target=True)
    assert (train.left_out, train.t.tolist(), train.x.tolist()) == (1, [0, 1, 1], X[[0, 2, 3]].tolist())
    assert train.weights.tolist() == [1, 3, 4]
    train, _ = samples_of_npz(npz(x=X, t=missing), None, drop_missing_target=True)
    assert (train.left_out, train.weights) == (1, None)
    train, _ = samples_of_npz(npz(x=X, t=missing), None, targets=False, drop_missing_target=True)
    assert (train.left_out, len(train)) == (0, 4)
    with pytest.raises(DataError, match=r"target 't' is not finite in row 2: drop_missing_target=True leaves"):
        samples_of_npz(npz(x=X, t=missing), None)
    for t in (T, T + 0.5, np.array(["a", "b", "nan", "b"])):
        train, _ = samples_of_npz(npz(x=X, t=t), None, drop_missing_target=True)
        assert (train.left_out, len(train)) == (0, 4)


@pytest.mark.parametrize(
    ("rows", "targets"),
    [
        ([[0, 1], [1, 0]], [1, 0]),
        ([[0.0, 1.0], [1.0, 0.0]], [1, 0]),
        ([[True, False, False], [False, False, True]], [0, 2]),
        ([[1, 1, -1], [0, 0, 1]], [[1, 1, -1], [0, 0, 1]]),
        ([[1, 1, 0], [0, 0, 1]], [[1, 1, 0], [0, 0, 1]]),
        ([[2, -1], [0, 1]], [[2, -1], [0, 1]]),
        ([[0, 2], [1, 0]], [[0, 2], [1, 0]]),
        ([[0.5, 0.5], [1, 0]], [[0.5, 0.5], [1, 0]]),
        ([[1], [0]], [1, 0]),
    ],
)
def test_rows_are_classes_where_each_has_a_single_1_among_zeros(npz, rows, targets):
    train, _ = samples_of_npz(npz(x=X[:2], t=np.array(rows)), None)
    assert train.t.tolist() == targets
