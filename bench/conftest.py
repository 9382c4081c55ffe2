"""How pytest runs the suite: which rows, the measurements behind them, and what the JSON file says of each entry."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tqdm import tqdm

from . import peers
from .laboratory import Laboratory, Outcome
from .machine import description
from .replay import replay
from .row import Expected, Row, Work
from .statistics import spread

LABORATORY, MEASURED, ABSENT = (pytest.StashKey[Any]() for _ in range(3))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what ``fastbp bench`` takes."""
    group = parser.getgroup("fastbp")
    group.addoption("--full", action="store_true", help="all rows, long enough for figures that are quoted")
    group.addoption("--only", default="", metavar="PATTERN", help="rows whose label the regular expression finds")


def pytest_configure(config: pytest.Config) -> None:
    """Make the laboratory and the bar of progress."""
    config.stash[LABORATORY] = Laboratory(config.getoption("full"))
    config.stash[MEASURED], config.stash[ABSENT] = {}, []
    config.pluginmanager.register(Progress())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the processes of the laboratory."""
    config.stash[LABORATORY].close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """An entry for each row and provider of a benchmark."""
    measured = getattr(metafunc.function, "measured", None)
    if measured is not None:
        rows, providers = measured
        metafunc.parametrize("provider", _makers(providers))
        metafunc.parametrize("row", rows, ids=[row.label for row in rows])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the entries that were not asked for."""
    full, only = config.getoption("full"), re.compile(config.getoption("only"), re.IGNORECASE)

    def is_chosen(item: pytest.Item) -> bool:
        in_form = full or (_row(item).quick and peers.FORMS[_provider(item)].quick)
        return in_form and only.search(_row(item).label) is not None

    chosen = [item for item in items if is_chosen(item)]
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen


class Progress:
    """A bar on stderr, where that is a terminal."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin, now that the number of entries is known."""
        self.bar = tqdm(total=len(session.items), unit=" entries", disable=None, leave=False)

    def pytest_runtest_logfinish(self) -> None:
        """Count an entry."""
        self.bar.update()

    def pytest_sessionfinish(self) -> None:
        """Take the bar away."""
        if hasattr(self, "bar"):
            self.bar.close()


def _makers(providers: str | Mapping[str, Callable[..., Work]]) -> Mapping[str, Callable[..., Work]]:
    """What makes the work of each provider, who may be all that do a job."""
    return peers.providers(providers) if isinstance(providers, str) else providers


def _row(item: Any) -> Row:
    return item.callspec.params["row"]


def _provider(item: Any) -> str:
    return item.callspec.params["provider"]


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark) -> Callable[..., None]:
    """``measure(expected)``: the entry of the test's row and provider.

    At the first provider of a row all those that were selected are measured, in turns.
    """
    item, stash = request.node, request.config.stash
    row, provider = _row(item), _provider(item)
    laboratory: Laboratory = stash[LABORATORY]

    def entry(expected: Callable[..., Expected]) -> None:
        measured: dict[str, dict[str, Outcome]] = stash[MEASURED]
        if row.label not in measured:
            makers = _makers(item.function.measured[1])
            wanted = [_provider(other) for other in request.session.items if _row(other) == row]
            measured[row.label] = laboratory.measure(row, {name: makers[name] for name in wanted}, expected)
        outcome = measured[row.label][provider]
        benchmark.group = row.label
        if outcome.absent:
            absent = {"group": row.label, "provider": provider, "reason": outcome.absent, "failed": outcome.failed}
            stash[ABSENT].append(absent)
            (pytest.fail if outcome.failed else pytest.skip)(f"{row.label}: {provider}: {outcome.absent}")
        replay(benchmark, outcome.seconds)
        benchmark.extra_info.update(_extra_info(row, provider, outcome))
        if row.flops or row.moved:
            laboratory.limits(row.threads)

    return entry


def _extra_info(row: Row, provider: str, outcome: Outcome) -> dict[str, object]:
    """What pytest-benchmark does not know about an entry."""
    times = spread(outcome.seconds)
    info: dict[str, object] = {
        "job": row.job,
        "row": row.name,
        "provider": provider,
        "dtype": row.dtype,
        "threads": row.threads,
        "seconds": {"20%": times.low, "median": times.median, "80%": times.high},
        "compile_seconds": outcome.compile_seconds,
        "max_error": outcome.error,
        "flops": row.flops,
        "bytes": row.moved,
        "working_set": row.working_set,
        "figure": row.figure,
        "place": row.place,
        "grid": row.grid,
        "facts": dict(outcome.facts),
    }
    if row.flops:
        info["gflops"] = 1e-9 * row.flops / times.median
    if row.moved:
        info["gb_per_second"] = 1e-9 * row.moved / times.median
    return info


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Say what the figures depend on."""
    machine_info.pop("node", None)  # whose machine it is concerns nobody
    machine_info["fastbp"] = description(config.stash[LABORATORY], config.getoption("full"))


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add what could not be timed; and shares of the limits, which are known only at the end."""
    output_json["absent"] = config.stash[ABSENT]
    limits = config.stash[LABORATORY].limits
    for info in (benchmark["extra_info"] for benchmark in output_json["benchmarks"]):
        amounts = info["flops"], info["bytes"]
        if any(amounts):
            least = limits(info["threads"]).seconds(info["dtype"], *amounts, info["working_set"])
            info["limit_seconds"], info["share_of_limit"] = least, least / info["seconds"]["median"]
        if "needed_bytes" in info["facts"]:
            info["share_of_limit"] = info["facts"]["needed_bytes"] / info["facts"]["bytes"]
