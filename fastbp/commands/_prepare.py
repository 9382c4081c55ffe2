"""Samples made ready for training: split, standardised, encoded."""

import argparse
from dataclasses import dataclass

import numpy as np

from fastbp.commands import CommandError
from fastbp.commands._data import Samples, targets_of
from fastbp.commands._features import ArrayFeatures, Features, TableFeatures, inputs_of
from fastbp.commands._model import Model
from fastbp.commands._targets import Targets, learn_targets

VALIDATION = 0.2  # of a file's samples


@dataclass
class Prepared:
    """What ``fit`` takes: inputs (N, I), targets, weights (N,) or None; ``held`` are the samples kept for testing."""

    x: np.ndarray
    t: np.ndarray
    weights: np.ndarray | None
    held: tuple[np.ndarray, np.ndarray] | None


def prepare(options: argparse.Namespace, train: Samples, test: Samples | None) -> tuple[Prepared, Features, Targets]:
    """Learn from the training part how samples and targets are encoded, and encode all."""
    rows, _ = _split(options, train, test)
    targets = learn_targets(train.target, targets_of(train), rows, options.loss)
    features: Features
    if isinstance(train.x, np.ndarray):
        for name in ("drop", "categorical", "fill_missing"):
            if getattr(options, name):
                raise CommandError(f"--{name.replace('_', '-')} goes with a table, not with arrays", 2)
        scale = options.scale if options.scale is not None else train.scale
        features = ArrayFeatures.learn(train.x, rows, standardize=not options.no_standardize, scale=scale)
    else:
        if options.scale is not None:
            raise CommandError("--scale goes with arrays, not with a table", 2)
        for name in (*options.drop, *options.categorical):
            if name not in train.x.names:
                raise CommandError(f"there is no column {name!r}, only {', '.join(train.x.names):.300}", 2)
        features = TableFeatures.learn(
            train.x,
            rows,
            without={train.target, options.sample_weight, *options.drop},
            categorical=options.categorical,
            standardize=not options.no_standardize,
            fill=options.fill_missing,
        )
    return _encoded(options, train, test, features, targets), features, targets


def prepare_as(model: Model, options: argparse.Namespace, train: Samples, test: Samples | None) -> Prepared:
    """Encode samples as those were that ``model`` was trained on."""
    return _encoded(options, train, test, model.features, model.targets)


def _encoded(
    options: argparse.Namespace, train: Samples, test: Samples | None, features: Features, targets: Targets
) -> Prepared:
    x = inputs_of(features, train.x, options.dtype)
    t = targets.encode(targets_of(train))
    weights = train.weights
    rows, held_rows = _split(options, train, test)
    held = None
    if test is not None:
        held = inputs_of(features, test.x, options.dtype), targets.encode(targets_of(test))
    elif len(held_rows):
        held = x[held_rows], t[held_rows]
        x, t = x[rows], t[rows]
        weights = None if weights is None else weights[rows]
    return Prepared(x, t, weights, held)


def _split(options: argparse.Namespace, train: Samples, test: Samples | None) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and those to keep for testing, each in their order; drawn with --seed."""
    n = len(train)
    if test is not None:
        if options.validation is not None:
            raise CommandError(f"--validation does not go with {options.data}, which has a test part", 2)
        return np.arange(n), np.arange(0)
    share = VALIDATION if options.validation is None else options.validation
    kept = min(n - 1, round(share * n))
    order = np.random.default_rng(options.seed).permutation(n)
    return np.sort(order[kept:]), np.sort(order[:kept])
