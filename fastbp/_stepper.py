"""Single training steps on mini-batches that come from outside, for online and reinforcement learning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import _check, _team
from fastbp._lowering import Lowering
from fastbp._not_finite import place_of
from fastbp.kernels.gemm import NOTHING
from fastbp.kernels.program import SEED, STEP_WORDS, take_step
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

        def write(p: Lowering) -> None:
            scores, columns, passes = net._lower(p, p.keep(self.x), stepper.n_inputs)
            dout = net.lastLayer.lower(p, scores, columns, p.keep(self.t), NOTHING, labels)
            net._lower_backward(passes, dout)
            if not stepper.fused:
                p.optimizer(stepper.optimizer, stepper.first, stepper.second, limit=0.0)

        self.table, _ = p.tables(n_rows, write)
        self.addresses = self.x.ctypes.data, self.t.ctypes.data

    def takes(self, x: Any, t: Any) -> bool:
        """Whether ``x`` and ``t`` are in the form that the program reads."""
        return (
            type(x) is type(t) is np.ndarray
            and x.shape == self.x.shape
            and t.shape == self.t.shape
            and x.dtype == self.x.dtype
            and t.dtype == self.t.dtype
            and x.flags.carray
            and t.flags.carray
        )


class Stepper:
    """An optimizer at work on a network, step by step; ``given`` is what the user named it by."""

    def __init__(self, net: Sequential, given: Any) -> None:
        self.given, self.optimizer = given, get_optimizer(given)
        self.parameters = net._bound()
        self.dtype = self.parameters.dtype
        self.n_inputs, self.n_outputs = net.params["W1"].shape[0], net._affines()[-1].W.shape[1]
        self.fused = self.optimizer.is_plain
        self.one = self.dtype.type(1)
        size = self.parameters.size
        self.gradients = np.zeros(0 if self.fused else size, self.dtype)
        self.first, self.second = self.optimizer.new_states(size, self.dtype)
        self._words = np.zeros(STEP_WORDS, np.int64)
        self._words[SEED] = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))
        self._address = self._words.ctypes.data
        self._steps = 0
        self._batches: dict[tuple[int, int], Batch] = {}
        self._batch: Batch | None = None  # the last

    def __call__(self, net: Sequential, x: Any, t: Any) -> float:
        """Do one step; returns the loss before it."""
        batch = self._batch
        if batch is None or net.scale != 1 or not batch.takes(x, t):
            x, t = self._converted(net, x, t)
            key = len(x), t.ndim
            batch = self._batches.get(key)
            if batch is None:
                batch = self._batches[key] = Batch(self, net, len(x), t)
            self._batch = batch
        team, step = _team.address_for(self.dtype), self._steps
        lr = self.optimizer.lr_at(step, 0)
        loss = take_step(team, batch.table, self._address, x, t, *batch.addresses, self.n_outputs, step, lr, self.one)
        if not math.isfinite(loss):
            self._converted(net, x, t)  # which raises for labels out of range
            rows = np.arange(len(x))
            flaw = place_of("x", x, rows, self.dtype) or place_of("t", t, rows, self.dtype)
            raise FloatingPointError(f"the loss is {loss} in step {step + 1}{flaw and '; '}{flaw}; nothing was updated")
        self._steps += 1
        return loss

    def _converted(self, net: Sequential, x: Any, t: Any) -> tuple[np.ndarray, np.ndarray]:
        """``x`` and ``t`` in the form that programs read; raises where they do not fit the network."""
        x = _check.as_real("x", x)
        if x.ndim != 2 or x.shape[1] != self.n_inputs or len(x) == 0:
            raise ValueError(f"x must be (N, {self.n_inputs}), of at least one sample, got shape {x.shape}")
        targets = net.lastLayer.as_targets(t, (len(x), self.n_outputs), self.dtype)
        x = _check.ready(x, self.dtype)
        return _writable(x if net.scale == 1 else x * self.dtype.type(net.scale)), _writable(targets)


def _writable(a: np.ndarray) -> np.ndarray:
    """``a`` as a kernel is compiled for: C-contiguous, and not read-only."""
    return np.require(a, requirements=["C", "A", "W"])
