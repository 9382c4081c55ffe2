"""Learning rates that change while training.

A schedule is called with the number of the step and of the epoch, both from 0, and returns the learning rate. Any
function of the two will do as well.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastbp.basics._arguments import integer, real

__all__ = ["constant", "cosine", "step_decay", "warm_up"]

Schedule = Callable[[int, int], float]


def replace(instance: object, **fields: Any) -> None:
    """Set fields of a frozen dataclass that is being made."""
    for name, value in fields.items():
        object.__setattr__(instance, name, value)


@dataclass(frozen=True)
class constant:
    """The same rate at every step.

    >>> constant(0.1)(step=1000, epoch=3)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        replace(self, lr=real("lr", self.lr, above=0))

    def __call__(self, step: int, epoch: int) -> float:
        """``lr``, whatever the step and the epoch."""
        return self.lr


@dataclass(frozen=True)
class step_decay:
    """``lr factor**(epoch // every)``: multiplied by ``factor`` after every so many epochs.

    >>> [step_decay(0.5, every=2, factor=0.5)(0, epoch) for epoch in range(5)]
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    lr: float
    every: int
    factor: float

    def __post_init__(self) -> None:
        factor = real("factor", self.factor, 0, 1, above=0)
        replace(self, lr=real("lr", self.lr, above=0), every=integer("every", self.every, 1), factor=factor)

    def __call__(self, step: int, epoch: int) -> float:
        """The rate in ``epoch``; ``step`` does not matter."""
        return self.lr * self.factor ** (epoch // self.every)


@dataclass(frozen=True, repr=False)
class cosine:
    """From ``lr`` down to ``final`` along half a cosine, over so many steps or, if that is given, epochs.

    ``final + (lr - final) (1 + cos(pi min(1, done))) / 2``, where ``done`` is the part of the steps or epochs that lie
    behind.

    >>> [round(cosine(1.0, steps=4)(step, 0), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    lr: float
    steps: int | None = None
    epochs: int | None = None
    final: float = 0.0

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"cosine needs either steps or epochs, got steps={self.steps!r}, epochs={self.epochs!r}")
        lr = real("lr", self.lr, above=0)
        length = "steps" if self.epochs is None else "epochs"
        replace(
            self, lr=lr, final=real("final", self.final, 0, lr), **{length: integer(length, getattr(self, length), 1)}
        )

    def __call__(self, step: int, epoch: int) -> float:
        """The rate at ``step``, or in ``epoch`` where the length is in epochs."""
        done = step / self.steps if self.steps is not None else epoch / self.epochs  # type: ignore[operator]
        return self.final + (self.lr - self.final) * (1 + math.cos(math.pi * min(1.0, done))) / 2

    def __repr__(self) -> str:
        length = f"epochs={self.epochs}" if self.steps is None else f"steps={self.steps}"
        return f"cosine(lr={self.lr}, {length}, final={self.final})"


@dataclass(frozen=True, init=False)
class warm_up:
    """``(step + 1) / steps`` of the rate of ``schedule``, a schedule or a number, for the first steps, then all of it.

    ``schedule`` is given the step and the epoch as they are, counted from the start of the training.

    >>> [warm_up(0.5, steps=4)(step, 0) for step in range(6)]
    [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    """

    schedule: Schedule
    steps: int

    def __init__(self, schedule: Schedule | float, steps: int) -> None:
        replace(self, schedule=schedule if callable(schedule) else constant(schedule), steps=integer("steps", steps, 1))

    def __call__(self, step: int, epoch: int) -> float:
        """The rate of ``schedule`` there, or the part of it that ``step`` may have."""
        return min(1.0, (step + 1) / self.steps) * self.schedule(step, epoch)
