"""One run of the suite: its processes, its limits, and how a row is measured."""

import importlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from . import servers
from .limits import Limits
from .peers import PEERS, peer_of
from .row import Expected, Row, Work, errors
from .servers import FOLDER, Made, Server


@dataclass(frozen=True)
class Outcome:
    """What a provider came to in a row: seconds of a unit, one a turn, or the reason why there are none.

    ``failed`` says whether the reason is one to stop for: a wrong answer, or fastbp itself unable to run.
    """

    seconds: Sequence[float] = ()
    compile_seconds: float = 0.0
    error: float = 0.0
    facts: Mapping[str, object] = field(default_factory=dict)
    absent: str = ""
    failed: bool = False


def versions() -> dict[str, str]:
    """Of what the peers need, where it is installed."""
    found = {}
    for peer in PEERS:
        if peer.is_installed():
            try:
                found[peer.package] = metadata.version(peer.package)
            except metadata.PackageNotFoundError:  # fastbp in a bare checkout
                found[peer.package] = importlib.import_module(peer.module).__version__
    return found


class Laboratory:
    """Measures rows; ``full`` takes the time that figures to be quoted need. ``close`` ends its processes."""

    def __init__(self, full: bool) -> None:
        self.full = full
        self.turns, self.least = (15, 0.05) if full else (5, 0.01)
        self._folder = tempfile.TemporaryDirectory(prefix="fastbp-bench-")
        os.environ[FOLDER] = self._folder.name  # which the servers, started later, inherit
        self._servers: dict[tuple[str, int], Server] = {}
        self._limits: dict[int, Limits] = {}

    def server(self, name: str, threads: int) -> Server:
        """The process called ``name`` with ``threads`` threads, started at the first call."""
        key = name, threads
        if key not in self._servers:
            self._servers[key] = Server(threads)
        return self._servers[key]

    def limits(self, threads: int) -> Limits:
        """What the machine can do at the most with ``threads`` threads, measured at the first call."""
        if threads not in self._limits:
            self._limits[threads] = self.server("limits", threads).ask(Limits.measured, threads)
        return self._limits[threads]

    def final_limits(self) -> dict[int, Limits]:
        """The limits of the run, measured once more: a neighbour may have been busy the first time."""
        for threads, limits in self._limits.items():
            again = self.server("limits", threads).ask(Limits.measured, threads)
            self._limits[threads] = limits.best_of(again)
        return dict(self._limits)

    def measure(
        self, row: Row, makers: Mapping[str, Callable[..., Work]], expected: Callable[..., Expected]
    ) -> dict[str, Outcome]:
        """Check the answers of all providers, then time them in turns."""
        outcomes: dict[str, Outcome] = {}
        made: dict[str, Made] = {}
        for provider, maker in makers.items():
            if not peer_of(provider).is_installed():
                outcomes[provider] = Outcome(absent="not installed")
                continue
            made[provider] = self._ask(row, provider, servers.make, maker, row.arguments)
        right = expected(*row.arguments)
        error = {}
        for provider, result in made.items():
            outcome = _check(row, provider, result, right)
            error[provider] = outcome.error
            if outcome.absent:
                outcomes[provider] = outcome
        del right
        running = [provider for provider in made if provider not in outcomes]
        first = {provider: [made[provider].first_seconds] for provider in running}
        seconds = first if row.figure == "bytes" else self._in_turns(row, first)
        for provider in running:
            units, facts = self._ask(row, provider, servers.finish)
            compiling = 0.0 if row.fresh else max(0.0, made[provider].first_seconds - min(seconds[provider]) * units)
            outcomes[provider] = Outcome(seconds[provider], compiling, error[provider], facts)
        return outcomes

    def _in_turns(self, row: Row, first: Mapping[str, list[float]]) -> dict[str, list[float]]:
        """Seconds of a unit, one a turn; ``first`` has those of each provider's first call."""
        seconds = {provider: list(first[provider]) if row.fresh else [] for provider in first}
        settling = 0.0 if row.pause is not None else servers.settling_for(row.threads, row.fresh)
        how = servers.clock_for(row.threads, row.fresh), settling, row.pause
        warm = {provider: self._ask(row, provider, servers.warm_up, self.least, *how) for provider in first}
        if all(warm.values()):
            for provider in first:
                seconds[provider].append(warm[provider])
        turns = self.turns if row.turns is None else row.turns * (1 + self.full)
        while any(len(times) < turns for times in seconds.values()):
            for provider in first:
                seconds[provider].append(self._ask(row, provider, servers.take_turn))
        return seconds

    def _ask(self, row: Row, provider: str, function: Callable, *arguments: object) -> Any:
        """What ``function`` returns in the provider's process."""
        try:
            return self.server(peer_of(provider).name, row.threads).ask(function, provider, *arguments)
        except EOFError:  # the process is gone, out of memory for example
            del self._servers[peer_of(provider).name, row.threads]
            raise RuntimeError(f"{row.label}: the process of {provider} ended") from None

    def close(self) -> None:
        """End all processes, and remove their folder."""
        for server in self._servers.values():
            server.stop()
        self._servers.clear()
        self._folder.cleanup()


def _check(row: Row, provider: str, made: Made, right: Expected) -> Outcome:
    """The outcome so far: with the error of the answer, and why it can not be timed if so."""
    if made.problem:
        return Outcome(absent=made.problem, failed=peer_of(provider).is_own and not made.unsuitable)
    try:
        error = errors(made.answer, right)
    except ValueError as problem:
        return Outcome(absent=f"wrong answer: {problem}", failed=True)
    allowed = row.allowed_error()
    if not error <= allowed:
        return Outcome(error=error, absent=f"wrong answer: error {error:.3g}, allowed {allowed:.3g}", failed=True)
    return Outcome(error=error)
