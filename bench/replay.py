"""Handing measured times to pytest-benchmark.

The providers of a row take turns, so their times exist before pytest-benchmark asks for those of one of them. Its
``timer`` option lets it read a clock of ours, which stands still but for the measured seconds.
"""

from collections.abc import Sequence


class Clock:
    """Reads ``now``, in seconds."""

    now = 0.0

    def __call__(self) -> float:
        """Return ``now``."""
        return self.now


clock = Clock()


def replay(benchmark, seconds: Sequence[float]) -> None:
    """Let the fixture ``benchmark``, whose timer is ``clock``, time as many rounds as there are ``seconds``."""
    left = iter(seconds)

    def turn() -> None:
        clock.now += next(left)

    clock.now = 0.0  # the nearer to 0, the less of the seconds is lost in the sum
    benchmark.pedantic(turn, rounds=len(seconds))
