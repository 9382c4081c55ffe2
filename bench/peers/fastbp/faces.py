"""What users call beside networks of their own: single layers, networks of images, the book, the estimators."""

from typing import Any

import fastbp

from ...bench_book_networks import steps as steps_of_the_book
from ...bench_convolution import RATES, both_passes, network, passing, rule
from ...bench_layers import prepared
from ...bench_search import GRID, SETTINGS
from ...bench_search import search as search_of
from ...bench_sklearn import fit_of
from ...row import Work
from .forms import COMPILED


@COMPILED.does("layer", "call")
def layer(*arguments: Any) -> Work:
    call = prepared(fastbp, *arguments)
    return Work(call, call)


@COMPILED.does("layer both ways")
def both_ways(name: str, shape: tuple[int, ...]) -> Work:
    call = both_passes(fastbp, name, passing(shape))
    return Work(call, call)


@COMPILED.does("convolutional step")
def convolutional_step(name: str) -> Work:
    """Calls of ``net.step``."""
    net, x, t = network(name)
    kind = {"sgd": fastbp.optimizers.SGD, "adam": fastbp.optimizers.Adam}[rule(name)]
    optimizer = kind(RATES[rule(name)])
    return Work(lambda: net.step(x, t, optimizer), lambda: [*net.params.values()])


@COMPILED.does("book step")
def book_step(name: str, dtype: str) -> Work:
    """Of ``fastbp.book``, as its scripts are."""
    return steps_of_the_book(fastbp.book, name, dtype)


@COMPILED.does("estimator", "table")
def estimator(name: str, dtype: str) -> Work:
    """The estimators of ``fastbp.sklearn``."""
    return fit_of("fastbp.sklearn", name, dtype)


@COMPILED.does("search")
def search(dtype: str, jobs: int) -> Work:
    """``MLPSearchCV`` on as many threads."""
    from fastbp.sklearn import MLPClassifier, MLPSearchCV

    return search_of(lambda: MLPSearchCV(MLPClassifier(**SETTINGS), GRID, threads=jobs, refit=False), dtype)
