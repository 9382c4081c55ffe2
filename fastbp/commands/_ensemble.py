"""``fastbp train --ensemble``: networks of other seeds trained side by side on the same data, and kept as one model."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from fastbp.basics._progress import above_bars, silence
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._network import NetworkOptions, new_network, settings_of_all
from fastbp.commands._progress import LINES
from fastbp.commands._report import in_columns, print_line, tell, write_report
from fastbp.ensemble import Ensemble
from fastbp.optimizers import Optimizer
from fastbp.sequential import Sequential
from fastbp.tables._ensemble_model import EnsembleModel
from fastbp.tables._errors import LossError
from fastbp.tables._explosion import Explosion
from fastbp.tables._model import Model
from fastbp.tables._prepare import Prepared
from fastbp.tables._targets import Classes
from fastbp.training.fit_many import DEFAULTS, KEEP, fit_named
from fastbp.training.history import History

OF_ONE = ("distributed", "resume", "save_state", "save_every", "plot")
SEEDS = 1 << 63


def check_goes(options: Any) -> None:
    """CommandError for options that are about the training of one network by itself."""
    for name in OF_ONE:
        if getattr(options, name):
            raise CommandError(f"--{name.replace('_', '-')} goes with one network, not with --ensemble", 2)


def new_ensemble(options: NetworkOptions, n: int, first: Model) -> EnsembleModel:
    """The model of ``first`` and others that are made as it was, but of the seeds that follow."""
    features, targets = first.features, first.targets
    nets = [first.net]
    for seed in seeds_of(options.seed, n)[1:]:
        net = new_network(replace(options, seed=seed), features.n_inputs, targets)
        nets.append(Model(net, features, targets).net)  # which has the scale of the features
    return EnsembleModel(first.net, features, targets, Ensemble(nets))


def seeds_of(first: int, n: int) -> list[int]:
    """Of start, order and dropout of each network."""
    return [(first + k) % SEEDS for k in range(n)]


def train_ensemble(
    options: Any, model: EnsembleModel, data: Prepared, optimizer: Optimizer, told: dict[str, Any]
) -> None:
    """Train all networks, tell, and write the files that are asked for."""
    members, as_json = model.members, options.json == types.STDOUT
    seeds = seeds_of(options.seed, len(members))
    asked = {"options": asdict(options), "data": told}
    if as_json:
        print_line({"event": "start", "samples": len(data.x)} | asked)
    lines = _Lines(members, data, epochs=options.epochs, every=options.every, as_json=as_json)
    settings = {
        "sample_weight": data.weights,
        "validation_data": data.held,
        "optimizers": optimizer,
        "epochs": options.epochs,
        "batch_sizes": options.batch_size,
        "seeds": seeds,
        "callbacks": [lines],
        "errors": KEEP,
        **settings_of_all(options),
    }
    named = [f"network {k + 1} of {len(members)}, seed {seed}" for k, seed in enumerate(seeds)]
    start = time.perf_counter()
    with silence(sys.stderr is None or options.no_progress):
        try:
            nets = [member.net for member in members]
            outcomes = fit_named(nets, named.__getitem__, data.x, data.t, **DEFAULTS | settings)
        except (ValueError, TypeError) as error:  # settings that do not go together, as fit tells them
            raise CommandError(str(error), 2) from None
        except KeyboardInterrupt:
            _save_begun(options.save, model, lines.n_epochs)
            raise
    seconds = time.perf_counter() - start
    _raise_first(outcomes, named)
    if options.save:
        model.save(options.save)
    networks = [_of_one(k, *one, data) for k, one in enumerate(zip(members, seeds, outcomes, strict=True))]
    mean = _measure(model, data)
    epochs = sum(lines.n_epochs)
    totals = {"seconds": seconds, "samples_per_second": epochs * len(data.x) / seconds}
    ends = {"networks": networks, "ensemble": mean, "totals": totals}
    if as_json:
        print_line({"event": "end"} | ends)
        return
    print(_table(networks, mean))
    print(f"{len(members)} networks in {seconds:.2f} s, {totals['samples_per_second']:.0f} samples/s")
    write_report(options.json, asked | ends)


class _Lines:
    """A callback of all networks: tells how far each is, and raises LossError where a loss explodes.

    Lines are about as many as of one network, and at least one of each; of programs, every epoch.
    """

    def __init__(
        self, members: Sequence[Model], data: Prepared, *, epochs: int, every: int | None, as_json: bool
    ) -> None:
        self._n, self._epochs, self._as_json = len(members), epochs, as_json
        self._every = every or min(epochs, -(-len(members) * epochs // LINES))
        self._explosions = [Explosion(member, data) for member in members]
        self.n_epochs = [0] * len(members)

    def __call__(self, k: int, history: History) -> None:
        epoch = self.n_epochs[k] = len(history.loss)
        self._explosions[k](history)
        measures = {"loss": history.loss[-1]}
        if history.val_loss:
            measures["validation_loss"] = history.val_loss[-1]
        with above_bars():
            if self._as_json:
                print_line({"event": "epoch", "network": k + 1, "epoch": epoch} | measures)
            elif epoch % self._every == 0:
                where = f"network {k + 1:{len(str(self._n))}}/{self._n}  epoch {epoch:{len(str(self._epochs))}}"
                told = "  ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in measures.items())
                print(f"{where}/{self._epochs}  {told}", flush=True)


def _raise_first(outcomes: Sequence[Any], named: Sequence[str]) -> None:
    """Raise what has become of the first network that failed."""
    for outcome, name in zip(outcomes, named, strict=True):
        if isinstance(outcome, LossError):
            raise LossError(f"{name}: ", *outcome.args)
        if isinstance(outcome, Exception):
            raise CommandError(f"{name}: {outcome}")


def _save_begun(path: str | None, model: EnsembleModel, n_epochs: Sequence[int]) -> None:
    """After Ctrl-C, write the networks that have an epoch behind them."""
    begun = [net for net, n in zip(model.ensemble, n_epochs, strict=True) if n]
    if path and begun:
        nets = [net for net in begun if isinstance(net, Sequential)]
        EnsembleModel(nets[0], model.features, model.targets, Ensemble(nets)).save(path)
        tell(f"what is trained so far, {len(nets)} of {len(n_epochs)} networks, is in {path}")


def _of_one(k: int, member: Model, seed: int, history: History, data: Prepared) -> dict[str, Any]:
    """What is told of a network at the end."""
    told: dict[str, Any] = {"network": k + 1, "seed": seed, "epochs": len(history.loss)}
    if history.loss:
        told["loss"] = history.loss[-1]
    if history.best_epoch is not None:
        told["best_epoch"] = history.best_epoch + 1
    return told | _measure(member, data)


def _measure(model: Model, data: Prepared) -> dict[str, float]:
    """Accuracy, or the root mean squared error, of the samples trained on and of those kept apart."""
    measure = "accuracy" if isinstance(model.targets, Classes) else "rmse"
    parts = {"train": (data.x, data.t)} | ({} if data.held is None else {"validation": data.held})
    return {f"{name}_{measure}": model.measured(model.scores(x), t)[measure] for name, (x, t) in parts.items()}


def _table(networks: Sequence[dict[str, Any]], mean: dict[str, float]) -> str:
    """A line for each network, and one for their mean."""
    columns = list(networks[0])
    rows = [[name.replace("_", " ") for name in columns]]
    rows += [[_number(name, network[name]) for name in columns] for network in networks]
    rows.append(["ensemble", *(_number(name, mean[name]) if name in mean else "" for name in columns[1:])])
    return in_columns(rows)


def _number(name: str, value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}" if name.endswith("rmse") else f"{value:.4f}"
