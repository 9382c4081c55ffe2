"""scikit-learn's multi-layer perceptrons and fastbp's, default settings: time to fit, and held-out score.

    python -m bench.bench_sklearn [--quick] [--only TEXT]

Each takes turns in a process of its own on the same cores, all of them. Beside the ratio stand the epochs and scores
of both, on a fifth of the samples that neither was trained on.
"""

import functools
import importlib
import warnings

import numpy as np
from sklearn.datasets import load_digits, make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import fastbp
from bench import runner

WIDTHS = (22, 9, 12, 12, 7, 9, 9, 9, 9)
SEED = 0


@functools.cache
def data(name: str) -> list[np.ndarray]:
    """Samples to train on and held out, and their targets."""
    if name == "digits":
        x, y = load_digits(return_X_y=True)
    elif name == "synthetic classes":
        x, y = make_classification(25_000, 20, n_informative=10, random_state=SEED)
    else:
        x, y = make_regression(25_000, 20, noise=10.0, random_state=SEED)
        y = (y - y.mean()) / y.std()
    return train_test_split(x, y, test_size=0.2, random_state=SEED)


def fitted(package: str, name: str, dtype: str):
    """The estimator of ``package`` trained on ``data(name)`` with default settings."""
    x, _, y, _ = data(name)
    module = importlib.import_module(package)
    make = module.MLPRegressor if name == "synthetic numbers" else module.MLPClassifier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make(random_state=SEED).fit(x.astype(dtype), y)


def their_fit(*arguments):
    return functools.partial(fitted, "sklearn.neural_network", *arguments)


def our_fit(*arguments):
    return functools.partial(fitted, "fastbp.sklearn", *arguments)


def main() -> None:
    options = runner.options(__doc__.splitlines()[0])
    cores = fastbp.get_num_threads()
    print(f"seconds a fit, {cores} threads; epochs, and accuracy or R2 of what is held out")
    runner.print_row(
        "data", "type", "scikit-learn", "fastbp", "ratio", "epochs", "epochs", "score", "score", widths=WIDTHS
    )
    for name in ("digits", "synthetic classes", "synthetic numbers"):
        for dtype in ("float64", "float32"):
            if options.only not in f"{name} {dtype}":
                continue
            turns = 3 if options.quick or name != "digits" else 9
            theirs, ours = runner.processes_in_turns(
                [their_fit, our_fit], name, dtype, cores=cores, turns=turns, least=0
            )
            _, x, _, y = data(name)
            models = [make(name, dtype)() for make in (their_fit, our_fit)]
            scores = [f"{model.score(x.astype(dtype), y):.4f}" for model in models]
            runner.print_row(
                name,
                dtype,
                *(f"{timing.median:.3f}" for timing in (theirs, ours)),
                f"{theirs.ratio_to(ours):.2f}",
                *(model.n_iter_ for model in models),
                *scores,
                widths=WIDTHS,
            )


if __name__ == "__main__":
    main()
