"""What each of many networks is trained on and how, looked at before any of them is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from fastbp._binding import Binding
from fastbp.basics import _arguments, _check
from fastbp.basics._claim import in_training
from fastbp.kernels.row_losses import first_outside
from fastbp.losses._loss import as_weights
from fastbp.network import Network
from fastbp.optimizers import Optimizer, get_optimizer
from fastbp.programs._program import ALL_ROWS
from fastbp.training._data import Data, steps_in
from fastbp.training._dense_rows import DenseRows
from fastbp.training._resume import check_resume
from fastbp.training.fit import integer_or_none, norm_or_none, validation_part
from fastbp.training.history import TrainingState

V = TypeVar("V")


@dataclass(frozen=True)
class Job:
    """A network, and all that its ``Run`` is made with.

    ``binding`` is that of the network which the rest was looked at for.
    """

    net: Network
    binding: Binding
    data: Data
    validation: Data | None
    epochs: int
    batch_size: int
    optimizer: Optimizer
    seed: int | None
    shuffle: bool
    clip_norm: float | None
    patience: int | None
    max_steps: int | None
    resume: TrainingState | None

    @property
    def n_steps(self) -> int:
        """At most so many."""
        return steps_in(self.epochs, len(self.data), self.batch_size, self.max_steps)

    @property
    def work(self) -> int:
        """About how long it takes beside others."""
        return self.n_steps * self.batch_size * self.binding.vector.size


def as_networks(nets: Any, called: Callable[[int], str]) -> list[Network]:
    """``nets``, different networks that have no layer and no array in common; they are named where they are not."""
    if isinstance(nets, (Network, str)) or not isinstance(nets, Iterable):
        raise TypeError(f"nets must be a sequence of networks, got {_arguments.shown(nets)}")
    networks = list(nets)
    places: dict[int, int] = {}
    for k, net in enumerate(networks):
        if not isinstance(net, Network):
            raise TypeError(f"{called(k)} must be a network of fastbp, got {_arguments.shown(net)}")
        if (other := places.setdefault(id(net), k)) != k:
            raise ValueError(f"{called(k)} is {called(other)} once more: copy.deepcopy makes another network of it")
    owners: dict[int, int] = {}
    for k, net in enumerate(networks):
        for name, layer in net.layers.items():
            if (other := owners.setdefault(id(layer), k)) != k:
                raise ValueError(f"{called(k)} has {name} in common with {called(other)}: a layer is of one network")
    vectors = {id(v): k for k, net in enumerate(networks) for v in (net._last_binding.vector, net._last_binding.kept)}
    for k, net in enumerate(networks):
        if not net._last_binding.has_arrays_of(net.layers, net.loss_layer):
            _check_own(k, net, vectors, called)
    return networks


def _check_own(k: int, net: Network, vectors: dict[int, int], called: Callable[[int], str]) -> None:
    """ValueError where an array that was put into a layer of network ``k`` is in the vector of another."""
    for name, layer in net.layers.items():
        for attribute in (*getattr(layer, "parameters", ()), *getattr(layer, "buffers", ())):
            array = getattr(layer, attribute, None)
            while isinstance(array, np.ndarray):
                if (other := vectors.get(id(array), k)) != k:
                    raise ValueError(
                        f"{called(k)} has {attribute} of {name} in common with {called(other)}: give it a copy"
                    )
                array = array.base


def each(name: str, value: Any, n: int, is_one: Callable[[Any], bool]) -> list[Any]:
    """``value`` for each of ``n`` networks: the same for all if it ``is_one``, else a sequence of one each."""
    if is_one(value):
        return [value] * n
    if isinstance(value, (str, dict)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be one for all networks or a sequence of one each, got {_arguments.shown(value)}")
    values = list(value)
    if len(values) != n:
        raise ValueError(f"{name} must have one for each of the {n} networks, got {len(values)}")
    return values


def is_number(value: Any) -> bool:
    return value is None or isinstance(value, (bool, str, int, float, np.generic))


def is_optimizer(value: Any) -> bool:
    return isinstance(value, (str, Optimizer)) or not isinstance(value, Iterable)


def _made_once(optimizers: Any) -> Any:
    """An optimizer that is named for all, as one for all."""
    return get_optimizer(optimizers) if isinstance(optimizers, str) else optimizers


def is_rows(value: Any) -> bool:
    """Whether these are numbers of samples, not several of such."""
    if value is None or isinstance(value, np.ndarray):
        return value is None or (value.ndim == 1 and value.dtype != object)
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and len(value) > 0 and value[0] is not None and is_number(value[0])


def as_row_numbers(name: str, rows: Any, n_samples: int) -> np.ndarray:
    """The numbers of some of ``n_samples`` samples as (M,) int64 in an array that nobody else has; all for None."""
    if rows is None:
        return ALL_ROWS
    array = _check.as_real(name, rows)
    if array.shape == (0,):
        raise ValueError(f"{name} must hold the number of at least one sample, got none")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        hint = " (of a mask, np.flatnonzero)" if array.dtype.kind == "b" else ""
        came = f"{array.dtype} of shape {array.shape}"
        raise (ValueError if array.ndim != 1 else TypeError)(
            f"{name} must be (M,) integers, the numbers of samples{hint}, got {came}"
        )
    own = np.array(array, np.int64)  # where a uint64 that int64 has not is below 0
    m = first_outside(own, 0, n_samples - 1)
    if m >= 0:
        raise ValueError(f"{name}[{m}] is {array[m]}, outside 0..{n_samples - 1}")
    return own


class Looked:
    """Samples, targets and weights of all networks, each looked at once for all that take it in the same form."""

    def __init__(self, x: Any, t: Any, sample_weight: Any, validation_data: Any) -> None:
        self.samples = DenseRows("x", x, 1.0)
        self.n_samples = len(self.samples.array)
        if self.n_samples == 0:
            raise ValueError("x must hold at least one sample, got none")
        self._t = t if isinstance(t, np.ndarray) else _check.as_array("t", t)
        self._weight, self._validation_data = sample_weight, validation_data
        self.has_validation = validation_data is not None
        self._known: dict[Any, Any] = {}

    def _once(self, key: Any, make: Callable[[], V]) -> V:
        """What ``make()`` returned when it was first asked for ``key``."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def data(self, binding: Binding, scale: float, rows: np.ndarray) -> Data:
        """Those of a network."""
        binding.check_samples("x", self.samples.shape)
        dtype = binding.vector.dtype
        targets = self._targets(binding, rows)
        weights = self._once(("weights", dtype), lambda: as_weights(self._weight, self.n_samples, dtype))
        return Data(self._once(("samples", scale), lambda: _scaled(self.samples, scale)), targets, weights, rows)

    def validation(self, binding: Binding, scale: float) -> Data:
        """The validation data as a network takes them."""
        make = partial(validation_part, "validation_data", self._validation_data, binding, scale)
        return self._once(("validation", scale, binding.n_inputs, binding.in_shape, *_form(binding)), make)

    def _targets(self, binding: Binding, rows: np.ndarray) -> np.ndarray:
        """The targets in the form of a loss; where it does not take all, those of the rows, zeros for the others."""
        loss, shape, dtype = binding.loss, (self.n_samples, binding.n_outputs), binding.vector.dtype

        def whole() -> np.ndarray | None:
            try:
                return loss.as_targets(self._t, shape, dtype)
            except ValueError:
                return None

        targets = self._once(("targets", *_form(binding)), whole)
        if targets is None and len(rows) and self._t.ndim and len(self._t) == self.n_samples:
            own = loss.as_targets(self._t[rows], (len(rows), binding.n_outputs), dtype)
            targets = np.zeros((self.n_samples, *own.shape[1:]), own.dtype)
            targets[rows] = own
        return loss.as_targets(self._t, shape, dtype) if targets is None else targets


def _form(binding: Binding) -> tuple[Any, ...]:
    """What the form of a network's targets depends on."""
    loss = binding.loss
    is_own = not type(loss).__module__.startswith("fastbp.")
    return type(loss), id(loss) if is_own else repr(loss), binding.n_outputs, binding.vector.dtype


def _scaled(samples: DenseRows, scale: float) -> DenseRows:
    other = copy.copy(samples)
    other.scale = scale
    return other


def jobs_of(
    networks: Sequence[Network],
    called: Callable[[int], str],
    looked: Looked,
    *,
    rows: Any,
    validation_rows: Any,
    optimizers: Any,
    epochs: Any,
    batch_sizes: Any,
    seeds: Any,
    shuffle: Any,
    clip_norm: Any,
    patience: Any,
    max_steps: Any,
    resume: Any,
) -> list[Job]:
    """One for each network; TypeError, ValueError and RuntimeError name that for which something does not fit."""
    n = len(networks)
    lists = {
        "rows": each("rows", rows, n, is_rows),
        "validation_rows": each("validation_rows", validation_rows, n, is_rows),
        "optimizer": each("optimizers", _made_once(optimizers), n, is_optimizer),
        "epochs": each("epochs", epochs, n, is_number),
        "batch_size": each("batch_sizes", batch_sizes, n, is_number),
        "seed": each("seeds", seeds, n, is_number),
        "shuffle": each("shuffle", shuffle, n, is_number),
        "clip_norm": each("clip_norm", clip_norm, n, is_number),
        "patience": each("patience", patience, n, is_number),
        "max_steps": each("max_steps", max_steps, n, is_number),
        "resume": each("resume", resume, n, lambda value: value is None),
    }
    jobs = []
    for k, (net, *values) in enumerate(zip(networks, *lists.values(), strict=True)):
        try:
            jobs.append(_job(net, looked, **dict(zip(lists, values, strict=True))))
        except (TypeError, ValueError, RuntimeError) as error:
            raise type(error)(f"{called(k)}: {error}") from error
    return jobs


def _job(
    net: Network,
    looked: Looked,
    *,
    rows: Any,
    validation_rows: Any,
    optimizer: Any,
    epochs: Any,
    batch_size: Any,
    seed: Any,
    shuffle: Any,
    clip_norm: Any,
    patience: Any,
    max_steps: Any,
    resume: Any,
) -> Job:
    if net._training.is_elsewhere():
        raise in_training("fit_many")
    net._learn_shape(looked.samples)
    binding = net._binding()
    binding.check_writable()
    optimizer = get_optimizer(optimizer)
    data = looked.data(binding, net.scale, as_row_numbers("rows", rows, looked.n_samples))
    validation = looked.validation(binding, net.scale) if looked.has_validation else None
    if validation_rows is not None:
        validation = data.only(as_row_numbers("validation_rows", validation_rows, looked.n_samples))
    patience = integer_or_none("patience", patience, 1)
    if patience is not None and validation is None:
        raise ValueError("patience needs validation_data or validation_rows, whose loss it goes by")
    size = min(_arguments.integer("batch_sizes", batch_size, 1), len(data))
    if resume is not None:
        check_resume(resume, binding, optimizer, len(data), size)
    if callable(optimizer.lr):
        first = 0 if resume is None else resume.step
        optimizer.lr_at(first, first // -(-len(data) // size))  # which raises where it is none
    return Job(
        net,
        binding,
        data,
        validation,
        _arguments.integer("epochs", epochs, 0),
        size,
        optimizer,
        integer_or_none("seeds", seed, 0),
        _arguments.flag("shuffle", shuffle),
        norm_or_none("clip_norm", clip_norm),
        patience,
        integer_or_none("max_steps", max_steps, 0),
        resume,
    )
