"""One training run: its program, its state, and how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from fastbp._binding import Binding
from fastbp.basics import _pool
from fastbp.basics._claim import in_training
from fastbp.basics._pace import Pace
from fastbp.basics._progress import Bar
from fastbp.kernels.batch import begin_epoch
from fastbp.network import Network
from fastbp.optimizers import Optimizer
from fastbp.training._by_layers import RowsByLayers
from fastbp.training._data import Data, steps_in
from fastbp.training._lender import Lender, LentProgram
from fastbp.training._not_finite import place_of
from fastbp.training._part import Part
from fastbp.training._ranks import ALONE, Alone, Ranks
from fastbp.training._resume import check_resume, or_empty, or_none
from fastbp.training._retreat import Retreat
from fastbp.training._rows import RowsProgram
from fastbp.training._shards import ShardedRows, Shards, of_network, until_sync
from fastbp.training._stepper import seed_of
from fastbp.training.history import History, TrainingState

MOST_STEPS = 1 << 16  # in a chunk, which bounds the arrays of rates and losses


class Run:
    """One call of ``fit``: its program, state and place.

    ``binding`` is that of ``net`` which ``data`` were looked at for. Networks that one after the other have a program
    in common have it from ``lender``.
    """

    def __init__(
        self,
        net: Network,
        binding: Binding,
        data: Data,
        *,
        epochs: int,
        batch_size: int,
        optimizer: Optimizer,
        seed: int | None,
        shuffle: bool = True,
        clip_norm: float | None = None,
        max_steps: int | None = None,
        resume: TrainingState | None = None,
        accuracy: bool = False,
        ranks: Alone = ALONE,
        sync_every: int = 1,
        lender: Lender | None = None,
    ) -> None:
        self.net, self.optimizer, self.shuffle = net, optimizer, shuffle
        self.ranks, self._sync_every, self._lender = ranks, sync_every, lender
        self.binding, self.dtype = binding, binding.vector.dtype
        self._data, self.scale = data, data.samples.scale
        self.shards = Shards(ranks.gathered(len(data)), ranks.rank)
        self.n_samples = self.shards.total
        self.batch_size = min(batch_size, self.n_samples)
        self.per_epoch = -(-self.n_samples // self.batch_size)
        self.last_step = steps_in(epochs, self.n_samples, self.batch_size, max_steps)
        self._limit = clip_norm or 0.0
        self.accuracy = accuracy
        if accuracy:
            net.loss_layer.must_be_of_classes("accuracy")
            if self.part.labels is None:
                raise ValueError("accuracy needs targets that name one class a sample")
        if resume is not None:
            check_resume(resume, binding, optimizer, self.n_samples, self.batch_size)
        self.resume = resume
        self.program = self._made()
        self.first, self.second = self.program.states
        self.seed = ranks.of_first(seed_of(seed))
        self.step, self.partial_loss = 0, 0.0
        self._first_rate: float | None = None
        self.best_loss, self.waited = math.inf, 0
        self.best_parameters = self.best_buffers = np.zeros(0, self.dtype)
        self.history = History()
        self.order, self._epoch_of_order = self._order_of(-1), -1
        self._retreat = Retreat(self.vectors)

    @cached_property
    def part(self) -> Part:
        """The data that it trains on, to measure by."""
        return Part(self.net, self._data, self.dtype)

    @property
    def parameters(self) -> np.ndarray:
        return self.binding.vector

    @property
    def buffers(self) -> np.ndarray:
        return self.binding.kept

    @property
    def vectors(self) -> tuple[np.ndarray, ...]:
        """All that steps change."""
        return self.parameters, self.buffers, self.first, self.second

    def is_finite(self) -> bool:
        """Whether parameters and buffers are finite numbers."""
        return self.binding.is_finite()

    def _begin(self) -> None:
        """Take over the state to go on from: the first change to the network."""
        state = self.resume
        if self.net.scale != self.scale:
            self.net.scale = self.scale
        if state is not None:
            self.put_back([state.parameters, or_empty(state.buffers, self.dtype), state.first, state.second])
            self.step, self.seed, self.partial_loss = state.step, state.seed, state.partial_loss
            lists: dict[str, Any] = {name: list(values) for name, values in state.history.items()}
            self.history = History(**lists)
            self.best_loss, self.waited = state.best_loss, state.waited
            self.best_parameters = state.best_parameters.copy()
            self.best_buffers = or_empty(state.best_buffers, self.dtype).copy()

    def _made(self) -> RowsProgram | LentProgram | RowsByLayers | ShardedRows:
        """The program of the layers as they are, or what does its work where it cannot be written."""
        of = self.binding, self._data, self.optimizer, self._limit, self.batch_size
        if isinstance(self.ranks, Ranks):
            return ShardedRows.of(self.ranks, self.shards, self.net._passing, *of, self._sync_every)
        if self.binding.unlowered:
            return RowsByLayers(self.net._passing, *of)
        lent = None if self._lender is None else self._lender.lent(*of)
        return lent or RowsProgram.of(*of)

    def _follow(self) -> None:
        """Go on with the layers as they are now: a callback or another thread may have replaced arrays or settings.

        Raises RuntimeError where the run cannot go on with them, ValueError where parameters are read-only.
        """
        binding = self.net._binding()
        if self.ranks.any(binding is not self.binding):
            self.ranks.agree(lambda: of_network(binding))
            if not binding.fits(self.binding):
                raise RuntimeError(
                    "the layers were changed while fit was running: arrays of the same shapes and numbers such as a "
                    "Dropout's p may be replaced then, layers of other kinds and shapes need another call of fit"
                )
            if self._retreat.is_ready:
                self._look()
            self._retreat.forget()
            self.binding = binding
            self.program = self._made()
            for state, before in zip(self.program.states, (self.first, self.second), strict=True):
                state[...] = before
            self.first, self.second = self.program.states
        binding.check_writable()

    def check_rate(self) -> None:
        """Ask for the learning rate of the first step to come, which raises where it is none."""
        first = self.step if self.resume is None else self.resume.step
        self._first_rate = self.optimizer.lr_at(first, first // self.per_epoch)

    def _rates(self, steps: int) -> np.ndarray:
        """The learning rates of the next ``steps`` steps; a schedule is asked once for each."""
        if not callable(self.optimizer.lr):
            return np.full(steps, float(self.optimizer.lr))
        rates = [] if self._first_rate is None else [self._first_rate]
        self._first_rate = None
        for step in range(self.step + len(rates), self.step + steps):
            rates.append(self.optimizer.lr_at(step, step // self.per_epoch))
        return self.ranks.of_first(np.array(rates))

    def state(self) -> TrainingState:
        """A copy of where the run is."""
        return TrainingState(
            self.step,
            self.parameters.copy(),
            self.first.copy(),
            self.second.copy(),
            self.seed,
            self.n_samples,
            self.batch_size,
            self.partial_loss,
            self.history.lists(),
            self.best_loss,
            self.best_parameters.copy(),
            self.waited,
            type(self.optimizer).__name__,
            or_none(self.buffers),
            or_none(self.best_buffers),
        )

    def _advance(self, steps: int, pace: Pace, look: bool) -> np.ndarray:
        """Do ``steps`` steps and return their losses; FloatingPointError where one is not finite.

        Where parameters are not, that comes out later, and at the latest where it is to ``look``.
        """
        rates, losses, retreat = self._rates(steps), np.zeros(steps), self._retreat
        retreat.prepare(self)
        start = time.perf_counter()
        done = self.execute(rates, losses)
        seconds = self.ranks.of_first(time.perf_counter() - start)  # all ranks go on with as many steps
        pace.took(seconds, steps)
        self.step += done
        retreat.went(rates[:done], seconds)
        if done < steps:
            self._fail(f"the loss is {losses[done]}")
        is_far = self.ranks.of_first(retreat.is_far)
        if look or is_far:
            self._look()
        if is_far:
            retreat.forget()
        return losses

    def execute(self, lrs: np.ndarray, losses: np.ndarray) -> int:
        """Do steps from the present one on, without counting them; returns how many were finished."""
        epoch, batch = divmod(self.step, self.per_epoch)
        if self.shuffle and batch and self._epoch_of_order != epoch:
            begin_epoch(self.order, self._data.rows, self.seed, epoch)
        self._epoch_of_order = (self.step + len(lrs) - 1) // self.per_epoch
        return self.program.run(self.order, self.step, lrs, losses, shuffled=self.shuffle, seed=self.seed)

    def _look(self) -> None:
        """FloatingPointError where parameters are no longer finite."""
        if not self.is_finite():
            self._fail("")

    def _fail(self, problem: str) -> None:
        """Go back to the last finite parameters, and say where the run stopped."""
        if not self.is_finite():
            problem = "the parameters are no longer finite"
            self._retreat.go_back(self)
        epoch, batch = divmod(self.step, self.per_epoch)
        raise FloatingPointError(f"{problem} in epoch {epoch + 1}, batch {batch + 1}; {self._reason(epoch, batch)}")

    def _reason(self, epoch: int, batch: int) -> str:
        """What is to blame for a step that came to no finite loss or parameters, and the way out."""
        order = self._order_of(epoch)
        own = order[batch * self.batch_size : (batch + self._sync_every) * self.batch_size]
        own = own if self.ranks.size == 1 else self.shards.own(own)
        if flaw := self.ranks.first_said(self.part.flaw(own)):
            return f"{flaw}: fill it in, or leave the row out"
        for name, p in self.net.params.items():
            p = np.atleast_1d(p)
            if place := place_of(name, p, np.arange(len(p)), self.dtype):
                return f"{place} before this step"
        return "try a smaller learning rate"

    def _order_of(self, epoch: int) -> np.ndarray:
        """The samples in the order of an epoch; before the first, where they will be shuffled, in any."""
        if not self.shuffle:
            return self._data.numbers if self.ranks.size == 1 else self.shards.order()
        order = np.arange(self.n_samples)
        if epoch >= 0:
            begin_epoch(order, self._data.rows, self.seed, epoch)
        return order

    def put_back(self, vectors: list[np.ndarray]) -> None:
        """Have the vectors be what they were."""
        self._epoch_of_order = -1
        for own, kept in zip(self.vectors, vectors, strict=True):
            own[...] = kept

    def train(
        self,
        validation: Part | None,
        callbacks: list[Callable[[History], object]],
        patience: int | None,
        bar: Bar | None = None,
    ) -> History:
        """Train to the last step in chunks, and advance ``bar``, or one of its own.

        Raises RuntimeError where another thread trains the network.
        """
        training = self.net._training
        try:
            if not training.take(False):
                raise in_training("fit")
            return self._train(validation, callbacks, patience, bar)
        finally:
            training.end()

    def _train(
        self,
        validation: Part | None,
        callbacks: list[Callable[[History], object]],
        patience: int | None,
        bar: Bar | None,
    ) -> History:
        self._follow()
        self._begin()
        self.program.compile()  # so that the bar tells of steps alone
        if patience is not None and self.best_loss in self.history.val_loss:
            self.history.best_epoch = self.history.val_loss.index(self.best_loss)
        called = self.ranks.any(bool(callbacks))  # also where only other ranks have any
        by_epoch = validation is not None or called or self.accuracy
        pace = self.program.pace if isinstance(self.program, LentProgram) else Pace()
        stopped = patience is not None and self.waited >= patience
        if bar is None:
            bar = Bar(self.last_step, "step", done=self.step, wanted=self.ranks.rank == 0)
        with bar:
            epoch_start = time.perf_counter()
            while self.step < self.last_step and not stopped:
                _pool.look()
                n = min(self.last_step - self.step, pace.steps, MOST_STEPS)
                if by_epoch:
                    n = min(n, self.per_epoch - self.step % self.per_epoch)
                n = min(self.last_step - self.step, self._to_sync(n))
                done = self.step + n
                losses = self._advance(n, pace, done == self.last_step or (by_epoch and done % self.per_epoch == 0))
                finished = self._record(losses)
                bar.advance(n, loss=losses[-1])
                if finished:
                    stopped = self._measure(validation, patience)
                    now = time.perf_counter()
                    seconds = self.ranks.of_first(now - epoch_start)
                    self.history.seconds += [seconds / finished] * finished
                    epoch_start = now
                    if called:
                        stopped = self._call(callbacks) or stopped
                self._follow()
        self.ranks.agree(self._parameters_and_buffers)
        self.history.state = self.state()
        self.program.leave()
        if patience is not None and self.best_parameters.size:
            self.parameters[...] = self.best_parameters
            self.buffers[...] = self.best_buffers
        return self.history

    def _call(self, callbacks: list[Callable[[History], object]]) -> bool:
        """Call them, and return whether one of any rank has the run end."""
        self._retreat.forget()
        self.history.state = self.state()
        stopping = [callback(self.history) is True for callback in callbacks]
        self.ranks.agree(self._parameters_and_buffers)
        return self.ranks.any(any(stopping))

    def _parameters_and_buffers(self) -> dict[str, np.ndarray]:
        return {"vector of parameters": self.parameters, "vector of buffers": self.buffers}

    def _to_sync(self, steps: int) -> int:
        """At least ``steps``, so many that all ranks have the same parameters after the last."""
        last = (self.step + steps - 1) % self.per_epoch
        return steps - 1 + until_sync(last, self.per_epoch, self._sync_every)

    def _measure(self, validation: Part | None, patience: int | None) -> bool:
        """Record what the network has come to by the end of an epoch; returns whether patience has run out."""
        if self.accuracy:
            self.history.accuracy.append(self._measured(self.part)["accuracy"])
        if validation is None:
            return False
        loss = self._validate(validation)
        if patience is None:
            return False
        self.waited += 1
        if loss < self.best_loss:
            self.best_loss, self.waited = loss, 0
            self.best_parameters, self.best_buffers = self.parameters.copy(), self.buffers.copy()
            self.history.best_epoch = len(self.history.val_loss) - 1
        return self.waited >= patience

    def _validate(self, validation: Part) -> float:
        """Measure and record; returns the loss. FloatingPointError where it is not finite because the data are not."""
        measured = self._measured(validation)
        loss = measured["loss"]
        if not math.isfinite(loss) and (flaw := self._flaw_in(validation)):
            when = f"after epoch {len(self.history.loss)}"
            raise FloatingPointError(f"the validation loss is {loss} {when}; in the validation data, {flaw}")
        for name, value in measured.items():
            getattr(self.history, f"val_{name}").append(value)
        return loss

    def _measured(self, part: Part) -> dict[str, float]:
        return self.ranks.mean(part.measured(), len(part))

    def _flaw_in(self, part: Part) -> str:
        return self.ranks.first_said(part.flaw())

    def _record(self, losses: np.ndarray) -> int:
        """Add up the losses of the steps just done; returns how many epochs they finished."""
        first = (self.step - len(losses)) % self.per_epoch
        past = first + len(losses)
        last = slice(self.per_epoch - 1 - first, None, self.per_epoch)  # of their epochs
        sums = losses * self.batch_size
        sums[last] = losses[last] * (self.n_samples - (self.per_epoch - 1) * self.batch_size)
        # What the epoch came to before goes first: one chain of additions, wherever its steps were cut into chunks.
        sums[0] += self.partial_loss
        sums = np.bincount(np.arange(first, past) // self.per_epoch, sums)
        finished, rest = divmod(past, self.per_epoch)
        self.history.loss += (sums[:finished] / self.n_samples).tolist()
        self.partial_loss = float(sums[-1]) if rest else 0.0
        return finished
