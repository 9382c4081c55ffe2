"""Optimizers: how gradients move parameters.

Each does what its namesake in torch.optim does. The names, and ``update``, are those of the book "Deep Learning from
Scratch"; where its formulas differ, the class says so.
"""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastbp.basics import _check, _team
from fastbp.basics._address import address_of
from fastbp.basics._arguments import choice, real, shown
from fastbp.kernels import optimizer as kernels
from fastbp.kernels.gemm import NOTHING
from fastbp.schedules import Schedule, replace

__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "Optimizer", "RMSprop", "get_optimizer"]

NO_STATES = NOTHING, NOTHING

_SLOTS = {  # where the kernel looks for a setting
    "momentum": kernels.MEMORY,
    "decay_rate": kernels.MEMORY,
    "beta1": kernels.MEMORY,
    "beta2": kernels.BETA2,
    "eps": kernels.EPS,
    "weight_decay": kernels.WEIGHT_DECAY,
}


@dataclass
class _State:
    """What an optimizer remembers of one parameter: its steps so far, its two vectors, perhaps of length 0."""

    shape: tuple[int, ...]
    first: np.ndarray
    second: np.ndarray
    steps: int = 0


class Moved(NamedTuple):
    """A parameter, its gradient and its states, apart from their shape as the kernel takes them.

    They belong to nobody else or are views, which keep arrays where they are. States that the optimizer does not have
    are missing or without elements. ``steps`` counts those of the parameter, this one with them.
    """

    x: np.ndarray
    dx: np.ndarray
    states: Sequence[np.ndarray] = ()
    steps: int = 1


def take_step(moved: Iterable[Moved], kind: int, hyper: np.ndarray, lr: float, scale: float = 1.0) -> None:
    """Have a ``kind`` of ``fastbp.kernels.optimizer`` move all of these, in one call for each type."""
    tables: dict[np.dtype, list[int]] = {}  # row after row in one list, which NumPy reads in half the time of many
    for x, dx, states, steps in moved:
        table = tables.get(x.dtype)
        if table is None:
            table = tables[x.dtype] = []
        kept = [address_of(state) if state.size else NOTHING for state in states]
        table += (address_of(x), address_of(dx), *kept, *NO_STATES[len(kept) :], x.size, steps)
    team = _team.current().address
    for dtype, table in tables.items():
        words = np.array(table, np.int64).reshape(-1, kernels.N_STEPS + 1)
        kernels.optimizer_steps(team, kind, words, hyper, float(lr), float(scale), dtype.type(1))


def as_pair(key: Any, param: Any, grad: Any) -> tuple[np.ndarray, np.ndarray]:
    """A parameter and its gradient as the kernel takes them, apart from their shape; a number becomes an array.

    Raises ValueError or TypeError where they are not what ``Optimizer.update`` takes.
    """
    if type(param) is type(grad) is np.ndarray:
        x, dx = param.view(), grad.view()
        usual = x.dtype in _check.FLOATS and x.dtype == dx.dtype and x.shape == dx.shape
        if usual and x.flags.carray and dx.flags.carray:
            return x, dx
    name = f"params[{key!r}]"
    if isinstance(param, Real) and not isinstance(param, bool):
        x = np.array(param, _check.FLOAT32 if isinstance(param, np.float32) else _check.FLOAT64)
    elif not isinstance(param, np.ndarray):
        raise TypeError(f"{name} must be a float32 or float64 array, got {type(param).__name__}")
    elif param.dtype not in _check.FLOATS:
        raise TypeError(f"{name} must be a float32 or float64 array, got dtype {param.dtype}")
    elif not param.flags.carray:
        raise ValueError(f"{name} must be C-contiguous, aligned and writable: it is changed in place")
    else:
        x = np.asarray(param).view()
    dx = _check.as_real(f"grads[{key!r}]", grad)
    _check.same_shape(f"grads[{key!r}]", dx, x.shape, name)
    return x, _check.ready(dx, x.dtype)


def as_number(x: np.ndarray, before: Any) -> Any:
    """What a parameter that was a number becomes: of the type of that, if it is one of NumPy's, else Python's."""
    return type(before)(x) if isinstance(before, np.floating) else x.item()


class Optimizer:
    """What all optimizers have in common. Settings do not change once made.

    Two are equal if their settings are; what ``update`` remembers does not count.

    Attributes
    ----------
    kind : int
        Code of the optimizer in ``fastbp.kernels.optimizer``.
    n_states : int
        Vectors that it keeps, each as long as the parameters: 0, 1 or 2.
    lr : float above 0, or callable
        Learning rate, or a schedule: a function of step and epoch, both from 0, that returns it.
    weight_decay : float
        Times the parameters, this is added to the gradient.
    """

    kind: ClassVar[int]
    n_states: ClassVar[int]
    lr: float | Schedule
    weight_decay: float
    _states: dict[Any, _State]
    _steps: int

    def __post_init__(self) -> None:
        if not callable(self.lr):
            replace(self, lr=real("lr", self.lr, above=0))
        for name, slot in _SLOTS.items():
            if not hasattr(self, name):
                continue
            below = None if slot in (kernels.EPS, kernels.WEIGHT_DECAY) else 1
            replace(self, **{name: real(name, getattr(self, name), 0, below=below)})
        replace(self, _states={}, _steps=0)

    def hyper(self) -> np.ndarray:
        """The settings in the order of ``fastbp.kernels.optimizer``; the learning rate goes apart."""
        hyper = np.zeros(kernels.N_HYPER)
        for name, slot in _SLOTS.items():
            if hasattr(self, name):
                hyper[slot] = getattr(self, name)
        return hyper

    def settings(self) -> str:
        """All of them in words, which are the same in another process."""
        own: Any = self  # a dataclass, as all classes of optimizers are
        words = {f.name: getattr(self, f.name) for f in fields(own)}
        return (
            f"{type(self).__name__} { ({name: getattr(word, '__qualname__', word) for name, word in words.items()}) }"
        )

    @property
    def is_plain(self) -> bool:
        """Whether a step is ``p -= lr g`` and no more, so that it can be taken as each gradient is computed."""
        return self.kind == kernels.SGD and self.weight_decay == 0

    def new_states(self, n: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """The state vectors for ``n`` parameters before the first step; without elements where there are fewer."""
        first, second = (np.zeros(n if self.n_states > i else 0, dtype) for i in range(2))
        return first, second

    def lr_at(self, step: int, epoch: int) -> float:
        """The learning rate at a step and an epoch, both from 0. A schedule may come down to 0.

        Raises
        ------
        ValueError
            Where a schedule returns a number that is not finite or below 0.
        TypeError
            Where it returns anything else.
        """
        if not callable(self.lr):
            return self.lr
        return real(f"lr at step {step}, epoch {epoch}", self.lr(step, epoch), 0)

    def update(self, params: MutableMapping[Any, Any], grads: Mapping[Any, Any], epoch: int = 0) -> None:
        """Move ``params`` by one step, ``grads`` being the gradient of the loss: dicts with the same keys.

        Arrays in ``params`` are float32 or float64, C-contiguous, and written to. A number is replaced by its new
        value. States are kept by key, from the first update on. Steps are counted here, a schedule that looks at
        epochs is told the ``epoch``.

        Raises
        ------
        ValueError, TypeError
            Where keys, shapes or types do not fit; nothing has changed then.
        """
        if params.keys() != grads.keys():
            raise ValueError(f"grads must have the keys of params, {list(params)}, got {list(grads)}")
        work = [(key, *self._ready(key, params[key], grads[key])) for key in params]
        lr, moved = self.lr_at(self._steps, epoch), []
        for key, x, dx, state in work:
            self._states[key] = state
            state.steps += 1
            moved.append(Moved(x, dx, (state.first, state.second), state.steps))
        take_step(moved, self.kind, self.hyper(), lr)
        for key, x, *_ in work:
            if not isinstance(params[key], np.ndarray):
                params[key] = as_number(x, params[key])
        replace(self, _steps=self._steps + 1)

    def _ready(self, key: Any, param: Any, grad: Any) -> tuple[np.ndarray, np.ndarray, _State]:
        """A parameter, its gradient and its state as the kernel takes them, apart from their shape."""
        x, dx = as_pair(key, param, grad)
        state = self._states.get(key)
        if state is None:
            first, second = self.new_states(x.size, x.dtype)
            state = _State(x.shape, first, second)
        elif (x.shape, x.dtype) != (state.shape, state.first.dtype):
            before = f"{state.first.dtype} of shape {state.shape}"
            raise ValueError(f"params[{key!r}] must be {before} as before, got {x.dtype} of shape {x.shape}")
        return x, dx, state


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: ``p -= lr g``, where g is the gradient plus ``weight_decay p``.

    >>> params = {"W": np.array([1.0, 2.0])}
    >>> SGD(lr=0.5).update(params, {"W": np.array([1.0, -1.0])})
    >>> params["W"]
    array([0.5, 2.5])
    """

    kind = kernels.SGD
    n_states = 0
    lr: float | Schedule = 0.01
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum: ``s = momentum s + g; p -= lr s``, as torch's SGD.

    The book's ``v`` is -lr s: the same steps as long as the learning rate does not change.
    """

    kind = kernels.MOMENTUM
    n_states = 1
    lr: float | Schedule = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Nesterov's momentum: ``s = momentum s + g; p -= lr (g + momentum s)``, as torch's SGD with nesterov=True.

    The book's code moves p by lr (1 + momentum) g + lr momentum**2 s with the new s, where this comes to the old s.
    """

    kind = kernels.NESTEROV
    n_states = 1
    lr: float | Schedule = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """AdaGrad: ``s += g g; p -= lr g / (sqrt(s) + eps)``, as torch's. The book's is this with eps=1e-7."""

    kind = kernels.ADAGRAD
    n_states = 1
    lr: float | Schedule = 0.01
    eps: float = 1e-10
    weight_decay: float = 0.0


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop: ``s = decay_rate s + (1 - decay_rate) g g; p -= lr g / (sqrt(s) + eps)``, as torch's.

    torch calls the decay rate alpha. The book's is this with eps=1e-7.
    """

    kind = kernels.RMSPROP
    n_states = 1
    lr: float | Schedule = 0.01
    decay_rate: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, as torch's.

    At the step t, from 1::

        s = beta1 s + (1 - beta1) g
        q = beta2 q + (1 - beta2) g g
        p -= lr s / (1 - beta1**t) / (sqrt(q / (1 - beta2**t)) + eps)

    The book adds its eps, 1e-7, to sqrt(q) instead: at the step t the same as 1e-7 / sqrt(1 - beta2**t) here.
    """

    kind = kernels.ADAM
    n_states = 2
    lr: float | Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam whose weight decay stays out of the gradient: ``p -= lr weight_decay p`` before each step, as torch's."""

    kind = kernels.ADAMW
    n_states = 2
    lr: float | Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01


_BY_NAME = {cls.__name__.lower(): cls for cls in (SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam, AdamW)}


def get_optimizer(optimizer: str | Optimizer, **settings: Any) -> Optimizer:
    """An optimizer by its name, in any case, with ``settings``; an optimizer is returned as it is.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For settings that the optimizer does not have.

    Examples
    --------
    >>> get_optimizer("momentum", lr=0.1)
    Momentum(lr=0.1, momentum=0.9, weight_decay=0.0)
    """
    if isinstance(optimizer, Optimizer):
        if settings:
            raise TypeError(
                f"settings go with the name of an optimizer, got {shown(optimizer)} and {', '.join(settings)}"
            )
        return optimizer
    if not isinstance(optimizer, str):
        of_class = isinstance(optimizer, type) and issubclass(optimizer, Optimizer)
        hint = f"; did you mean {optimizer.__name__}(...)?" if of_class else ""
        raise TypeError(f"optimizer must be a name or an optimizer, got {shown(optimizer)}{hint}")
    cls = _BY_NAME[choice("optimizer", optimizer.lower(), _BY_NAME)]
    names = [field.name for field in fields(cls)]
    for name in settings:
        if name not in names:
            raise TypeError(f"{cls.__name__} has the settings {', '.join(names)}, got {shown(name)}")
    return cls(**settings)
