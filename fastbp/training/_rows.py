"""Programs of steps over a data set, kept with the network: to write one takes longer than a small network's step."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from fastbp._binding import Binding
from fastbp.optimizers import Optimizer
from fastbp.programs._feed import Rows
from fastbp.programs._program import ALL_ROWS, Program, Update
from fastbp.training._data import Data

MOST_KEPT = 4  # of a network
MOST_BYTES = 1 << 21  # of a program that is kept; beside the step of a larger one, it is written in no time


class RowsProgram(Program):
    """Steps over samples, targets and weights, and the optimizer's states; one run's at a time.

    Attributes
    ----------
    states : the optimizer's vectors, zeros at first
    """

    def __init__(self, binding: Binding, key: Hashable, data: Data, update: Update, n_rows: int) -> None:
        feed = Rows(data.samples, data.targets, data.weights, len(data))
        super().__init__(binding, feed, binding.loss, update, n_rows)
        self.rows = data.rows
        self.states, self._key, self._kept = (update.first, update.second), key, binding.programs

    @classmethod
    def of(
        cls,
        binding: Binding,
        data: Data,
        rule: Optimizer,
        limit: float,
        batch_size: int,
    ) -> RowsProgram:
        """One that an earlier run has left with ``binding``, for data of these shapes, or a new one."""
        samples, targets, weights = data.samples, data.targets, data.weights
        of_samples = samples.array.shape, samples.array.dtype, samples.scale, len(data)
        key = (*of_samples, targets.shape, weights.shape, rule.kind, rule.hyper().tobytes(), limit, batch_size)
        program: Any = binding.programs.pop(key, None)
        if program is None:
            states = rule.new_states(binding.vector.size, binding.vector.dtype)
            return cls(binding, key, data, Update(rule, *states, limit), batch_size)
        for state in program.states:
            state.fill(0)
        program.rows = data.rows
        program.read((samples.array, targets, *([weights] if weights.size else [])))
        return program

    def leave(self) -> None:
        """Leave it to a later run, without the data, which are the user's."""
        self.lowering.sources, self.rows = [], ALL_ROWS
        n_bytes = self.lowering.n_bytes + sum(state.nbytes for state in self.states)
        if n_bytes <= MOST_BYTES and not self.is_sliced:
            self._kept[self._key] = self
            if len(self._kept) > MOST_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
