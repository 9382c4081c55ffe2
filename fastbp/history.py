"""What a training run came to, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp.plots import plot_history

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class History:
    """One entry a finished epoch in each list; lists of what was not asked for stay empty.

    Attributes
    ----------
    loss : mean training loss over the epoch's samples, each at the step that used it
    val_loss, val_accuracy : of the validation data, with the weights at the epoch's end
    seconds : wall time of the epoch, validation included
    state : where the run stopped, for ``fit(resume=...)``
    """

    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    state: Any = field(default=None, repr=False)

    def lists(self) -> dict[str, list[float]]:
        """Copies of the lists by name."""
        return {name: list(getattr(self, name)) for name in ("loss", "val_loss", "val_accuracy", "seconds")}

    def arrays(self) -> dict[str, np.ndarray]:
        """The lists that have entries, as float64 arrays."""
        return {name: np.array(values) for name, values in self.lists().items() if values}

    def plot(self) -> Figure:
        """Return a picture of the losses by epoch, and of the validation accuracy where there is one.

        ``history.plot().savefig("curves.png")`` writes it to a file. Raises ValueError before the first epoch's end,
        ImportError without matplotlib.
        """
        return plot_history(self.lists())


@dataclass(frozen=True)
class TrainingState:
    """All that a run needs to go on as if it had not stopped.

    Attributes
    ----------
    step : steps finished
    parameters, first, second : copies of the flat vectors of the parameters and of the optimizer's states
    seed : of order and dropout
    n_samples, batch_size : what a step's number refers to
    partial_loss : losses of the unfinished epoch's steps, each times its number of samples
    history : the lists of the finished epochs
    best_loss, best_parameters, waited : of early stopping: the lowest validation loss, infinite if there was none, a
        copy of the parameters it was measured with, and the epochs since
    optimizer : name of the optimizer's class, None where it is not known
    """

    step: int
    parameters: np.ndarray
    first: np.ndarray
    second: np.ndarray
    seed: int
    n_samples: int
    batch_size: int
    partial_loss: float
    history: dict[str, list[float]]
    best_loss: float
    best_parameters: np.ndarray
    waited: int
    optimizer: str | None = None
