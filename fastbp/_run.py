"""One training run: its programs, its buffers, and how far it is."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _team
from fastbp._loss import as_weights
from fastbp._lowering import Lowering
from fastbp._progress import Bar
from fastbp._samples import Samples
from fastbp._slices import lower_batch, rows_of_slice
from fastbp.history import History, TrainingState
from fastbp.kernels.batch import KINDS
from fastbp.kernels.batch import shuffle as shuffle_order
from fastbp.kernels.gemm import NOTHING
from fastbp.kernels.program import SEED, STEP_WORDS, train
from fastbp.optimizers import Optimizer

if TYPE_CHECKING:
    from fastbp.sequential import Sequential

CHUNK_SECONDS = 0.05  # between two looks of Python at the run: progress, callbacks and Ctrl-C wait that long
ROWS_AT_A_TIME = 4096  # of an evaluation, so that its activations stay small beside the data
MOST_STEPS = 1 << 16  # in a chunk, which bounds the arrays of rates and losses


class Run:
    """One call of ``fit``: its programs, buffers and place."""

    def __init__(
        self,
        net: Sequential,
        samples: Samples,
        t: ArrayLike,
        *,
        epochs: int,
        batch_size: int,
        optimizer: Optimizer,
        shuffle: bool,
        seed: int | None,
        sample_weight: ArrayLike | None,
        class_weight: Mapping[int, float] | None,
        clip_norm: float | None,
        resume: TrainingState | None,
    ) -> None:
        self.net, self.optimizer, self.shuffle = net, optimizer, shuffle
        self.parameters = net._bound()
        self.dtype = self.parameters.dtype
        self.columns, self.n_outputs = net.params["W1"].shape[0], net._affines()[-1].W.shape[1]
        samples.check_columns(self.columns, "x")
        self.n_samples = len(samples.array)
        if self.n_samples == 0:
            raise ValueError("x must hold at least one sample, got none")
        self.batch_size = min(batch_size, self.n_samples)
        self.per_epoch = -(-self.n_samples // self.batch_size)
        self.last_step = epochs * self.per_epoch
        if clip_norm is not None and (isinstance(clip_norm, bool) or not 0 < clip_norm < math.inf):
            raise ValueError(f"clip_norm must be a finite number above 0, got {clip_norm!r}")
        shape = self.n_samples, self.n_outputs
        targets = net.lastLayer.as_targets(t, shape, self.dtype)
        weights = as_weights(sample_weight, self.n_samples, self.dtype)
        if class_weight is not None:
            weights = _with_class_weight(weights, class_weight, targets, self.n_outputs)

        self.slice_rows = rows_of_slice(net, self.batch_size)
        fused = optimizer.is_plain and clip_norm is None and not self.slice_rows
        size = self.parameters.size
        self.gradients = np.zeros(0 if fused else size, self.dtype)
        self.first, self.second = optimizer.new_states(size, self.dtype)
        self.seed = _seed(seed)
        self.step, self.partial_loss = 0, 0.0
        self.resume = self._checked(resume)
        self._first_rate: float | None = None
        self.best_loss, self.best_parameters, self.waited = math.inf, np.zeros(0, self.dtype), 0
        self.history = History()
        self.order, self._epoch_of_order = np.arange(self.n_samples), -1
        self.words = np.zeros(STEP_WORDS, np.int64)
        self._lower(samples, targets, weights, fused, clip_norm or 0.0)

    def _checked(self, state: TrainingState | None) -> TrainingState | None:
        if state is None:
            return None
        if not isinstance(state, TrainingState):
            raise TypeError(f"resume must be the state of a History, got {state!r}")
        for name in ("parameters", "first", "second"):
            own, kept = getattr(self, name), getattr(state, name)
            if kept.shape != own.shape or kept.dtype != own.dtype:
                raise ValueError(
                    f"resume does not fit: its {name} are {kept.size} numbers of {kept.dtype}, "
                    f"here {own.size} of {own.dtype}"
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
        if state is not None:
            for name in ("parameters", "first", "second"):
                getattr(self, name)[...] = getattr(state, name)
            self.step, self.seed, self.partial_loss = state.step, state.seed, state.partial_loss
            self.history = History(**{name: list(values) for name, values in state.history.items()})
            self.best_loss, self.waited = state.best_loss, state.waited
            self.best_parameters = state.best_parameters.copy()
        self.words[SEED] = self.seed

    def _lower(self, samples: Samples, targets: np.ndarray, weights: np.ndarray, fused: bool, limit: float) -> None:
        """Write the programs of a whole batch, and of the rest at an epoch's end."""
        own_kind = KINDS.index(self.dtype.name)
        labels = targets.ndim == 1

        def loss_and_gradient(p: Lowering) -> None:
            x = p.gather("x", samples.array, samples.kind, samples.scale)
            t = p.gather_labels(targets) if labels else p.gather("t", targets, own_kind)
            w = p.gather("weights", weights.reshape(-1, 1), own_kind) if weights.size else NOTHING
            scores, columns, passes = self.net._lower(p, x, self.columns)
            dout = self.net.lastLayer.lower(p, scores, columns, t, w, labels)
            self.net._lower_backward(passes, dout)

        def step(p: Lowering) -> None:
            lower_batch(p, loss_and_gradient, self.slice_rows)
            if not fused:
                p.optimizer(self.optimizer, self.first, self.second, limit)

        self.program = Lowering(self.parameters, self.gradients, self.batch_size, fused_step=fused)  # keeps the buffers
        self.tables = self.program.tables(self.n_samples, step)

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
        )

    def _advance(self, steps: int) -> np.ndarray:
        """Do ``steps`` steps and return their losses; FloatingPointError where one is not finite."""
        lrs = self._rates(steps)
        losses = np.zeros(steps)
        before = [a.copy() for a in (self.parameters, self.first, self.second)]
        done = self.execute(lrs, losses)
        if done < steps or not np.isfinite(self.parameters).all():
            self._fail(before, lrs, losses, done)
        self.step += steps
        return losses

    def execute(self, lrs: np.ndarray, losses: np.ndarray) -> int:
        """Do steps from the present one on, without counting them; returns how many were finished."""
        epoch, batch = divmod(self.step, self.per_epoch)
        if self.shuffle and batch and self._epoch_of_order != epoch:
            shuffle_order(self.order, self.seed, epoch)
        self._epoch_of_order = (self.step + len(lrs) - 1) // self.per_epoch
        team = _team.address_for(self.dtype)
        one = self.dtype.type(1)
        whole, last = self.tables
        return train(
            team, whole, last, self.order, self.batch_size, self.shuffle, self.step, lrs, losses, self.words, one
        )

    def _fail(self, before: list[np.ndarray], lrs: np.ndarray, losses: np.ndarray, done: int) -> None:
        """Go back to the last finite parameters, and say where the run stopped."""
        problem = f"the loss is {losses[done]}" if done < len(losses) else ""
        if not np.isfinite(self.parameters).all():
            self._restore(before)
            good = before
            for i in range(done):  # again from the chunk's beginning, one by one: the same bits
                self.execute(lrs[i : i + 1], losses[i : i + 1])
                if not np.isfinite(self.parameters).all():
                    problem = "the parameters are no longer finite"
                    break
                good = [a.copy() for a in (self.parameters, self.first, self.second)]
                self.step += 1
            self._restore(good)
        else:
            self.step += done
        epoch, batch = divmod(self.step, self.per_epoch)
        raise FloatingPointError(f"{problem} in epoch {epoch + 1}, batch {batch + 1}; try a smaller learning rate")

    def _restore(self, saved: list[np.ndarray]) -> None:
        self._epoch_of_order = -1
        for own, kept in zip((self.parameters, self.first, self.second), saved, strict=True):
            own[...] = kept

    def train(
        self,
        validation: tuple[np.ndarray, np.ndarray] | None,
        callbacks: list[Callable[[History], object]],
        patience: int | None,
    ) -> History:
        """Train to the last step in chunks of about CHUNK_SECONDS."""
        self._begin()
        self.execute(np.zeros(0), np.zeros(0))  # no step: compiles, so that the bar tells of steps alone
        by_epoch = validation is not None or bool(callbacks)
        steps, stopped = 1, False
        with Bar(self.last_step, "step", done=self.step) as bar:
            epoch_start = time.perf_counter()
            while self.step < self.last_step and not stopped:
                n = min(self.last_step - self.step, steps, MOST_STEPS)
                if by_epoch:
                    n = min(n, self.per_epoch - self.step % self.per_epoch)
                start = time.perf_counter()
                losses = self._advance(n)
                taken = time.perf_counter() - start
                steps = max(1, min(8 * n, int(n * CHUNK_SECONDS / max(taken, 1e-9))))
                finished = self._record(losses)
                bar.advance(n, loss=losses[-1])
                if not finished:
                    continue
                if validation is not None:
                    loss, accuracy = evaluate(self.net, *validation)
                    self.history.val_loss.append(loss)
                    if accuracy is not None:
                        self.history.val_accuracy.append(accuracy)
                    if patience is not None:
                        self.waited += 1
                        if loss < self.best_loss:
                            self.best_loss, self.best_parameters, self.waited = loss, self.parameters.copy(), 0
                        stopped = self.waited >= patience
                now = time.perf_counter()
                self.history.seconds += [(now - epoch_start) / finished] * finished
                epoch_start = now
                for callback in callbacks:
                    stopped = callback(self.history) is True or stopped
        self.history.state = self.state()
        if patience is not None and self.best_parameters.size:
            self.parameters[...] = self.best_parameters
        return self.history

    def _record(self, losses: np.ndarray) -> int:
        """Add up the losses of the steps just done; returns how many epochs they finished."""
        numbers = np.arange(self.step - len(losses), self.step)
        sizes = np.full(len(losses), float(self.batch_size))
        rest = self.n_samples - (self.per_epoch - 1) * self.batch_size
        sizes[numbers % self.per_epoch == self.per_epoch - 1] = rest
        epochs = numbers // self.per_epoch - numbers[0] // self.per_epoch
        # What the epoch came to before goes first: one chain of additions, wherever its steps were cut into chunks.
        sums = np.bincount(np.append(0, epochs), np.append(self.partial_loss, losses * sizes))
        finished = self.step // self.per_epoch - int(numbers[0]) // self.per_epoch
        self.history.loss += (sums[:finished] / self.n_samples).tolist()
        self.partial_loss = float(sums[-1]) if self.step % self.per_epoch else 0.0
        return finished


def evaluate(net: Sequential, x: np.ndarray, t: np.ndarray) -> tuple[float, float | None]:
    """Mean loss of the network on (x, t), and the accuracy where the loss is one of classes."""
    loss_layer = copy.copy(net.lastLayer)
    total, right = 0.0, 0.0
    for begin in range(0, len(x), ROWS_AT_A_TIME):
        rows = slice(begin, begin + ROWS_AT_A_TIME)
        scores = net.predict(x[rows])
        total += float(loss_layer.forward(scores, t[rows])) * len(scores)
        if loss_layer.has_classes:
            labels = t[rows] if t.ndim == 1 else np.argmax(t[rows], axis=1)
            right += float(np.sum(np.argmax(scores, axis=1) == labels))
    return total / len(x), right / len(x) if loss_layer.has_classes else None


def _with_class_weight(
    weights: np.ndarray, class_weight: Mapping[int, float], labels: np.ndarray, n_classes: int
) -> np.ndarray:
    """Weights of samples times those of their classes."""
    if labels.ndim != 1 or labels.dtype.kind != "i":
        raise ValueError("class_weight needs targets that are class labels, (N,) integers")
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight must be a dict from class label to weight, got {class_weight!r}")
    by_class = np.ones(n_classes)
    largest = float(np.finfo(weights.dtype).max)
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, (int, np.integer)) or not 0 <= label < n_classes:
            raise ValueError(f"class_weight has the class {label!r}, outside 0..{n_classes - 1}")
        if not 0 <= weight <= largest:
            raise ValueError(f"class_weight[{label}] must be a finite number of at least 0, got {weight!r}")
        by_class[label] = weight
    per_sample = by_class[labels]
    return (per_sample * weights if weights.size else per_sample).astype(weights.dtype)


def _seed(seed: int | None) -> int:
    """A 63-bit number from what a user gives as seed; a new one for None."""
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(f"seed must be an integer of at least 0 or None, got {seed!r}")
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))
