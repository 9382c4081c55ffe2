"""Every kind of wrong input at every door: layers, networks, estimators, tables and the command line."""

import warnings

import numpy as np
import pytest
from cli_runs import refused

import fastbp

sklearn = pytest.importorskip("fastbp.sklearn")
sparse = pytest.importorskip("scipy.sparse")
N, D, K = 12, 4, 3
X, T = np.random.default_rng(0).random((N, D)).astype(np.float32), np.arange(N) % K


class Text:
    """An object that no array can be made of numbers from."""


def with_one(value):
    x = X.astype(np.float64)
    x[5, 2] = value
    return x


# What is no samples, whoever is asked; all but the last are refused with a ValueError or TypeError.
WRONG_X = {
    "complex": X.astype(complex),
    "objects": np.array([[Text()] * D] * N),
    "text": np.full((N, D), "a"),
    "bytes": np.full((N, D), b"a"),
    "dates": np.full((N, D), np.datetime64("2026-01-01")),
    "records": np.zeros(N, "f4,f4,f4,f4"),
    "too few columns": X[:, 1:],
    "too many columns": np.ones((N, D + 1), np.float32),
    "lists of other lengths": [[1.0] * D, [1.0] * (D - 1)],
    "None": None,
    "a word": "samples",
    "a dict": {"a": [1.0]},
    "a masked array": np.ma.masked_array(X, X > 0.5),
}
if np.dtype(np.longdouble).itemsize > 8:
    WRONG_X["longdouble"] = X.astype(np.longdouble)
WRONG_T = {
    "a label below 0": np.where(T == 2, -1, T),
    "a label past the last": np.where(T == 2, K, T),
    "half a label": T + 0.5,
    "NaN for a label": np.where(T == 2, np.nan, T),
    "infinity for a label": np.where(T == 2, np.inf, T),
    "text": np.full(N, "a"),
    "complex": T.astype(complex),
    "objects": np.array([Text()] * N),
    "too few": T[1:],
    "too many": np.append(T, 0),
    "other columns": np.eye(K + 1)[T],
    "no labels": T[:0],
    "three dimensions": np.zeros((N, K, 1)),
    "None": None,
}


def network():
    return fastbp.mlp([D, 5, K], seed=0)


def fit(net, x, t):
    net.fit(x, t, epochs=1, batch_size=4, progress=False)


USES = {
    "fit": fit,
    "fit's validation": lambda net, x, t: net.fit(X, T, epochs=0, validation_data=(x, t), progress=False),
    "step": lambda net, x, t: net.step(x, t),
    "gradient": lambda net, x, t: net.gradient(x, t),
    "loss": lambda net, x, t: net.loss(x, t),
    "accuracy": lambda net, x, t: net.accuracy(x, t),
}
WITHOUT_TARGETS = {
    "predict": lambda net, x: net.predict(x),
    "predict_classes": lambda net, x: net.predict_classes(x),
    "a layer": lambda net, x: net.layers["Affine1"].forward(x),
}


def unchanged(call, net, *given):
    before = [p.tobytes() for p in net.params.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        with pytest.raises((ValueError, TypeError)) as error:
            call(net, *given)
    assert str(error.value).strip()
    assert "operand" not in str(error.value), "NumPy's own words, which name no argument"
    assert [p.tobytes() for p in net.params.values()] == before
    fit(net, X, T)


@pytest.mark.parametrize("kind", WRONG_X)
@pytest.mark.parametrize("use", [*USES, *WITHOUT_TARGETS])
def test_what_is_no_samples_is_refused_and_changes_nothing(use, kind):
    if use in USES:
        unchanged(USES[use], network(), WRONG_X[kind], T)
    else:
        unchanged(WITHOUT_TARGETS[use], network(), WRONG_X[kind])


@pytest.mark.parametrize("kind", WRONG_T)
@pytest.mark.parametrize("use", USES)
def test_what_is_no_targets_is_refused_and_changes_nothing(use, kind):
    unchanged(USES[use], network(), X, WRONG_T[kind])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_propagates_or_ends_training_with_its_place(value):
    net, x = network(), with_one(value)
    before = [p.tobytes() for p in net.params.values()]
    for use in ("fit", "step"):
        with pytest.raises(FloatingPointError, match=r"x\[5, 2\] is "):
            net.fit(x, T, batch_size=N, progress=False) if use == "fit" else net.step(x, T)
        assert [p.tobytes() for p in net.params.values()] == before
    with np.errstate(all="ignore"):
        finite = np.isfinite(net.predict(x)).all(axis=1)
    assert not finite[5]
    assert finite.sum() == N - 1


def test_an_empty_batch_is_an_empty_answer_and_no_training():
    net, x, t = network(), X[:0], T[:0]
    assert net.predict(x).shape == (0, K)
    assert net.layers["Affine1"].forward(x).shape == (0, 5)
    for use in ("fit", "step", "gradient", "loss", "accuracy"):
        unchanged(USES[use], net, x, t)


# ---- Estimators, which say what scikit-learn says ----

WRONG_FOR_ESTIMATORS = WRONG_X | {"no samples": X[:0], "NaN": with_one(np.nan), "infinity": with_one(np.inf)}
WRONG_FOR_ESTIMATORS |= {"one dimension": X[0], "three dimensions": X[None], "one complex": with_one(1) + 1j}
FINE = {"a masked array", "longdouble", "dates"}  # as scikit-learn's own estimators take them


@pytest.mark.parametrize("kind", [kind for kind in WRONG_FOR_ESTIMATORS if kind not in FINE])
@pytest.mark.parametrize("cls", [sklearn.MLPClassifier, sklearn.MLPRegressor])
def test_estimators_refuse_what_is_no_samples_to_fit_and_to_predict(cls, kind):
    estimator, x = cls(hidden_layer_sizes=(3,), max_iter=1, random_state=0), WRONG_FOR_ESTIMATORS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = cls(hidden_layer_sizes=(3,), max_iter=1, random_state=0).fit(X, T)
    before = [w.tobytes() for w in fitted.coefs_]
    if "columns" not in kind:  # a number of columns is as good as another to fit
        with pytest.raises((ValueError, TypeError)):
            estimator.fit(x, T)
        with pytest.raises(sklearn_not_fitted()):
            estimator.predict(X)
    with pytest.raises((ValueError, TypeError)):
        fitted.predict(x)
    assert [w.tobytes() for w in fitted.coefs_] == before


def sklearn_not_fitted():
    from sklearn.exceptions import NotFittedError

    return NotFittedError


@pytest.mark.parametrize(
    "kind", ["NaN for a label", "infinity for a label", "too few", "too many", "no labels", "None"]
)
@pytest.mark.parametrize("cls", [sklearn.MLPClassifier, sklearn.MLPRegressor])
def test_estimators_refuse_what_is_no_targets(cls, kind):
    with pytest.raises((ValueError, TypeError)):
        cls(hidden_layer_sizes=(3,), max_iter=1).fit(X, WRONG_T[kind])


# ---- The command line ----


@pytest.mark.parametrize("kind", [kind for kind in WRONG_X if kind not in ("a masked array", "longdouble")])
def test_the_command_line_refuses_arrays_that_are_no_samples_in_one_line(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    x = WRONG_X[kind]
    if "columns" in kind:
        pytest.skip("a number of columns is as good as another to train on")
    x = np.array(x, object) if isinstance(x, list) else np.array(x)
    np.savez("a.npz", x=x, t=T)
    assert refused(capsys, "train", "--data", "a.npz").startswith("fastbp: ")


@pytest.mark.parametrize(
    "kind", ["NaN for a label", "infinity for a label", "complex", "objects", "too few", "too many"]
)
def test_the_command_line_refuses_arrays_that_are_no_targets_in_one_line(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", x=X, t=WRONG_T[kind])
    assert refused(capsys, "train", "--data", "a.npz").startswith("fastbp: ")
