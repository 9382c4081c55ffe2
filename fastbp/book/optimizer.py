"""The book's ``common/optimizer.py``: its formulas, constants and defaults, on the kernels of ``fastbp.optimizers``.

An optimizer's numbers may be set between two steps. What it remembers stands in dicts with the keys of the parameters,
None before the first update, as in the book.
"""

from collections.abc import Callable, Collection, Mapping, MutableMapping
from functools import partial
from typing import Any, ClassVar

import numpy as np

from fastbp.basics._arguments import real
from fastbp.basics._attributes import setting
from fastbp.kernels import optimizer as kernels
from fastbp.optimizers import Moved, as_number, as_pair, take_step

__all__ = ["SGD", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop", "np"]

EPS = 1e-7  # beside the root


def _share(name: str, value: Any) -> float:
    return real(name, value, 0, below=1)


class _Optimizer:
    """What they have in common: which of their dicts are states, and an update of all parameters or of none."""

    states: ClassVar[tuple[str, ...]] = ()
    lr: float = setting(lambda name, value: real(name, value, 0))

    def update(self, params: MutableMapping[Any, Any], grads: Mapping[Any, Any]) -> None:
        """Move each of ``params`` by one step, by its gradient in ``grads``.

        Arrays, of float32 or float64 and any shape, are written to; a number is replaced.

        Raises
        ------
        ValueError, TypeError
            Where gradients are missing, or shapes or types do not fit; nothing has changed then.
        """
        work = {key: self._taken(key, param, grads) for key, param in params.items()}
        for state in self.states:
            if getattr(self, state) is None:
                setattr(self, state, {})
        for n, state in enumerate(self.states):
            getattr(self, state).update((key, moved.states[n]) for key, moved in work.items())
        self._begin()
        self._step(partial(_take, work.values()))
        for key, moved in work.items():
            given = params[key]
            if not isinstance(given, np.ndarray):
                params[key] = as_number(moved.x, given)
            elif not given.flags.carray:
                given[...] = moved.x

    def _taken(self, key: Any, param: Any, grads: Mapping[Any, Any]) -> Moved:
        """A parameter, its gradient and its states in the form that the kernel takes, apart from their shape."""
        if key not in grads:
            raise ValueError(f"grads must have the keys of params, which has {key!r}, got {list(grads)}")
        if isinstance(param, np.ndarray) and not param.flags.carray and param.flags.writeable:
            param = np.array(param, order="C")  # update puts the result back
        x, dx = as_pair(key, param, grads[key])
        kept = []
        for state in self.states:
            array = (getattr(self, state) or {}).get(key)
            if array is None:
                array = np.zeros(x.shape, x.dtype)
            elif array.shape != x.shape or array.dtype != x.dtype or not array.flags.carray:
                before = f"{array.dtype} of shape {array.shape}"
                raise ValueError(f"params[{key!r}] must be {before} as before, got {x.dtype} of shape {x.shape}")
            kept.append(array)
        return Moved(x, dx, kept)

    def _begin(self) -> None:
        """Count a step, where steps are counted."""

    def _step(self, take: Callable[..., None]) -> None:
        """Call ``take`` for the parameters; see ``_take``."""
        raise NotImplementedError


def _take(
    moved: Collection[Moved],
    kind: int,
    lr: float,
    memory: float = 0,
    beta2: float = 0,
    *,
    scale: float = 1,
    eps: float = 0,
) -> None:
    """A step of a ``kind`` of ``fastbp.kernels.optimizer``."""
    hyper = np.zeros(kernels.N_HYPER)
    hyper[kernels.MEMORY], hyper[kernels.BETA2], hyper[kernels.EPS] = memory, beta2, eps
    take_step(moved, kind, hyper, lr, scale)


class SGD(_Optimizer):
    """``p -= lr g``."""

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr

    def _step(self, take: Callable[..., None]) -> None:
        take(kernels.SGD, self.lr)


class Momentum(_Optimizer):
    """``v = momentum v - lr g; p += v``."""

    states = ("v",)
    momentum: float = setting(_share)

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        self.lr, self.momentum = lr, momentum
        self.v: dict[Any, np.ndarray] | None = None

    def _step(self, take: Callable[..., None]) -> None:
        take(kernels.MOMENTUM, -1.0, self.momentum, scale=-self.lr)


class Nesterov(Momentum):
    """``v = momentum v - lr g; p += momentum^2 v - (1 + momentum) lr g``, with the new v."""

    def _step(self, take: Callable[..., None]) -> None:
        take(kernels.MOMENTUM, -(self.momentum**2), self.momentum, scale=-self.lr)
        take(kernels.SGD, (1 + self.momentum) * self.lr)


class AdaGrad(_Optimizer):
    """``h += g g; p -= lr g / (sqrt(h) + 1e-7)``."""

    states = ("h",)

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr
        self.h: dict[Any, np.ndarray] | None = None

    def _step(self, take: Callable[..., None]) -> None:
        take(kernels.ADAGRAD, self.lr, eps=EPS)


class RMSprop(_Optimizer):
    """``h = decay_rate h + (1 - decay_rate) g g; p -= lr g / (sqrt(h) + 1e-7)``."""

    states = ("h",)
    decay_rate: float = setting(_share)

    def __init__(self, lr: float = 0.01, decay_rate: float = 0.99) -> None:
        self.lr, self.decay_rate = lr, decay_rate
        self.h: dict[Any, np.ndarray] | None = None

    def _step(self, take: Callable[..., None]) -> None:
        take(kernels.RMSPROP, self.lr, self.decay_rate, eps=EPS)


class Adam(_Optimizer):
    """Adam with its corrections in the learning rate, so that they do not reach the 1e-7.

    At the update ``iter``, from 1::

        m += (1 - beta1) (g - m)
        v += (1 - beta2) (g g - v)
        p -= lr sqrt(1 - beta2^iter) / (1 - beta1^iter) m / (sqrt(v) + 1e-7)
    """

    states = ("m", "v")
    beta1: float = setting(_share)
    beta2: float = setting(_share)

    def __init__(self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.iter = 0
        self.m: dict[Any, np.ndarray] | None = None
        self.v: dict[Any, np.ndarray] | None = None

    def _begin(self) -> None:
        self.iter += 1

    def _step(self, take: Callable[..., None]) -> None:
        lr = self.lr * (1 - self.beta2**self.iter) ** 0.5 / (1 - self.beta1**self.iter)
        take(kernels.PLAIN, lr, self.beta1, self.beta2, eps=EPS)


CLASSES = (SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam)
