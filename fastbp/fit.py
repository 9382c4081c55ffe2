"""``Sequential.fit``: what it takes, checks and returns; the run itself is in ``_run``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _progress, _team
from fastbp._run import Run
from fastbp._samples import Samples
from fastbp.history import History, TrainingState
from fastbp.optimizers import Optimizer, get_optimizer

if TYPE_CHECKING:
    from fastbp.sequential import Sequential


@_progress.told_if(lambda *args, progress=True, **others: progress)
def fit(
    net: Sequential,
    x: ArrayLike,
    t: ArrayLike,
    *,
    epochs: int = 1,
    batch_size: int = 32,
    optimizer: str | Optimizer = "sgd",
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    threads: int | None = None,
    callbacks: Iterable[Callable[[History], object]] = (),
    progress: bool = True,
    scale: float = 1.0,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | None = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    max_steps: int | None = None,
    resume: TrainingState | None = None,
) -> History:
    """Train the network in compiled code, and return what became of it.

    Parameters
    ----------
    x : (N, ...) samples, of as many elements as the network has inputs
        float32, float64, uint8, int16, int32 and int64 are read as they lie, memory-mapped files included; other
        types are copied first.
    t : the targets, as the loss layer takes them
    epochs : passes over the samples
    batch_size : samples a step; the last step of an epoch has what is left
    optimizer : "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", or an object of
        ``fastbp.optimizers``, which also holds the learning rate
    validation_data : (x, t), evaluated after each epoch
    shuffle : whether each epoch takes the samples in a new order
    seed : of the order and of dropout; None draws one. The weights after training are the same bits for the same seed
        and any number of threads.
    threads : how many to use; as many as ``get_num_threads`` says if None
    callbacks : called with the History after each epoch; the run ends when one returns True
    progress : whether to show, on a terminal or in a notebook, that kernels are compiled and then a progress bar
    scale : what each element of ``x`` is multiplied by as it is read, 1 / 255 for images of bytes
    sample_weight : (N,) finite numbers of at least 0, which multiply the losses of the samples
    class_weight : dict from class label to a number that multiplies the losses of its samples; 1 for those it lacks
    clip_norm : largest norm of all gradients together, to which larger ones are scaled down
    patience : stop after so many epochs without a lower validation loss, and go back to the best weights
    max_steps : stop after so many steps in all, also in the middle of an epoch
    resume : the ``state`` of an earlier History: go on from there, to the same bits as without a stop

    Ctrl-C ends the run between two steps, after the one at hand: the network then has the weights of the last finished
    one.

    Raises
    ------
    ValueError, TypeError
        for arguments out of range and data that do not fit; nothing has changed then
    FloatingPointError
        where a loss or a parameter is no longer finite, naming epoch and batch; the network has the last finite
        parameters
    """
    run = Run(
        net,
        Samples("x", x, scale),
        t,
        epochs=_whole("epochs", epochs, 0),
        batch_size=_whole("batch_size", batch_size, 1),
        optimizer=get_optimizer(optimizer),
        shuffle=bool(shuffle),
        seed=seed,
        sample_weight=sample_weight,
        class_weight=class_weight,
        clip_norm=clip_norm,
        resume=resume,
    )
    if max_steps is not None:
        run.last_step = min(run.last_step, _whole("max_steps", max_steps, 0))
    if patience is not None:
        _whole("patience", patience, 1)
        if validation_data is None:
            raise ValueError("patience needs validation_data")
    validation = None if validation_data is None else _validation(run, validation_data, scale)
    callbacks = _callables(callbacks)
    run.check_rate()
    return _team.with_threads(threads, lambda: run.train(validation, callbacks, patience))


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def _callables(callbacks: Any) -> list[Callable[[History], object]]:
    if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a sequence of functions, got {callbacks!r}")
    functions = list(callbacks)
    for function in functions:
        if not callable(function):
            raise TypeError(f"callbacks must be functions, got {function!r}")
    return functions


def _validation(run: Run, data: Any, scale: float) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(data, (tuple, list)):
        raise TypeError(f"validation_data must be (x, t), got {data!r}")
    if len(data) != 2:
        raise ValueError(f"validation_data must be (x, t), got {len(data)} things")
    x, t = data
    samples = Samples("validation_data[0]", x, scale)
    samples.check_columns(run.columns, "validation_data[0]")
    if len(samples.array) == 0:
        raise ValueError("validation_data must hold at least one sample, got none")
    targets = run.net.lastLayer.as_targets(t, (len(samples.array), run.n_outputs), run.dtype)
    return samples.converted(run.dtype), targets
