"""``fastbp.fit_many``: many networks at once, on one data set."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _cpu, _pool, _progress, _team
from fastbp.basics._warn import ToldOnce
from fastbp.network import Network
from fastbp.optimizers import Optimizer
from fastbp.training._by_layers import tell
from fastbp.training._dealt import alike, dealt
from fastbp.training._few_rows import tell_of_few
from fastbp.training._jobs import Job, Looked, as_networks, jobs_of
from fastbp.training._lender import Lender
from fastbp.training._part import Part
from fastbp.training._ranks import ALONE, Alone, on_all_ranks
from fastbp.training._run import Run
from fastbp.training.fit import callables, integer_or_none
from fastbp.training.history import History, TrainingState

RAISE, KEEP = "raise", "keep"
MOST_NAMED = 5  # networks in a message


@_progress.told_if(lambda *args, progress=True, comm=None, **others: progress and getattr(comm, "rank", 0) == 0)
@on_all_ranks
def fit_many(
    nets: Iterable[Network],
    x: ArrayLike,
    t: ArrayLike,
    *,
    rows: Any = None,
    validation_rows: Any = None,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    optimizers: str | Optimizer | Sequence[str | Optimizer] = "sgd",
    epochs: int | Sequence[int] = 1,
    batch_sizes: int | Sequence[int] = 32,
    seeds: int | Sequence[int | None] | None = None,
    shuffle: bool | Sequence[bool] = True,
    clip_norm: float | Sequence[float | None] | None = None,
    patience: int | Sequence[int | None] | None = None,
    max_steps: int | Sequence[int | None] | None = None,
    sample_weight: ArrayLike | None = None,
    threads: int | None = None,
    progress: bool = True,
    callbacks: Iterable[Callable[[int, History], object]] = (),
    errors: str = RAISE,
    resume: Sequence[TrainingState | None] | None = None,
    comm: Any = None,
) -> list[Any]:
    """Train many networks on one data set, each whole on one thread and as many at once as there are threads.

    Each gets the same bits as by ``net.fit(x[rows], t[rows], ..., threads=1)``, whoever is trained beside it, whatever
    the number of threads. ``x`` is read where it lies, and not copied for any of them. What differs from network to
    network (``rows``, ``optimizers``, ``epochs``, ``batch_sizes``, ``seeds``, ``shuffle``, ``clip_norm``, ``patience``,
    ``max_steps``, ``validation_rows``) is one for all, or a sequence of one each.

    Ctrl-C ends all of them within 200 ms; each then has the weights of its last finished step.

    Parameters
    ----------
    nets : sequence of networks
        Different ones, that have no layers in common; of any shapes and losses.
    x, t : arrays
        Samples and targets, as ``fit`` takes them. A network's own ``scale`` multiplies the samples.
    rows : (M,) integers, a sequence of such, or None
        The numbers of the samples to train on, also several times the same; all if None.
    validation_rows : (M,) integers, a sequence of such, or None
        The numbers of the samples to validate with after each epoch.
    validation_data : (x, t) or None
        Evaluated after each epoch, by all networks that have no ``validation_rows``.
    optimizers, epochs, batch_sizes, seeds
        As ``optimizer``, ``epochs``, ``batch_size`` and ``seed`` of ``fit``.
    shuffle, clip_norm, patience, max_steps
        As those of ``fit``.
    sample_weight : (N,) array or None
        Finite numbers of at least 0, which multiply the losses of the samples; also where ``fit`` has ``class_weight``.
    threads : int or None
        How many networks to train at once, no more than there are cores; as many as ``get_num_threads`` says if None.
        Where networks are so large that those that are trained at once, with gradients and the optimizer's vectors, are
        more than the CPU's last cache holds, and where there is one, all threads train one after the other.
    progress : bool
        Whether to show, on a terminal or in a notebook, a progress bar of the steps of all networks.
    callbacks : sequence of callables
        Called with a network's position in ``nets`` and its History after each of its epochs, one at a time, by the
        thread that trains it; its training ends when one returns True.
    errors : {"raise", "keep"}
        What becomes of a network that comes to numbers which are not finite: raised when the others are done, or kept
        at its place of the result.
    resume : sequence of TrainingState or None
        The ``state`` of an earlier History for each network, or None for one that begins.
    comm : mpi4py communicator or None
        Deal the networks out to its ranks, ``MPI.COMM_WORLD`` for all that ``mpiexec`` has started, the longest first.
        All pass the same, samples included, and all end with the same: networks to the bits of a single process, and
        histories. Callbacks are called on the rank that trains the network, if it has any; what they change in it
        beside its parameters, stays there. ``threads=None`` divides the cores among the ranks that share them.

    Returns
    -------
    histories : list of History
        One for each network, in their order; with ``errors="keep"`` a FloatingPointError at the place of one that has
        come to numbers which are not finite, and has the last finite ones.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range and data that do not fit, naming the network by its position: ``nets[3]: ...``; no
        network has changed then. With ``comm``, for what differs from rank to rank; what a rank raises, all raise.
    ImportError
        With ``comm``, without mpi4py (the extra ``mpi``).
    FloatingPointError
        For a loss or a parameter that is no longer finite, naming network, epoch and batch; all others are trained.
    RuntimeError
        Where another thread trains one of the networks.

    Examples
    --------
    >>> nets = [mlp([4, 8, 3], seed=seed) for seed in range(5)]
    >>> x, t = np.random.rand(60, 4), np.arange(60) % 3
    >>> folds = [np.flatnonzero(np.arange(60) % 5 != k) for k in range(5)]
    >>> len(fit_many(nets, x, t, rows=folds, epochs=2))
    5
    """
    _arguments.flag("progress", progress)  # told_if goes by it
    return fit_named(
        nets,
        "nets[{}]".format,
        x,
        t,
        rows=rows,
        validation_rows=validation_rows,
        validation_data=validation_data,
        optimizers=optimizers,
        epochs=epochs,
        batch_sizes=batch_sizes,
        seeds=seeds,
        shuffle=shuffle,
        clip_norm=clip_norm,
        patience=patience,
        max_steps=max_steps,
        sample_weight=sample_weight,
        threads=threads,
        callbacks=callbacks,
        errors=errors,
        resume=resume,
        comm=comm,
    )


def fit_named(
    nets: Any,
    called: Callable[[int], str],
    x: ArrayLike,
    t: ArrayLike,
    *,
    validation_rows: Any,
    validation_data: Any,
    sample_weight: Any,
    threads: Any,
    callbacks: Any,
    errors: Any,
    comm: Alone = ALONE,
    **options: Any,
) -> list[Any]:
    """What ``fit_many`` does, where the network at a position is ``called`` something in messages."""
    networks = as_networks(nets, called)
    if validation_data is not None and validation_rows is not None:
        raise ValueError("validation_data and validation_rows were both given: there is one validation part")
    _arguments.choice("errors", errors, [RAISE, KEEP])
    functions, threads = callables(callbacks), integer_or_none("threads", threads, 1)
    looked = Looked(x, t, sample_weight, validation_data)
    jobs = jobs_of(networks, called, looked, validation_rows=validation_rows, **options)
    comm.agree(lambda: {"errors": errors} | alike(jobs))
    threads = comm.threads(threads)
    for net in networks:
        tell(net)
    with ToldOnce():
        for job in jobs:
            tell_of_few(job.binding, len(job.data), job.batch_size)
    owners = dealt([job.work for job in jobs], comm.size)
    many = _Many(jobs, [k for k, owner in enumerate(owners) if owner == comm.rank], functions)
    outcomes = comm.apart(lambda: many.train(threads), many.count, many.tell)
    known = {k: _if_known(outcome) for k, outcome in outcomes.items()}
    sizes = [4 * job.binding.vector.nbytes for job in jobs]  # a History has as many vectors
    histories = comm.of_owners(owners, sizes, known, many.vectors)
    _raise_other(outcomes, called)
    comm.any(False)  # where the other ranks hear of what one has raised
    if errors == RAISE:
        _raise_not_finite(histories, called)
    return histories


DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(fit_many).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name not in ("progress", "comm")
}
"""What ``fit_named`` takes, as it is where ``fit_many`` is not told otherwise."""


class _Many:
    """One call of ``fit_many``, all of whose arguments are looked at; of its networks, ``own`` are trained here."""

    def __init__(self, jobs: list[Job], own: list[int], callbacks: list[Callable[[int, History], object]]) -> None:
        self._jobs, self._own, self._callbacks = jobs, own, callbacks
        self._lender, self._calling = Lender(), threading.Lock()
        done = sum(0 if job.resume is None else job.resume.step for job in jobs)
        self._bar = _progress.SharedBar(sum(job.n_steps for job in jobs), "step", done=done)

    def count(self) -> int:
        """The steps that were done here."""
        return self._bar.count

    def tell(self, elsewhere: float) -> None:
        """Show how many steps were done by other ranks."""
        self._bar.reach_elsewhere(int(elsewhere))

    def vectors(self, k: int) -> tuple[np.ndarray, ...]:
        """What training has changed of a network."""
        binding = self._jobs[k].net._binding()
        return tuple(vector for vector in (binding.vector, binding.kept) if vector.size)

    def train(self, threads: int | None) -> dict[int, History | Exception]:
        """Train all; returns the History of each, or what it has raised."""
        n = len(self._own)
        at_once = _pool.threads_for(n, threads)
        # The longest first, so that all threads end at about the same time.
        by_work = sorted(self._own, key=lambda k: -self._jobs[k].work)
        is_shared = {k: n == 1 or (at_once > 1 and is_large(self._jobs[k], at_once)) for k in by_work}
        together, apart = ([k for k in by_work if is_shared[k] is shared] for shared in (True, False))
        try:
            outcomes = {k: self._by_all(k, threads) for k in together}
            found = _pool.run_all(len(apart), lambda i: self._one(apart[i]), threads)
            return outcomes | dict(zip(apart, found, strict=True))
        finally:
            self._bar.close()

    def _by_all(self, k: int, threads: int | None) -> History | Exception:
        try:
            return _team.with_threads(threads, lambda: self._one(k))
        except Exception as error:
            return error

    def _one(self, k: int) -> History:
        job = self._jobs[k]
        run = Run(
            job.net,
            job.binding,
            job.data,
            epochs=job.epochs,
            batch_size=job.batch_size,
            optimizer=job.optimizer,
            shuffle=job.shuffle,
            seed=job.seed,
            clip_norm=job.clip_norm,
            max_steps=job.max_steps,
            resume=job.resume,
            lender=self._lender,
        )
        validation = None if job.validation is None else Part(job.net, job.validation, run.dtype)
        callbacks: list[Callable[[History], object]] = [
            partial(self._call, function, k) for function in self._callbacks
        ]
        history = run.train(validation, callbacks, job.patience, self._bar)
        self._bar.advance(run.last_step - run.step)  # which patience has spared
        return history

    def _call(self, function: Callable[[int, History], object], k: int, history: History) -> object:
        with self._calling:
            return function(k, history)


def is_large(job: Job, at_once: int) -> bool:
    """Whether ``at_once`` such networks are together more than the last cache of this CPU holds."""
    cache = _cpu.this().caches[-1]
    vectors = 2 + job.optimizer.n_states  # parameters and gradients
    return 0 < cache < at_once * vectors * job.binding.vector.nbytes


def _if_known(outcome: History | Exception) -> History | FloatingPointError | None:
    """A History or the error of a network that has come to numbers which are not finite; None for any other."""
    return outcome if isinstance(outcome, (History, FloatingPointError)) else None


def _raise_other(outcomes: dict[int, Any], called: Callable[[int], str]) -> None:
    """Raise the first error that is not of numbers that are not finite."""
    for k in sorted(outcomes):
        if _if_known(error := outcomes[k]) is None:
            if hasattr(error, "add_note"):  # from Python 3.11 on
                error.add_note(f"(while {called(k)} was trained; all others are)")
            raise error


def _raise_not_finite(outcomes: list[Any], called: Callable[[int], str]) -> None:
    """Raise the first error, with the names of all that have failed."""
    failed = {k: outcome for k, outcome in enumerate(outcomes) if isinstance(outcome, Exception)}
    if failed:
        (k, first), *others = failed.items()
        named = ", ".join(called(other) for other, _ in others[:MOST_NAMED])
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        too = f"; {named}{more} have failed, too" if others else ""
        raise FloatingPointError(f"{called(k)}: {first}{too}") from first
