"""scikit-learn's multi-layer perceptrons and fastbp's, default settings: time to fit, and score of held-out samples.

scikit-learn's takes the part of the reference; both draw the same first weights and mini-batches.
"""

import importlib
import warnings
from functools import cache

import numpy as np

from .row import Expected, Row, Work, rows
from .servers import all_cores

SEED = 0
APART = 0.01  # of two scores


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
    from sklearn.exceptions import ConvergenceWarning

    x, held_out, y, targets = data(name)
    x, held_out = x.astype(dtype), held_out.astype(dtype)
    module = importlib.import_module(package)
    make = module.MLPRegressor if name == "20,000 numbers" else module.MLPClassifier
    models: list = []

    def train() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            models[:] = [make(random_state=SEED).fit(x, y)]

    def score() -> float:
        return float(models[0].score(held_out, targets))

    return Work(train, lambda: [np.array(score())], facts=lambda: {"score": score(), "epochs": models[0].n_iter_})


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
