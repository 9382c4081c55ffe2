"""Successive halving: all candidates train for a few epochs, and the better ones go on."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np

from fastbp.sklearn._trials import Result, Trials, network_of


def rounds(n_candidates: int, factor: float, most_epochs: int) -> list[int]:
    """The epochs up to which each round trains: the last to the end, each before it a ``factor`` less, but 1 at least.

    There are as many rounds as leave fewer than ``factor`` candidates after the last, where there are the epochs.
    """
    n = 1
    while factor**n <= n_candidates and most_epochs >= factor**n:
        n += 1
    return [int(most_epochs / factor**left) for left in reversed(range(n))]


def halved(
    trials: Trials, models: list[Any], factor: float, score_of: Callable[[Result], float]
) -> tuple[list[int], list[Result], dict[str, list[int]]]:
    """The candidates of all rounds, their results, and columns for them: the round and its epochs."""
    alive, tried, found = [*range(len(models))], [], []
    columns: dict[str, list[int]] = {"iter": [], "n_resources": []}
    for number, epochs in enumerate(rounds(len(models), factor, max(network_of(m).max_iter for m in models))):
        results = trials.round(alive, epochs)
        tried += alive
        found += results
        columns["iter"] += [number] * len(alive)
        columns["n_resources"] += [epochs] * len(alive)
        means = np.reshape([score_of(result) for result in results], (len(alive), -1)).mean(axis=1)
        kept = best(means, alive, ceil(len(alive) / factor))
        trials.forget([candidate for candidate in alive if candidate not in kept])
        alive = sorted(kept)
    return tried, found, columns


def best(scores: np.ndarray, candidates: list[int], n: int) -> list[int]:
    """The ``n`` candidates with the best scores, the first of those with the same; what is not a number comes last."""
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
    return [candidates[k] for k in order[:n]]
