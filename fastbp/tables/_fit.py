"""``TableModel.fit``: what it takes, checks and returns."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from fastbp import losses
from fastbp.basics import _arguments
from fastbp.optimizers import Optimizer, get_optimizer
from fastbp.tables._design import BATCH, EPOCHS, HIDDEN, LEARNING_RATES, Design
from fastbp.tables._explosion import Explosion
from fastbp.tables._given import as_table
from fastbp.tables._model import Model
from fastbp.tables._prepare import BALANCED, VALIDATION, Preparation, learn, prepare
from fastbp.tables._samples import samples_of
from fastbp.training.history import History

T = TypeVar("T", bound="FittedModel")


class FittedModel:
    """A model and what became of its training: TableModel, as far as it learns."""

    def __init__(self, model: Model, history: History | None = None) -> None:
        self._model = model
        self.history = history

    @classmethod
    def fit(
        cls: type[T],
        data: Any,
        target: str,
        *,
        hidden: Sequence[int] = HIDDEN,
        activation: str | Sequence[str] = "relu",
        normalization: str | None = None,
        dropout: float = 0.0,
        loss: str | None = None,
        label_smoothing: float = 0.0,
        dtype: DTypeLike = np.float32,
        drop: Iterable[str] = (),
        categorical: Iterable[str] = (),
        missing: Iterable[str] = (),
        dates: bool = False,
        fill_missing: bool = False,
        drop_missing_target: bool = False,
        standardize: bool = True,
        sample_weight: str | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        validation: float = VALIDATION,
        optimizer: str | Optimizer = "sgd",
        lr: Any = None,
        epochs: int = EPOCHS,
        batch_size: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        threads: int | None = None,
        callbacks: Iterable[Callable[[History], object]] = (),
        progress: bool = True,
        clip_norm: float | None = None,
        patience: int | None = None,
        max_steps: int | None = None,
    ) -> T:
        """A model trained on ``data``, to the same bits as by ``fastbp train`` with the same options.

        Text in the target is classes, and so are whole numbers of up to twenty values or counted from 0 or 1; other
        numbers are numbers to predict; truth values are the classes "false" and "true". Columns of text become an input
        for each category, numbers are standardised.

        Parameters
        ----------
        data : DataFrame, dict of columns, or path
            The table, with the target among its columns.
        target : str
            The column to predict.
        hidden : sequence of int
            Units of each hidden layer.
        activation : str or sequence of str
            After each of them, by a name that ``fastbp.mlp`` takes, or a list of one for each.
        normalization : {"batch", "layer"} or None
            For a BatchNormalization or LayerNormalization before each of them, as ``fastbp.mlp`` has it.
        dropout : float
            Probability to drop a hidden unit while training.
        loss : str or None
            "softmax", or "sigmoid" of two classes; "mse", "mae" or "huber" of numbers; None goes by the target.
        label_smoothing : float
            Of softmax.
        dtype : float32 or float64
            Of the parameters.
        drop : sequence of str
            Columns to leave out.
        categorical : sequence of str
            Columns of numbers that are categories.
        missing : sequence of str
            Words that stand for a missing entry, beside the usual ones.
        dates : bool
            Whether year, month and day of week of dates are taken; else dates are an error.
        fill_missing : bool
            Whether a missing number is taken as the mean, and a missing category as none; else an error.
        drop_missing_target : bool
            Whether rows without a target are left out; else an error.
        standardize : bool
            Whether numbers are; else they are taken as they are.
        sample_weight : str or None
            A column of weights.
        class_weight : dict, "balanced" or None
            From class to a number that multiplies the losses of its rows.
        validation : float
            Share of the rows, of each class its own, that is kept apart to validate with.
        optimizer : str or Optimizer
            By name, or an object of ``fastbp.optimizers``.
        lr : float, schedule or None
            Learning rate of an optimizer by name; one that suits it if None.
        epochs : int
            Passes over the rows.
        batch_size : int or None
            Rows a step; 32 if None, or all where there are less.
        shuffle, threads, callbacks, progress, clip_norm, patience, max_steps
            As ``Sequential.fit`` takes them.
        seed : int
            Of weights, order and split.

        Returns
        -------
        model : TableModel

        Raises
        ------
        ValueError, TypeError
            For arguments out of range and data that do not fit, naming column and row.
        FloatingPointError
            Where a loss or a parameter is no longer finite, or a loss is absurd, as ``fastbp train`` tells it.
        """
        kind = _arguments.float_type("dtype", dtype).name
        seed = _arguments.integer("seed", seed, 0)
        if loss is not None:
            _arguments.choice("loss", loss, losses.BY_NAME)
        asked = Preparation(
            loss=loss,
            drop=_words("drop", drop),
            categorical=_words("categorical", categorical),
            missing=_words("missing", missing),
            dates=_arguments.flag("dates", dates),
            fill_missing=_arguments.flag("fill_missing", fill_missing),
            standardize=_arguments.flag("standardize", standardize),
            class_weight=_class_weight(class_weight),
            validation=_arguments.real("validation", validation, 0, below=1),
            seed=seed,
        )
        design = Design(
            hidden=_sizes(hidden),
            activation=_activation(activation),
            normalization=normalization,
            dropout=dropout,
            loss=loss,
            label_smoothing=label_smoothing,
            dtype=kind,
            seed=seed,
        )
        samples = samples_of(
            as_table(data),
            _name("target", target),
            weight=None if sample_weight is None else _name("sample_weight", sample_weight),
            missing=asked.missing,
            drop_missing_target=_arguments.flag("drop_missing_target", drop_missing_target),
        )
        features, targets = learn(asked, samples, None)
        told: list[str] = []
        prepared = prepare(asked, samples, None, features, targets, kind, told.append)
        model = Model(design.network(features.n_inputs, targets), features, targets)
        for message in told:
            warnings.warn(message, stacklevel=2)
        history = model.net.fit(
            prepared.x,
            prepared.t,
            epochs=epochs,
            batch_size=min(len(prepared.x), BATCH) if batch_size is None else batch_size,
            optimizer=_optimizer(optimizer, lr),
            validation_data=prepared.held,
            shuffle=shuffle,
            seed=seed,
            threads=threads,
            callbacks=_with(callbacks, Explosion(model, prepared)),
            progress=progress,
            sample_weight=prepared.weights,
            clip_norm=clip_norm,
            patience=patience,
            max_steps=max_steps,
        )
        return cls(model, history)


def _with(callbacks: Any, watch: Explosion) -> Any:
    """All of them; what cannot hold callbacks as it is, for ``fit`` to tell."""
    return [*callbacks, watch] if isinstance(callbacks, Iterable) and not isinstance(callbacks, str) else callbacks


def _sizes(hidden: Any) -> tuple[int, ...]:
    if isinstance(hidden, (str, Mapping)) or not isinstance(hidden, Iterable):
        raise TypeError(f"hidden must be a list of integers, one for each hidden layer, got {_arguments.shown(hidden)}")
    return tuple(_arguments.integer(f"hidden[{i}]", n, 1) for i, n in enumerate(hidden))


def _activation(activation: Any) -> Any:
    return activation if isinstance(activation, str) or not isinstance(activation, Sequence) else tuple(activation)


def _class_weight(asked: Any) -> str | dict[str, float] | None:
    if asked is None or (isinstance(asked, str) and asked == BALANCED):
        return asked
    if not isinstance(asked, Mapping):
        raise TypeError(f'class_weight must be "balanced" or a dict of numbers, got {_arguments.shown(asked)}')
    return {str(name): _arguments.real(f"class_weight[{name!r}]", weight, 0) for name, weight in asked.items()}


def _optimizer(optimizer: str | Optimizer, lr: Any) -> Optimizer:
    if isinstance(optimizer, str) and lr is None:
        lr = LEARNING_RATES.get(optimizer.lower())
    return get_optimizer(optimizer) if lr is None else get_optimizer(optimizer, lr=lr)


def _name(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be the name of a column, got {_arguments.shown(value)}")
    return value


def _words(name: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of words, got {_arguments.shown(values)}")
    return tuple(map(str, values))
