"""What a search tries: the combinations of values in a file's table, or some that are drawn."""

import argparse
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from fastbp.basics._arguments import shown
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._config import parse, read, words_for
from fastbp.commands._network import add_network_options
from fastbp.commands._options import did_you_mean

TABLE = "search"
SEARCHED = (
    *("network", "hidden", "activation", "normalization", "dropout", "label-smoothing"),
    *("epochs", "batch-size", "optimizer", "lr", "schedule", "warm-up", "setting"),
)
MOST = 10_000  # candidates


def candidates_of(path: str, n_iter: int | None, seed: int) -> list[dict[str, Any]]:
    """The candidates that the file's table names: of each, its options with values as the parser makes them.

    All combinations of listed values, or ``n_iter`` that are drawn with the ``seed``; CommandError for what the table
    should not have.
    """
    parser = types.Parser("fastbp search")
    add_network_options(parser)
    known = {flag[2:]: action for action in parser._actions for flag in action.option_strings}
    table = _table(path, known)
    lists = {name: values for name, values in table.items() if isinstance(values, list)}
    size = math.prod(map(len, lists.values()))
    draw = random.Random(seed)
    if len(lists) < len(table) and n_iter is None:
        name = next(name for name in table if name not in lists)
        raise CommandError(f"{path}: {TABLE}.{name} is a range, of which --n-iter says how many values to draw", 2)
    if n_iter is None and size > MOST:
        raise CommandError(f"{path}: these are {size} candidates, more than {MOST}: --n-iter draws some of them", 2)
    if n_iter is not None and len(lists) < len(table):
        chosen = [{name: _drawn(draw, values, known[name]) for name, values in table.items()} for _ in range(n_iter)]
    elif n_iter is not None and n_iter < size:
        chosen = [_combination(lists, at) for at in sorted(draw.sample(range(size), n_iter))]
    else:
        chosen = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    return [_parse(path, parser, known, values) for values in chosen]


def _table(path: str, known: Mapping[str, argparse.Action]) -> dict[str, Any]:
    """The table with its options by their names, looked at."""
    table = read(path).get(TABLE)
    if not isinstance(table, dict) or not table:
        example = "such as lr = [0.1, 0.01]"
        raise CommandError(f"{path}: there must be a table [{TABLE}] with values to try for some options, {example}", 2)
    found = {}
    for key, values in table.items():
        name = key.replace("_", "-")
        if name not in SEARCHED:
            only = f"only {', '.join(SEARCHED)}{did_you_mean(name, SEARCHED)}"
            raise CommandError(f"{path}: {TABLE}.{key} is no option to search for, {only}", 2)
        if isinstance(values, dict):
            _check_range(f"{path}: {TABLE}.{key}", name, values, whole=known[name].type is types.count)
        elif not isinstance(values, list):
            expected = "a list of values, or a table with low and high"
            raise CommandError(f"{path}: {TABLE}.{key} must be {expected}, got {shown(values)}", 2)
        elif not values:
            raise CommandError(f"{path}: {TABLE}.{key} has no values to try", 2)
        found[name] = values
    return found


def _check_range(where: str, name: str, values: Mapping[str, Any], *, whole: bool) -> None:
    if name in ("network", "activation", "normalization", "optimizer", "schedule", "setting"):
        raise CommandError(f"{where} must be a list of values: it is no number that has a range", 2)
    if not {"low", "high"} <= set(values) <= {"low", "high", "log"}:
        raise CommandError(f"{where} must have low and high, and may have log, got {', '.join(values) or 'none'}", 2)
    for end in ("low", "high"):
        if type(values[end]) not in (int, float) or not math.isfinite(values[end]):
            raise CommandError(f"{where}.{end} must be a number, got {shown(values[end])}", 2)
        if whole and type(values[end]) is not int:
            raise CommandError(f"{where}.{end} must be a whole number, got {shown(values[end])}", 2)
    if not isinstance(values.get("log", False), bool):
        raise CommandError(f"{where}.log must be true or false, got {shown(values['log'])}", 2)
    if not values["low"] < values["high"]:
        raise CommandError(f"{where} must have a low below its high, got {values['low']} and {values['high']}", 2)
    if values.get("log") and values["low"] <= 0:
        raise CommandError(f"{where}.low must be above 0 where log is true, got {values['low']}", 2)


def _drawn(draw: random.Random, values: Any, action: argparse.Action) -> Any:
    """One of a list, or a number of a range: whole where the option takes whole numbers, whose ends are whole then."""
    if isinstance(values, list):
        return draw.choice(values)
    low, high, whole = values["low"], values["high"], action.type is types.count
    if values.get("log"):
        number = math.exp(draw.uniform(math.log(low), math.log(high)))
        return min(max(round(number) if whole else number, low), high)
    return draw.randint(low, high) if whole else draw.uniform(low, high)


def _combination(lists: Mapping[str, Sequence[Any]], at: int) -> dict[str, Any]:
    """The one at this place among all in their order."""
    found = {}
    for name, values in reversed([*lists.items()]):
        at, k = divmod(at, len(values))
        found[name] = values[k]
    return {name: found[name] for name in lists}


def _parse(
    path: str, parser: types.Parser, known: Mapping[str, argparse.Action], values: Mapping[str, Any]
) -> dict[str, Any]:
    words = [word for name, value in values.items() for word in words_for(path, name, known[name], value)]
    made = vars(parse(path, parser, words))
    return {known[name].dest: made[known[name].dest] for name in values}
