"""scikit-learn's multi-layer perceptrons and fastbp's, default settings: time to fit, and score of held-out samples.

scikit-learn's takes the part of the reference; both draw the same first weights and mini-batches. Rows of "table" have
beside them what else people fit tables with: gradient-boosted trees, default settings too.
"""

import importlib
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .row import Expected, Row, Work, rows
from .servers import all_cores

SEED = 0
APART = 0.01  # of two scores
BY_OTHER_WAYS = 0.1  # of scores of estimators of another kind


@cache
def data(name: str) -> list[np.ndarray]:
    """Samples to train on and a fifth held out, and their targets."""
    from sklearn.datasets import load_digits, make_classification, make_regression
    from sklearn.model_selection import train_test_split

    if name == "digits":
        x, y = load_digits(return_X_y=True)
    elif name == "20,000 classes":
        x, y = make_classification(25_000, 20, n_informative=10, random_state=SEED)
    else:
        x, y = make_regression(25_000, 20, noise=10.0, random_state=SEED)
        y = (y - y.mean()) / y.std()
    return train_test_split(x, y, test_size=0.2, random_state=SEED)


def fit_of(package: str, name: str, dtype: str) -> Work:
    """The perceptron of a package."""
    module = importlib.import_module(package)
    make = module.MLPRegressor if name == "20,000 numbers" else module.MLPClassifier
    return fit(lambda: make(random_state=SEED), name, dtype)


def fit(make: Callable[[], Any], name: str, dtype: str) -> Work:
    """Fit a new estimator; its score of held-out samples is the answer."""
    from sklearn.exceptions import ConvergenceWarning

    x, held_out, y, targets = data(name)
    x, held_out = x.astype(dtype), held_out.astype(dtype)
    models: list = []

    def train() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            models[:] = [make().fit(x, y)]

    def score() -> float:
        return float(models[0].score(held_out, targets))

    def facts() -> dict[str, object]:
        return {"score": score(), "epochs": getattr(models[0], "n_iter_", "")}

    return Work(train, lambda: [np.array(score())], facts=facts)


@cache
def expected(name: str, dtype: str) -> Expected:
    """scikit-learn's score."""
    work = fit_of("sklearn.neural_network", name, dtype)
    work.call()
    return [(work.answer()[0], 1.0)]


ROWS = [
    Row(
        "estimator",
        name,
        (name, dtype),
        dtype=dtype,
        threads=all_cores(),
        tolerance=APART / float(np.finfo(dtype).eps),
        quick=name == "digits" and dtype == "float64",
        turns=2,
    )
    for name in ("digits", "20,000 classes", "20,000 numbers")
    for dtype in ("float64", "float32")
]


@rows(ROWS, "estimator")
def bench_sklearn(measure, row, provider):
    measure(expected)


@rows(
    [
        Row(
            "table",
            name,
            (name, "float32"),
            threads=all_cores(),
            tolerance=BY_OTHER_WAYS / float(np.finfo(np.float32).eps),
            quick=False,
            turns=2,
        )
        for name in ("digits", "20,000 classes")
    ],
    "table",
)
def bench_table(measure, row, provider):
    measure(expected)
