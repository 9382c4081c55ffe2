"""A run's JSON file, read: its rows, and in each what every provider came to."""

import gzip
import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .statistics import Spread, ratios, spread


@dataclass(frozen=True)
class Entry:
    """One provider in one row: seconds a unit in the order of the turns, and what else was recorded."""

    provider: str
    seconds: Sequence[float]
    info: Mapping[str, Any]

    @property
    def figures(self) -> Sequence[float]:
        """What counts: the seconds, or in rows of memory and size the bytes."""
        return self.seconds if self.info.get("figure", "seconds") == "seconds" else [self.info["facts"]["bytes"]]

    @property
    def spread(self) -> Spread:
        """Of the figures of all turns."""
        return spread(self.figures)

    @property
    def share(self) -> float | None:
        """Of the machine's limit, 1 at the most; None where the row has none."""
        return self.info.get("share_of_limit")


@dataclass
class Result:
    """One row: the providers that were timed, why others were not, and which of those reasons are failures."""

    label: str
    entries: dict[str, Entry] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def info(self) -> Mapping[str, Any]:
        """What is the same for all providers."""
        return next(iter(self.entries.values())).info

    @property
    def name(self) -> str:
        """Its name among the rows of its job; what most rows have is left out."""
        dtype, threads = self.info["dtype"], self.info["threads"]
        return self.info["row"] + " float64" * (dtype == "float64") + f", {threads} threads" * (threads > 1)

    @property
    def is_of_grid(self) -> bool:
        """Whether it is a cell of a grid, of which there are too many to tell of each."""
        return self.info.get("grid") is not None

    @property
    def ours(self) -> Entry | None:
        """What fastbp took; None where it was not timed."""
        return self.entries.get("fastbp")

    @property
    def peers(self) -> list[str]:
        """Everybody else who was timed."""
        return [name for name in self.entries if name != "fastbp"]

    def ratio(self, peer: str) -> Spread | None:
        """How many times as long as fastbp, or as many bytes, a peer took, turn by turn; None where one is missing."""
        if self.ours is None or peer not in self.entries:
            return None
        return ratios(self.entries[peer].figures, self.ours.figures)

    def better_peers(self) -> list[str]:
        """The peers that took less than fastbp."""
        found = {peer: self.ratio(peer) for peer in self.peers}
        return [peer for peer, ratio in found.items() if ratio is not None and ratio.median < 1]


@dataclass(frozen=True)
class Run:
    """A whole run: the machine and versions, and the rows in the order in which they were measured."""

    machine: Mapping[str, Any]
    results: Sequence[Result]

    def of(self, *jobs: str) -> list[Result]:
        """The timed rows of some jobs."""
        return [result for result in self.timed if result.info["job"] in jobs]

    @property
    def timed(self) -> list[Result]:
        """The rows that any provider did."""
        return [result for result in self.results if result.entries]

    @property
    def failures(self) -> list[str]:
        """A line for each wrong answer, and for what of our own could not run."""
        return [f"{r.label}: {provider}: {r.absent[provider]}" for r in self.results for provider in r.failed]

    @property
    def providers(self) -> list[str]:
        """All that were timed or not, fastbp first."""
        names: dict[str, None] = {"fastbp": None}
        for result in self.results:
            names |= dict.fromkeys([*result.entries, *result.absent])
        return list(names)


class NotARun(ValueError):
    """The file is not one that ``fastbp bench --json`` wrote."""


def load(path: str | os.PathLike) -> Run:
    """Read a file of ``fastbp bench --json``. Raises OSError, and NotARun where it is another file."""
    try:
        with _open(path, "rt") as file:
            return parse(json.load(file))
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, gzip.BadGzipFile, zlib.error):
        raise NotARun(f"{os.fspath(path)} is not a file that fastbp bench --json wrote, or it is damaged") from None


def copy(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Write such a file under another name, compressed where one of them ends in .gz and the other does not."""
    with _open(source, "rb") as file, _open(target, "wb") as out:
        shutil.copyfileobj(file, out)


def _open(path: str | os.PathLike, mode: str) -> Any:
    encoding = None if "b" in mode else "utf-8"
    return (gzip.open if os.fspath(path).endswith(".gz") else open)(path, mode, encoding=encoding)


def parse(content: Mapping[str, Any]) -> Run:
    """The run in the content of such a file."""
    results: dict[str, Result] = {}
    for benchmark in content["benchmarks"]:
        info, label = benchmark["extra_info"], benchmark["group"]
        entry = Entry(info["provider"], benchmark["stats"]["data"], info)
        results.setdefault(label, Result(label)).entries[entry.provider] = entry
    for missing in content["absent"]:
        result = results.setdefault(missing["group"], Result(missing["group"]))
        result.absent[missing["provider"]] = missing["reason"]
        if missing["failed"]:
            result.failed.append(missing["provider"])
    return Run(content["machine_info"] | content["machine_info"]["fastbp"], list(results.values()))
