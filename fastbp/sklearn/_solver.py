"""scikit-learn's stochastic solvers as optimizers of a program: their states, constants and learning rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.kernels import optimizer as kernels


class Solver:
    """What "sgd" or "adam" remembers from step to step, and from one call of ``partial_fit`` to the next.

    Adam is that of the paper's section 2 as scikit-learn has it: the powers of beta_1 and beta_2 go into the learning
    rate and epsilon is added after them, where torch's Adam adds it before. SGD's velocity is kept without the learning
    rate, by which scikit-learn's is multiplied.

    Parameters
    ----------
    settings : the estimator's parameters
    n : length of the vector of parameters

    Attributes
    ----------
    kind, first, second : code and states of the optimizer in ``fastbp.kernels.optimizer``
    is_plain : whether a step is ``p -= lr g`` and no more
    steps : done so far
    learning_rate : of the last step of "adam", of the next step of "sgd"
    """

    is_plain = False

    def __init__(self, settings: Any, n: int, dtype: np.dtype) -> None:
        self.name = settings.solver
        self.learning_rate = self._initial = float(settings.learning_rate_init)
        self._schedule, self._power = settings.learning_rate, settings.power_t
        self._hyper = np.zeros(kernels.N_HYPER)
        if self.name == "adam":
            self.kind = kernels.PLAIN
            self._hyper[[kernels.MEMORY, kernels.BETA2, kernels.EPS]] = (
                settings.beta_1,
                settings.beta_2,
                settings.epsilon,
            )
        else:
            self.kind = kernels.NESTEROV if settings.nesterovs_momentum else kernels.MOMENTUM
            self._hyper[kernels.MEMORY] = settings.momentum
        self.first = np.zeros(n, dtype)
        self.second = np.zeros(n if self.name == "adam" else 0, dtype)
        self.steps = 0

    def go_on(self, n: int, dtype: np.dtype) -> None:
        """Go on with ``n`` parameters of ``dtype``, from states that programs can write to: not those of a file.

        ValueError unless the states are of as many parameters.
        """
        for name, size in (("first", n), ("second", n if self.name == "adam" else 0)):
            state = np.asarray(getattr(self, name))
            if state.shape != (size,):
                raise ValueError(
                    f"solver={self.name!r} has its state for {state.size} parameters, coefs_ and intercepts_ hold {n}: "
                    "with warm_start=True, fit begins a new one"
                )
            if state.dtype != dtype or not (state.flags.owndata and state.flags.carray):
                setattr(self, name, np.array(state, dtype))

    def hyper(self) -> np.ndarray:
        """The constants in the order of ``fastbp.kernels.optimizer``."""
        return self._hyper

    def rates(self, n: int) -> np.ndarray:
        """The learning rates of the next ``n`` steps, which then count as done."""
        t = np.arange(self.steps + 1, self.steps + n + 1)
        self.steps += n
        if self.name == "sgd":
            return np.full(n, self.learning_rate)
        beta1, beta2 = self._hyper[kernels.MEMORY], self._hyper[kernels.BETA2]
        rates = self._initial * np.sqrt(1 - beta2**t) / (1 - beta1**t)
        self.learning_rate = float(rates[-1])
        return rates

    def end_epoch(self, samples_seen: int) -> None:
        """Lower the learning rate where the schedule says so after each epoch."""
        if self.name == "sgd" and self._schedule == "invscaling":
            self._change_rate(self._initial / (samples_seen + 1) ** self._power)

    def lower_rate(self) -> bool:
        """Divide the learning rate by 5 where it adapts to the progress; returns whether that is so."""
        if self.name != "sgd" or self._schedule != "adaptive" or self.learning_rate <= 1e-6:
            return False
        self._change_rate(self.learning_rate / 5)
        return True

    def _change_rate(self, rate: float) -> None:
        self.first *= self.learning_rate / rate  # the velocity times the learning rate stays what it was
        self.learning_rate = rate
