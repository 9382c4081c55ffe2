"""``Sequential.fit``: what it takes, checks and returns; the run itself is in ``_run``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp._binding import Binding
from fastbp.basics import _arguments, _progress, _team
from fastbp.kernels._jit import kind
from fastbp.losses._loss import as_weights, no_weights
from fastbp.network import Network
from fastbp.optimizers import Optimizer, get_optimizer
from fastbp.training._by_layers import tell
from fastbp.training._data import Data
from fastbp.training._dense_rows import DenseRows
from fastbp.training._few_rows import tell_of_few
from fastbp.training._part import Part
from fastbp.training._ranks import Alone, on_all_ranks
from fastbp.training._run import Run
from fastbp.training._shards import of_network
from fastbp.training.history import History, TrainingState


@_progress.told_if(lambda *args, progress=True, comm=None, **others: progress and getattr(comm, "rank", 0) == 0)
@on_all_ranks
def fit(
    net: Network,
    x: ArrayLike,
    t: ArrayLike,
    *,
    epochs: int = 1,
    batch_size: int = 32,
    optimizer: str | Optimizer = "sgd",
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    validation_split: float | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    threads: int | None = None,
    callbacks: Iterable[Callable[[History], object]] = (),
    accuracy: bool = False,
    progress: bool = True,
    scale: float | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    max_steps: int | None = None,
    resume: TrainingState | None = None,
    comm: Any = None,
    sync_every: int = 1,
) -> History:
    """Train the network in compiled code, and return what became of it.

    Ctrl-C ends the run between two steps, after the one at hand: the network then has the weights of the last finished
    one.

    Parameters
    ----------
    x : (N, ...) array
        Samples, of as many elements as the network has inputs. float32, float64, uint8, int16, int32 and int64 are read
        as they lie, memory-mapped files included; other types are copied first. Nothing can hold a file that somebody
        cuts short under its map.
    t : array
        The targets, as the loss layer takes them.
    epochs : int
        Passes over the samples.
    batch_size : int
        Samples a step; the last step of an epoch has what is left.
    optimizer : str or Optimizer
        "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", or an object of ``fastbp.optimizers``,
        which also holds the learning rate.
    validation_data : (x, t) or None
        Evaluated after each epoch.
    validation_split : float above 0 and below 1, or None
        Share of the samples to take for validation: the last ones, as they are given and before any shuffling; so order
        them by chance where they are sorted.
    shuffle : bool
        Whether each epoch takes the samples in a new order.
    seed : int or None
        Of the order and of dropout layers without a seed of their own; None draws one. The weights after training are
        the same bits for the same seed and any number of threads.
    threads : int or None
        How many to use; as many as ``get_num_threads`` says if None.
    callbacks : sequence of callables
        Called with the History after each epoch; the run ends when one returns True.
    accuracy : bool
        Whether to find the accuracy on the training samples after each epoch, too, which costs a pass over them.
    progress : bool
        Whether to show, on a terminal or in a notebook, that kernels are compiled and then a progress bar.
    scale : float above 0, or None
        What each element of ``x`` is multiplied by as it is read, 1 / 255 for images of bytes. It becomes the network's
        own, so that predict, accuracy, files and exports multiply as well; the network's present one if None.
    sample_weight : (N,) array or None
        Finite numbers of at least 0, which multiply the losses of the samples.
    class_weight : dict, "balanced" or None
        From class label to a number that multiplies the losses of its samples; 1 for those it lacks. "balanced" weighs
        each class that is there by N / (classes x its samples), as scikit-learn does. The labels of a network with one
        output are 0 and 1.
    clip_norm : float above 0, or None
        Largest norm of all gradients together, to which larger ones are scaled down.
    patience : int or None
        Stop after so many epochs without a lower validation loss, and go back to the weights of the epoch with the
        lowest, the History's ``best_epoch``.
    max_steps : int or None
        Stop after so many steps in all, also in the middle of an epoch.
    resume : TrainingState or None
        The ``state`` of an earlier History: go on from there, to the same bits as without a stop. Where patience had
        run out, nothing is left to do.

    comm : mpi4py communicator or None
        Train on its ranks together, ``MPI.COMM_WORLD`` for all that ``mpiexec`` has started. Each passes a shard of the
        samples as ``x``, ``t`` and ``sample_weight``, likewise ``validation_data``, and all else alike; each ends with
        the same network and History, for which see "Training on several machines". The whole is the shards one after
        the other: a step's batch is ``batch_size`` samples of it, of which each rank computes those that it has.
        ``threads=None`` divides the cores among the ranks that share them. Callbacks are called on every rank that has
        any, with the same History.
    sync_every : int
        With ``comm``: how many steps a rank does by the gradient of its own samples before all go on from the mean of
        their parameters; 1 for one gradient of all ranks at each step.

    Returns
    -------
    history : History
        Losses and what else was asked for, an entry for each epoch, and the ``state`` to go on from.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range and data that do not fit; nothing has changed then. With ``comm``, for what differs
        from rank to rank and must not. What a rank raises is raised on all.
    ImportError
        With ``comm``, without mpi4py (the extra ``mpi``).
    FloatingPointError
        Where a loss or a parameter is no longer finite, naming epoch and batch, and the element of ``x`` or ``t`` that
        was not, also of the validation data; the network has the last finite parameters.
    RuntimeError
        Where another thread trains this network, or a callback has changed its layers to other kinds or shapes. (Arrays
        and settings that a callback replaces are followed.)
    BufferError
        From whoever closes or resizes memory that ``x``, ``t`` or the weights lie in while this runs.
    """
    ranks: Alone = comm  # which on_all_ranks has made of it
    optimizer, sync_every = get_optimizer(optimizer), _arguments.integer("sync_every", sync_every, 1)
    if sync_every > 1 and ranks.size == 1:
        raise ValueError(f"sync_every is of ranks that train together: it goes with comm, got {sync_every}")
    ranks.agree(
        lambda: {
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": optimizer.settings(),
            "validation part": (validation_data is None, validation_split),
            "shuffle": shuffle,
            "seed": seed,
            "accuracy": accuracy,
            "scale": net.scale if scale is None else scale,
            "class_weight": class_weight,
            "clip_norm": clip_norm,
            "patience": patience,
            "max_steps": max_steps,
            "sync_every": sync_every,
            "state to resume": None if resume is None else vars(resume),
            "machine code": kind(),
            **of_network(net._binding()),
        }
    )
    if x is None and ranks.size > 1:
        raise TypeError("x must be this rank's shard of the samples, got None: with comm, each rank passes one")
    samples = DenseRows("x", x, net.scale if scale is None else _arguments.real("scale", scale, above=0))
    held = None
    if validation_split is not None:
        if validation_data is not None:
            raise ValueError("validation_split and validation_data were both given: there is one validation part")
        samples, t, sample_weight, held = _split(net, samples, t, sample_weight, validation_split)
    net._learn_shape(samples)
    binding = net._binding()
    data = Data.of(binding, samples, t, sample_weight, class_weight, ranks)
    run = Run(
        net,
        binding,
        data,
        epochs=_arguments.integer("epochs", epochs, 0),
        batch_size=_arguments.integer("batch_size", batch_size, 1),
        optimizer=optimizer,
        shuffle=_arguments.flag("shuffle", shuffle),
        seed=integer_or_none("seed", seed, 0),
        clip_norm=norm_or_none("clip_norm", clip_norm),
        max_steps=integer_or_none("max_steps", max_steps, 0),
        resume=resume,
        accuracy=_arguments.flag("accuracy", accuracy),
        ranks=ranks,
        sync_every=sync_every,
    )
    if validation_data is not None:
        held = validation_part("validation_data", validation_data, binding, samples.scale)
    validation = None if held is None else Part(net, held, run.dtype)
    patience = integer_or_none("patience", patience, 1)
    if patience is not None and validation is None:
        raise ValueError("patience needs validation_data or validation_split, whose loss it goes by")
    callbacks = callables(callbacks)
    _arguments.flag("progress", progress)  # told_if goes by it
    threads = ranks.threads(integer_or_none("threads", threads, 1))
    run.check_rate()
    tell(net)
    tell_of_few(binding, run.n_samples, run.batch_size)
    return _team.with_threads(threads, lambda: run.train(validation, callbacks, patience))


def integer_or_none(name: str, value: Any, least: int) -> int | None:
    """``value``, an integer of at least ``least`` or None."""
    return None if value is None else _arguments.integer(name, value, least)


def norm_or_none(name: str, value: Any) -> float | None:
    """``value``, a number above 0 or None."""
    return None if value is None else _arguments.real(name, value, above=0)


def callables(callbacks: Any) -> list[Callable[..., object]]:
    """``callbacks``, a sequence of functions."""
    if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a sequence of functions, got {_arguments.shown(callbacks)}")
    functions = list(callbacks)
    for i, function in enumerate(functions):
        if not callable(function):
            raise TypeError(f"callbacks[{i}] must be a function, got {_arguments.shown(function)}")
    return functions


def validation_part(name: str, data: Any, binding: Binding, scale: float) -> Data:
    """What a user gives as the argument ``name``, looked at as ``validation_data`` is."""
    if not isinstance(data, (tuple, list)):
        raise TypeError(f"{name} must be (x, t), got {_arguments.shown(data)}")
    if len(data) != 2:
        raise ValueError(f"{name} must be (x, t), got {len(data)} things")
    x, t = data
    samples = DenseRows(f"{name}[0]", x, scale)
    binding.check_samples(f"{name}[0]", samples.shape)
    n, dtype = len(samples.array), binding.vector.dtype
    if n == 0:
        raise ValueError(f"{name} must hold at least one sample, got none")
    return Data(samples, binding.loss.as_targets(t, (n, binding.n_outputs), dtype), no_weights(dtype))


def _split(
    net: Network, samples: DenseRows, t: ArrayLike, sample_weight: ArrayLike | None, share: Any
) -> tuple[DenseRows, np.ndarray, np.ndarray | None, Data]:
    """Samples, targets and weights without the last ``share`` of them, and those samples and targets."""
    share = _arguments.real("validation_split", share, 0, 1)
    n, dtype = len(samples.array), net.dtype
    kept = int(n * (1 - share))
    if not 0 < kept < n:
        raise ValueError(f"validation_split of {share:g} leaves one of the parts of {n} samples empty")
    targets = net.loss_layer.as_targets(t, (n, net.n_outputs), dtype)
    weights = None if sample_weight is None else as_weights(sample_weight, n, dtype)[:kept]
    first, rest = samples.split(kept)
    return first, targets[:kept], weights, Data(rest, targets[kept:], no_weights(dtype))
