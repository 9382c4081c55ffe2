"""``fastbp.sklearn`` estimators that go on after something was changed: their weights, parameters or memory.

Where scikit-learn's compute, so do these, and to the same numbers; elsewhere an error says what does not fit. (Errors
of kernels at such places were reads and writes outside of arrays, so the worst of the cases run in a process of their
own.)
"""

import copy
import itertools
import re
import warnings

import numpy as np
import pytest
from isolation import isolated

pytest.importorskip("sklearn")
import joblib
from sklearn import neural_network as theirs
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from fastbp import sklearn as ours

X, Y = load_iris(return_X_y=True)
HOWS = ["fit", "partial_fit"]
RNG = np.random.default_rng(0)
WIDER = {"coefs_": [RNG.random((4, 16)), RNG.random((16, 3))], "intercepts_": [RNG.random(16), RNG.random(3)]}


def go_on(e, how="partial_fit", x=X, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return getattr(e, how)(x, y)


def fitted(make=ours.MLPClassifier, y=Y, **settings):
    return go_on(make(**{"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0} | settings), "fit", y=y)


def weights(e):
    return e.coefs_ + e.intercepts_


def assert_goes_on(a, b, rtol=1e-9):
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_allclose(np.reshape(y, np.shape(x)), x, rtol=rtol, atol=rtol)


CHANGES = {
    "single precision": lambda e: setattr(e, "coefs_", [W.astype(np.float32) for W in e.coefs_]),
    "columns first": lambda e: setattr(e, "coefs_", [np.asfortranarray(W) for W in e.coefs_]),
    "read-only": lambda e: [W.setflags(write=False) for W in weights(e)],
    "rows of biases": lambda e: setattr(e, "intercepts_", [b[None] for b in e.intercepts_]),
    "more units": lambda e: vars(e).update(copy.deepcopy(WIDER)),
}


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("change, how", [("more units", "fit"), *itertools.product([*CHANGES][:-1], HOWS)])
def test_changed_weights_train_on_as_theirs(change, how, solver):
    pair = [fitted(p.MLPClassifier, solver=solver, warm_start=how == "fit") for p in (theirs, ours)]
    for e in pair:
        CHANGES[change](e)
    if change == "read-only":
        with pytest.raises(ValueError, match="output array is read-only"):
            go_on(pair[0], how)
        pair[0] = go_on(fitted(theirs.MLPClassifier, solver=solver, warm_start=how == "fit"), how)
        go_on(pair[1], how)
    else:
        for e in pair:
            go_on(e, how)
    assert_goes_on(*pair, rtol=1e-5 if change == "single precision" else 1e-9)


@pytest.mark.parametrize("bias", [0.5, [0.5], [[0.5]]], ids=str)
def test_biases_broadcast_when_predicting(bias):
    pair = [fitted(p.MLPClassifier) for p in (theirs, ours)]
    for e in pair:
        e.intercepts_[0] = np.array(bias)
    a, b = (e.predict_proba(X) for e in pair)
    np.testing.assert_allclose(b, a, rtol=1e-9)


def test_weights_of_integers_and_in_lists_are_numbers_too():
    e, same = (fitted(solver="sgd") for _ in range(2))
    e.coefs_, same.coefs_ = tuple(np.ones(W.shape, int).tolist() for W in e.coefs_), [np.ones_like(W) for W in e.coefs_]
    np.testing.assert_array_equal(e.predict_proba(X), same.predict_proba(X))
    assert_goes_on(go_on(e), go_on(same))


def deeper(e):
    e.coefs_.append(np.eye(3))
    e.intercepts_.append(np.zeros(3))


MISFITS = {
    "other inputs": (lambda e: e.coefs_.__setitem__(0, np.ones((5, 8))), r"coefs_\[0\] of shape \(5, 8\) does not fit"),
    "other outputs": (
        lambda e: (e.coefs_.__setitem__(1, np.ones((8, 9))), e.intercepts_.__setitem__(1, np.ones(9))),
        "y has 3 outputs a sample, the network of coefs_ has 9",
    ),
    "layers that do not fit": (
        lambda e: e.coefs_.__setitem__(1, np.ones((9, 3))),
        r"coefs_\[1\] of shape \(9, 3\) does not fit coefs_\[0\], which has 8 outputs",
    ),
    "a layer more": (deeper, r"coefs_ of layers \[4, 8, 3, 3\] with hidden_layer_sizes of layers \[4, 8, 3\]"),
    "a matrix less": (lambda e: e.coefs_.pop(), "coefs_ and intercepts_ must hold one array for each layer, got 1 and"),
    "no matrix": (lambda e: setattr(e, "coefs_", []), "coefs_ and intercepts_ must hold one array for each layer"),
    "a vector": (lambda e: e.coefs_.__setitem__(0, np.ones(4)), r"coefs_\[0\] must be of shape \(inputs, outputs\)"),
    "no units": (lambda e: e.coefs_.__setitem__(0, np.ones((4, 0))), r"at least one each, got \(4, 0\)"),
    "a longer bias": (
        lambda e: e.intercepts_.__setitem__(0, np.ones(9)),
        r"intercepts_\[0\] must be of shape \(8,\) for coefs_\[0\] of shape \(4, 8\), got \(9,\)",
    ),
    "words": (lambda e: e.coefs_.__setitem__(0, np.array([["a"]])), r"coefs_\[0\] must hold real numbers"),
    "complex numbers": (
        lambda e: e.intercepts_.__setitem__(0, np.ones(8, complex)),
        r"intercepts_\[0\] must hold real",
    ),
}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("misfit", MISFITS)
def test_weights_that_do_not_fit_are_an_error_that_names_them(misfit, how):
    change, message = MISFITS[misfit]
    e = fitted(warm_start=True)
    change(e)
    with pytest.raises((TypeError, ValueError), match=message):
        go_on(e, how)
    if misfit not in ("other outputs", "a layer more"):  # of which predictions have no means to know
        with pytest.raises((TypeError, ValueError), match=r"coefs_|intercepts_|W of shape \(5, 8\)"):
            e.predict(X)


@pytest.mark.parametrize("misfit", MISFITS)
def test_nor_does_lbfgs_start_from_them(misfit):
    e = fitted(warm_start=True, solver="lbfgs")
    MISFITS[misfit][0](e)
    with pytest.raises((TypeError, ValueError), match=f"{MISFITS[misfit][1]}|solver='lbfgs' cannot go on from coefs_"):
        go_on(e, "fit")


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_solvers_state_of_another_network_is_an_error_with_a_way_out(solver):
    e = fitted(solver=solver, warm_start=True)
    CHANGES["more units"](e)
    with pytest.raises(ValueError, match=f"solver='{solver}' has its state for 67 parameters, coefs_ .* hold 131"):
        go_on(e)
    assert go_on(e, "fit").coefs_[0].shape == (4, 16)


@pytest.mark.parametrize("sizes", [(5,), (20,), (5, 5), ()], ids=str)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_other_hidden_layers_after_fitting(solver, sizes):
    pair = [fitted(p.MLPClassifier, solver=solver, warm_start=True) for p in (theirs, ours)]
    for e in pair:
        e.set_params(hidden_layer_sizes=sizes)
    if solver == "adam" and len(sizes) == 1:  # scikit-learn's goes on with the units that it has
        for how in ("fit", "partial_fit"):
            assert_goes_on(*(go_on(e, how) for e in pair))
        return
    before = [a.copy() for a in weights(pair[1])]
    asked_for = re.escape(str([4, *sizes, 3]))
    with pytest.raises(
        ValueError, match=rf"layers \[4, 8, 3\] with hidden_layer_sizes of layers {asked_for}: fit without"
    ):
        go_on(pair[1], "fit")
    for a, b in zip(before, weights(pair[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert go_on(pair[1].set_params(warm_start=False), "fit").coefs_[-1].shape[1] == 3


@pytest.mark.parametrize("outputs", [(1, 2), (2, 1)])
@pytest.mark.parametrize("how", HOWS)
def test_other_targets_than_before_are_an_error(how, outputs):
    one, other = (np.tile(np.linspace(0, 1, 150)[:, None], n) for n in outputs)
    e = fitted(ours.MLPRegressor, y=one.squeeze(), warm_start=True)
    with pytest.raises(
        ValueError, match=f"y has {outputs[1]} outputs a sample, the network of coefs_ has {outputs[0]}"
    ):
        go_on(e, how, y=other.squeeze())


@pytest.mark.parametrize("solvers", [("sgd", "adam"), ("adam", "sgd")], ids=str)
@pytest.mark.parametrize("how", HOWS)
def test_another_solver_after_fitting_is_taken_as_theirs(how, solvers):
    pair = [fitted(p.MLPClassifier, solver=solvers[0], warm_start=True) for p in (theirs, ours)]
    assert_goes_on(*(go_on(e.set_params(solver=solvers[1]), how) for e in pair))


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("before", [{"solver": "lbfgs"}, {"early_stopping": False}, {"early_stopping": True}], ids=str)
def test_records_begin_where_another_solver_or_early_stopping_kept_none(before, early_stopping, how):
    e = fitted(warm_start=True, **before)
    start = e.coefs_[0].copy()
    go_on(e.set_params(solver="adam", early_stopping=early_stopping), how)
    assert not np.array_equal(start, e.coefs_[0])
    records = e.validation_scores_, e.validation_loss_curve_, e.loss_curve_
    assert all(np.isfinite(values).all() and len(values) for values in records[0 if early_stopping else 2 :])
    assert (e.best_validation_score_ if early_stopping else e.best_loss_) is not None


@pytest.mark.parametrize("first, then", [(None, "float32"), ("float32", "float64"), ("float32", None)])
@pytest.mark.parametrize("how", HOWS)
def test_another_dtype_after_fitting_is_that_of_weights_and_states(how, first, then):
    e = fitted(dtype=first, warm_start=True)
    go_on(e.set_params(dtype=then), how)
    expected = np.dtype(then or first)
    assert {a.dtype for a in weights(e)} == {e._optimizer.first.dtype, e._optimizer.second.dtype} == {expected}
    same = go_on(fitted(dtype="float64", warm_start=True), how)
    assert_goes_on(same, e, rtol=1e-4)


def test_states_of_another_dtype_than_the_weights_do_not_corrupt_memory():
    code = """
        import warnings
        import numpy as np
        from fastbp.sklearn import MLPClassifier
        warnings.simplefilter("ignore")
        x, y = np.random.default_rng(0).random((150, 4)), np.arange(150) % 3
        for first, then in ((None, "float32"), ("float32", None), ("float32", "float64")):
            e = MLPClassifier((300,), max_iter=3, random_state=0, dtype=first).fit(x, y)
            e.set_params(dtype=then, solver="lbfgs").fit(x, y)
            e.set_params(solver="adam").partial_fit(x, y)
            print(*{a.dtype.name for a in e.coefs_ + e.intercepts_})
        """
    assert isolated(code).split() == ["float32", "float64", "float64"]


def test_an_estimator_of_a_memory_map_that_is_only_read_trains_on(tmp_path):
    code = """
        import sys, warnings
        import joblib
        import numpy as np
        from fastbp.sklearn import MLPClassifier
        warnings.simplefilter("ignore")
        x, y = np.random.default_rng(0).random((150, 4)), np.arange(150) % 3
        for solver in "adam", "sgd":
            e = MLPClassifier((300,), max_iter=3, random_state=0, solver=solver).fit(x, y)
            joblib.dump(e, sys.argv[1])
            mapped = joblib.load(sys.argv[1], mmap_mode="r")
            assert isinstance(mapped.coefs_[0], np.memmap) and not mapped._optimizer.first.flags.writeable
            for e in e, mapped:
                print(solver, e.partial_fit(x, y).coefs_[0].sum(), e.partial_fit(x, y).loss_)
        """
    lines = isolated(code, tmp_path / "e").splitlines()
    assert lines[0] == lines[1] and lines[2] == lines[3]


@pytest.mark.slow
def test_workers_that_memory_map_what_they_get_train_on():
    e = fitted(hidden_layer_sizes=(20,))
    found = joblib.Parallel(n_jobs=2, max_nbytes=1)(joblib.delayed(go_on)(e) for _ in range(2))
    go_on(e)
    for other in found:
        assert_goes_on(e, other, rtol=0)
