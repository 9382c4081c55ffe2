"""Programs that networks of one kind use one after the other: to write one takes as long as a hundred steps."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any

import numpy as np

from fastbp._binding import Binding
from fastbp.basics._pace import Pace
from fastbp.kernels._interrupts import uninterrupted
from fastbp.optimizers import Optimizer
from fastbp.programs._program import ALL_ROWS, Update
from fastbp.training._data import Data
from fastbp.training._rows import MOST_BYTES, RowsProgram

MOST_LENT = 256  # kept by a thread: kinds of networks, each with as many as there are lengths of an epoch's last batch


class LentProgram:
    """A program on whose vectors those of a network are put for steps, with what runs use of a ``RowsProgram``.

    Attributes
    ----------
    pace : what is known of its steps, from the networks before
    """

    def __init__(self, program: RowsProgram, template: Binding) -> None:
        self._program, self._template, self._binding = program, template, template
        self.states, self.pace = program.states, Pace()
        self._kept: dict[Hashable, LentProgram] = {}
        self._key: Hashable = None

    def lend(self, binding: Binding, rows: np.ndarray, key: Hashable, kept: dict[Hashable, LentProgram]) -> LentProgram:
        """It, for steps of a network over these rows; ``leave`` puts it among those ``kept`` again."""
        self._binding, self._key, self._kept, self._program.rows = binding, key, kept, rows
        for state in self.states:
            state.fill(0)
        return self

    def compile(self) -> None:
        """Compile what ``run`` needs beside the operations."""
        self._program.compile()

    def leave(self) -> None:
        """Leave it to the next network of its kind that this thread trains."""
        self._binding, self._program.rows = self._template, ALL_ROWS
        self._kept[self._key] = self
        if len(self._kept) > MOST_LENT:
            self._kept.pop(next(iter(self._kept)), None)

    def run(self, *steps: Any, **order: Any) -> int:
        """As ``Program.run``, on the network's vectors."""
        own, lent = self._binding, self._template
        with uninterrupted():  # or the network would be left with half of what the steps came to
            lent.vector[...], lent.kept[...] = own.vector, own.kept
            done = self._program.run(*steps, **order)
            own.vector[...], own.kept[...] = lent.vector, lent.kept
        return done


class Lender:
    """Has the programs of one call, over one data set; each thread has its own."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._known: dict[int, tuple[Optimizer, tuple[int, bytes]]] = {}

    def lent(self, binding: Binding, data: Data, rule: Optimizer, limit: float, batch_size: int) -> LentProgram | None:
        """One for a network of the kind of ``binding``; None of networks that have their own.

        These are large ones, beside whose steps a program is written in no time, and those that may differ from others
        in what no constructor takes.
        """
        kind = binding.kind if binding.vector.nbytes <= MOST_BYTES else None
        if kind is None:
            return None
        kept: dict[Hashable, LentProgram] = self._local.__dict__.setdefault("kept", {})
        # Who is in the keys by its id is kept by the program, so that there is no other with it.
        of_data = id(data.samples.array), data.samples.scale, id(data.targets), id(data.weights)
        key = (kind, of_data, *self._settings_of(rule), limit, batch_size, len(data) % batch_size)
        program = kept.pop(key, None)
        if program is None:
            template = binding.apart()
            states = rule.new_states(binding.vector.size, binding.vector.dtype)
            update = Update(rule, *states, limit)
            program = LentProgram(RowsProgram(template, None, data, update, batch_size), template)
        return program.lend(binding, data.rows, key, kept)

    def _settings_of(self, rule: Optimizer) -> tuple[int, bytes]:
        """What programs know of an optimizer, which most networks of a call have in common; it does not change."""
        known = self._known.get(id(rule))
        if known is None:
            known = self._known[id(rule)] = rule, (rule.kind, rule.hyper().tobytes())
        return known[1]
