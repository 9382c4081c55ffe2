"""Train a network, with lines of loss and accuracy on the way.

The data are a set that comes with fastbp, on which the book's two-layer network is trained unless --activation or
other layers are asked for, or a file of your own: a table with a target column, or arrays. Text in the target is
classes, and so are whole numbers of up to twenty values or counted from 0 or 1; other numbers are numbers to predict.
Columns of text become one input for each category; numbers are standardised. How is said first, and saved with the
network.
"""

import argparse
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from numba.core.event import TimingListener, install_listener

from fastbp._load import load_checkpoint
from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._data import SETS, add_data_options, read_samples
from fastbp.commands._ensemble import check_goes, new_ensemble, train_ensemble
from fastbp.commands._network import (
    add_network_options,
    batch_size,
    complete,
    fit_settings,
    new_network,
)
from fastbp.commands._preparation import PreparationOptions, add_preparation_options
from fastbp.commands._progress import Progress, totals_of
from fastbp.commands._report import check_picture, tell, write_picture, write_report
from fastbp.commands._understood import describe, lines
from fastbp.commands._words import in_a_line
from fastbp.tables._ensemble_model import EnsembleModel
from fastbp.tables._errors import LossError
from fastbp.tables._explosion import Explosion
from fastbp.tables._load_model import model_of
from fastbp.tables._model import Model
from fastbp.tables._prepare import Prepared, learn, prepare
from fastbp.tables._samples import Samples
from fastbp.training._ranks import Alone, Ranks, mpi
from fastbp.training.history import History, TrainingState

EXAMPLES = """\
examples:
  fastbp train
  fastbp train --data mnist --data-dir ~/mnist --hidden 100 --json mnist.json
  fastbp train --data mnist --network simple-conv --optimizer adam --save digits
  fastbp train --optimizer adam --epochs 50 --threads 1
  fastbp train --data iris.csv --target species --optimizer adam --save iris.safetensors
  fastbp train --data houses.parquet --target price --hidden 64 32 --patience 10 --plot curves.png
  fastbp train --data houses.parquet --target price --ensemble 8 --save houses.safetensors
  fastbp train --config run.toml --lr 0.01
  mpiexec -n 4 fastbp train --distributed --data houses.parquet --target price
"""


@dataclass(frozen=True, kw_only=True)
class Options(PreparationOptions):
    """The network and its training, how the data are prepared, and what is told and written."""

    config: str | None
    save: str | None
    save_state: bool
    save_every: int | None
    resume: str | None
    plot: str | None
    json: str | None
    every: int | None
    no_progress: bool
    ensemble: int | None
    distributed: bool
    sync_every: int | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Options":
        """As for other commands, after the defaults that depend on other options."""
        return super().of(complete(values))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The data and their preparation, the network and its training, then the files to read and write."""
    parser.usage = "%(prog)s [options]"  # all of them would fill a screen, and are listed below
    add_data_options(parser, default="digits")
    add_preparation_options(parser)
    add_network_options(parser)
    add = parser.add_argument
    add("--config", metavar="FILE", help="options from a TOML file; those given here win")
    add("--save", metavar="FILE", type=types.output, help="write the trained model there (.safetensors)")
    add("--save-state", action="store_true", help="save what --resume needs, too: two or three times the size")
    every = "with --save, write the model every N epochs, too"
    add("--save-every", metavar="N", type=types.count, help=every)
    add("--resume", metavar="MODEL", help="go on from a model saved with --save-state, up to --epochs in all")
    add("--plot", metavar="FILE", type=types.output, help="write a picture of the curves there (.png, .svg, .pdf)")
    report = "write there what the lines say, for scripts; - prints a line of JSON each epoch instead"
    add("--json", metavar="FILE", type=types.output_or_stdout, help=report)
    every = "print a line every N epochs (default: about twenty in all)"
    add("--every", metavar="N", type=types.count, help=every)
    add("--no-progress", action="store_true", help="no progress bar on a terminal")
    several = "train N networks side by side, of this seed and the next, whose mean is the model"
    add("--ensemble", metavar="N", type=types.count, help=several)
    ranks = "train on all processes that mpiexec has started together; each reads the data, and takes its part"
    add("--distributed", action="store_true", help=ranks)
    apart = "with --distributed, let processes do N steps each before they go on from the mean (default: 1)"
    add("--sync-every", metavar="N", type=types.count, help=apart)


def run(options: Options) -> None:
    """Train as the ``options`` say, tell, and write the files that are asked for."""
    if options.sync_every and not options.distributed:
        raise CommandError("--sync-every goes with --distributed", 2)
    if options.ensemble:
        check_goes(options)
    if not options.distributed:
        _run(options, None, Alone())
        return
    comm = mpi().COMM_WORLD
    try:
        ranks = Ranks(comm)
    except ValueError:
        raise CommandError(
            "--distributed needs several processes: mpiexec -n 2 fastbp train --distributed", 2
        ) from None
    if ranks.rank > 0:
        sys.stdout = sys.stderr = None  # the first speaks for all, of errors too
    ranks.together(lambda: _run(options, comm, ranks))


def _run(options: Options, comm: Any, ranks: Alone) -> None:
    for name in ("save_state", "save_every"):
        if getattr(options, name) and not options.save:
            raise CommandError(f"--{name.replace('_', '-')} goes with --save", 2)
    check_picture(options.plot)
    options, model, samples, data, state = _make(options)
    if options.patience and data.held is None:
        raise CommandError("--patience needs samples to validate with, and --validation 0 leaves none", 2)
    if options.ensemble:
        model = new_ensemble(options, options.ensemble, model)
    if options.save:
        model.check_room()
    settings = fit_settings(options) | {"resume": state, "comm": comm, "sync_every": options.sync_every or 1}
    told = describe(model, samples, data)
    if options.data not in SETS and options.json != types.STDOUT:
        told_lines = lines(options.data, told, asked=options.loss is not None)
        print(*map(in_a_line, told_lines), sep="\n", flush=True)
    if isinstance(model, EnsembleModel):
        train_ensemble(options, model, data, settings["optimizer"], told)
    else:
        _train(options, model, data, settings, told, ranks)


def _make(options: Options) -> tuple[Options, Model, Samples, Prepared, TrainingState | None]:
    """The options with what was open, and of which the data decide; the model to train; its data; and its state.

    The model is new or one to go on with, the data are as read and as prepared, and the state is that to go on from.
    """
    asked = options.preparation()
    if not options.resume:
        train, test = _read(options, options.missing)
        features, targets = learn(asked, train, test)
        data = prepare(asked, train, test, features, targets, options.dtype, tell)
        options = replace(options, batch_size=batch_size(options, len(data.x)))
        model = Model(new_network(options, features.n_inputs, targets), features, targets)
        return options, model, train, data, None
    checkpoint = load_checkpoint(options.resume)
    if checkpoint.state is None:
        raise CommandError(f"{options.resume} has no state to go on from: it was saved without --save-state", 2)
    model = model_of(checkpoint, options.resume)
    train, test = _read(options, model.features.missing)
    data = prepare(asked, train, test, model.features, model.targets, model.dtype, tell)
    options = replace(options, dtype=model.dtype, batch_size=batch_size(options, len(data.x)))
    return options, model, train, data, checkpoint.state


def _read(options: Options, missing: Collection[str]) -> tuple[Samples, Samples | None]:
    train, test = read_samples(options, weight=options.sample_weight, missing=missing)
    if test is not None and options.validation is not None:
        raise CommandError(f"--validation does not go with {options.data}, which has a test part", 2)
    return train, test


def _train(
    options: Options, model: Model, data: Prepared, settings: dict[str, Any], told: dict[str, Any], ranks: Alone
) -> None:
    asked = asdict(options)
    progress = Progress(
        model,
        data,
        epochs=options.epochs,
        every=options.every,
        as_json=options.json == types.STDOUT,
        keeps_best=options.patience is not None,
    )
    progress.begin({"options": asked, "data": told})
    callbacks: list[Callable[[History], object]] = [progress, Explosion(model, data)]
    if options.save and options.save_every:
        callbacks.append(partial(_save_now, options.save, options.save_every, options.save_state, model))
    own, held = ranks.part_of(len(data.x)), data.held
    if held is not None:
        part = ranks.part_of(len(held[0]))
        held = held[0][part], held[1][part]
    progress.started = start = time.perf_counter()
    with install_listener("numba:compile", TimingListener()) as compiling:
        try:
            history = model.net.fit(
                data.x[own],
                data.t[own],
                sample_weight=None if data.weights is None else data.weights[own],
                validation_data=held,
                callbacks=callbacks if ranks.rank == 0 else (),
                progress=sys.stderr is not None and not options.no_progress,
                **settings,
            )
        except LossError:
            raise
        except FloatingPointError as error:
            raise CommandError(str(error)) from None
        except (ValueError, TypeError) as error:  # settings that do not go together, as fit tells them
            raise CommandError(str(error), 2) from None
        except KeyboardInterrupt:
            if options.save and progress.epochs:
                model.save(options.save)
                tell(f"what is trained so far is in {options.save}")
            raise
    seconds = time.perf_counter() - start
    if ranks.rank > 0:
        return  # the first has told and written
    totals = totals_of(progress, seconds, compiling.duration if compiling.done else 0.0)
    _write(options, model, history)
    progress.end(totals)
    if options.json != types.STDOUT:
        report = {"options": asked, "data": told, "epochs": progress.epochs, "totals": totals}
        write_report(options.json, report)


def _save_now(path: str, every: int, with_state: bool, model: Model, history: History) -> None:
    """Write the model as it is after each epoch that --save-every names."""
    if len(history.loss) % every == 0:
        model.save(path, history.state if with_state else None)


def _write(options: Options, model: Model, history: History) -> None:
    if options.save:
        model.save(options.save, history.state if options.save_state else None)
    if options.plot:
        write_picture(options.plot, history.plot())
