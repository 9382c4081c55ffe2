"""One training run: its program, its state, and how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.basics import _arguments
from fastbp.basics._claim import in_training
from fastbp.basics._pace import Pace
from fastbp.basics._progress import Bar
from fastbp.kernels.batch import shuffle as shuffle_order
from fastbp.losses._loss import as_weights
from fastbp.network import Network
from fastbp.optimizers import Optimizer
from fastbp.training._by_layers import RowsByLayers
from fastbp.training._class_weight import with_class_weight
from fastbp.training._not_finite import place_of
from fastbp.training._part import Part
from fastbp.training._retreat import Retreat
from fastbp.training._rows import RowsProgram
from fastbp.training._samples import Samples
from fastbp.training._stepper import seed_of
from fastbp.training.history import History, TrainingState

MOST_STEPS = 1 << 16  # in a chunk, which bounds the arrays of rates and losses


class Run:
    """One call of ``fit``: its program, state and place."""

    def __init__(
        self,
        net: Network,
        samples: Samples,
        t: ArrayLike,
        *,
        epochs: int,
        batch_size: int,
        optimizer: Optimizer,
        shuffle: bool,
        seed: int | None,
        sample_weight: ArrayLike | None,
        class_weight: Mapping[int, float] | str | None,
        clip_norm: float | None,
        resume: TrainingState | None,
        accuracy: bool = False,
    ) -> None:
        self.net, self.optimizer, self.shuffle = net, optimizer, shuffle
        net._learn_shape(samples)
        self.binding = binding = net._binding()
        self.dtype = self.parameters.dtype
        self.n_outputs = binding.n_outputs
        binding.check_samples("x", samples.shape)
        self.scale = samples.scale
        self.n_samples = len(samples.array)
        if self.n_samples == 0:
            raise ValueError("x must hold at least one sample, got none")
        self.batch_size = min(batch_size, self.n_samples)
        self.per_epoch = -(-self.n_samples // self.batch_size)
        self.last_step = epochs * self.per_epoch
        self._limit = clip_norm or 0.0
        shape = self.n_samples, self.n_outputs
        targets = binding.loss.as_targets(t, shape, self.dtype)
        weights = as_weights(sample_weight, self.n_samples, self.dtype)
        if class_weight is not None:
            weights = with_class_weight(weights, class_weight, net.loss_layer, targets, self.n_outputs)
        self.part, self.accuracy = Part(net, samples, targets, self.dtype), accuracy
        if accuracy:
            net.loss_layer.must_be_of_classes("accuracy")
            if self.part.labels is None:
                raise ValueError("accuracy needs targets that name one class a sample")

        self._data = samples, targets, weights
        self.program = self._made()
        self.first, self.second = self.program.states
        self.seed = seed_of(seed)
        self.step, self.partial_loss = 0, 0.0
        self.resume = self._checked(resume)
        self._first_rate: float | None = None
        self.best_loss, self.waited = math.inf, 0
        self.best_parameters = self.best_buffers = np.zeros(0, self.dtype)
        self.history = History()
        self.order, self._epoch_of_order = np.arange(self.n_samples), -1
        self._retreat = Retreat(self.vectors)

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

    def _checked(self, state: TrainingState | None) -> TrainingState | None:
        if state is None:
            return None
        if not isinstance(state, TrainingState):
            raise TypeError(f"resume must be the state of a History, got {_arguments.shown(state)}")
        optimizer = type(self.optimizer).__name__
        if state.optimizer not in (None, optimizer):
            raise ValueError(
                f"resume does not fit: it is of a run with {state.optimizer}, here the optimizer is {optimizer}: pass "
                f"optimizer={state.optimizer.lower()!r} or another {state.optimizer}"
            )
        for name, what in (
            ("parameters", "parameters of another network"),
            ("first", "states of another optimizer"),
            ("second", "states of another optimizer"),
            ("buffers", "buffers of another network"),
        ):
            own, kept = getattr(self, name), getattr(state, name)
            kept = _or_empty(kept, self.dtype)
            if kept.shape != own.shape or kept.dtype != own.dtype:
                raise ValueError(
                    f"resume does not fit: its {name} are {kept.size} numbers of {kept.dtype}, "
                    f"here {own.size} of {own.dtype}: they are {what}"
                )
        if (state.n_samples, state.batch_size) != (self.n_samples, self.batch_size):
            raise ValueError(
                f"resume does not fit: it is of {state.n_samples} samples in batches of {state.batch_size}, "
                f"here {self.n_samples} in batches of {self.batch_size}"
            )
        return state

    def _begin(self) -> None:
        """Take over the state to go on from: the first change to the network."""
        state = self.resume
        if self.net.scale != self.scale:
            self.net.scale = self.scale
        if state is not None:
            self.put_back([state.parameters, _or_empty(state.buffers, self.dtype), state.first, state.second])
            self.step, self.seed, self.partial_loss = state.step, state.seed, state.partial_loss
            lists: dict[str, Any] = {name: list(values) for name, values in state.history.items()}
            self.history = History(**lists)
            self.best_loss, self.waited = state.best_loss, state.waited
            self.best_parameters = state.best_parameters.copy()
            self.best_buffers = _or_empty(state.best_buffers, self.dtype).copy()

    def _made(self) -> RowsProgram | RowsByLayers:
        """The program of the layers as they are, or what does its work where it cannot be written."""
        of = self.binding, self._data, self.optimizer, self._limit, self.batch_size
        return RowsByLayers(self.net._passing, *of) if self.binding.unlowered else RowsProgram.of(*of)

    def _follow(self) -> None:
        """Go on with the layers as they are now: a callback or another thread may have replaced arrays or settings.

        Raises RuntimeError where the run cannot go on with them, ValueError where parameters are read-only.
        """
        binding = self.net._binding()
        if binding is not self.binding:
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
        return np.array(rates)

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
            _or_none(self.buffers),
            _or_none(self.best_buffers),
        )

    def _advance(self, steps: int, pace: Pace, look: bool) -> np.ndarray:
        """Do ``steps`` steps and return their losses; FloatingPointError where one is not finite.

        Where parameters are not, that comes out later, and at the latest where it is to ``look``.
        """
        rates, losses, retreat = self._rates(steps), np.zeros(steps), self._retreat
        retreat.prepare(self)
        start = time.perf_counter()
        done = self.execute(rates, losses)
        seconds = time.perf_counter() - start
        pace.took(seconds, steps)
        self.step += done
        retreat.went(rates[:done], seconds)
        if done < steps:
            self._fail(f"the loss is {losses[done]}")
        if look or retreat.is_far:
            self._look()
        if retreat.is_far:
            retreat.forget()
        return losses

    def execute(self, lrs: np.ndarray, losses: np.ndarray) -> int:
        """Do steps from the present one on, without counting them; returns how many were finished."""
        epoch, batch = divmod(self.step, self.per_epoch)
        if self.shuffle and batch and self._epoch_of_order != epoch:
            shuffle_order(self.order, self.seed, epoch)
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
        order = np.arange(self.n_samples)
        if self.shuffle:
            shuffle_order(order, self.seed, epoch)
        if flaw := self.part.flaw(order[batch * self.batch_size : (batch + 1) * self.batch_size]):
            return f"{flaw}: fill it in, or leave the row out"
        for name, p in self.net.params.items():
            p = np.atleast_1d(p)
            if place := place_of(name, p, np.arange(len(p)), self.dtype):
                return f"{place} before this step"
        return "try a smaller learning rate"

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
    ) -> History:
        """Train to the last step in chunks.

        Raises RuntimeError where another thread trains the network.
        """
        training = self.net._training
        try:
            if not training.take(False):
                raise in_training("fit")
            return self._train(validation, callbacks, patience)
        finally:
            training.end()

    def _train(
        self,
        validation: Part | None,
        callbacks: list[Callable[[History], object]],
        patience: int | None,
    ) -> History:
        self._follow()
        self._begin()
        self.program.compile()  # so that the bar tells of steps alone
        if patience is not None and self.best_loss in self.history.val_loss:
            self.history.best_epoch = self.history.val_loss.index(self.best_loss)
        by_epoch = validation is not None or bool(callbacks) or self.accuracy
        pace, stopped = Pace(), patience is not None and self.waited >= patience
        with Bar(self.last_step, "step", done=self.step) as bar:
            epoch_start = time.perf_counter()
            while self.step < self.last_step and not stopped:
                n = min(self.last_step - self.step, pace.steps, MOST_STEPS)
                if by_epoch:
                    n = min(n, self.per_epoch - self.step % self.per_epoch)
                done = self.step + n
                losses = self._advance(n, pace, done == self.last_step or (by_epoch and done % self.per_epoch == 0))
                finished = self._record(losses)
                bar.advance(n, loss=losses[-1])
                if finished:
                    stopped = self._measure(validation, patience)
                    now = time.perf_counter()
                    self.history.seconds += [(now - epoch_start) / finished] * finished
                    epoch_start = now
                    for callback in callbacks:
                        self._retreat.forget()
                        stopped = callback(self.history) is True or stopped
                self._follow()
        self.history.state = self.state()
        self.program.leave()
        if patience is not None and self.best_parameters.size:
            self.parameters[...] = self.best_parameters
            self.buffers[...] = self.best_buffers
        return self.history

    def _measure(self, validation: Part | None, patience: int | None) -> bool:
        """Record what the network has come to by the end of an epoch; returns whether patience has run out."""
        if self.accuracy:
            self.history.accuracy.append(self.part.measured()["accuracy"])
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
        measured = validation.measured()
        loss = measured["loss"]
        if not math.isfinite(loss) and (flaw := validation.flaw(np.arange(len(validation)))):
            when = f"after epoch {len(self.history.loss)}"
            raise FloatingPointError(f"the validation loss is {loss} {when}; in the validation data, {flaw}")
        for name, value in measured.items():
            getattr(self.history, f"val_{name}").append(value)
        return loss

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


def _or_empty(vector: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    return np.zeros(0, dtype) if vector is None else vector


def _or_none(vector: np.ndarray) -> np.ndarray | None:
    return vector.copy() if vector.size else None
