"""Steps of a network whose samples are dealt to several ranks: each has a shard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fastbp._binding import Binding
from fastbp.basics._claim import Claim
from fastbp.kernels._interrupts import uninterrupted
from fastbp.kernels.batch import shuffle as shuffle_order
from fastbp.optimizers import Optimizer
from fastbp.programs._feed import Rows
from fastbp.programs._program import ONE_SAMPLE, Program, Update
from fastbp.training._by_layers import ShareByLayers
from fastbp.training._data import Data
from fastbp.training._ranks import Ranks


class Shards:
    """Which samples are whose: the whole is the shards one after the other, in the order of the ranks.

    Parameters
    ----------
    rows : of each rank's shard
    rank : whose is here

    Attributes
    ----------
    total : samples in all
    """

    def __init__(self, rows: Sequence[int], rank: int) -> None:
        self._rows = rows
        self._first = sum(rows[:rank])
        self._past, self.total = self._first + rows[rank], sum(rows)

    def order(self) -> np.ndarray:
        """(N,) the samples in an order in which all shards are used up alike: of a single one, its own."""
        if len(self._rows) == 1:
            return np.arange(self.total)
        return np.argsort(np.concatenate([(np.arange(n) + 0.5) / n for n in self._rows]), kind="stable")

    def own(self, samples: np.ndarray) -> np.ndarray:
        """Those of the ``samples``, numbers in the whole, that are here, as numbers in the shard."""
        return samples[(samples >= self._first) & (samples < self._past)] - self._first


class Gradient(Protocol):
    """What leaves the gradient of samples: a ``Program`` without an update."""

    gradients: np.ndarray

    def share(self, rows: np.ndarray, n_rows: int, number: int, seed: int) -> float:
        """See ``Program.share``."""

    def compile_share(self) -> None:
        """Compile what ``share`` needs."""


class ShardedRows:
    """Steps over batches of which each rank computes the rows that it has, with what runs use of a ``RowsProgram``.

    A step's gradient is the sum of all ranks', so that their parameters stay the same bits. Where ``sync_every`` is
    more than 1, a rank steps by the gradient of its own rows, and each so many steps, counted from an epoch's first,
    and at its last the parameters and states become the mean of all, weighed by the rows that each has used.

    Parameters
    ----------
    gradient : leaves that of the rows here, as their share of the batch's
    update : of what stands in its ``gradients``; adds its loss to that of a step
    states : the optimizer's vectors, without elements where there are none
    """

    def __init__(
        self,
        ranks: Ranks,
        shards: Shards,
        binding: Binding,
        gradient: Gradient,
        update: Program,
        states: tuple[np.ndarray, ...],
        batch_size: int,
        sync_every: int,
    ) -> None:
        self._ranks, self._shards, self._binding, self._gradient = ranks, shards, binding, gradient
        self._update, self.states = update, states
        self._batch_size, self._sync_every = batch_size, sync_every
        vectors = binding.vector, binding.kept, *self.states
        self._vectors = [vector for vector in vectors if vector.size]
        self._copies = [np.empty_like(vector) for vector in self._vectors] if sync_every > 1 else []
        for vector in (gradient.gradients, *self._vectors):
            ranks.make_room(vector)
        self._added = np.zeros(1)  # what the update adds to a loss

    @classmethod
    def of(
        cls,
        ranks: Ranks,
        shards: Shards,
        passing: Claim,
        binding: Binding,
        data: Data,
        rule: Optimizer,
        limit: float,
        batch_size: int,
        sync_every: int,
    ) -> ShardedRows:
        """Those over a shard's ``data``, in batches of ``batch_size`` of the whole."""
        gradient: Gradient
        if binding.unlowered:
            gradient = ShareByLayers(passing, binding, data)
        else:
            feed = Rows(data.samples, data.targets, data.weights, sliceable=False)
            gradient = Program(binding, feed, binding.loss, None, min(batch_size, len(data)))
        states = rule.new_states(binding.vector.size, binding.vector.dtype)
        update = Program(binding, None, None, Update(rule, *states, limit), gradients=gradient.gradients)
        return cls(ranks, shards, binding, gradient, update, states, batch_size, sync_every)

    def compile(self) -> None:
        """Compile what ``run`` needs beside the operations."""
        self._gradient.compile_share()
        self._update.compile()

    def leave(self) -> None:
        """Leave nothing to a later run."""

    def run(
        self,
        order: np.ndarray,
        first: int,
        rates: np.ndarray,
        losses: np.ndarray,
        *,
        shuffled: bool = False,
        seed: int = 0,
    ) -> int:
        """Do the steps from ``first`` on, as many as there are ``rates``; returns how many had a finite loss.

        The same on all ranks, as all arguments have to be. ``order`` and ``losses`` are of the whole, and overwritten
        as ``Program.run`` does.
        """
        per_epoch, s = -(-len(order) // self._batch_size), 0
        while s < len(rates):
            epoch, place = divmod(first + s, per_epoch)
            if shuffled and place == 0:
                shuffle_order(order, seed, epoch)
            past = min(s + until_sync(place, per_epoch, self._sync_every), len(rates))
            batches = [order[b * self._batch_size :][: self._batch_size] for b in range(place, place + past - s)]
            step = self._step if self._sync_every == 1 else self._apart
            finished = step(batches, first + s, rates[s:past], losses[s:past], seed)
            if finished < past - s:
                return s + finished
            s = past
        return len(rates)

    def _share(self, own: np.ndarray, n_rows: int, number: int, seed: int) -> float:
        # Other masks on each rank: a rank's rows are counted from 0.
        return self._gradient.share(own, n_rows, number * self._ranks.size + self._ranks.rank, seed)

    def _step(self, batches: list[np.ndarray], number: int, rates: np.ndarray, losses: np.ndarray, seed: int) -> int:
        """Do one step, on the gradient of all ranks."""
        (batch,), kept = batches, self._binding.kept
        own, before = self._shards.own(batch), kept.copy()
        share = self._share(own, len(batch), number, seed)
        with uninterrupted():  # so that all ranks do all of it
            losses[0] = sum(self._ranks.numbers(share))
            if not math.isfinite(losses[0]):
                kept[...] = before
                return 0
            self._ranks.add_up(self._gradient.gradients)
            if kept.size:
                kept *= kept.dtype.type(len(own) / len(batch))
                self._ranks.add_up(kept)
            self._update.run(ONE_SAMPLE, number, rates, self._added)
            losses[0] += self._added[0]
        return 1

    def _apart(self, batches: list[np.ndarray], number: int, rates: np.ndarray, losses: np.ndarray, seed: int) -> int:
        """Do steps on this rank's gradients, and then have all that they change be the mean of the ranks'."""
        for copy, vector in zip(self._copies, self._vectors, strict=True):
            copy[...] = vector
        done = self._local_steps(batches, number, rates, losses, seed)
        with uninterrupted():
            together = int(min(self._ranks.numbers(done)))
            if together < len(batches):
                # Some rank's loss is not finite: as far as all had one, and the losses up to that.
                for copy, vector in zip(self._copies, self._vectors, strict=True):
                    vector[...] = copy
                self._local_steps(batches[:together], number, rates[:together], losses, seed)
            self._ranks.add_up(losses[: together + 1])
            self._average([self._shards.own(batch).size for batch in batches[:together]])
        return together

    def _local_steps(
        self, batches: list[np.ndarray], number: int, rates: np.ndarray, losses: np.ndarray, seed: int
    ) -> int:
        """Do steps; returns how many had a finite loss, and leaves in ``losses`` what the rows here give to each."""
        for s, batch in enumerate(batches):
            own = self._shards.own(batch)
            loss = self._share(own, max(1, own.size), number + s, seed)
            losses[s] = loss * own.size / len(batch)
            if not math.isfinite(loss):
                return s
            if own.size:
                self._update.run(ONE_SAMPLE, number + s, rates[s : s + 1], self._added)
        return len(batches)

    def _average(self, rows: list[int]) -> None:
        """Have all vectors be the mean of the ranks', weighed by the ``rows`` that each has used."""
        own = sum(rows)
        total = sum(self._ranks.numbers(own))
        for vector in self._vectors if total else ():
            vector *= vector.dtype.type(own / total)
            self._ranks.add_up(vector)


def until_sync(place: int, per_epoch: int, sync_every: int) -> int:
    """How many steps it is from the one at ``place`` of an epoch until the ranks are the same again."""
    return min(sync_every - place % sync_every, per_epoch - place)


def of_network(binding: Binding) -> dict[str, Any]:
    """What has to be the same of a network on all ranks."""
    layers = [(name, repr(layer)) for name, layer in zip(binding.names, binding.layers, strict=True)]
    return {
        "network": (layers, repr(binding.loss), binding.vector.dtype),
        "vector of parameters": binding.vector,
        "vector of buffers": binding.kept,
    }
