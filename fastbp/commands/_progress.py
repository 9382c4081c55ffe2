"""What a training run tells: a line an epoch, for people or for programs, and the totals."""

import argparse
import time
from typing import Any

from fastbp._progress import above_bars
from fastbp.commands._model import Model
from fastbp.commands._options import STDOUT
from fastbp.commands._prepare import Prepared
from fastbp.commands._report import print_line
from fastbp.commands._targets import Classes
from fastbp.history import History


class Progress:
    """A callback of ``fit`` that measures, prints and keeps what each epoch came to.

    An epoch is a dict: its number, ``loss``, the mean over its samples, each at the step that used it; ``train_`` and
    ``test_`` accuracy (a share) or rmse (in the target's unit) of all samples with the weights at its end, and
    ``seconds``, which include finding them.
    """

    def __init__(self, options: argparse.Namespace, model: Model, data: Prepared) -> None:
        self._model, self._data = model, data
        self._options, self._as_json = options, options.json == STDOUT
        self._measure = "accuracy" if isinstance(model.targets, Classes) else "rmse"
        self.epochs: list[dict[str, Any]] = []
        self.n_samples = len(data.x)
        self._start = time.perf_counter()

    def begin(self) -> None:
        if self._as_json:
            print_line({"event": "start", "samples": self.n_samples, "options": shown(self._options)})

    def __call__(self, history: History) -> None:
        epoch = {"epoch": len(history.loss), "loss": history.loss[-1]}
        epoch |= {f"train_{self._measure}": self._measured(self._data.x, self._data.t)}
        if self._data.held is not None:
            epoch |= {f"test_{self._measure}": self._measured(*self._data.held)}
        now = time.perf_counter()
        epoch |= {"seconds": now - self._start}
        self._start = now
        self.epochs.append(epoch)
        with above_bars():
            if self._as_json:
                print_line({"event": "epoch"} | epoch)
            else:
                print(epoch_line(epoch, self._options.epochs), flush=True)

    def _measured(self, x: Any, t: Any) -> float:
        return self._model.measured(self._model.scores(x, self._data.scale), t)[self._measure]

    def end(self, totals: dict[str, float]) -> None:
        if self._as_json:
            print_line({"event": "end"} | totals)
        else:
            print(totals_line(len(self.epochs), totals))


def shown(options: argparse.Namespace) -> dict[str, Any]:
    """The options of a run, as --json tells them."""
    return {name: value for name, value in vars(options).items() if name != "command"}


def totals_of(progress: Progress, seconds: float, compile_seconds: float) -> dict[str, float]:
    """What the whole training took, evaluation and compilation included; ``compile_share`` is of ``seconds``.

    Machine code that comes from numba's cache on disk was not compiled and does not count.
    """
    return {
        "seconds": seconds,
        "samples_per_second": len(progress.epochs) * progress.n_samples / seconds,
        "compile_seconds": compile_seconds,
        "compile_share": compile_seconds / seconds,
    }


def epoch_line(epoch: dict[str, Any], epochs: int) -> str:
    """The epoch's measures but its time; the accuracy needs no name."""
    line = f"epoch {epoch['epoch']:{len(str(epochs))}}/{epochs}"
    for name, value in epoch.items():
        if name not in ("epoch", "seconds"):
            shown = f"{value:.4f}" if name == "loss" or name.endswith("accuracy") else f"{value:.4g}"
            line += f"  {name.removesuffix('_accuracy').replace('_', ' ')} {shown}"
    return line


def totals_line(epochs: int, totals: dict[str, float]) -> str:
    return (
        f"{epochs} epoch{'s' * (epochs != 1)} in {totals['seconds']:.2f} s, "
        f"{totals['samples_per_second']:.0f} samples/s, {totals['compile_share']:.1%} of the time compiling"
    )
