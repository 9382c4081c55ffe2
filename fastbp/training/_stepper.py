"""Single training steps on mini-batches that come from outside, for online and reinforcement learning."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp._binding import Binding
from fastbp.basics import _arguments, _check, _machine, _team
from fastbp.basics._address import address_of
from fastbp.basics._claim import Claim
from fastbp.basics._pin import pin
from fastbp.kernels import program
from fastbp.kernels.entry_program import short_step
from fastbp.losses._loss import as_weights
from fastbp.optimizers import get_optimizer
from fastbp.programs._feed import Given
from fastbp.programs._program import Program, Update, is_short
from fastbp.training._by_layers import ByLayers
from fastbp.training._few_rows import tell_of_a_step
from fastbp.training._not_finite import place_of

MOST_BATCHES = 8  # programs kept: a whole mini-batch, the last of an epoch, and a few more
# NumPy lets other threads run while it copies more elements than this (500 in its NPY_BEGIN_THREADS_THRESHOLDED).
COPIED_AT_ONCE = 256


class Batch(Given):
    """The program of a step for mini-batches of one size, and the arrays that it reads them from.

    These are in no other hands and live as long as the ``program``; the vectors are the stepper's. Long samples are not
    copied to them, but read where they lie.

    Attributes
    ----------
    reads_in_place : whether its samples are so long
    take_step : what does it; see ``kernels.program``
    enter : a call of it with arrays, of a team's address, samples and labels, if it takes a moment; else None
    """

    program: Program
    take_step: Callable[[int, int, int, Any], float]

    def __init__(self, stepper: Stepper, n_rows: int, targets: np.ndarray, weighted: bool, limit: float) -> None:
        binding, dtype = stepper.binding, stepper.binding.vector.dtype
        x, t = np.zeros((n_rows, binding.n_inputs), dtype), np.zeros(targets.shape, targets.dtype)
        super().__init__(x, t, np.zeros(n_rows if weighted else 0, dtype))
        self.x_shape, self.t_shape, self.x_dtype, self.t_dtype = x.shape, t.shape, dtype, t.dtype
        self.is_large = max(x.size, t.size) > COPIED_AT_ONCE
        self.reads_in_place = False
        self.enter: Callable[..., Any] | None = None
        self.is_checked = not self.labels  # whether the loss has to look at targets in the form of the program's own
        self.words = np.zeros(program.BATCH_WORDS, np.int64)
        self.address = address_of(self.words)  # lives as long as this
        update = Update(stepper.optimizer, stepper.first, stepper.second, limit)
        if binding.unlowered:
            self.take_step = self._by_layers(stepper, update)
        else:
            self._compile(stepper, update)

    def _compile(self, stepper: Stepper, update: Update) -> None:
        binding, words = stepper.binding, self.words
        gradients = None if update.fuses else stepper.gradients
        self.program = Program(binding, self, binding.loss, update, self.n_samples, gradients=gradients)
        p = self.program.lowering
        p.fill_in(words, self.program.whole, address_of(self.x), stepper.words, binding.n_outputs)
        self.reads_in_place = self.x.size >= _machine.numbers().read_in_place
        if self.labels:
            words[program.LABELS], words[program.N_LABELS] = p.keep(self.t), self.n_samples
        words[program.PARAMETERS], words[program.N_PARAMETERS] = p.keep(binding.vector), binding.vector.size
        self.take_step = program.take_step
        if self.labels and is_short(binding, 3 * self.n_samples):
            self.enter = short_step(self.x_dtype, self.address, self.x_shape, address_of(self.t))

    def _by_layers(self, stepper: Stepper, update: Update) -> Callable[[int, int, int, Any], float]:
        """In place of the compiled ``take_step`` where a layer has no instructions: the same words, the same result."""
        layers, vector, step = ByLayers(stepper.binding, stepper.passing, update), stepper.binding.vector, stepper.words

        def take_step(*_: Any) -> float:
            rate = step[program.LR : program.LR + 1].view(np.float64)[0]
            self.words[program.NOT_FINITE] = 0
            loss = layers.step(self.x, self.t, self.weights, rate, int(step[program.STEP]), int(step[program.SEED]))
            step[program.LOSS : program.LOSS + 1].view(np.float64)[0] = loss
            if not math.isfinite(loss):
                return math.nan
            step[program.STEP] += 1
            self.words[program.NOT_FINITE] = not np.isfinite(vector).all()
            return math.nan if self.words[program.NOT_FINITE] else loss

        return take_step

    @np.errstate(over="ignore")  # in half the time of a with statement
    def put(self, x: np.ndarray, scale: float) -> None:
        """Take over samples times ``scale``: what is too large for the program's type is infinite, as in ``fit``."""
        self.x[...] = x
        if scale != 1:
            self.x *= self.x_dtype.type(scale)

    def take(self, x: np.ndarray, t: np.ndarray, scale: float) -> tuple[np.ndarray, Any] | None:
        """Take over a batch in the form of its own, with the samples where they lie if the program can read them there.

        Returns these, in an array of their own, and what keeps them in their place; None where they were copied.
        """
        held = pin("x", x), pin("t", t)
        own = x.view() if self.reads_in_place and scale == 1 else None
        if own is None or (own.shape, own.dtype, own.flags.carray) != (self.x_shape, self.x_dtype, True):
            own = None
            self.put(x, scale)
        self.t[...] = t
        return None if own is None else (own, held)

    def listing(self, layers: Iterable[str]) -> str:
        """The program in words, of whose network the ``layers`` are called so; TypeError where there is none."""
        if not hasattr(self, "program"):
            raise TypeError("there is no program of a network that is trained layer by layer, by layers without lower")
        return self.program.listing(layers, {"x": self.x, "t": self.t, "weights": self.weights})


class Stepper:
    """An optimizer at work on a network, step by step.

    ``given`` is what the user named it by, ``passing`` the claim of whoever passes through the network's layers.
    """

    def __init__(self, binding: Binding, given: Any, passing: Claim) -> None:
        binding.learn_to_look()
        self.binding, self.given, self.optimizer, self.passing = binding, given, get_optimizer(given), passing
        dtype = binding.vector.dtype
        shape = binding.in_shape
        self._images = shape if shape is not None and len(shape) > 1 else None
        self._one, self._keeps = dtype.type(1), bool(binding.kept.size)
        self._team: _team.Team | None = None  # the last that knew the product
        self.first, self.second = self.optimizer.new_states(binding.vector.size, dtype)
        self.words = np.zeros(program.STEP_WORDS, np.int64)
        self.words[program.SEED] = seed_of(None)
        self._schedule = callable(self.optimizer.lr)
        if not self._schedule:
            self._set_rate(self.optimizer.lr_at(0, 0))
        self._gradients: np.ndarray | None = None
        self._batches: dict[tuple[int, int, bool, float], Batch] = {}  # the last used comes last
        self._batch: Batch | None = None  # the last, if it takes no weights and clips nothing

    @classmethod
    def going_on(cls, before: Stepper | None, binding: Binding, given: Any, passing: Claim) -> Stepper:
        """The stepper for ``binding`` and ``given``: ``before`` where it is that; with its states, if they fit."""
        same = before is not None and (before.given is given or before.given == given)
        if before is not None and same and before.binding is binding:
            return before
        stepper = cls(binding, given, passing)
        if before is not None and same and binding.fits(before.binding):
            for own, kept in zip((stepper.first, stepper.second), (before.first, before.second), strict=True):
                own[...] = kept
            for word in (program.STEP, program.SEED):
                stepper.words[word] = before.words[word]
        return stepper

    @property
    def steps(self) -> int:
        """Steps done."""
        return int(self.words[program.STEP])

    def step(
        self, x: Any, t: Any, scale: float, sample_weight: ArrayLike | None, clip_norm: float | None, seed: Any
    ) -> float:
        """Do one step, on ``x`` times ``scale``; returns the loss before it."""
        self.binding.check_writable()
        if self._schedule:
            self._set_rate(self.optimizer.lr_at(self.steps, 0))
        batch, loss, given = self._batch, None, x
        if self._images is not None and type(x) is np.ndarray and x.shape[1:] == self._images:
            x = x.reshape(len(x), self.binding.n_inputs)
        is_plain = sample_weight is None and clip_norm is None and seed is None
        if batch is not None and batch.enter is not None and is_plain and scale == 1:
            loss = batch.enter(self._ready_team(), x, t)
        if loss is None or batch is None:
            taken = self._taken(x, t, scale) if is_plain else None
            batch, x, held = taken or self._prepared(x, t, scale, sample_weight, clip_norm, seed)
            loss = batch.take_step(self._ready_team(), batch.address, address_of(x), self._one)
            del held
        if loss != loss:
            self._tell(batch, given, scale)
        if self._keeps and not np.isfinite(self.binding.kept).all():
            raise self._not_finite("running statistics")
        return loss

    def _ready_team(self) -> int:
        """The address of the calling thread's team, which knows the product."""
        team = _team.current()
        if team is not self._team:
            team.learn_gemm(self.binding.vector.dtype)
            self._team = team
        return team.address

    def _taken(self, x: Any, t: Any, scale: float) -> tuple[Batch, np.ndarray, Any] | None:
        """The last batch with ``x`` and ``t`` in it, if in its form, its samples, and what keeps them there."""
        batch, own = self._batch, None
        if (
            batch is None
            or type(x) is not np.ndarray
            or type(t) is not np.ndarray
            or x.dtype != batch.x_dtype
            or t.dtype != batch.t_dtype
            or x.shape != batch.x_shape
            or t.shape != batch.t_shape
        ):
            return None
        if batch.is_large:
            own = batch.take(x, t, scale)
        else:
            if scale == 1:
                batch.x[...] = x
            else:
                batch.put(x, scale)
            batch.t[...] = t
        if batch.is_checked:
            self._check_targets(batch)
        if own is not None:
            return batch, *own
        return batch, batch.x, None

    def _not_finite(self, what: str, flaw: str = "") -> FloatingPointError:
        return FloatingPointError(
            f"step {self.steps} left {what} that are not finite{flaw}: write those of before into net.params and "
            f"net.buffers{'' if flaw else ', and take a smaller learning rate'}"
        )

    def _set_rate(self, lr: float) -> None:
        self.words[program.LR : program.LR + 1].view(np.float64)[0] = lr

    @property
    def gradients(self) -> np.ndarray:
        """Room for the gradients of all programs that keep any."""
        if self._gradients is None:  # no cached_property: with it, all other attributes are looked up more slowly
            self._gradients = np.zeros_like(self.binding.vector)
        return self._gradients

    def _prepared(
        self, x: Any, t: Any, scale: float, sample_weight: ArrayLike | None, clip_norm: float | None, seed: Any
    ) -> tuple[Batch, np.ndarray, None]:
        """The batch for ``x`` and ``t``, with these in it, and its samples; raises where they do not fit."""
        limit = 0.0 if clip_norm is None else _arguments.real("clip_norm", clip_norm, above=0)
        sown = None if seed is None else seed_of(seed)
        held = pin("x", x), pin("t", t), pin("sample_weight", sample_weight)
        binding, dtype = self.binding, self.binding.vector.dtype
        x = _check.as_real("x", x)
        if x.ndim != 2 or x.shape[1] != binding.n_inputs or len(x) == 0:
            expected = ", ".join(map(str, binding.in_shape or ()))
            raise ValueError(f"x must be (N, {expected}), of at least one sample, got shape {x.shape}")
        targets = binding.loss.as_targets(t, (len(x), binding.n_outputs), dtype)
        weights = as_weights(sample_weight, len(x), dtype)
        key = len(x), targets.ndim, bool(weights.size), limit
        batch = self._batches.pop(key, None)
        if batch is None:
            tell_of_a_step(binding, len(x))
            batch = Batch(self, len(x), targets, bool(weights.size), limit)
        self._batches[key] = batch
        if len(self._batches) > MOST_BATCHES:
            del self._batches[next(iter(self._batches))]
        batch.put(x, scale)
        batch.t[...] = targets
        batch.weights[...] = weights
        del held
        self._batch = batch if not weights.size and not limit else None
        if sown is not None:
            self.words[program.SEED] = sown
        return batch, batch.x, None

    def _check_targets(self, batch: Batch) -> None:
        """Raise for targets of a batch that the loss does not take."""
        self.binding.loss.as_targets(batch.t, (len(batch.x), self.binding.n_outputs), batch.x_dtype)

    def _tell(self, batch: Batch, x: Any, scale: float) -> None:
        """Raise for what a step on the samples given as ``x``, times ``scale``, came to that is no number."""
        held, dtype, x = pin("x", x), batch.x_dtype, np.atleast_1d(_check.as_real("x", x))
        flaw = place_of("x", x, np.arange(len(x)), dtype, scale)
        flaw = flaw or place_of("t", batch.t, np.arange(len(batch.t)), dtype)
        del held
        flaw = f"; {flaw}" if flaw else ""
        if batch.words[program.NOT_FINITE]:
            raise self._not_finite("parameters", flaw)
        self._check_targets(batch)  # a label out of range
        loss = self.words[program.LOSS : program.LOSS + 1].view(np.float64)[0]
        raise FloatingPointError(f"the loss is {loss} in step {self.steps + 1}{flaw}; nothing was updated")


def seed_of(seed: int | None) -> int:
    """A 63-bit number from what a user gives as seed; a new one for None."""
    return secrets.randbits(63) if seed is None else _spread(_arguments.integer("seed", seed, 0))


@lru_cache(maxsize=128)
def _spread(seed: int) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))
