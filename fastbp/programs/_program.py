"""A program: a batch from its feed, through the layers to the loss, back to the gradients, and the update."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from fastbp.basics import _machine, _team
from fastbp.basics._address import address_of
from fastbp.basics._pin import pin
from fastbp.kernels.program import INSTRUCTION_WORDS, SEED, TRAINING_WORDS, train
from fastbp.kernels.shares import take_share
from fastbp.programs._feed import Feed
from fastbp.programs._listing import listing, plan_in_words
from fastbp.programs._lowering import Lowering, Rule
from fastbp.programs._operand import Operand
from fastbp.programs._slices import Cuttable, lower_batch, rows_of_slice

ALL_ROWS = np.zeros(0, np.int64)
ONE_SAMPLE = np.zeros(1, np.int64)  # as the order of samples in a program that is an update alone, which has none
_COMPILED: set[tuple[str, np.dtype]] = set()  # which of ``train`` and ``take_share`` are, for which types


class Chain(Cuttable, Protocol):
    """Layers one after the other, of which a program is made; see ``fastbp._binding``."""

    @property
    def params(self) -> Mapping[str, np.ndarray]: ...

    @property
    def buffers(self) -> Mapping[str, np.ndarray]: ...

    @property
    def in_shape(self) -> tuple[int, ...] | None: ...

    def forward(self, p: Lowering, x: int) -> Operand: ...

    def learn_to_look(self) -> None: ...


def is_short(chain: Chain, n_products: int) -> bool:
    """Whether as many products with all parameters take a moment, in which other threads of Python's may wait.

    Those of networks for images, whose filters are at many places of each, are not among them.
    """
    is_of_rows = chain.in_shape is not None and len(chain.in_shape) == 1
    return is_of_rows and n_products * chain.vector.size <= _machine.numbers().short_program


class LossOfBatch(Protocol):
    """A loss, as one that is written into a program."""

    def lower(self, p: Lowering, x: Operand, targets: int, weights: int, labels: bool) -> int: ...


@dataclass(frozen=True)
class Update:
    """How a step moves the parameters.

    Attributes
    ----------
    rule : the optimizer
    first, second : its state vectors, without elements where it has none
    limit : norm to which the gradients are clipped; 0 for none
    """

    rule: Rule
    first: np.ndarray
    second: np.ndarray
    limit: float = 0.0

    @property
    def fuses(self) -> bool:
        """Whether parameters may be updated as soon as their gradient is known, so that no gradients are kept."""
        return self.rule.is_plain and not self.limit


class Program:
    """The steps over what a feed gives, in batches of ``batch_size`` rows; the last of an epoch has what is left.

    Parameters
    ----------
    chain : the layers
    feed, loss : where batches come from, and what their gradient is of; without these a step is the update alone, of
        what stands in ``gradients``
    update : what moves the parameters; None leaves it at the gradients
    between : writes what comes between the gradients of the batch and the update
    gradients : room for them that programs share, used unless the update needs none; by default the program's own

    Attributes
    ----------
    gradients : (P,), without elements where the update needs none
    whole, last : the tables of instructions for a whole batch and for the last
    is_sliced : whether a batch is cut into slices
    rows : (N,) int64, the numbers of the samples that epochs are of, where they are not all; may be set

    The program holds addresses. What is behind them lives in its ``Lowering``, which this keeps: what was made here,
    and what feed, loss and update handed to ``Lowering.keep``, held in its place. Order, rates and losses are handed
    over as arrays at each call.
    """

    def __init__(
        self,
        chain: Chain,
        feed: Feed | None,
        loss: LossOfBatch | None,
        update: Update | None,
        batch_size: int = 1,
        *,
        between: Callable[[Lowering], None] | None = None,
        gradients: np.ndarray | None = None,
    ) -> None:
        self.chain, self.batch_size = chain, batch_size
        slice_rows = rows_of_slice(chain, batch_size) if feed is not None and feed.sliceable else 0
        fused = feed is not None and update is not None and update.fuses and not slice_rows
        if fused:
            gradients = np.zeros(0, chain.vector.dtype)
        elif gradients is None:
            gradients = np.zeros(chain.vector.size, chain.vector.dtype)
        self.gradients = gradients

        def loss_and_gradient(p: Lowering) -> None:
            assert feed is not None and loss is not None
            fed = feed.write(p)
            p.backward(loss.lower(p, chain.forward(p, fed.x), fed.t, fed.weights, feed.labels))

        def step(p: Lowering) -> None:
            if feed is not None:
                lower_batch(p, loss_and_gradient, slice_rows)
            if between is not None:
                between(p)
            if update is not None and not fused:
                p.optimizer(update.rule, update.first, update.second, update.limit)

        self.lowering = Lowering(chain.vector, gradients, batch_size, fused_step=fused)
        self.whole, self.last = self.lowering.tables(1 if feed is None else feed.n_samples, step)
        self.is_sliced = slice_rows > 0
        # For other numbers of rows. Others keep nothing of what they were written by: users' data and, in a circle, us.
        self._write = step if update is None and between is None else None
        self._of_rows = {self.batch_size: self.whole}
        self._one = chain.vector.dtype.type(1)
        self._words = np.zeros(TRAINING_WORDS, np.int64)
        self.rows = ALL_ROWS

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

        ``order`` (N,) is that of the samples in the epoch of the first step, and is overwritten as epochs begin where
        ``shuffled``; ``losses`` are overwritten. The ``seed`` is of the order and of what layers draw.
        """
        self._words[SEED] = seed
        team = _team.address_for(self.gradients.dtype)
        tables = self.whole, self.last
        order_of = order, self.rows, self.batch_size, shuffled
        return train(team, *tables, *order_of, first, rates, losses, self._words, self._one)

    def share(self, rows: np.ndarray, n_rows: int, number: int, seed: int) -> float:
        """Leave in ``gradients`` what some samples give to the gradient of a batch; returns what they give to its loss.

        Of a program of a feed and a loss alone, whose batches are not cut into slices. ``rows`` (R,) int64 are the
        numbers of at most ``batch_size`` samples, also none; the batch has ``n_rows``. Masks follow from ``number`` and
        ``seed``.
        """
        if not len(rows):
            self.gradients.fill(0)
            return 0.0
        table = self._of_rows.get(len(rows))
        if table is None:
            assert self._write is not None
            self.lowering.rows = len(rows)
            self._write(self.lowering)
            table = self._of_rows[len(rows)] = self.lowering.table()
        return self._take_share(table, rows, n_rows, number, seed)

    def _take_share(self, table: np.ndarray, rows: np.ndarray, *numbers: int) -> float:
        team = _team.address_for(self.gradients.dtype)
        return take_share(team, table, rows, *numbers, self._words, self._one)

    def compile_share(self) -> None:
        """Compile what ``share`` needs beside the operations, unless that is done."""
        nothing = np.zeros((0, INSTRUCTION_WORDS), np.int64), np.zeros(0, np.int64)
        self._compile_once("share", lambda: self._take_share(*nothing, 1, 0, 0))

    @cached_property
    def _source_places(self) -> list[tuple[int, int]]:
        """Row and word of each source in the tables; an instruction's words come behind its operation's."""
        fields = [instruction._fields for instruction in self.lowering.instructions]
        return [(row, 1 + names.index("source")) for row, names in enumerate(fields) if "source" in names]

    def read(self, sources: Iterable[np.ndarray]) -> None:
        """Copy batches from these samples, targets and weights from now on, of the shapes and types of those before.

        Of a program that is not cut into slices, whose tables name each in an instruction, in that order.
        """
        p = self.lowering
        p.sources = [(array, pin("an array in use", array)) for array in sources]
        addresses = [address_of(array) for array, _ in p.sources]
        for table in (self.whole, self.last):
            for place, address in zip(self._source_places, addresses, strict=True):
                table[place] = address

    def compile(self) -> None:
        """Compile what ``run`` needs beside the operations, by a run of no step, unless that is done."""
        self._compile_once("train", lambda: self.run(np.zeros(1, np.int64), 0, np.zeros(0), np.zeros(0)))

    def _compile_once(self, name: str, run: Callable[[], object]) -> None:
        key = name, self.gradients.dtype
        if key not in _COMPILED:
            run()
            _COMPILED.add(key)

    def listing(self, layers: Iterable[str], arrays: Mapping[str, np.ndarray]) -> str:
        """The program of the last batch in words; the layers are called so, and so are ``arrays`` that it reads."""
        return listing(self.lowering, self._names(layers) | {address_of(a): name for name, a in arrays.items()})

    def _names(self, layers: Iterable[str]) -> dict[int, str]:
        """What stands at the program's addresses."""
        chain, p = self.chain, self.lowering
        called = dict(zip(chain.layers, layers, strict=True))
        names = {}
        for key, at in p.buffers().items():
            names[at] = f"{called[key[0]]}.{key[1]}" if isinstance(key, tuple) else str(key)
        names |= p.functions
        for name, buffer in chain.buffers.items():
            names[address_of(buffer)] = name
        names |= {at: plan_in_words(plan) for at, (plan, _) in p.plans.items()}
        for name, parameter in chain.params.items():
            names[address_of(parameter)] = name
            if p.gradients.size:
                names[p.gradient_of(parameter)] = f"d{name}"
        return names
