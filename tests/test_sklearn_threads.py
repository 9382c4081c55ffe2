"""``fastbp.sklearn`` estimators in several threads, and memory that vanishes: right numbers or an error, no crash."""

import pickle
import threading
import warnings

import numpy as np
import pytest
from isolation import isolated

pytest.importorskip("sklearn")
from sklearn.datasets import load_iris

from fastbp.sklearn import MLPClassifier, MLPRegressor
from fastbp.sklearn._steps import EstimatorSteps

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)


def weights(e):
    return [a.copy() for a in e.coefs_ + e.intercepts_]


@pytest.fixture
def between_steps(monkeypatch):
    """A function to set what is called once, when training has begun, in another thread."""
    run, todo = EstimatorSteps._run, []

    def noted(self, *arguments):
        if todo:
            thread = threading.Thread(target=todo.pop())
            thread.start()
            thread.join()
        return run(self, *arguments)

    monkeypatch.setattr(EstimatorSteps, "_run", noted)
    return todo.append


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("second", ["fit", "partial_fit"])
def test_an_estimator_in_training_is_not_trained_by_another_thread(between_steps, solver, second):
    settings = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0, "solver": solver}
    expected = weights(MLPClassifier(**settings).fit(X, Y))
    e, errors = MLPClassifier(**settings), []

    def train_too():
        try:
            MLPClassifier._fit(e, X, Y, incremental=second == "partial_fit")
        except RuntimeError as error:
            errors.append(str(error))

    between_steps(train_too)
    e.fit(X, Y)
    assert errors == [
        "this MLPClassifier is being trained by another call, perhaps in another thread: train a clone, or wait"
    ]
    for a, b in zip(expected, weights(e), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="NaN"):
        e.fit(np.full_like(X, np.nan), Y)
    e.fit(X, Y)  # nothing is left over, also of a call that failed


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weights_assigned_during_training_do_not_count(between_steps, early_stopping):
    settings = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0, "early_stopping": early_stopping}
    expected = MLPClassifier(**settings).fit(X, Y)
    e = MLPClassifier(**settings)

    def assign():
        e.predict(X)
        e.coefs_, e.intercepts_ = [np.ones((2, 2), np.float32)], [np.ones(7)]

    between_steps(assign)
    e.fit(X, Y)
    for a, b in zip(weights(expected), weights(e), strict=True):
        np.testing.assert_array_equal(a, b)
    assert e.validation_scores_ == expected.validation_scores_


def test_a_shape_or_type_set_during_training_does_not_count(monkeypatch):
    settings = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
    expected, x, y = MLPRegressor(**settings).fit(X, X[:, :2]), X.copy(), X[:, :2].copy()
    start, shapes = MLPRegressor._start, []

    def reshaping(self, *arguments, **named):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of setting them
            x.shape, y.shape = (100, 6), (75, 4)
            x.dtype = y.dtype = np.uint8
        shapes.append((x.shape, y.shape))
        return start(self, *arguments, **named)

    monkeypatch.setattr(MLPRegressor, "_start", reshaping)
    e = MLPRegressor(**settings).fit(x, y)
    assert shapes == [((100, 48), (75, 32))]
    for a, b in zip(weights(expected), weights(e), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_pickle_taken_during_training_is_one_of_an_estimator(between_steps):
    e, copies = MLPClassifier((8,), max_iter=5, random_state=0, solver="lbfgs"), []
    between_steps(lambda: copies.append(pickle.loads(pickle.dumps(e))))
    e.fit(X, Y)
    np.testing.assert_array_equal(copies[0].fit(X, Y).coefs_[0], e.coefs_[0])


STRESS = """
    import pickle, sys, threading, warnings
    import numpy as np
    from scipy import sparse
    from fastbp.sklearn import MLPClassifier
    warnings.simplefilter("ignore")
    calls, seed = int(sys.argv[1]), int(sys.argv[2])
    rng = np.random.default_rng(seed)
    x, y = rng.random((60, 4)), np.arange(60) % 3
    rows = sparse.csr_array(x)
    e = MLPClassifier((8,), max_iter=2, random_state=0).fit(x, y)

    def assign(r):
        n, dtype = int(r.integers(1, 40)), r.choice([np.float32, np.float64])
        e.coefs_, e.intercepts_ = [r.random((4, n)).astype(dtype), r.random((n, 3))], [r.random(n), r.random(3)]

    def assign_one(r):
        e.coefs_[int(r.integers(2))] = r.random(r.integers(1, 20, 2))

    def turn(r):
        e.coefs_[0] = e.coefs_[0].T

    def change(r):
        e.set_params(
            hidden_layer_sizes=(int(r.integers(1, 40)),) * int(r.integers(1, 3)),
            solver=str(r.choice(["adam", "sgd", "lbfgs"])), dtype=r.choice([None, "float32", "float64"]),
            early_stopping=bool(r.integers(2)), warm_start=bool(r.integers(2)), dropout=float(r.choice([0, 0.2])),
            batch_size=int(r.integers(1, 100)),
        )

    todo = [
        lambda r: e.fit(x, y), lambda r: e.fit(rows, y),
        lambda r: e.partial_fit(x, y), lambda r: e.partial_fit(rows, y),
        lambda r: e.predict_proba(x[: r.integers(1, 60)]), lambda r: e.predict(rows), lambda r: e.score(x, y),
        assign, assign_one, turn, change, lambda r: e.to_network().predict(x), lambda r: pickle.dumps(e),
    ]
    found, other = [0] * len(todo), []

    def work(n):
        r = np.random.default_rng([seed, n])
        for _ in range(calls):
            try:
                todo[n](r)
                found[n] += 1
            except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
                pass
            except BaseException as error:
                other.append(repr(error))

    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(todo))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not other, other
    assert all(np.isfinite(a).all() for a in e.coefs_)
    fresh = MLPClassifier((8,), max_iter=2, random_state=0)
    e.__init__(**fresh.get_params())
    np.testing.assert_array_equal(e.fit(x, y).coefs_[0], fresh.fit(x, y).coefs_[0])
    print(min(found))
    """


def test_every_method_against_every_other():
    isolated(STRESS, 40, 0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_every_method_against_every_other_for_long(seed):
    assert int(isolated(STRESS, 2000, seed, seconds=1800)) > 0


def test_a_child_forked_during_training_can_train():
    code = """
        import os, warnings
        import numpy as np
        from fastbp.sklearn import MLPClassifier
        from fastbp.sklearn._alone import alone
        warnings.simplefilter("ignore")
        x, y = np.random.default_rng(0).random((60, 4)), np.arange(60) % 3
        e = MLPClassifier((8,), max_iter=2)
        with alone(e):
            child = os.fork() if hasattr(os, "fork") else 0
            if child:
                print(os.waitpid(child, 0)[1])
            elif hasattr(os, "fork"):
                e.fit(x, y)
                os._exit(0)
        """
    assert isolated(code).strip() in ("0", "")


def test_shared_memory_cannot_be_closed_while_it_is_read():
    code = """
        import warnings
        from multiprocessing.shared_memory import SharedMemory
        import numpy as np
        from scipy import sparse
        from fastbp.sklearn import MLPRegressor
        from fastbp.sklearn._steps import EstimatorSteps
        warnings.simplefilter("ignore")
        rng = np.random.default_rng(0)
        x, y = rng.random((4000, 50)), rng.random(4000)
        rows = sparse.csr_array(x)
        run, tries, memory = EstimatorSteps._run, [], None

        def closing(self, *arguments):
            try:
                memory.close()
            except BufferError:
                tries.append("kept")
            else:
                tries.append("closed")
            return run(self, *arguments)

        EstimatorSteps._run = closing
        for solver in "adam", "lbfgs":
            for kind, values in {"dense": x, "targets": y, "sparse": rows.data}.items():
                memory = SharedMemory(create=True, size=values.nbytes)
                shared = np.ndarray(values.shape, buffer=memory.buf)
                shared[...] = values
                if kind == "sparse":
                    rows.data = shared
                data = {"dense": (shared, y), "targets": (x, shared), "sparse": (rows, y)}[kind]
                MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, random_state=0, solver=solver).fit(*data)
                memory.close()
                memory.unlink()
                print(solver, kind, *set(tries))
        """
    assert {line.split(maxsplit=2)[2] for line in isolated(code).splitlines()} == {"kept"}
