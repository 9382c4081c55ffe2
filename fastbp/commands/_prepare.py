"""Samples made ready for training: split, standardised, encoded."""

import argparse
from dataclasses import dataclass

import numpy as np

from fastbp.commands import CommandError
from fastbp.commands._data import Samples, targets_of
from fastbp.commands._errors import DataError, no_such
from fastbp.commands._features import ArrayFeatures, Features, TableFeatures, inputs_of
from fastbp.commands._model import Model
from fastbp.commands._targets import Classes, Targets, learn_targets

VALIDATION = 0.2  # of a file's samples
BALANCED = ["balanced"]  # of --class-weight


@dataclass
class Prepared:
    """What ``fit`` takes: inputs (N, I), targets, weights (N,) or None; ``held`` are the samples for validation."""

    x: np.ndarray
    t: np.ndarray
    weights: np.ndarray | None
    held: tuple[np.ndarray, np.ndarray] | None


def prepare(options: argparse.Namespace, train: Samples, test: Samples | None) -> tuple[Prepared, Features, Targets]:
    """Learn from the training part how samples and targets are encoded, and encode all."""
    loss = options.loss
    if loss is None and train.target in options.categorical:
        loss = "softmax"
    entries = targets_of(train)
    try:
        targets = learn_targets(train.target, entries, np.arange(len(train)), loss, train.rows)
        rows, _ = _split(options, train, test, targets)
        if not isinstance(targets, Classes):  # numbers are standardised by those to train on, which are known now
            targets = learn_targets(train.target, entries, rows, loss, train.rows)
    except DataError as error:
        raise CommandError(str(error), 2 if options.loss else 1) from None
    features: Features
    if isinstance(train.x, np.ndarray):
        for name in ("drop", "categorical", "fill_missing", "missing", "dates"):
            if getattr(options, name):
                raise CommandError(f"--{name.replace('_', '-')} goes with a table, not with arrays", 2)
        scale = options.scale if options.scale is not None else train.scale
        features = ArrayFeatures.learn(train.x, rows, standardize=not options.no_standardize, scale=scale)
    else:
        if options.scale is not None:
            raise CommandError("--scale goes with arrays, not with a table", 2)
        for name in (*options.drop, *options.categorical):
            if name not in train.x.names:
                raise CommandError(no_such("column", name, train.x.names), 2)
        features = TableFeatures.learn(
            train.x,
            rows,
            without={train.target, options.sample_weight, *options.drop},
            categorical=options.categorical,
            standardize=not options.no_standardize,
            fill=options.fill_missing,
            missing=options.missing,
            dates=options.dates,
        )
    return _encoded(options, train, test, features, targets), features, targets


def prepare_as(model: Model, options: argparse.Namespace, train: Samples, test: Samples | None) -> Prepared:
    """Encode samples as those were that ``model`` was trained on."""
    return _encoded(options, train, test, model.features, model.targets)


def _encoded(
    options: argparse.Namespace, train: Samples, test: Samples | None, features: Features, targets: Targets
) -> Prepared:
    x = inputs_of(features, train.x, options.dtype)
    t = targets.encode(targets_of(train), train.rows)
    weights = train.weights
    rows, held_rows = _split(options, train, test, targets)
    held = None
    if test is not None:
        held = inputs_of(features, test.x, options.dtype), targets.encode(targets_of(test), test.rows)
    elif len(held_rows):
        held = x[held_rows], t[held_rows]
        x, t = x[rows], t[rows]
        weights = None if weights is None else weights[rows]
    if options.class_weight:
        weights = _with_class_weights(options, targets, t, weights)
    return Prepared(x, t, weights, held)


def _split(
    options: argparse.Namespace, train: Samples, test: Samples | None, targets: Targets
) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and those for validation, each in order; drawn with --seed, of each class its share."""
    n = len(train)
    if test is not None:
        if options.validation is not None:
            raise CommandError(f"--validation does not go with {options.data}, which has a test part", 2)
        return np.arange(n), np.arange(0)
    share = VALIDATION if options.validation is None else options.validation
    kept = min(n - 1, round(share * n))
    order = np.random.default_rng(options.seed).permutation(n)
    if isinstance(targets, Classes):
        order, kept = _stratified(order, targets.encode(targets_of(train), train.rows), kept)
    return np.sort(order[kept:]), np.sort(order[:kept])


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
    options: argparse.Namespace, targets: Targets, classes: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """The samples' weights times those of their classes; balanced ones give each class the same weight in all."""
    if not isinstance(targets, Classes):
        raise CommandError("--class-weight goes with classes, and the target is numbers", 2)
    of_class = np.ones(len(targets.values))
    if options.class_weight == BALANCED:
        counts = np.bincount(classes, minlength=len(of_class))
        of_class = len(classes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    elif BALANCED[0] in options.class_weight:
        raise CommandError("--class-weight is balanced or CLASS=X, not both", 2)
    else:
        for name, weight in options.class_weight:
            if weight < 0:
                raise CommandError(f"--class-weight {name}={weight:g} is below 0", 2)
            try:
                of_class[targets.number_of(name)] = weight
            except DataError as error:
                raise CommandError(str(error), 2) from None
    return of_class[classes] * (1.0 if weights is None else weights)
