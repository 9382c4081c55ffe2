"""Samples made ready for training: split, standardised, encoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fastbp.tables._errors import DataError, SettingError, Settings, no_such
from fastbp.tables._features import ArrayFeatures, Features, TableFeatures, inputs_of
from fastbp.tables._frames import Table
from fastbp.tables._samples import Samples
from fastbp.tables._targets import Classes, Targets, learn_targets

VALIDATION = 0.2  # of the samples
BALANCED = "balanced"
OF_TABLES = ("drop", "categorical", "fill_missing", "missing", "dates")


@dataclass(frozen=True)
class Preparation:
    """What is asked of the way from samples to what a network is trained on.

    Attributes
    ----------
    loss : which says whether targets are classes or numbers; None goes by how they look
    drop, categorical : columns that are left out, and columns of numbers that are categories
    missing : words that stand for no entry
    dates : whether columns of dates are taken
    fill_missing : whether a missing number is the mean, a missing category none
    standardize : whether numbers are
    scale : times the elements of an array
    class_weight : "balanced", or a number by the class's name
    validation : the share of the samples that is kept apart
    fold : k and n, for the k-th of n parts to be kept apart instead
    seed : of which samples these are
    """

    loss: str | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dates: bool = False
    fill_missing: bool = False
    standardize: bool = True
    scale: float | None = None
    class_weight: str | Mapping[str, float] | None = None
    validation: float | None = None
    seed: int = 0
    fold: tuple[int, int] | None = None


@dataclass
class Prepared:
    """What ``fit`` takes: inputs (N, I), targets, weights (N,) or None; ``held`` are the samples for validation."""

    x: np.ndarray
    t: np.ndarray
    weights: np.ndarray | None
    held: tuple[np.ndarray, np.ndarray] | None


def learn(asked: Preparation, train: Samples, test: Samples | None) -> tuple[Features, Targets]:
    """How samples and targets are encoded, learnt from the samples to train on. ``test`` is for validation if given."""
    loss = "softmax" if asked.loss is None and train.target in asked.categorical else asked.loss
    try:
        targets = learn_targets(train.target, train.targets, np.arange(len(train)), loss, train.rows)
        rows, _ = _split(asked, train, test, targets)
        if not isinstance(targets, Classes):  # numbers are standardised by those to train on, which are known now
            targets = learn_targets(train.target, train.targets, rows, loss, train.rows)
    except DataError as error:
        raise (error if asked.loss is None else SettingError(*error.args)) from None
    if isinstance(train.x, Table):
        return _table_features(asked, train, train.x, rows), targets
    for name in OF_TABLES:
        if getattr(asked, name):
            raise SettingError(Settings(**{name: None}), " goes with a table, not with arrays")
    scale = train.scale if asked.scale is None else asked.scale
    return ArrayFeatures.learn(train.x, rows, standardize=asked.standardize, scale=scale), targets


def _table_features(asked: Preparation, train: Samples, table: Table, rows: np.ndarray) -> TableFeatures:
    if asked.scale is not None:
        raise SettingError(Settings(scale=None), " goes with arrays, not with a table")
    for name in (*asked.drop, *asked.categorical):
        if name not in table.names:
            raise SettingError(no_such("column", name, table.names))
    return TableFeatures.learn(
        table,
        rows,
        without={train.target, train.weight or train.target, *asked.drop},
        categorical=asked.categorical,
        standardize=asked.standardize,
        fill=asked.fill_missing,
        missing=asked.missing,
        dates=asked.dates,
    )


def prepare(
    asked: Preparation,
    train: Samples,
    test: Samples | None,
    features: Features,
    targets: Targets,
    dtype: str,
    tell: Callable[[str], object],
) -> Prepared:
    """Samples and targets, encoded and split. ``tell`` is called with what has to be known of them."""
    x = inputs_of(features, train.x, dtype, tell)
    t = targets.encode(train.targets, train.rows)
    weights = train.weights
    rows, held_rows = _split(asked, train, test, targets)
    held = None
    if test is not None:
        held = inputs_of(features, test.x, dtype, tell), targets.encode(test.targets, test.rows)
    elif len(held_rows):
        held = x[held_rows], t[held_rows]
        x, t = x[rows], t[rows]
        weights = None if weights is None else weights[rows]
    if asked.class_weight:
        weights = _with_class_weights(asked.class_weight, targets, t, weights)
    return Prepared(x, t, weights, held)


def _split(asked: Preparation, train: Samples, test: Samples | None, targets: Targets) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and those for validation, each in order; drawn with the seed, of each class its share."""
    n = len(train)
    if test is not None:
        return np.arange(n), np.arange(0)
    if asked.fold is not None:
        return _fold(asked, n, targets.encode(train.targets, train.rows) if isinstance(targets, Classes) else None)
    share = VALIDATION if asked.validation is None else asked.validation
    kept = min(n - 1, round(share * n))
    order = np.random.default_rng(asked.seed).permutation(n)
    if isinstance(targets, Classes):
        order, kept = _stratified(order, targets.encode(train.targets, train.rows), kept)
    return np.sort(order[kept:]), np.sort(order[:kept])


def _fold(asked: Preparation, n: int, classes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """As ``_split``, for one of several parts that hold each row once, and of each class about as many."""
    assert asked.fold is not None
    k, n_folds = asked.fold
    order = np.random.default_rng(asked.seed).permutation(n)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    part = np.empty(n, np.intp)
    part[order] = np.arange(n) % n_folds
    return np.flatnonzero(part != k), np.flatnonzero(part == k)


def _stratified(order: np.ndarray, classes: np.ndarray, kept: int) -> tuple[np.ndarray, int]:
    """``order`` with as many rows of each class among its first ``kept`` as is its share, and how many these are.

    What is left of whole rows goes to the classes with the largest remainders. The last row of a class is not kept.
    """
    counts = np.bincount(classes)
    shares = counts * kept / len(order)
    quota = np.floor(shares).astype(int)
    quota[np.argsort(quota - shares, kind="stable")[: kept - quota.sum()]] += 1
    quota = np.minimum(quota, np.maximum(counts - 1, 0))
    places = [order[classes[order] == k] for k in range(len(counts))]
    first = [rows[:q] for rows, q in zip(places, quota, strict=True)]
    rest = [rows[q:] for rows, q in zip(places, quota, strict=True)]
    return np.concatenate([*first, *rest]), int(quota.sum())


def _with_class_weights(
    asked: str | Mapping[str, float], targets: Targets, classes: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """The samples' weights times those of their classes; balanced ones give each class the same weight in all."""
    if not isinstance(targets, Classes):
        raise SettingError(Settings(class_weight=None), " goes with classes, and the target is numbers")
    of_class = np.ones(len(targets.values))
    if isinstance(asked, str):
        counts = np.bincount(classes, minlength=len(of_class))
        of_class = len(classes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    else:
        for name, weight in asked.items():
            if weight < 0:
                raise SettingError(Settings(class_weight={name: weight}), " is below 0")
            try:
                of_class[targets.number_of(name)] = weight
            except DataError as error:
                raise SettingError(*error.args) from None
    return of_class[classes] * (1.0 if weights is None else weights)
