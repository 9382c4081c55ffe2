"""What a training run came to, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastbp.views import _html
from fastbp.views.plots import plot_history

if TYPE_CHECKING:
    from matplotlib.figure import Figure


LISTS = ("loss", "accuracy", "val_loss", "val_accuracy", "seconds")
ROWS_OF_TABLE = 20  # of the epochs, in a notebook


@dataclass(repr=False)
class History:
    """One entry a finished epoch in each list; lists of what was not asked for stay empty.

    Attributes
    ----------
    loss : list of float
        Mean training loss over the epoch's samples, each at the step that used it.
    accuracy : list of float
        Of the training samples, with the weights at the epoch's end, dropout switched off.
    val_loss : list of float
        Of the validation data, with the weights at the epoch's end.
    val_accuracy : list of float
        Likewise.
    seconds : list of float
        Wall time of the epoch, validation included.
    best_epoch : int or None
        The index in ``val_loss`` of its lowest, the epoch whose weights ``patience`` keeps and restores; None without
        patience, and before the first epoch's end.
    state : TrainingState or None
        Where the run stopped, for ``fit(resume=...)``; in a callback, where it is.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    state: TrainingState | None = None

    def __repr__(self) -> str:
        """The number of epochs, and what the last one came to."""
        n = len(self.loss)
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.lists().items() if values)
        best = "" if self.best_epoch is None else f"; best_epoch={self.best_epoch}"
        return f"<History of {n} epoch{'s' * (n != 1)}{last and ': '}{last}{best}>"

    def _repr_html_(self) -> str:
        """A table of about ``ROWS_OF_TABLE`` epochs, the first, the last and the best among them, from 1 on."""
        arrays, n = self.arrays(), len(self.loss)
        shown = set(range(0, n, -(-n // ROWS_OF_TABLE) or 1)) | {n - 1, self.best_epoch}
        rows = [
            (
                f"{epoch + 1}{' (best)' * (epoch == self.best_epoch)}",
                *(f"{a[epoch]:.4g}" if epoch < len(a) else "" for a in arrays.values()),
            )
            for epoch in range(n)
            if epoch in shown
        ]
        return _html.table(("epoch", *arrays), rows)

    def lists(self) -> dict[str, list[float]]:
        """Copies of the lists by name."""
        return {name: list(getattr(self, name)) for name in LISTS}

    def arrays(self) -> dict[str, np.ndarray]:
        """The lists that have entries, as float64 arrays."""
        return {name: np.array(values) for name, values in self.lists().items() if values}

    def plot(self) -> Figure:
        """Return a picture of the losses by epoch, and of the accuracies where there are any.

        ``history.plot().savefig("curves.png")`` writes it to a file.

        Raises
        ------
        ValueError
            Before the first epoch's end.
        ImportError
            Without matplotlib.
        """
        return plot_history(self.lists())


@dataclass(frozen=True)
class TrainingState:
    """All that a run needs to go on as if it had not stopped.

    Attributes
    ----------
    step : int
        Steps finished.
    parameters : (P,) array
        A copy of the flat vector of the parameters.
    first : array
        A copy of the first of the optimizer's states.
    second : array
        A copy of the second.
    seed : int
        Of order and dropout.
    n_samples : int
        With ``batch_size``, what a step's number refers to.
    batch_size : int
        Samples a step.
    partial_loss : float
        Losses of the unfinished epoch's steps, each times its number of samples.
    history : dict of lists
        The lists of the finished epochs.
    best_loss : float
        Of early stopping: the lowest validation loss, infinite if there was none.
    best_parameters : array
        A copy of the parameters it was measured with.
    waited : int
        The epochs since.
    optimizer : str or None
        Name of the optimizer's class, None where it is not known.
    buffers : array or None
        A copy of the flat vector of what layers keep beside parameters, such as running means; None where there is
        none.
    best_buffers : array or None
        The same as it was with ``best_parameters``.
    """

    step: int
    parameters: np.ndarray = field(repr=False)
    first: np.ndarray = field(repr=False)
    second: np.ndarray = field(repr=False)
    seed: int
    n_samples: int
    batch_size: int
    partial_loss: float
    history: dict[str, list[float]] = field(repr=False)
    best_loss: float
    best_parameters: np.ndarray = field(repr=False)
    waited: int
    optimizer: str | None = None
    buffers: np.ndarray | None = field(repr=False, default=None)
    best_buffers: np.ndarray | None = field(repr=False, default=None)
