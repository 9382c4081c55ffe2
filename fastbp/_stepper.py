"""Single training steps on mini-batches that come from outside, for online and reinforcement learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import _check, _team
from fastbp._lowering import Lowering, bits
from fastbp.kernels.gemm import NOTHING
from fastbp.kernels.program import LOSS, LR, ROWS, SEED, STEP, STEP_WORDS, execute
from fastbp.optimizers import get_optimizer

if TYPE_CHECKING:
    from fastbp.sequential import Sequential


class Batch:
    """The program of a step for mini-batches of one size, and the arrays that it reads them from."""

    def __init__(self, stepper: Stepper, net: Sequential, n_rows: int, targets: np.ndarray) -> None:
        p = Lowering(stepper.parameters, stepper.gradients, n_rows, fused_step=stepper.fused)
        self._keeps_buffers = p
        self.x = np.zeros((n_rows, stepper.n_inputs), stepper.parameters.dtype)
        self.t = np.zeros_like(targets)
        labels = targets.ndim == 1
        scores, columns, passes = net._lower(p, p.keep(self.x), stepper.n_inputs)
        dout = net.lastLayer.lower(p, scores, columns, p.keep(self.t), NOTHING, labels)
        net._lower_backward(passes, dout)
        if not stepper.fused:
            p.optimizer(stepper.optimizer, stepper.first, stepper.second, limit=0.0)
        self.table = p.table()


class Stepper:
    """An optimizer at work on a network, step by step; ``given`` is what the user named it by."""

    def __init__(self, net: Sequential, given: Any) -> None:
        self.given, self.optimizer = given, get_optimizer(given)
        self.parameters = net._bound()
        self.n_inputs, self.n_outputs = net.params["W1"].shape[0], net._affines()[-1].W.shape[1]
        self.fused = self.optimizer.is_plain
        self.one = self.parameters.dtype.type(1)
        size = self.parameters.size
        self.gradients = np.zeros(0 if self.fused else size, self.parameters.dtype)
        self.first, self.second = self.optimizer.new_states(size, self.parameters.dtype)
        self._words = np.zeros(STEP_WORDS, np.int64)
        self._words[SEED] = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))
        self._numbers = self._words.view(np.float64)
        self._address = self._words.ctypes.data
        self._steps = 0
        self._batches: dict[tuple[int, int], Batch] = {}

    def __call__(self, net: Sequential, x: Any, t: Any) -> float:
        """Do one step; returns the loss before it."""
        x = _check.as_real("x", x)
        if x.ndim != 2 or x.shape[1] != self.n_inputs or len(x) == 0:
            raise ValueError(f"x must be (N, {self.n_inputs}), of at least one sample, got shape {x.shape}")
        targets = net.lastLayer.as_targets(t, (len(x), self.n_outputs), self.parameters.dtype)
        key = len(x), targets.ndim
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = Batch(self, net, len(x), targets)
        lr = self.optimizer.lr_at(self._steps, 0)
        np.copyto(batch.x, x, casting="same_kind" if x.dtype.kind == "f" else "unsafe")
        np.copyto(batch.t, targets)
        words = self._words
        words[STEP], words[LR], words[LOSS], words[ROWS] = self._steps, bits(lr), 0, len(x)
        finished = execute(_team.address_for(self.parameters.dtype), batch.table, self._address, self.one)
        loss = float(self._numbers[LOSS])
        if not finished:
            raise FloatingPointError(f"the loss is {loss} in step {self._steps + 1}; nothing was updated")
        self._steps += 1
        return loss
