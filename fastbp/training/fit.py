"""``Sequential.fit``: what it takes, checks and returns; the run itself is in ``_run``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments, _progress, _team
from fastbp.losses._loss import as_weights
from fastbp.network import Network
from fastbp.optimizers import Optimizer, get_optimizer
from fastbp.training._by_layers import tell
from fastbp.training._part import Part
from fastbp.training._run import Run
from fastbp.training._samples import Samples
from fastbp.training.history import History, TrainingState


@_progress.told_if(lambda *args, progress=True, **others: progress)
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

    Returns
    -------
    history : History
        Losses and what else was asked for, an entry for each epoch, and the ``state`` to go on from.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range and data that do not fit; nothing has changed then.
    FloatingPointError
        Where a loss or a parameter is no longer finite, naming epoch and batch, and the element of ``x`` or ``t`` that
        was not, also of the validation data; the network has the last finite parameters.
    RuntimeError
        Where another thread trains this network, or a callback has changed its layers to other kinds or shapes. (Arrays
        and settings that a callback replaces are followed.)
    BufferError
        From whoever closes or resizes memory that ``x``, ``t`` or the weights lie in while this runs.
    """
    samples = Samples("x", x, net.scale if scale is None else _arguments.real("scale", scale, above=0))
    held = None
    if validation_split is not None:
        if validation_data is not None:
            raise ValueError("validation_split and validation_data were both given: there is one validation part")
        samples, t, sample_weight, held = _split(net, samples, t, sample_weight, validation_split)
    run = Run(
        net,
        samples,
        t,
        epochs=_arguments.integer("epochs", epochs, 0),
        batch_size=_arguments.integer("batch_size", batch_size, 1),
        optimizer=get_optimizer(optimizer),
        shuffle=_arguments.flag("shuffle", shuffle),
        seed=_integer_or_none("seed", seed, 0),
        sample_weight=sample_weight,
        class_weight=class_weight,
        clip_norm=None if clip_norm is None else _arguments.real("clip_norm", clip_norm, above=0),
        resume=resume,
        accuracy=_arguments.flag("accuracy", accuracy),
    )
    max_steps = _integer_or_none("max_steps", max_steps, 0)
    if max_steps is not None:
        run.last_step = min(run.last_step, max_steps)
    if validation_data is not None:
        held = _validation(run, validation_data)
    validation = None if held is None else Part(net, *held, run.dtype)
    patience = _integer_or_none("patience", patience, 1)
    if patience is not None and validation is None:
        raise ValueError("patience needs validation_data or validation_split, whose loss it goes by")
    callbacks = _callables(callbacks)
    _arguments.flag("progress", progress)  # told_if goes by it
    threads = _integer_or_none("threads", threads, 1)
    run.check_rate()
    tell(net, stacklevel=3)
    return _team.with_threads(threads, lambda: run.train(validation, callbacks, patience))


def _integer_or_none(name: str, value: Any, least: int) -> int | None:
    return None if value is None else _arguments.integer(name, value, least)


def _callables(callbacks: Any) -> list[Callable[[History], object]]:
    if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a sequence of functions, got {_arguments.shown(callbacks)}")
    functions = list(callbacks)
    for i, function in enumerate(functions):
        if not callable(function):
            raise TypeError(f"callbacks[{i}] must be a function, got {_arguments.shown(function)}")
    return functions


def _validation(run: Run, data: Any) -> tuple[Samples, np.ndarray]:
    """Samples and targets of ``validation_data``."""
    if not isinstance(data, (tuple, list)):
        raise TypeError(f"validation_data must be (x, t), got {_arguments.shown(data)}")
    if len(data) != 2:
        raise ValueError(f"validation_data must be (x, t), got {len(data)} things")
    x, t = data
    samples = Samples("validation_data[0]", x, run.scale)
    run.binding.check_samples("validation_data[0]", samples.shape)
    if len(samples.array) == 0:
        raise ValueError("validation_data must hold at least one sample, got none")
    return samples, run.net.loss_layer.as_targets(t, (len(samples.array), run.n_outputs), run.dtype)


def _split(
    net: Network, samples: Samples, t: ArrayLike, sample_weight: ArrayLike | None, share: Any
) -> tuple[Samples, np.ndarray, np.ndarray | None, tuple[Samples, np.ndarray]]:
    """Samples, targets and weights without the last ``share`` of them, and those samples and targets."""
    share = _arguments.real("validation_split", share, 0, 1)
    n, dtype = len(samples.array), net._bound().dtype
    kept = int(n * (1 - share))
    if not 0 < kept < n:
        raise ValueError(f"validation_split of {share:g} leaves one of the parts of {n} samples empty")
    targets = net.loss_layer.as_targets(t, (n, net.n_outputs), dtype)
    weights = None if sample_weight is None else as_weights(sample_weight, n, dtype)[:kept]
    first, rest = samples.split(kept)
    return first, targets[:kept], weights, (rest, targets[kept:])
