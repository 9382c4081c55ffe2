"""Try many settings of a network side by side, rank them, and train the best on all data.

A file says what to try: options as ``fastbp train --config`` takes them, which are the same for all, and a table
[search] with a list of values or a range for each option that is searched. Without --n-iter, all combinations are
tried.

Each candidate is measured on samples that it has not seen: with --cv on each of so many folds in turn, else on the
share that --validation says. How columns are taken and standardised is learnt anew without them. The test part of a
data set is not touched.

With --patience, a candidate stops by its loss on these samples and is measured as it was at its best; the best
candidate is then trained on all data for as many epochs as that took it, on the mean of the folds.
"""

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastbp.basics._progress import silence
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._candidates import TABLE, candidates_of
from fastbp.commands._data import add_data_options, read_samples
from fastbp.commands._network import (
    add_network_options,
    batch_size,
    complete,
    fit_settings,
    new_network,
    settings_of_all,
)
from fastbp.commands._preparation import PreparationOptions, add_preparation_options
from fastbp.commands._report import in_columns, tell
from fastbp.commands._words import in_a_line
from fastbp.files._files import write_whole
from fastbp.files.json_file import write_json
from fastbp.tables._errors import DataError
from fastbp.tables._model import Model
from fastbp.tables._prepare import Preparation, Prepared, learn, prepare
from fastbp.tables._samples import Samples
from fastbp.tables._targets import Classes
from fastbp.training._data import steps_in
from fastbp.training.fit_many import DEFAULTS, KEEP, fit_named

EXAMPLES = """\
examples:
  fastbp search --config search.toml
  fastbp search --config search.toml --n-iter 30 --cv 5 --results all.csv --save best.safetensors
"""
TABLES = (TABLE,)  # of the file, which are no options
OF_CLASSES, OF_NUMBERS = ("accuracy", "loss"), ("rmse", "mae", "r2", "loss")
RISING = ("accuracy", "r2")  # the more, the better
FIGURES = "mean", "spread", "best_epoch"  # of a candidate, over the folds; the last with --patience
SHOWN = 20  # candidates of many


@dataclass(frozen=True, kw_only=True)
class Options(PreparationOptions):
    """What all candidates have in common, how they are measured, and what is written."""

    config: str | None
    n_iter: int | None
    cv: int | None
    metric: str | None
    results: str | None
    save: str | None
    no_progress: bool
    given: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Options":
        """As for other commands; what depends on options that are searched is still open."""
        return super().of({**values, "given": dict(values)})

    def candidate(self, values: Mapping[str, Any]) -> "Options":
        """These options with those of a candidate, and nothing open."""
        return Options.of(complete({**self.given, **values}))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The file of what to try, then how and what for, then what ``train`` takes."""
    parser.usage = "%(prog)s --config FILE [options]"
    add = parser.add_argument
    add("--config", metavar="FILE", help="what to try, in TOML; options given here win")
    add("--n-iter", metavar="N", type=types.count, help="try N candidates, drawn with --seed (default: all there are)")
    add("--cv", metavar="N", type=types.count, help="measure on N folds in turn, at least 2 (default: --validation)")
    metric = f"by which candidates are ranked: {', '.join(OF_CLASSES)} of classes, {', '.join(OF_NUMBERS)} of numbers"
    add("--metric", choices=(*OF_CLASSES[:1], *OF_NUMBERS), help=f"{metric} (default: the first)")
    add("--results", metavar="FILE", type=types.output, help="write all candidates there, .csv or .json")
    add("--save", metavar="FILE", type=types.output, help="train the best on all data, and write the model there")
    add("--no-progress", action="store_true", help="no progress bar on a terminal")
    add_data_options(parser, default="digits")
    add_preparation_options(parser)
    add_network_options(parser)


def run(options: Options) -> None:
    """Try all candidates, tell their ranks, and write the files that are asked for."""
    _check(options)
    if options.config is None:
        raise CommandError(f"a search needs --config FILE, whose table [{TABLE}] says what to try", 2)
    candidates = candidates_of(options.config, options.n_iter, options.seed)
    _check_once(options, candidates[0])
    settings = []
    for k, values in enumerate(candidates, 1):
        try:
            settings.append(options.candidate(values))
        except CommandError as error:
            raise CommandError(f"{options.config}: candidate {k}, {_words(values)}: {error}", 2) from None
    train, _ = read_samples(options, weight=options.sample_weight, missing=options.missing)
    n_folds = options.cv or 1
    if n_folds > len(train):
        raise CommandError(f"--cv must be at most {len(train)}, the samples, got {n_folds}", 2)
    asked = [options.preparation()]
    if options.cv:
        asked = [replace(asked[0], fold=(k, n_folds)) for k in range(n_folds)]
    metric = _metric(options, learn(asked[0], train, None)[1])
    on = f"{n_folds} folds" if options.cv else "samples kept apart"
    print(f"{len(candidates)} candidates on {on}, ranked by {metric}", flush=True)
    scores, epochs = np.full((2, len(candidates), n_folds), np.nan)
    for k, preparation in enumerate(asked):
        scores[:, k], epochs[:, k] = zip(*_measured_on_fold(settings, preparation, train, metric), strict=True)
        if options.cv:
            best = _best(scores[:, k], metric)
            print(f"fold {k + 1}/{n_folds}  best {metric} {best:.4g}", flush=True)
    ranked = _ranked(candidates, scores, epochs if options.patience else None, metric)
    print(_table(ranked, metric, many=n_folds > 1))
    if options.results:
        _write(options.results, ranked, metric)
    best_of_all = ranked[0]
    if np.isnan(best_of_all["mean"]):
        raise CommandError("all candidates have come to numbers that are not finite: try lower learning rates")
    if options.save:
        best_epochs = round(best_of_all["best_epoch"]) if options.patience else None
        _save(settings[best_of_all["candidate"] - 1], best_epochs, train, options.save)
        as_one = f"as candidate {best_of_all['candidate']}" + (f", {best_epochs} epochs" if best_epochs else "")
        print(f"trained on all {len(train)} samples {as_one}: {in_a_line(options.save)}")


def _check(options: Options) -> None:
    """CommandError for options that do not go together."""
    if options.cv == 1:
        raise CommandError("--cv must be at least 2 folds, got 1", 2)
    if options.cv and options.validation is not None:
        raise CommandError("--validation does not go with --cv, whose folds are kept apart in turn", 2)
    if options.validation == 0:
        raise CommandError("--validation 0 leaves no samples to measure candidates with", 2)
    if options.results and not options.results.endswith((".csv", ".json")):
        raise CommandError(f"--results must end in .csv or .json, got {options.results!r}", 2)


def _check_once(options: Options, values: Mapping[str, Any]) -> None:
    """CommandError for an option that has a value for all candidates beside those that are searched."""
    parser = types.Parser("fastbp search")
    add_network_options(parser)
    for name in values:
        if options.given[name] != parser.get_default(name):
            word = name.replace("_", "-")
            raise CommandError(f"--{word} has a value beside those of {TABLE}.{word} in {options.config}", 2)


def _metric(options: Options, targets: Any) -> str:
    """By what candidates are ranked."""
    known, what = (OF_CLASSES, "classes") if isinstance(targets, Classes) else (OF_NUMBERS, "numbers")
    if options.metric is None:
        return known[0]
    if options.metric not in known:
        raise CommandError(f"--metric {options.metric} does not go with {what}: it is one of {', '.join(known)}", 2)
    return options.metric


def _prepare(options: Options, asked: Preparation, train: Samples) -> tuple[Prepared, Any, Any]:
    features, targets = learn(asked, train, None)
    return prepare(asked, train, None, features, targets, options.dtype, tell), features, targets


def _measured_on_fold(
    settings: Sequence[Options], asked: Preparation, train: Samples, metric: str
) -> list[tuple[float, float]]:
    """How good each candidate is on the samples that are kept apart, and after how many epochs.

    NaN for one that comes to no finite numbers.
    """
    first = settings[0]
    data, features, targets = _prepare(first, asked, train)
    if data.held is None:
        raise CommandError(f"{len(train)} samples are too few to keep some apart, to measure candidates with", 2)
    models = [Model(new_network(own, features.n_inputs, targets), features, targets) for own in settings]
    given: dict[str, Any] = {
        "sample_weight": data.weights,
        "optimizers": [fit_settings(own)["optimizer"] for own in settings],
        "epochs": [own.epochs for own in settings],
        "batch_sizes": [batch_size(own, len(data.x)) for own in settings],
        "seeds": first.seed,
        "validation_data": data.held if first.patience else None,
        "errors": KEEP,
        **settings_of_all(first),
    }
    with silence(sys.stderr is None or first.no_progress):
        try:
            nets = [model.net for model in models]
            outcomes = fit_named(nets, lambda k: f"candidate {k + 1}", data.x, data.t, **DEFAULTS | given)
        except (ValueError, TypeError) as error:  # settings that do not go together, as fit tells them
            raise CommandError(str(error), 2) from None
    measured: list[tuple[float, float]] = []
    for model, outcome in zip(models, outcomes, strict=True):
        if isinstance(outcome, Exception):
            measured.append((np.nan, np.nan))
        else:
            epochs = len(outcome.loss) if outcome.best_epoch is None else outcome.best_epoch + 1
            measured.append((_score(model, *data.held, metric), epochs))
    return measured


def _score(model: Model, x: np.ndarray, t: np.ndarray, metric: str) -> float:
    try:
        return model.evaluated(model.scores(x), t)[metric]
    except DataError:  # a measure beyond the largest float
        return np.nan


def _best(scores: np.ndarray, metric: str) -> float:
    found = scores[np.isfinite(scores)]
    if not len(found):
        return np.nan
    return float(found.max() if metric in RISING else found.min())


def _ranked(
    candidates: Sequence[dict[str, Any]], scores: np.ndarray, epochs: np.ndarray | None, metric: str
) -> list[dict[str, Any]]:
    """What is told of each candidate, the best first, and last those that have failed on some fold.

    ``epochs`` are those after which each was measured, where candidates stop by their patience.
    """
    means, spreads = scores.mean(axis=1), scores.std(axis=1)
    order = np.argsort(-means if metric in RISING else means, kind="stable")  # NaN last
    return [
        {"rank": rank, "candidate": int(k) + 1, "mean": float(means[k]), "spread": float(spreads[k])}
        | ({} if epochs is None else {"best_epoch": float(epochs[k].mean())})
        | {"scores": scores[k].tolist(), "options": candidates[k]}
        for rank, k in enumerate(order, 1)
    ]


def _table(ranked: Sequence[dict[str, Any]], metric: str, *, many: bool) -> str:
    """A line for each of the best candidates."""
    names = [name.replace("_", "-") for name in ranked[0]["options"]]
    shown = [key for key in FIGURES if key in ranked[0] and (many or key != "spread")]
    heads = [metric if key == "mean" else key.replace("_", "-") for key in shown]
    rows = [["rank", *heads, *names]]
    for one in ranked[:SHOWN]:
        figures = [one[key] for key in shown]
        told = ["failed" if np.isnan(figure) else f"{figure:.4g}" for figure in figures]
        rows.append([str(one["rank"]), *told, *map(_value, one["options"].values())])
    left = len(ranked) - SHOWN
    return in_columns(rows) + (f"\nand {left} more: --results has all" if left > 0 else "")


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(f"{v[0]}={v[1]:g}" if isinstance(v, tuple) else str(v) for v in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _words(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name.replace('_', '-')}={_value(value)}" for name, value in values.items())


def _write(path: str, ranked: Sequence[dict[str, Any]], metric: str) -> None:
    """All candidates as rows, with the score on each fold; empty, or null, where there is none."""
    if path.endswith(".json"):
        finite = [
            one
            | {key: _or_none(one[key]) for key in FIGURES if key in one}
            | {"scores": [_or_none(score) for score in one["scores"]]}
            for one in ranked
        ]
        write_json(path, {"metric": metric, "candidates": finite})
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(ranked[0]["options"])
    folds = [f"{metric}_{k + 1}" for k in range(len(ranked[0]["scores"]))]
    told = [key for key in FIGURES if key in ranked[0]]
    writer.writerow(["rank", "candidate", *told, *folds, *names])
    for one in ranked:
        scores = *map(one.get, told), *one["scores"]
        figures = ["" if np.isnan(score) else repr(score) for score in scores]
        options = [repr(value) if isinstance(value, float) else _value(value) for value in one["options"].values()]
        writer.writerow([one["rank"], one["candidate"], *figures, *options])
    write_whole(path, text.getvalue().encode())


def _or_none(number: float) -> float | None:
    return None if np.isnan(number) else number


def _save(options: Options, epochs: int | None, train: Samples, path: str) -> None:
    """Train as ``options`` say on all samples, no longer than ``epochs``, and write the model."""
    data, features, targets = _prepare(options, replace(options.preparation(), validation=0.0), train)
    model = Model(new_network(options, features.n_inputs, targets), features, targets)
    model.check_room()
    settings = fit_settings(options) | {"batch_size": batch_size(options, len(data.x)), "patience": None}
    if epochs:  # not fewer of them all, by which a schedule goes
        settings["max_steps"] = steps_in(epochs, len(data.x), settings["batch_size"], options.max_steps)
    shown = sys.stderr is not None and not options.no_progress
    try:
        model.net.fit(data.x, data.t, sample_weight=data.weights, progress=shown, **settings)
    except FloatingPointError as error:
        raise CommandError(f"the best candidate, trained on all samples: {error}") from None
    model.save(path)
