"""What a training run tells: a line an epoch, for people or for programs, and the totals."""

import time
from typing import Any

from fastbp.basics._progress import above_bars
from fastbp.commands._report import print_line
from fastbp.tables._model import Model
from fastbp.tables._prepare import Prepared
from fastbp.tables._targets import Classes
from fastbp.training.history import History

LINES = 20  # of epochs, about, where --every says nothing else


class Progress:
    """A callback of ``fit`` that measures, prints and keeps what each epoch came to.

    An epoch is a dict: its number, ``loss``, the mean over its samples, each at the step that used it; ``train_`` and
    ``validation_`` accuracy (a share) or rmse (in the target's unit) of all samples with the weights at its end;
    ``validation_loss`` with these; and ``seconds``, which include finding them. Programs are told every epoch; lines
    are the first, the last, and those in between that --every says.
    """

    def __init__(
        self, model: Model, data: Prepared, *, epochs: int, every: int | None, as_json: bool, keeps_best: bool
    ) -> None:
        self._model, self._data = model, data
        self._epochs, self._as_json, self._keeps_best = epochs, as_json, keeps_best
        self._measure = "accuracy" if isinstance(model.targets, Classes) else "rmse"
        self._every = every or -(-epochs // LINES)
        self._lines = 0  # the number of the last epoch that has one
        self._validation_loss: list[float] = []  # by epoch, with those before --resume
        self.epochs: list[dict[str, Any]] = []
        self.n_samples = len(data.x)
        self.started = time.perf_counter()  # the epoch that is being trained

    def begin(self, told: dict[str, Any]) -> None:
        if self._as_json:
            print_line({"event": "start", "samples": self.n_samples} | told)

    def __call__(self, history: History) -> None:
        epoch = {"epoch": len(history.loss), "loss": history.loss[-1]}
        epoch |= {f"train_{self._measure}": self._measured(self._data.x, self._data.t)}
        if self._data.held is not None:
            epoch |= {f"validation_{self._measure}": self._measured(*self._data.held)}
            epoch |= {"validation_loss": history.val_loss[-1]}
            self._validation_loss = history.val_loss
        now = time.perf_counter()
        epoch |= {"seconds": now - self.started}
        self.started = now
        self.epochs.append(epoch)
        with above_bars():
            if self._as_json:
                print_line({"event": "epoch"} | epoch)
            elif not self.epochs[1:] or epoch["epoch"] % self._every == 0:
                self._print_last()

    def _print_last(self) -> None:
        self._lines = self.epochs[-1]["epoch"]
        print(epoch_line(self.epochs[-1], self._epochs), flush=True)

    def best(self) -> dict[str, Any] | None:
        """Of a run with --patience, the epoch whose weights the network has now."""
        losses = self._validation_loss
        if not self._keeps_best or not losses:
            return None
        best = {"epoch": losses.index(min(losses)) + 1, "validation_loss": min(losses)}
        return next((epoch for epoch in self.epochs if epoch["epoch"] == best["epoch"]), best)

    def _measured(self, x: Any, t: Any) -> float:
        return self._model.measured(self._model.scores(x), t)[self._measure]

    def end(self, totals: dict[str, float]) -> None:
        if self._as_json:
            print_line({"event": "end"} | totals)
            return
        if self.epochs and self.epochs[-1]["epoch"] != self._lines:
            self._print_last()
        best = self.best()
        print(totals_line(len(self.epochs), totals))
        if best is not None:
            print(best_line(best))


def totals_of(progress: Progress, seconds: float, compile_seconds: float) -> dict[str, float]:
    """What the whole training took, evaluation and compilation included; ``compile_share`` is of ``seconds``.

    Machine code that comes from numba's cache on disk was not compiled and does not count. ``best_epoch`` is there
    with --patience: the number of the epoch whose weights were kept.
    """
    best = progress.best()
    totals = {
        "seconds": seconds,
        "samples_per_second": len(progress.epochs) * progress.n_samples / seconds,
        "compile_seconds": compile_seconds,
        "compile_share": compile_seconds / seconds,
    }
    return totals if best is None else totals | {"best_epoch": best["epoch"]}


def epoch_line(epoch: dict[str, Any], epochs: int) -> str:
    """The epoch's measures, but not its time nor the loss that only --patience asks for; accuracy needs no name."""
    line = f"epoch {epoch['epoch']:{len(str(epochs))}}/{epochs}"
    for name, value in epoch.items():
        if name not in ("epoch", "seconds", "validation_loss"):
            line += f"  {_measure(name, value).replace(' accuracy', '')}"
    return line


def best_line(best: dict[str, Any]) -> str:
    """Which weights were kept, and how good they are."""
    measures = [_measure(name, value) for name, value in best.items() if name.startswith("validation_")]
    return f"kept the weights of epoch {best['epoch']}, the best: {', '.join(measures)}"


def _measure(name: str, value: float) -> str:
    digits = ".4f" if name.endswith(("loss", "accuracy")) else ".4g"
    return f"{name.replace('_', ' ')} {value:{digits}}"


def totals_line(epochs: int, totals: dict[str, float]) -> str:
    return (
        f"{epochs} epoch{'s' * (epochs != 1)} in {totals['seconds']:.2f} s, "
        f"{totals['samples_per_second']:.0f} samples/s, {totals['compile_share']:.1%} of the time compiling"
    )
