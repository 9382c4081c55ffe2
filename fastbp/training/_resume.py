"""Whether a run can go on from the state of an earlier one."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp._binding import Binding
from fastbp.basics import _arguments
from fastbp.optimizers import Optimizer
from fastbp.training.history import TrainingState


def check_resume(state: Any, binding: Binding, optimizer: Optimizer, n_samples: int, batch_size: int) -> None:
    """TypeError and ValueError unless a run of this network, optimizer and data can go on from ``state``."""
    if not isinstance(state, TrainingState):
        raise TypeError(f"resume must be the state of a History, got {_arguments.shown(state)}")
    name = type(optimizer).__name__
    if state.optimizer not in (None, name):
        raise ValueError(
            f"resume does not fit: it is of a run with {state.optimizer}, here the optimizer is {name}: pass "
            f"optimizer={state.optimizer.lower()!r} or another {state.optimizer}"
        )
    n, dtype = binding.vector.size, binding.vector.dtype
    states = [n * (optimizer.n_states > i) for i in range(2)]
    for name, own, what in (
        ("parameters", n, "parameters of another network"),
        ("first", states[0], "states of another optimizer"),
        ("second", states[1], "states of another optimizer"),
        ("buffers", binding.kept.size, "buffers of another network"),
    ):
        kept = or_empty(getattr(state, name), dtype)
        if kept.shape != (own,) or kept.dtype != dtype:
            raise ValueError(
                f"resume does not fit: its {name} are {kept.size} numbers of {kept.dtype}, "
                f"here {own} of {dtype}: they are {what}"
            )
    if (state.n_samples, state.batch_size) != (n_samples, batch_size):
        raise ValueError(
            f"resume does not fit: it is of {state.n_samples} samples in batches of {state.batch_size}, "
            f"here {n_samples} in batches of {batch_size}"
        )


def or_empty(vector: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """A vector as a TrainingState has it, where None stands for no elements."""
    return np.zeros(0, dtype) if vector is None else vector


def or_none(vector: np.ndarray) -> np.ndarray | None:
    """A copy of a vector for a TrainingState."""
    return vector.copy() if vector.size else None
