"""``fastbp.sklearn`` among scikit-learn's tools: its checks and own tests, data of all kinds, copies, grids."""

import importlib.util
import pickle
from unittest.mock import patch

import numpy as np
import pytest

pytest.importorskip("sklearn")
import joblib
import sklearn.neural_network
from estimator_checks import passes
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastbp
from fastbp import sklearn as ours

MAKERS = {name: getattr(ours, name) for name in ("MLPClassifier", "MLPRegressor")}
estimators = pytest.mark.parametrize("name", MAKERS)
X, Y = load_iris(return_X_y=True)


def quick(name, **settings):
    return MAKERS[name](**{"hidden_layer_sizes": (8,), "solver": "lbfgs", "max_iter": 200, "tol": 1e-2} | settings)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([make() for make in MAKERS.values()])
def test_estimator_checks(estimator, check):
    passes(check, estimator)


def scikit_learns_tests():
    """The tests that scikit-learn has of its perceptrons, with ours in their place."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    module = importlib.util.module_from_spec(spec)
    with patch.multiple(sklearn.neural_network, **MAKERS):
        spec.loader.exec_module(module)
    left_out = {"test_gradient", "test_mlp_partial_fit_after_fit"}  # a private method; an error that is none any more
    tests = {name: test for name, test in vars(module).items() if name.startswith("test_") and name not in left_out}
    return {f"{name}_as_theirs": pytest.mark.filterwarnings("ignore")(test) for name, test in tests.items()}


globals().update(scikit_learns_tests())


@pytest.fixture
def global_random_seed():
    return 0


def same_predictions(a, b, x=X, other=None):
    np.testing.assert_array_equal(a.predict(x), b.predict(x if other is None else other))


@estimators
def test_a_clone_and_copies_by_pickle_and_joblib(name, tmp_path):
    e = quick(name, random_state=0, solver="adam", max_iter=20, tol=10, n_iter_no_change=3).fit(X, Y)
    joblib.dump(e, tmp_path / "e")
    copies = pickle.loads(pickle.dumps(e)), joblib.load(tmp_path / "e"), clone(e).fit(X, Y)
    for copy in copies:
        same_predictions(e, copy)
        copy.partial_fit(X, Y)
    e.partial_fit(X, Y)
    for copy in copies:
        same_predictions(e, copy)


@estimators
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_grid_search_in_two_workers_finds_what_one_finds(name, backend):
    grid = make_pipeline(StandardScaler(), quick(name, random_state=0))
    found = []
    for jobs in (1, 2):
        search = GridSearchCV(grid, {f"{name.lower()}__alpha": [1e-4, 10]}, cv=2, n_jobs=jobs)
        with joblib.parallel_backend(backend):
            found.append(search.fit(X, Y).cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*found)
    assert np.isfinite(found[0]).all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
@estimators
def test_frames(name, library):
    frames = pytest.importorskip(library)
    columns = ["a", "b", "c", "d"]
    frame = frames.DataFrame(dict(zip(columns, X.T, strict=True)))
    e = quick(name, random_state=0).fit(frame, frames.Series(Y))
    assert list(e.feature_names_in_) == columns
    same_predictions(e, quick(name, random_state=0).fit(X, Y), frame, X)
    pipeline = make_pipeline(StandardScaler(), quick(name)).set_output(transform=library)
    assert list(pipeline.fit(frame, Y)[-1].feature_names_in_) == columns
    with pytest.raises(ValueError, match="feature names"):
        e.predict(frame[columns[::-1]])


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@estimators
def test_sparse_samples(name, solver, form):
    x = np.where(np.random.default_rng(0).random((150, 40)) < 0.1, 1.5, 0)
    x[3] = 0
    settings = {"solver": solver, "random_state": 0, "batch_size": 40, "max_iter": 20, "tol": 1, "n_iter_no_change": 15}
    a, b = (quick(name, **settings).fit(samples, Y) for samples in (x, form(x)))
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    same_predictions(a, b, x, form(x))


@estimators
def test_samples_in_a_memory_map_that_is_only_read(name, tmp_path):
    joblib.dump((X, Y), tmp_path / "data")
    x, y = joblib.load(tmp_path / "data", mmap_mode="r")
    assert isinstance(x, np.memmap) and not x.flags.writeable
    same_predictions(quick(name, random_state=0).fit(x, y), quick(name, random_state=0).fit(X, Y), x, X)


@estimators
def test_samples_in_any_layout_give_the_same_bits(name):
    settings = {"random_state": 0, "solver": "adam", "max_iter": 5, "tol": 10, "n_iter_no_change": 3}
    a = quick(name, **settings).fit(X, Y)
    for x in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X[::-1][::-1], X.astype(">f8")):
        np.testing.assert_array_equal(a.coefs_[0], quick(name, **settings).fit(x, Y).coefs_[0])


@estimators
def test_cross_validation_scores_are_better_than_chance(name):
    scores = cross_val_score(make_pipeline(StandardScaler(), quick(name, random_state=0)), X, Y, cv=5)
    assert scores.mean() > (0.9 if name == "MLPClassifier" else 0)


def test_a_missing_scikit_learn_is_an_error_that_names_the_extra():
    spec = importlib.util.find_spec("fastbp.sklearn")
    with (
        patch.dict("sys.modules", sklearn=None),
        pytest.raises(ImportError, match=r"needs scikit-learn: pip install .*\[sklearn\]"),
    ):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@estimators
@pytest.mark.parametrize("units", [8, 100, 600])  # whole on one thread, in halves, product by product
def test_weights_are_the_same_bits_for_any_number_of_threads(name, units):
    before, fits = fastbp.get_num_threads(), []
    for n in (1, 3):
        fastbp.set_num_threads(n)
        settings = {"hidden_layer_sizes": (units, units), "random_state": 0, "solver": "adam", "max_iter": 3}
        fits.append(quick(name, **settings, tol=10, n_iter_no_change=1).fit(X, Y))
    fastbp.set_num_threads(before)
    for a, b in zip(fits[0].coefs_, fits[1].coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
