"""A search over multi-layer perceptrons, digits: 12 candidates on 5 folds by ``fit`` of each package's own search.

scikit-learn's GridSearchCV over its own estimator takes the part of the reference, in as many processes as the row has
threads; fastbp's is ``MLPSearchCV``. Both draw the same first weights and mini-batches, so that their scores differ by
what rounding makes of a few predictions.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from .row import Expected, Row, Work, rows
from .servers import all_cores

GRID = {
    "alpha": [1e-4, 1e-2, 1.0],
    "hidden_layer_sizes": [(50,), (100,)],
    "learning_rate_init": [1e-3, 1e-2],
}
SETTINGS: dict[str, Any] = {"random_state": 0, "max_iter": 30, "tol": 0.0}  # all train as long
IDLE = 30  # seconds after which joblib's processes end
APART = 0.01  # of two mean scores


@cache
def data(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples and classes of the digits that scikit-learn has."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x.astype(dtype), y


def search(make: Callable[[], Any], dtype: str) -> Work:
    """Fit a new search without its last fit; the mean score of each candidate is the answer."""
    x, y = data(dtype)
    found: list = []

    def call() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[:] = [make().fit(x, y)]

    def scores() -> np.ndarray:
        return found[0].cv_results_["mean_test_score"]

    return Work(call, lambda: [scores()], facts=lambda: {"best score": float(scores().max())})


def theirs(dtype: str, jobs: int) -> Work:
    """scikit-learn's search over its own estimator in ``jobs`` processes, each of one thread as joblib would have it.

    It would not where the environment says how many, as it does in a server. The processes end with the row, or soon.
    """
    from joblib import parallel_config
    from joblib.externals.loky import get_reusable_executor
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    work = search(lambda: GridSearchCV(MLPClassifier(**SETTINGS), GRID, n_jobs=jobs, refit=False), dtype)

    def call() -> None:
        with parallel_config("loky", inner_max_num_threads=1, idle_worker_timeout=IDLE):
            work.call()

    def facts() -> Mapping[str, object]:
        get_reusable_executor().shutdown()
        return work.facts()

    return Work(call, work.answer, facts=facts)


@cache
def expected(dtype: str, jobs: int) -> Expected:
    """scikit-learn's scores."""
    work = theirs(dtype, jobs)
    work.call()
    work.facts()
    return [(work.answer()[0], 1.0)]


ROWS = [
    Row(
        "search",
        "digits, 12 candidates x 5 folds",
        (dtype, all_cores()),
        dtype=dtype,
        threads=all_cores(),
        tolerance=APART / float(np.finfo(dtype).eps),
        quick=False,
        turns=1,
    )
    for dtype in ("float64", "float32")
]


@rows(ROWS, "search")
def bench_search(measure, row, provider):
    measure(expected)
